"""Statistics, validation, coverage and gap of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from synthstudio.api import arguments as args
from synthstudio.api.datasets import Dataset, to_dataset
from synthstudio.body.pose_library import library
from synthstudio.core.errors import ArgumentError
from synthstudio.core.images import encode_jpeg, encode_png
from synthstudio.core.places import Place, Url
from synthstudio.core.progress import counter, progress_steps
from synthstudio.dataset.durable import read_json, write_file
from synthstudio.dataset.matching import without
from synthstudio.dataset.reader import Dataset as StoredDataset
from synthstudio.dataset.writer import check_folder
from synthstudio.formats.coco.file import RawCoco, image_folder
from synthstudio.quality import coverage as bins
from synthstudio.quality import next_recipe
from synthstudio.quality import stats as counting
from synthstudio.quality import validate as validating
from synthstudio.quality.coverage import Coverage, gaps
from synthstudio.quality.gap import Gap, fit_recipe, fitted_yaml, measure
from synthstudio.quality.repair import write_repaired
from synthstudio.quality.targets import unmet
from synthstudio.quality.validate import Validated
from synthstudio.report.coverage import sheet as coverage_sheet
from synthstudio.report.coverage import text as coverage_text
from synthstudio.report.dataset import report as write
from synthstudio.report.findings import write_coco_findings, write_dataset_findings
from synthstudio.report.gap import gap_page

stats_text, diff_text = counting.text, counting.diff_text
SHEET_SUFFIXES = (".jpg", ".jpeg", ".png")


def stats(dataset: Dataset | args.PlaceLike) -> dict[str, Any]:
    """Count joints by cause and state, people, poses; compare requested with achieved.

    Raises:
        DatasetError: for a data set that is damaged or missing.
    """
    with progress_steps() as step:
        return counting.dataset_stats(to_dataset(dataset)._stored, on_progress=step("counting"))


def unmet_targets(dataset: Dataset) -> list[str]:
    """A sentence for each target of the recipe that the data set misses."""
    return unmet(stats(dataset), dataset.identity.recipe.get("targets"))


@args.checked
def coverage(
    dataset: Dataset | args.PlaceLike,
    *,
    sheet: args.PathLike | None = None,
    recipe: Annotated[args.PathLike | None, args.Option(name="--write")] = None,
    frames: args.Count | None = None,
    at_least: args.Count | None = None,
) -> CoverageReport:
    """Count joints by cause, fraction, view, pose and body.

    Args:
        dataset: The data set.
        sheet: Write an example picture of each bin, a JPG or PNG.
        recipe: Write a recipe that fills thin bins, e.g. next.yaml.
        frames: Number of frames of that recipe; default: a quarter.
        at_least: Bins with fewer joints are thin; default: half an even share.

    Raises:
        ArgumentError, DatasetError: for arguments and data sets that cannot be used.
    """
    stored = to_dataset(dataset)._stored
    next_file = args.optional(args.to_file, recipe, "recipe")
    picture = args.optional(args.to_file, sheet, "sheet")
    if picture is not None and picture.suffix.lower() not in SHEET_SUFFIXES:
        suffixes = " or ".join(SHEET_SUFFIXES)
        raise ArgumentError("not an image name", where="sheet", expected=suffixes, got=picture.name)
    with progress_steps() as step:
        found = bins.coverage(stored, on_progress=step("counting people"))
        if picture is not None:
            drawn = coverage_sheet(stored, found, on_progress=step("drawing the sheet"))
            png = picture.suffix.lower() == ".png"
            write_file(picture, encode_png(drawn) if png else encode_jpeg(drawn, 90))
    note = ""
    if next_file is not None:
        note = _write_next(stored, found, next_file, frames=frames, at_least=at_least)
    return CoverageReport(counts=found, at_least=at_least, recipe_note=note)


@dataclass(frozen=True, kw_only=True)
class CoverageReport:
    """Result of `coverage`; `recipe_note` explains the written recipe."""

    counts: Coverage
    at_least: int | None
    recipe_note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Non-zero counts and statistically significant gaps, as plain values."""
        found = gaps(self.counts, at_least=self.at_least)
        return {**self.counts.as_json(), "gaps": [asdict(gap) for gap in found]}

    def text(self) -> str:
        """Text tables."""
        return coverage_text(self.counts, at_least=self.at_least)

    __repr__ = text


def _write_next(
    stored: Any, found: Coverage, out: Path, *, frames: int | None, at_least: int | None
) -> str:
    usual = (pose for pose in library() if not (pose.holds or pose.leans or pose.athletic))
    families = {pose.family for pose in usual}
    made = next_recipe.next_recipe(
        stored, found, families=families, frames=frames, at_least=at_least
    )
    write_file(out, next_recipe.as_yaml(made, found).encode())
    if next_recipe.is_of_photos(stored):
        return (
            "the same photos with another seed, for thin bins. Next: "
            f"synthstudio occlude ANNOTATIONS --images PHOTOS --recipe {out}"
        )
    return (
        f"{made['frames']} frames with another seed for thin bins. Next: synthstudio generate {out}"
    )


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Result of `validate`. `fixed`: repairs of the fixed copy by kind."""

    found: Validated
    fixed: dict[str, int] | None = None

    @property
    def errors(self) -> int:
        """How many findings are errors; the others are warnings."""
        return int(self.found.findings.errors)

    def as_json(self) -> dict[str, Any]:
        """Findings by kind with examples, as plain values."""
        return self.found.findings.as_json()

    def text(self) -> str:
        """Findings as text."""
        return self.found.findings.text()

    __repr__ = text


def validate(
    path: Dataset | args.PlaceLike,
    *,
    images: args.PathLike | None = None,
    pictures: bool = True,
    report: args.PathLike | None = None,
    fix: args.PathLike | None = None,
) -> Validation:
    """Check the labels of a data set or of any COCO keypoint file for errors.

    Args:
        path: A data set, its folder or URL, or a COCO file.
        images: A COCO file's pictures; default: images/SPLIT of an export, else beside the file.
        pictures: Also open pictures and check hashes.
        report: Write an HTML page with examples drawn.
        fix: Write a fixed copy here: a COCO file, or the folder of a dataset.

    Raises:
        FormatError, DatasetError: for unreadable input. DiskError: for `fix`, `report`.
    """
    part = path._stored.only if isinstance(path, Dataset) else None
    source = path.path if isinstance(path, Dataset) else args.to_place(path, "path")
    page = args.optional(args.to_file, report, "report")
    folder = args.optional(args.to_path, images, "images")
    if isinstance(source, Url) or source.is_dir():
        if folder is not None:
            raise ArgumentError("`images` is for COCO files only", where="images")
        target = args.optional(args.to_place, fix, "fix")
        if target is not None:
            check_folder(target)
        stored = StoredDataset(source, check=False, only=part)
        return _validate_dataset(stored, pictures, page, target)
    folder = (folder or image_folder(source)) if pictures else None
    copy = None if fix is None else args.to_file(fix, "fix", new=True)
    return _validate_coco(source, folder, page, copy)


def _validate_dataset(
    dataset: StoredDataset, pictures: bool, report: Path | None, fix: Place | None
) -> Validation:
    with _steps({"frames": dataset.frames}) as step:
        found = validating.validate_dataset(dataset, pictures=pictures, on_step=step)
    done = None
    if fix is not None:  # before the report: a refused copy leaves nothing
        with progress_steps() as step:
            without(dataset, found.bad, fix, on_progress=step("writing the fixed copy"))
        done = {"frames left out": len(found.bad)}
    if report is not None:
        write_dataset_findings(found.findings, dataset, report)
    return Validation(found=found, fixed=done)


def _validate_coco(
    path: Path, folder: Path | None, report: Path | None, fix: Path | None
) -> Validation:
    source = RawCoco(path)
    head, entries = source.head, (source.images, source.annotations)
    with _steps({}) as step:
        found = validating.validate_coco(head["categories"], *entries, folder=folder, on_step=step)
    done = None
    if fix is not None:  # before the report: a refused copy leaves nothing
        done = dict(write_repaired(head, *entries, fix, left_out=found.unusable, folder=folder))
    if report is not None:
        write_coco_findings(found.findings, source, report, folder=folder)
    return Validation(found=found, fixed=done)


@contextmanager
def _steps(totals: dict[str, int]) -> Iterator[Callable[[str, int], None]]:
    """A progress bar per kind of entry; yields the function that counts one."""
    counters: dict[str, Callable[[int], None]] = {}
    with progress_steps() as begin:

        def step(what: str, done: int) -> None:
            if what not in counters:
                counters[what] = counter(begin(f"checking {what}"), totals.get(what))
            if done % 64 == 0:
                counters[what](done)

        yield step


def write_report(
    dataset: Dataset | args.PlaceLike,
    out: args.PathLike,
    *,
    audit: args.PathLike | dict[str, Any] | None = None,
    on_step: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Write one self-contained HTML page about a data set, with a datasheet.

    Args:
        dataset: The data set.
        out: HTML file.
        audit: Output of audit --json for this dataset, or its figures.

    Returns:
        The statistics on the page.

    Raises:
        DatasetError: for a data set that is damaged. DiskError: for `out`.
    """
    page = args.to_file(out, "out")
    known = audit is None or isinstance(audit, dict)
    audited: Any = audit if known else read_json(args.to_path(audit, "audit"))
    return dict(write(to_dataset(dataset)._stored, page, audit=audited, on_step=on_step).stats)


def diff(a: Dataset | args.PlaceLike, b: Dataset | args.PlaceLike) -> dict[str, Any]:
    """Compare two data sets: how they were made, counts, distributions, rates of joints.

    Raises:
        DatasetError: for a data set that is damaged or missing.
    """
    with progress_steps() as step:
        return counting.diff(to_dataset(a)._stored, to_dataset(b)._stored, on_step=step)


@dataclass(frozen=True, kw_only=True)
class GapReport:
    """Result of `gap`; `recipe_note` explains the written recipe."""

    found: Gap
    recipe_note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Every figure as plain values; null where too little is known."""
        return self.found.as_json()

    def text(self) -> str:
        """A summary as text."""
        return self.found.text()

    __repr__ = text


def gap(
    dataset: Dataset | args.PlaceLike,
    photos: args.PathLike,
    *,
    images: args.PathLike | None = None,
    out: args.PathLike | None = None,
    recipe: Annotated[args.PathLike | None, args.Option(name="--write")] = None,
) -> GapReport:
    """Measure how far a generated data set is from photos.

    Args:
        dataset: The data set.
        photos: COCO keypoints file of the photos.
        images: Their folder; default: images/SPLIT of an export, else beside the file.
        out: HTML file.
        recipe: Write its recipe fitted to the photos, e.g. fitted.yaml.

    Raises:
        FormatError: for photos that cannot be read. DatasetError: for a set without people.
    """
    file, opened = args.to_path(photos, "photos"), to_dataset(dataset)
    folder = image_folder(file) if images is None else args.to_path(images, "images")
    page = args.optional(args.to_file, out, "out")
    next_file = args.optional(args.to_file, recipe, "recipe")
    with progress_steps() as step:
        found = measure(opened._stored, file, folder, step=step)
    fitted, note = None, ""
    if next_file is not None:
        fitted = fit_recipe(opened._stored, found.labels, found.sides)
        write_file(next_file, fitted_yaml(fitted).encode())
        fields = ", ".join(fitted.moved) or "nothing (reasons in its comments)"
        note = f"fitted {fields}. Next: synthstudio generate {next_file}"
    if page is not None:
        name = str(opened.identity.recipe.get("name", opened.path.name))
        recipe_name = "" if next_file is None else next_file.name
        write_file(page, gap_page(found, name, file.name, fitted=fitted, recipe_file=recipe_name))
    return GapReport(found=found, recipe_note=note)
