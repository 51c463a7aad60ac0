"""Join data sets: the parts of one run byte for byte, or whole sets of any runs.

merge       parts made with --part k/n ──► the unbroken run, byte for byte
merge_sets  sets of other recipes, seeds and machines ──► one derived set: frames numbered
            anew, identities, groups and clips of different runs kept apart by name
"""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from synthstudio.core.errors import DatasetError
from synthstudio.core.places import Place
from synthstudio.core.progress import OnProgress
from synthstudio.dataset import derive, manifest, shards
from synthstudio.dataset.durable import canonical_json, disk_errors, read_json
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import as_numpy
from synthstudio.dataset.writer import Session, open_or_create

_APART = ("identity", "group_id", "clip_id")
"""Columns with names local to a run."""


def merge(
    parts: Sequence[Place], out: Place, *, resume: bool = False, allow_mixed: bool = False
) -> Dataset:
    """Join finished parts into the data set `out`; files are linked where that is possible.

    Every shard is checked first. DatasetError: a part that is missing, repeated, unfinished,
    damaged, or of another run (`allow_mixed` lets recipes, versions and machines differ and
    records that). DiskError: writing failed.
    """
    sets = _in_order([Dataset(path) for path in parts], parts)
    notes = _mixed_notes(sets, allow_mixed)
    with open_or_create(out, sets[0].identity, resume=resume) as session:
        if notes and session.mixed != notes:
            session.write_mixed(notes)
        owner = {entry.shard: part for part in sets for entry in part.entries}
        for shard in session.todo:
            session.publish(_copy_shard(session, owner[shard], shard))
        session.finish()
    return Dataset(out)


def _in_order(sets: list[Dataset], paths: Sequence[Place]) -> list[Dataset]:
    """The parts by number; DatasetError unless they are the n parts of one run."""
    numbers = [part.part for part in sets]
    for path, number in zip(paths, numbers, strict=True):
        if number is None:
            raise DatasetError(
                "this is not a part of a run",
                where=str(path),
                expected="a data set made with --part K/N",
            )
    count = numbers[0][1] if numbers and numbers[0] else 0
    wanted = [(k, count) for k in range(1, count + 1)]
    found = sorted(number for number in numbers if number is not None)
    if not found or found != wanted:
        raise DatasetError(
            "not all parts of one run, each once",
            where="merge",
            expected=", ".join(f"{k}/{n}" for k, n in wanted) or "at least one part",
            got=", ".join(f"{k}/{n}" for k, n in found) or "none",
        )
    return sorted(sets, key=lambda part: part.part or (0, 0))


def _mixed_notes(sets: list[Dataset], allow_mixed: bool) -> list[dict[str, Any]]:
    """Notes on parts of different identity; DatasetError if not allowed."""
    first = sets[0]
    notes: list[dict[str, Any]] = []
    for part in sets:
        own = part.mixed
        differences = manifest.identity_differences(first.identity, part.identity)
        if part.identity.frames > first.identity.frames:  # fewer are among the differences
            differences.append(f"frames: had {first.identity.frames}, wants {part.identity.frames}")
        if differences:
            fatal = manifest.structural_differences(first.identity, part.identity)
            if not allow_mixed or fatal or differences[-1].startswith("frames:"):
                listed = "\n  ".join(differences[:20])
                raise DatasetError(
                    f"the parts were made differently:\n  {listed}\n",
                    where=f"{first.place} and {part.place}",
                    then="Make them with the same recipe, seed, versions and machine kind.",
                )
            own = [*own, {"differences": differences}]
        notes += [note for note in own if note not in notes]
    return notes


def _copy_shard(session: Session, part: Dataset, shard: int) -> shards.StagedShard:
    entry = next(entry for entry in part.entries if entry.shard == shard)
    source = part.shard_folder(shard)
    problems = shards.verify_shard(source, sha256=entry.sha256)
    if problems:
        raise DatasetError(
            "a shard of this part is damaged",
            where=str(part.place / entry.path),
            got="; ".join(problems[:5]),
            then="Run that part again with --resume, then merge again.",
        )
    table = read_json(source / shards.SHARD_NAME)
    with shards.staging(session.folder, shard) as temporary, disk_errors(temporary):
        for name in sorted(table["files"]):
            derive.link_or_copy(source / name, temporary / name)
        head = ("shard", "first", "frames", "people", "failed")
        staged = shards.seal(temporary, *(table[key] for key in head))
    if staged.entry != entry:
        raise DatasetError(
            "the shard changed since its part was finished",
            where=str(source),
            expected=entry.sha256,
            got=staged.entry.sha256,
            then="Run that part again with --resume, then merge again.",
        )
    return staged


def merge_sets(
    sources: Sequence[Dataset],
    out: Place,
    *,
    drop_duplicates: bool = False,
    resume: bool = False,
    on_progress: OnProgress | None = None,
) -> Dataset:
    """Join whole data sets of any runs as `out`: the frames of the first, then of the next, ...

    A name in `identity`, `group_id` and `clip_id` is prefixed by its run
    (8 hex digits of recipe and seed), unless all sources are of one run: so equal names of
    different runs stay distinct, and those of one run stay equal. Stored specs keep the names of
    people, which decide the drape of clothes. recipe, seed, versions and
    machine in dataset.json are those of the first source; those of all are in `derived`.

    DatasetError: no source, other skeletons, or the same picture in two sources (with
    `drop_duplicates` the later one is left out).
    """
    _check_sets(sources)
    kept = list(_duplicates(sources, drop_duplicates))
    runs = [run_name(source.identity) for source in sources]
    first = sources[0].identity
    ledger = {row.sha256 + row.name: row for source in sources for row in source.identity.assets}
    identity = dataclasses.replace(
        first,
        frames=sum(source.frames for source in sources) - sum(map(len, kept)),
        assets=tuple(ledger[key] for key in sorted(ledger)),
        derived={
            "by": "merge",
            "runs": runs,
            "duplicates_removed": [len(gone) for gone in kept],
            "sources": [derive.source_summary(source) for source in sources],
        },
    )
    chunks = _all_chunks(sources, kept, runs if len(set(runs)) > 1 else None)
    return derive.write_derived(
        out, identity, sources, chunks, resume=resume, on_progress=on_progress
    )


def run_name(identity: manifest.Identity) -> str:
    """8 hex digits of a run's recipe and seed; its length does not count: frames are the same."""
    recipe = {k: v for k, v in identity.recipe.items() if k != "frames"}
    identity_json = canonical_json({"recipe": recipe, "seed": identity.seed})
    return hashlib.sha256(identity_json).hexdigest()[:8]


def _check_sets(sources: Sequence[Dataset]) -> None:
    if not sources:
        raise DatasetError("nothing to merge", where="merge", got="no data set")
    first = sources[0]
    for source in sources[1:]:
        if source.identity.skeleton != first.identity.skeleton:
            raise DatasetError(
                "the sets have different skeletons",
                where=f"{first.place} and {source.place}",
                expected=first.skeleton.title,
                got=source.skeleton.described(first.skeleton),
                then="Export them with one skeleton instead.",
            )


def _duplicates(sources: Sequence[Dataset], drop_duplicates: bool) -> Iterator[set[int]]:
    """Yield the frames of each source whose picture is also in an earlier source."""
    seen: set[bytes] = set()
    for source in sources:
        own = {
            row["index"]: bytes.fromhex(row["image_sha256"])[:12]
            for row in source.iter_frames(["index", "image_sha256"])
            if row["image_sha256"]
        }
        duplicates = {index for index, digest in own.items() if digest in seen}
        if duplicates and not drop_duplicates:
            raise DatasetError(
                "these sets share pictures",
                where=f"{source.place}",
                got=f"{len(duplicates)} frames, such as {min(duplicates)}, are in an earlier set",
                then="Leave the later ones out with --drop-duplicates.",
            )
        seen.update(own.values())
        yield duplicates


def _all_chunks(
    sources: Sequence[Dataset], left_out: Sequence[set[int]], runs: Sequence[str] | None
) -> Iterator[derive.Chunk]:
    for number, source in enumerate(sources):
        run = None if runs is None or _named_apart(source) else runs[number]
        gone = np.array(sorted(left_out[number]), np.int64)
        for chunk in derive.aligned(source, source=number):
            kept = derive.chosen(chunk, ~np.isin(as_numpy(chunk.frames["index"]), gone))
            yield kept if run is None else _apart(kept, run)


def _named_apart(source: Dataset) -> bool:
    """Whether names in this set are already prefixed: it was merged from several runs."""
    value: Mapping[str, Any] = source.identity.derived
    while value:
        if value.get("by") == "merge" and len(set(value.get("runs", ()))) > 1:
            return True
        inner = value.get("sources") or [{}]
        value = inner[0].get("identity", {}).get("derived", {})
    return False


def _apart(chunk: derive.Chunk, run: str) -> derive.Chunk:
    """A chunk with names prefixed by the run; not of people in specs, who decide the drape."""

    def named(_: int, spec: Mapping[str, Any]) -> dict[str, Any]:
        changes: dict[str, Any] = {"group_id": _under(run, spec.get("group_id"))}
        if spec.get("clip") is not None:
            clip = spec["clip"]
            changes["clip"] = {**clip, "clip_id": _under(run, clip["clip_id"])}
        return changes

    def prefixed(table: pa.Table) -> pa.Table:
        for name in filter(table.column_names.__contains__, _APART):
            values = [_under(run, value) for value in table[name].to_pylist()]
            table = derive.replaced(table, name, values)
        return table

    frames = prefixed(derive.respecify(chunk.frames, named))
    return dataclasses.replace(chunk, frames=frames, people=prefixed(chunk.people))


def _under(run: str, name: Any) -> Any:
    return f"{run}/{name}" if isinstance(name, str) and name else name
