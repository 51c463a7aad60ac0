"""Validate labels: our own tables, or any COCO keypoint file.

    rows of a data set ──► validate_samples ──┐
    entries of a file  ──► validate_coco ─────┴──► Findings: counts, a few examples of each kind

Everything streams. docs/validate.md explains the kinds of findings and --fix.
"""

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from synthstudio.core.arrays import F32, F64, I64, U8
from synthstudio.core.errors import AssetError, DatasetError, FormatError
from synthstudio.core.images import decode, decode_rgba, read_bytes
from synthstudio.core.masks import Mask, read_mask
from synthstudio.core.safe_files import plain_name
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import Row, Sample, as_arrow, pair_rows
from synthstudio.formats.coco.file import named_file
from synthstudio.quality.checks import Finding, Findings
from synthstudio.quality.coco import CocoChecker, key_of
from synthstudio.quality.rows import Chunk, check_rows, chunks_of, chunks_of_samples

Entries = Callable[[], Iterable[Mapping[str, Any]]]
OnStep = Callable[[str, int], None]
_PEOPLE_OF_OUTLINES = 4
_UNUSABLE = ("image_missing", "image_broken", "image_size", "unsafe_name")
_OF_MASKS = ["mask_size", "modal_counts"]
OUTLINE_POINTS = 64
"""Maximum sampled border points per person."""
MAX_POINTS = 256
"""Maximum sampled border points per image."""
_REACH_PX = 3
_MIN_POINTS = 40
_MIRROR_Z = -3.5
"""Unmodified pictures are above +2: 148 rendered frames, 21 photos (docs/validate.md)."""
_CLIP = 150.0


@dataclass(frozen=True, kw_only=True)
class Validated:
    """Findings; `bad`: ids of images (frames) with errors; `unusable`: those without a picture."""

    findings: Findings
    bad: set[Any] = field(default_factory=set)
    unusable: set[Any] = field(default_factory=set)


def validate_samples(
    samples: Iterable[Sample],
    skeleton: Skeleton,
    *,
    image: Callable[[Row], bytes] | None = None,
    on_step: OnStep = lambda what, done: None,
) -> Validated:
    """Check frames with their people, streamed; `image`: bytes of a picture, None: none is read."""
    return _validate_chunks(chunks_of_samples(samples), skeleton, image=image, on_step=on_step)


def _validate_chunks(
    chunks: Iterable[Chunk],
    skeleton: Skeleton,
    *,
    image: Callable[[Row], bytes] | None,
    on_step: OnStep,
) -> Validated:
    out = Validated(findings=Findings())
    if image is None:
        out.findings.not_checked.append("pictures")
    indices: set[int] = set()
    for frames, people, owner in chunks:
        checked = check_rows(frames, people, owner, skeleton)
        for k, (frame, found) in enumerate(zip(frames, checked, strict=True)):
            at = {"where": f"frame {frame['index']}", "image": frame["index"]}
            if frame["index"] in indices:
                found.append(Finding(kind="duplicate_id", what="used before", **at))
            indices.add(frame["index"])
            if image is not None:
                own = np.flatnonzero(owner == k)
                size = {"width": frame["width_px"], "height": frame["height_px"]}
                found += picture_findings(
                    {**frame, "id": frame["index"], **size},
                    functools.partial(image, dict(frame)),
                    outline=functools.partial(_outline, frame, people, own),
                    sha256=frame["image_sha256"],
                    rendered=frame["spec"] is not None,
                )
            _note(out, found)
            out.findings.images += 1
            on_step("frames", out.findings.images)
        out.findings.people += len(owner)
    return out


def _outline(frame: Row, people: pa.Table, places: I64) -> bytes:
    """Border points of the visible masks of a frame's people, those of its size."""
    side, masks = [frame["height_px"], frame["width_px"]], []
    for row in people.select(_OF_MASKS).take(as_arrow(places)).to_pylist():
        if row["modal_counts"] is not None and list(row["mask_size"]) == side:
            with suppress(ValueError):
                masks.append(read_mask({"size": side, "counts": row["modal_counts"]}, *side))
    return outlines(masks)


def validate_dataset(
    dataset: Dataset, *, pictures: bool = True, on_step: OnStep = lambda what, done: None
) -> Validated:
    """Check a data set: the hash of every file, every row, every picture."""
    skeleton = get_skeleton(dataset.identity.skeleton)
    image = functools.partial(_stored, dataset) if pictures else None
    try:
        out = _validate_chunks(chunks_of(dataset), skeleton, image=image, on_step=on_step)
    except DatasetError as error:  # inconsistent tables: rows before the fault, by frame
        problems: list[Finding] = []
        samples = _guarded(pair_rows(dataset.iter_frames(), dataset.iter_instances()), problems)
        out = validate_samples(samples, skeleton, image=image, on_step=on_step)
        _note(out, problems or [_mismatch(error)])
    if pictures:
        where, lines = str(dataset.place.name), dataset.verify()
        _note(out, (Finding(kind="stored_bytes", where=where, what=line) for line in lines))
    return out


def validate_coco(
    categories: list[Any],
    images: Entries,
    annotations: Entries,
    *,
    folder: Path | None = None,
    on_step: OnStep = lambda what, done: None,
) -> Validated:
    """Check a COCO keypoint file with entries that can be iterated twice.

    `folder`: base of the images' file names; None: pictures are not checked. Held in
    memory are a few numbers an entry: ids, sizes, and sampled mask borders per image.
    """
    out = Validated(findings=Findings())
    checker = CocoChecker(images=folder)
    _note(out, checker.check_categories(categories))
    for done, image in enumerate(images(), 1):
        _note(out, checker.check_image(image))
        on_step("images", done)
    outline: dict[Any, bytes] = {}
    for done, entry in enumerate(annotations(), 1):
        _note(out, checker.check_annotation(entry))
        if folder is not None and checker.last_mask is not None and not entry.get("iscrowd"):
            image_key = key_of(entry, "image_id")
            had = outline.get(image_key, b"")
            if len(had) < _PEOPLE_OF_OUTLINES * 512:
                outline[image_key] = had + outlines([checker.last_mask])
        on_step("annotations", done)
    _note(out, checker.check_waiting())
    out.findings.images, out.findings.people = len(checker.sizes), checker.people
    if folder is None:
        out.findings.not_checked.append("pictures: no folder was given")
        return out
    for done, image in enumerate(images(), 1):
        if isinstance(image, Mapping) and isinstance(image.get("file_name"), str):
            _note(out, _picture(image, folder, outline, checker))
        on_step("pictures", done)
    return out


def _picture(
    image: Mapping[str, Any], folder: Path, outline: dict[Any, bytes], checker: CocoChecker
) -> Iterator[Finding]:
    number = key_of(image, "id")
    if number is None or number not in checker.sizes:
        return
    path, found = file_findings(image, folder)
    yield from found
    if path is not None:
        width, height = checker.sizes[number]
        sha256 = image.get("sha256")
        yield from picture_findings(
            {**image, "width": width, "height": height},
            lambda: read_bytes(path),
            outline=lambda: outline.get(number, b""),
            sha256=sha256 if isinstance(sha256, str) else "",
        )


def _note(out: Validated, found: Iterable[Finding]) -> None:
    listed = list(found)
    out.findings.add(listed)
    for finding in listed:
        if finding.severity == "error" and finding.image is not None:
            out.bad.add(finding.image)
            if finding.kind in _UNUSABLE:
                out.unusable.add(finding.image)


def _guarded(samples: Iterator[Sample], problems: list[Finding]) -> Iterator[Sample]:
    """Yield samples until the tables become inconsistent, which is a finding."""
    try:
        yield from samples
    except DatasetError as error:
        problems.append(_mismatch(error))


def _mismatch(error: DatasetError) -> Finding:
    return Finding(kind="table_mismatch", where="tables", what=str(error))


def _stored(dataset: Dataset, row: Row) -> bytes:
    try:
        return dataset.image_of(row).read_bytes()
    except FileNotFoundError:
        raise
    except (OSError, DatasetError) as error:
        raise AssetError(str(error)) from error


def outlines(masks: Sequence[Mask]) -> bytes:
    """Return packed border points of one image's masks, as input of `picture_findings`."""
    places = [mask.outline(OUTLINE_POINTS) for mask in masks]
    return np.concatenate([*places, np.zeros((0, 2))]).astype(np.float32).tobytes()


def file_findings(image: Mapping[str, Any], folder: Path) -> tuple[Path | None, list[Finding]]:
    """Return the path of an image's file, or None and why it is unusable."""
    name = image["file_name"]
    kind, what = "unsafe_name", name[:80]
    with suppress(FormatError):
        try:
            path = folder / plain_name(named_file(name, folder), where="file_name")
            if path.resolve().is_relative_to(folder.resolve()):
                if path.is_file():
                    return path, []
                kind, what = "image_missing", name
        except (OSError, RuntimeError) as error:  # a name too long, links in a circle
            kind, what = "image_missing", f"{name[:80]}: {type(error).__name__}"
    return None, [_picture_finding(image, kind, what)]


def picture_findings(
    image: Mapping[str, Any],
    read: Callable[[], bytes],
    *,
    outline: Callable[[], bytes],
    sha256: str = "",
    rendered: bool = False,
) -> Iterator[Finding]:
    """Yield findings of an image's bytes; `read` returns them or raises AssetError or
    FileNotFoundError.

    The picture is fully decoded, unless it is `rendered` with the same bytes: then only its header
    is read. Mirroring is detected by the change of colours across the borders of masks, compared
    with the mirror image: not checked without masks.
    """
    try:
        data = read()
        changed = bool(sha256) and hashlib.sha256(data).hexdigest() != sha256
        if rendered and sha256 and not changed:
            rgb, found = None, decode(data, str(image["file_name"]), lambda opened: opened.size)
        else:
            rgb = decode_rgba(data, str(image["file_name"]))[..., :3]
            found = (rgb.shape[1], rgb.shape[0])
    except FileNotFoundError:
        yield _picture_finding(image, "image_missing", str(image["file_name"]))
        return
    except AssetError as error:
        yield _picture_finding(image, "image_broken", str(error))
        return
    size = (image["width"], image["height"])
    if found != size:
        size_text = f"{found[0]} x {found[1]}, its entry says {size[0]} x {size[1]}"
        yield _picture_finding(image, "image_size", size_text)
        return
    if rgb is None:
        return
    z = mirror_score(rgb, np.frombuffer(outline(), np.float32).reshape(-1, 2))
    if z is not None and z < _MIRROR_Z:
        other_bytes = ", and its bytes are other ones" if changed else ""
        yield _picture_finding(
            image, "image_mirrored", f"masks fit the mirror image better (z {z:.1f}){other_bytes}"
        )
    elif changed:
        yield _picture_finding(image, "image_changed", f"sha256 is not {sha256[:12]}…")


def mirror_score(rgb: U8, places: F32) -> float | None:
    """Return z of the picture's fit to mask borders (n, 2) over its mirror's; None: too few.

    Positive: the picture fits better. Each point compares the colours 3 px above and below
    itself, softened by 1 px, clipped so that no single edge dominates; z is the mean difference
    over its standard error.
    """
    if len(places) < _MIN_POINTS:
        return None
    chosen = places[np.linspace(0, len(places) - 1, min(MAX_POINTS, len(places))).astype(int)]
    soft = np.asarray(cv2.GaussianBlur(rgb.astype(np.float32), (0, 0), 1.0), np.float64)
    here, there = (_contrast(picture, chosen) for picture in (soft, soft[:, ::-1]))
    gain = here - there
    spread = float(gain.std())
    return float(gain.mean() / (spread / np.sqrt(len(gain)))) if spread > 0 else 0.0


def _contrast(rgb: F64, places: F32) -> F64:
    height, width = rgb.shape[:2]
    x = np.clip(places[:, 0].astype(np.int64), 0, width - 1)
    y = places[:, 1].astype(np.int64)
    above = rgb[np.clip(y - _REACH_PX, 0, height - 1), x]
    below = rgb[np.clip(y + _REACH_PX - 1, 0, height - 1), x]
    return np.asarray(np.minimum(np.abs(above - below).sum(axis=1), _CLIP))


def _picture_finding(image: Mapping[str, Any], kind: str, what: str) -> Finding:
    return Finding(kind=kind, where=f"image {image['id']}", what=what, image=key_of(image, "id"))
