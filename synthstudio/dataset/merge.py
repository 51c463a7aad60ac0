"""Join the parts of a run (`--part k/n`) to the bytes of the unbroken run."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synthstudio.core.errors import DatasetError, explain
from synthstudio.dataset.durable import disk_errors, read_json, remove
from synthstudio.dataset.manifest import identity_differences, structural_differences
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.shards import (
    SHARD_NAME,
    ShardEntry,
    StagedShard,
    new_temporary,
    seal,
    verify_shard,
)
from synthstudio.dataset.writer import Session, open_or_create, read_mixed, write_mixed

_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES)


def merge(
    parts: Sequence[Path], out: Path, *, resume: bool = False, allow_mixed: bool = False
) -> Dataset:
    """Join finished parts into the data set `out`; files are linked where that is possible.

    Every shard is checked first. DatasetError: a part that is missing, doubled, unfinished,
    damaged, or of another run (`allow_mixed` lets recipes, versions and machines differ and
    writes that down). DiskError: writing failed.
    """
    sets = _in_order([Dataset(path) for path in parts], parts)
    notes = _mixed_notes(sets, allow_mixed)
    with open_or_create(out, sets[0].identity, resume=resume) as session:
        if notes and read_mixed(out) != notes:
            write_mixed(out, notes)
        owner = {entry.shard: part for part in sets for entry in part.entries}
        for shard in session.todo:
            session.publish(_copy_shard(session, owner[shard], shard))
        session.finish()
    return Dataset(out)


def _in_order(sets: list[Dataset], paths: Sequence[Path]) -> list[Dataset]:
    """Return the parts by number; DatasetError unless they are the n parts of one run."""
    numbers = [part.part for part in sets]
    for path, number in zip(paths, numbers, strict=True):
        if number is None:
            raise DatasetError(
                explain(
                    "this is not a part of a run",
                    where=str(path),
                    expected="a data set made with --part K/N",
                )
            )
    count = numbers[0][1] if numbers and numbers[0] else 0
    wanted = [(k, count) for k in range(1, count + 1)]
    found = sorted(number for number in numbers if number is not None)
    if not found or found != wanted:
        raise DatasetError(
            explain(
                "these are not the parts of one run, each once",
                where="merge",
                expected=", ".join(f"{k}/{n}" for k, n in wanted) or "at least one part",
                got=", ".join(f"{k}/{n}" for k, n in found) or "none",
            )
        )
    return sorted(sets, key=lambda part: part.part or (0, 0))


def _mixed_notes(sets: list[Dataset], allow_mixed: bool) -> list[dict[str, Any]]:
    """Return what to write down about parts of different identity; DatasetError if forbidden."""
    first = sets[0]
    notes: list[dict[str, Any]] = []
    for part in sets:
        own = part.mixed
        differences = identity_differences(first.identity, part.identity)
        if part.identity.frames != first.identity.frames:
            differences.append(f"frames: had {first.identity.frames}, wants {part.identity.frames}")
        if differences:
            fatal = structural_differences(first.identity, part.identity)
            if not allow_mixed or fatal or differences[-1].startswith("frames:"):
                listed = "\n  ".join(differences[:20])
                raise DatasetError(
                    explain(
                        f"the parts were made differently:\n  {listed}\n",
                        where=f"{first.folder} and {part.folder}",
                        then="Make them with the same recipe, seed, versions and machine kind.",
                    )
                )
            own = [*own, {"differences": differences}]
        notes += [note for note in own if note not in notes]
    return notes


def _copy_shard(session: Session, part: Dataset, shard: int) -> StagedShard:
    entry = next(entry for entry in part.entries if entry.shard == shard)
    source = part.folder / entry.path
    problems = verify_shard(source)
    if problems:
        raise DatasetError(
            explain(
                "a shard of this part is damaged",
                where=str(source),
                got="; ".join(problems[:5]),
                then="Run that part again with --resume, then merge again.",
            )
        )
    temporary = new_temporary(session.folder, shard)
    table = read_json(source / SHARD_NAME)
    with disk_errors(temporary):
        try:
            for name in sorted(table["files"]):
                _link(source / name, temporary / name)
            head = {key: table[key] for key in table if key not in ("files", "check")}
            staged = seal(temporary, head)
        except BaseException:
            remove(temporary)
            raise
    _check_same(staged.entry, entry, source)
    return staged


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        shutil.copyfile(source, target)


def _check_same(made: ShardEntry, had: ShardEntry, source: Path) -> None:
    if made != had:
        raise DatasetError(
            explain(
                "the shard changed since its part was finished",
                where=str(source),
                expected=had.sha256,
                got=made.sha256,
                then="Run that part again with --resume, then merge again.",
            )
        )
