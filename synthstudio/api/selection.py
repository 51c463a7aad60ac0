"""New data sets from old ones: filter, split, merge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from synthstudio.api import arguments as args
from synthstudio.api.datasets import Dataset, to_dataset
from synthstudio.core.progress import progress_steps
from synthstudio.dataset import matching, splits
from synthstudio.dataset.matching import Counted
from synthstudio.dataset.merge import merge as join
from synthstudio.dataset.merge import merge_sets
from synthstudio.dataset.query import query_fields as query_fields
from synthstudio.dataset.splits import Leak, Splits
from synthstudio.dataset.writer import check_folder


def filter(
    dataset: Dataset | args.PlaceLike,
    query: str,
    out: args.PlaceLike,
    *,
    keep_people: Annotated[bool, args.Option(name="--keep-people/--frames")] = False,
    resume: bool = False,
) -> Dataset:
    """Write the frames with people who match a query as a data set (docs/query.md).

    Args:
        dataset: Folder or URL of a dataset, which is not changed.
        query: Such as "left_wrist hidden by object and occluded > 0.3".
        out: Folder or URL of the new dataset.
        keep_people: Keep only the rows of matching people; default: all people of the frames.
        resume: Continue an interrupted filter.

    Raises:
        DatasetError: for a query that cannot be read, or an `out` that is not free.
    """
    source = to_dataset(dataset)._stored
    folder = args.to_place(out, "out")
    wanted = matching.query_of(source, query)
    with progress_steps() as step:
        matching.filter_dataset(
            source,
            wanted,
            folder,
            keep_people=keep_people,
            resume=resume,
            on_progress=step("filtering"),
        )
    return Dataset(folder)


def count(dataset: Dataset | args.PlaceLike, query: str) -> Counted:
    """Count the people and frames that match a query."""
    source = to_dataset(dataset)._stored
    return matching.count(source, matching.query_of(source, query))


def _keys(by: str | Sequence[str]) -> list[str]:
    return [key.strip() for key in by.split(",")] if isinstance(by, str) else list(by)


def split(
    dataset: Dataset | args.PlaceLike,
    *,
    by: str | Sequence[str] = "group,clip,identity",
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    table: args.PathLike | None = None,
    out: args.PlaceLike | None = None,
) -> Splits:
    """Split a data set without leaks and with similar occlusion per split.

    Args:
        dataset: Folder or URL of a dataset.
        by: Keys no two splits share, joined by commas: group, clip, motion, identity, pose, asset.
        fractions: Fractions of train, val and test.
        seed: Seed; breaks ties.
        table: Write the splits as a CSV table.
        out: Write a dataset with these splits.

    Raises:
        DatasetError: for unknown keys, or too few independent groups to split.
    """
    source = to_dataset(dataset)._stored
    table_file = args.optional(args.to_file, table, "table")
    folder = args.optional(args.to_place, out, "out")
    if folder is not None:
        check_folder(folder)
    with progress_steps() as step:
        report, wanted = step("reading what frames share"), list(fractions)
        made = splits.split(source, keys=_keys(by), fractions=wanted, seed=seed, on_progress=report)
        if table_file is not None:
            splits.write_table(made, table_file)
        if folder is not None:
            splits.apply(source, made, folder, on_progress=step("writing the data set"))
    return made


def leaks(
    dataset: Dataset | args.PlaceLike,
    *,
    by: str | Sequence[str] = "group,clip,identity",
    table: args.PathLike | None = None,
) -> list[Leak]:
    """Keys in more than one split, by the stored splits or a table of `split`.

    Raises:
        DatasetError: for unknown keys or a table of another data set.
    """
    stored = None if table is None else splits.read_table(args.to_path(table, "table"))
    with progress_steps() as step:
        source, report = to_dataset(dataset)._stored, step("looking for leaks")
        return list(splits.leaks(source, keys=_keys(by), table=stored, on_progress=report))


def merge(
    parts: Sequence[args.PlaceLike],
    out: args.PlaceLike,
    *,
    sets: bool = False,
    resume: bool = False,
    allow_mixed: bool = False,
    drop_duplicates: bool = False,
) -> Dataset:
    """Join the parts of one run into its bytes, or whole data sets into a new one.

    Args:
        parts: All parts of one run; with `sets`, whole datasets.
        out: Folder or URL of the merged dataset.
        sets: Merge whole datasets of any runs into a new one.
        resume: Continue an interrupted run.
        allow_mixed: Merge parts of other versions or machines.
        drop_duplicates: With `sets`: leave out duplicate images.

    Raises:
        DatasetError: for parts of different runs, or an `out` that is not free.
    """
    paths: list[Any] = [args.to_place(part, "parts") for part in parts]
    folder = args.to_place(out, "out")
    if sets:
        opened = [Dataset(path)._stored for path in paths]
        with progress_steps() as step:
            options = {"drop_duplicates": drop_duplicates, "resume": resume}
            merge_sets(opened, folder, **options, on_progress=step("merging"))
    else:
        join(paths, folder, resume=resume, allow_mixed=allow_mixed)
    return Dataset(folder)
