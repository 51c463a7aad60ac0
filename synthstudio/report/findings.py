"""The report page of `validate`, with sketched examples even of damaged labels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from markupsafe import Markup

from synthstudio.core.arrays import F64, U8
from synthstudio.core.errors import SynthStudioError
from synthstudio.core.images import decode_rgba
from synthstudio.core.skeleton import COLOURS, Skeleton
from synthstudio.dataset.durable import write_file
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import NO_STATE, Row
from synthstudio.formats.coco.file import RawCoco
from synthstudio.formats.exchange import HALF_PX
from synthstudio.quality.checks import KINDS, Finding, Findings, is_box, is_id, is_number
from synthstudio.quality.coco import CocoChecker
from synthstudio.quality.validate import file_findings
from synthstudio.report.draw import INK, TILE_PEN, draw_bones
from synthstudio.report.evaluation import disc, ring
from synthstudio.report.pages import embed, render

_BLANK = (58, 62, 70)
_RING = (255, 214, 10)
_BOX = (86, 214, 160)
_BAD = (255, 92, 92)
_FAR = 1e5
_LARGEST_PX = 6000
_ROWS_PX = 480
_DRAWN = 3  # examples of a kind that are drawn


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One person to sketch. `px` (J, 2), NaN: none; `state` (J,) 1 hidden, 2 visible; `fault`:
    the finding, if it is about them."""

    skeleton: Skeleton | None
    px: F64
    state: Sequence[float]
    box: Sequence[float] | None
    fault: Finding | None


def write_dataset_findings(found: Findings, dataset: Dataset, out: Path) -> None:
    """Write the findings of a data set as the page `out`; DiskError when writing fails."""

    def draw(finding: Finding) -> U8 | None:
        try:
            frame, people = dataset.frame(finding.image), dataset.instances(finding.image)
        except SynthStudioError:
            return None
        rgb = _decoded(lambda: dataset.image_of(frame).read_bytes(), frame)
        skeleton, joints = dataset.skeleton, len(dataset.skeleton.joints)
        fit = (r for r in people if len(r["state"]) == joints == len(r["joints_px"]) / 2)
        return sketch(rgb, [_row_figure(row, skeleton, finding) for row in fit])

    _write(found, str(dataset.identity.recipe.get("name", "data set")), draw, out)


def write_coco_findings(
    found: Findings, source: RawCoco, out: Path, *, folder: Path | None = None
) -> None:
    """Write the findings of a COCO file as the page `out`; DiskError."""
    drawn = {f.image for kept in found.kept.values() for f in kept[:_DRAWN]}
    shown = {
        i["id"]: i
        for i in source.images()
        if isinstance(i, Mapping) and is_id(i.get("id")) and i["id"] in drawn
    }
    people: dict[Any, list[Mapping[str, Any]]] = {key: [] for key in shown}
    for entry in source.annotations():
        if isinstance(entry, Mapping) and is_id(entry.get("image_id")):
            if entry["image_id"] in people:
                people[entry["image_id"]].append(entry)
    known = CocoChecker()
    for _ in known.check_categories(source.head["categories"]):
        pass  # their errors were reported before
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

    _write(found, source.path.name, draw, out)


def _row_figure(row: Row, skeleton: Skeleton, finding: Finding) -> Figure:
    state = np.array(row["state"], np.int64)
    px = np.array(row["joints_px"], np.float64).reshape(-1, 2)
    px[(state == NO_STATE) | (state == 0)] = np.nan
    return Figure(
        skeleton=skeleton,
        px=px,
        state=state.tolist(),
        box=row["modal_box_px"],
        fault=finding if row["instance"] == finding.person else None,
    )


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
        box=box if is_box(box) else None,
        fault=finding if own else None,
    )


def _decoded(read: Callable[[], bytes] | None, size: Mapping[str, Any]) -> U8:
    """The picture, or a blank one of the stated size if missing."""
    try:
        if read is not None:
            return np.ascontiguousarray(decode_rgba(read(), "example")[..., :3])
    except (SynthStudioError, OSError):
        pass  # an unreadable picture is a separate finding
    sides = [size.get("height_px"), size.get("width_px")]
    high, wide = (s if type(s) is int and 0 < s < _LARGEST_PX else 480 for s in sides)
    return np.full((high, wide, 3), _BLANK, np.uint8)


def _write(found: Findings, name: str, draw: Callable[[Finding], U8 | None], out: Path) -> None:
    reported = {name: kind for name, kind in KINDS.items() if found.counts[name]}
    rows = [
        (kind.title, found.counts[name], kind.severity, kind.fix or "needs a person", name)
        for name, kind in reported.items()
    ]
    kinds = [_section(found, name, kind.title, draw) for name, kind in reported.items()]
    write_file(out, render("findings.html", name=name, found=found, rows=rows, kinds=kinds))


def _section(
    found: Findings, kind: str, title: str, draw: Callable[[Finding], U8 | None]
) -> dict[str, Any]:
    pictures, lines = [], []
    for place, finding in enumerate(found.kept[kind]):
        drawn = draw(finding) if place < _DRAWN and finding.image is not None else None
        if drawn is None:
            lines.append(finding)
        else:
            caption = Markup("<b>{}</b><br>{}").format(finding.where, finding.what)
            pictures.append(embed(drawn, caption, alt=finding.where))
    return {
        "name": kind,
        "title": title,
        "count": found.counts[kind],
        "pictures": pictures,
        "lines": lines,
        "more": found.counts[kind] - len(found.kept[kind]),
    }


def sketch(rgb: U8, figures: Sequence[Figure]) -> U8:
    """Draw people into a picture (h, w, 3), with any labels: discs visible, rings hidden; joints
    outside are marked at the border."""
    zoom = _ROWS_PX / rgb.shape[0]
    method = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    size = (max(1, round(rgb.shape[1] * zoom)), _ROWS_PX)
    canvas = np.array(cv2.resize(rgb, size, interpolation=method), np.uint8)
    for figure in sorted(figures, key=lambda f: f.fault is not None):
        _draw(canvas, figure, zoom)
    return canvas


def _draw(canvas: U8, figure: Figure, zoom: float) -> None:
    if figure.box is not None and all(abs(v) < _FAR for v in figure.box):
        x, y, w, h = (v * zoom for v in figure.box)
        corners = (round(x), round(y)), (round(x + w) - 1, round(y + h) - 1)
        for width, ink in ((4, INK), (2, _BAD if figure.fault else _BOX)):
            cv2.rectangle(canvas, *corners, ink, width, cv2.LINE_AA)
    known = np.asarray((np.abs(np.nan_to_num(figure.px, nan=np.inf)) < _FAR).all(axis=1))
    at = np.clip(figure.px * zoom, 6, np.array(canvas.shape[1::-1]) - 7)
    if figure.skeleton is not None:
        px = np.where(known[:, None], at, np.nan)
        draw_bones(canvas, px, [2] * len(px), figure.skeleton, TILE_PEN)
    for j in np.flatnonzero(known).tolist():
        colour = COLOURS[figure.skeleton.sides[j] if figure.skeleton is not None else "middle"]
        (disc if figure.state[j] == 2 else ring)(canvas, at[j], colour, 4)
        if figure.fault and j == figure.fault.joint:
            ring(canvas, at[j], _RING, 13)
