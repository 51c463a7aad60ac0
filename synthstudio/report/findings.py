"""What `validate` found as one self-contained page, with examples drawn in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from synthstudio.core.errors import SynthStudioError
from synthstudio.core.images import decode_rgba
from synthstudio.core.labels import U8
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.durable import disk_errors, replace_file
from synthstudio.dataset.reader import Dataset
from synthstudio.quality.checks.coco import CocoChecker
from synthstudio.quality.checks.findings import KINDS, Finding, Findings
from synthstudio.quality.checks.pictures import file_findings
from synthstudio.quality.checks.subject import HALF_PX, is_box, is_id, is_number
from synthstudio.report.dataset import figure_of
from synthstudio.report.html import card, escape, page, picture, section, shots, table, tiles
from synthstudio.report.sketch import Figure, sketch

_BLANK = (58, 62, 70)
_LARGEST_PX = 6000
_DRAWN = 3  # examples of a kind that are drawn


def write_dataset_findings(found: Findings, dataset: Dataset, out: Path) -> None:
    """Write the findings of a data set as the page `out`; DiskError when writing fails."""

    def draw(finding: Finding) -> U8 | None:
        try:
            frame, people = dataset.frame(finding.image), dataset.instances(finding.image)
        except SynthStudioError:
            return None
        rgb = _decoded(lambda: dataset.image_of(frame).read_bytes(), frame)
        skeleton = dataset.identity.skeleton
        joints = len(get_skeleton(skeleton).joints)
        figures = []
        for row in people:
            if len(row["state"]) != joints or len(row["joints_px"]) != 2 * joints:
                continue
            own = row["instance"] == finding.person
            made = figure_of(row, skeleton)
            figures.append(
                Figure(
                    skeleton=made.skeleton,
                    px=made.px,
                    state=made.state,
                    box=made.box,
                    guilty=own,
                    ring=finding.joint if own else None,
                )
            )
        return sketch(rgb, figures)

    _write(found, str(dataset.identity.recipe.get("name", "data set")), draw, out)


def write_coco_findings(
    found: Findings,
    name: str,
    categories: Sequence[Any],
    images: Iterable[Mapping[str, Any]],
    annotations: Iterable[Mapping[str, Any]],
    out: Path,
    *,
    folder: Path | None = None,
) -> None:
    """Write the findings of a COCO file as the page `out`; DiskError when writing fails.

    Images and annotations are gone through once; only those to be drawn are kept.
    """
    wanted = {f.image for kept in found.kept.values() for f in kept[:_DRAWN]}
    shown = {
        i["id"]: i
        for i in images
        if isinstance(i, Mapping) and is_id(i.get("id")) and i["id"] in wanted
    }
    people: dict[Any, list[Mapping[str, Any]]] = {key: [] for key in shown}
    for entry in annotations:
        if isinstance(entry, Mapping) and is_id(entry.get("image_id")):
            if entry["image_id"] in people:
                people[entry["image_id"]].append(entry)
    known = CocoChecker()
    for _ in known.check_categories(categories):
        pass  # what is wrong with them was found before
    skeleton = next(iter(known.skeletons.values()), None)

    def draw(finding: Finding) -> U8 | None:
        image = shown.get(finding.image)
        if image is None:
            return None
        size = {"width_px": image.get("width"), "height_px": image.get("height")}
        path = None
        if folder is not None and isinstance(image.get("file_name"), str):
            path = file_findings(image, folder)[0]
        rgb = _decoded(None if path is None else path.read_bytes, size)
        figures = [_entry_figure(entry, skeleton, finding) for entry in people[finding.image]]
        return sketch(rgb, [f for f in figures if f is not None])

    _write(found, name, draw, out)


def _entry_figure(
    entry: Mapping[str, Any], skeleton: Skeleton | None, finding: Finding
) -> Figure | None:
    flat = entry.get("keypoints")
    numbers = isinstance(flat, list) and all(map(is_number, flat)) and len(flat) % 3 == 0
    points = np.array(flat if numbers else [], np.float64).reshape(-1, 3)
    own = entry.get("id") == finding.person
    box = entry.get("bbox")
    fits = skeleton is not None and len(points) == len(skeleton.joints)
    px = points[:, :2] + HALF_PX
    if not own or finding.kind != "coordinates_without_v":
        px[points[:, 2] == 0] = np.nan
    return Figure(
        skeleton=skeleton if fits else None,
        px=px,
        state=points[:, 2].tolist(),
        box=(box[0], box[1], box[2], box[3]) if is_box(box) and box else None,
        guilty=own,
        ring=finding.joint if own else None,
    )


def _decoded(read: Callable[[], bytes] | None, size: Mapping[str, Any]) -> U8:
    """Return the picture, or a blank one of the stated size where there is none."""
    try:
        if read is not None:
            return np.ascontiguousarray(decode_rgba(read(), "example")[..., :3])
    except (SynthStudioError, OSError):
        pass  # that it cannot be read is a finding of its own
    sides = [size.get("height_px"), size.get("width_px")]
    high, wide = (s if type(s) is int and 0 < s < _LARGEST_PX else 480 for s in sides)
    return np.full((high, wide, 3), _BLANK, np.uint8)


def _write(found: Findings, name: str, draw: Callable[[Finding], U8 | None], out: Path) -> None:
    verdict = (
        f'<p class="bad lead">{found.errors:,} errors and {found.warnings:,} warnings</p>'
        if found.errors
        else '<p class="good lead">No errors were found.</p>'
    )
    figures = {
        "images": f"{found.images:,}",
        "people": f"{found.people:,}",
        "errors": f"{found.errors:,}",
        "warnings": f"{found.warnings:,}",
    }
    body = [f"<header><h1>{escape(name)}: validation</h1>{verdict}</header>", tiles(figures)]
    rows = [
        (told.title, found.counts[kind], told.severity, told.mend or "needs a person", kind)
        for kind, told in KINDS.items()
        if found.counts[kind]
    ]
    if rows:
        head = ("what is wrong", "count", "severity", "what --fix does", "kind")
        body.append(card("All findings", table(head, rows)))
    body += [f'<p class="warn">Not checked: {escape(what)}.</p>' for what in found.not_checked]
    for kind, told in KINDS.items():
        if found.counts[kind]:
            body.append(_kind_section(found, kind, told.title, draw))
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    replace_file(out, page(f"{name}: validation", body))


def _kind_section(
    found: Findings, kind: str, title: str, draw: Callable[[Finding], U8 | None]
) -> str:
    pictures, lines = [], []
    for place, finding in enumerate(found.kept[kind]):
        drawn = draw(finding) if place < _DRAWN and finding.image is not None else None
        if drawn is None:
            lines.append(f"<li><b>{escape(finding.where)}</b> {escape(finding.what)}</li>")
            continue
        caption = f"<b>{escape(finding.where)}</b><br>{escape(finding.what)}"
        pictures.append(picture(drawn, caption, alt=finding.where))
    more = found.counts[kind] - len(found.kept[kind])
    tail = f'<p class="soft">and {more:,} more</p>' if more > 0 else ""
    listed = f"<ul>{''.join(lines)}</ul>" if lines else ""
    return section(
        kind, f"{title} ({found.counts[kind]:,})", shots(pictures, large=True), listed, tail
    )
