"""Validate labels: our own tables, or the entries of anyone's COCO keypoint file.

    rows of a data set ──► validate_samples ──┐
    entries of a file  ──► validate_coco ─────┴──► Findings: counts, a few examples of each kind

Everything streams. docs/validate.md says what each kind of finding means and what --fix does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthstudio.core.errors import AssetError, DatasetError
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import Row, Sample, pair_rows
from synthstudio.quality.checks.coco import CocoChecker
from synthstudio.quality.checks.findings import Finding, Findings
from synthstudio.quality.checks.pictures import file_findings, outlines, picture_findings, reader_of
from synthstudio.quality.checks.subject import is_id
from synthstudio.quality.checks.tables import check_frame

Entries = Callable[[], Iterable[Mapping[str, Any]]]
OnStep = Callable[[str, int], None]
_PEOPLE_OF_OUTLINES = 4


def no_step(what: str, done: int) -> None:
    """Ignore progress."""


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
    on_step: OnStep = no_step,
) -> Validated:
    """Check frames with their people, one frame in memory at a time.

    `image` returns a frame's bytes (SynthStudioError if it cannot); None: no picture is read.
    """
    out = Validated(findings=Findings())
    if image is None:
        out.findings.not_checked.append("pictures")
    indices: set[int] = set()
    for frame, people in samples:
        found, masks = check_frame(frame, people, skeleton)
        if frame["index"] in indices:
            found.append(
                Finding(
                    kind="duplicate_id",
                    where=f"frame {frame['index']}",
                    what="used before",
                    image=frame["index"],
                )
            )
        indices.add(frame["index"])
        if image is not None:
            facts = {
                **frame,
                "id": frame["index"],
                "width": frame["width_px"],
                "height": frame["height_px"],
            }
            found += picture_findings(
                facts,
                _bytes_of(image, dict(frame)),
                outline=outlines(masks),
                sha256=frame["image_sha256"],
            )
        _note(out, found)
        out.findings.images += 1
        out.findings.people += len(people)
        on_step("frames", out.findings.images)
    return out


def validate_dataset(
    dataset: Dataset, *, pictures: bool = True, on_step: OnStep = no_step
) -> Validated:
    """Check a data set: the hash of every file, every row, every picture."""
    problems: list[Finding] = []
    samples = pair_rows(dataset.iter_frames(), dataset.iter_instances())
    out = validate_samples(
        _guarded(samples, problems),
        get_skeleton(dataset.identity.skeleton),
        image=_stored(dataset) if pictures else None,
        on_step=on_step,
    )
    _note(out, problems)
    if pictures:
        _note(
            out,
            [
                Finding(kind="stored_bytes", where=str(dataset.folder.name), what=line)
                for line in dataset.verify()
            ],
        )
    return out


def validate_coco(
    categories: list[Any],
    images: Entries,
    annotations: Entries,
    *,
    folder: Path | None = None,
    on_step: OnStep = no_step,
) -> Validated:
    """Check a COCO keypoint file whose entries can be gone through twice.

    `folder`: where the images' file names begin; None: no picture is looked for. Held in
    memory are a few numbers an entry: ids, sizes, and of each image some places of its masks.
    """
    out = Validated(findings=Findings())
    checker = CocoChecker()
    _note(out, checker.check_categories(categories))
    for done, image in enumerate(images(), 1):
        _note(out, checker.check_image(image))
        on_step("images", done)
    outline: dict[Any, bytes] = {}
    for done, entry in enumerate(annotations(), 1):
        _note(out, checker.check_annotation(entry))
        if folder is not None and checker.last_mask is not None and not entry.get("iscrowd"):
            had = outline.get(entry["image_id"], b"")
            if len(had) < _PEOPLE_OF_OUTLINES * 512:
                outline[entry["image_id"]] = had + outlines([checker.last_mask])
        on_step("annotations", done)
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
    number = image.get("id")
    if not is_id(number) or number not in checker.sizes:
        return
    path, found = file_findings(image, folder)
    yield from found
    if path is not None:
        width, height = checker.sizes[number]
        sha256 = image.get("sha256")
        yield from picture_findings(
            {**image, "width": width, "height": height},
            reader_of(path),
            outline=outline.get(number, b""),
            sha256=sha256 if isinstance(sha256, str) else "",
        )


def _note(out: Validated, found: Iterable[Finding]) -> None:
    listed = list(found)
    out.findings.add(listed)
    for finding in listed:
        if finding.severity == "error" and finding.image is not None:
            out.bad.add(finding.image)
            if finding.kind in ("image_missing", "image_broken"):
                out.unusable.add(finding.image)


def _guarded(samples: Iterator[Sample], problems: list[Finding]) -> Iterator[Sample]:
    """Yield samples until the tables do not fit any more; that becomes a finding."""
    try:
        yield from samples
    except DatasetError as error:
        problems.append(Finding(kind="rows_misfit", where="tables", what=str(error)))


def _stored(dataset: Dataset) -> Callable[[Row], bytes]:
    def read(row: Row) -> bytes:
        try:
            return dataset.image_of(row).read_bytes()
        except FileNotFoundError:
            raise
        except (OSError, DatasetError) as error:
            raise AssetError(str(error)) from error

    return read


def _bytes_of(image: Callable[[Row], bytes], frame: Row) -> Callable[[], bytes]:
    return lambda: image(frame)
