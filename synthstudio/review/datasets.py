"""Which data set a key of the store stands for: the one with that content.

A new data set's key is the hash of its content. Releases before store revision 0003 hashed
dataset.json alone, which two imports share. Rows of theirs keep their key, so that no event
changes, and get their `content` when exactly one data set can be meant; till then nobody's
reviews are read from them.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import CursorResult, delete, exc, func, select, update
from sqlalchemy.orm import Session

from synthstudio.core.errors import ReviewError, SynthStudioError
from synthstudio.dataset.durable import canonical_json, file_sha256
from synthstudio.dataset.manifest import MANIFEST_NAME
from synthstudio.dataset.names import INDEX_NAME
from synthstudio.dataset.reader import Dataset
from synthstudio.review.check import check_name
from synthstudio.review.models import Base, DatasetRow, EventRow, ItemRow, utc_now
from synthstudio.review.store import Store

INNER = "dataset"
"""What `synthstudio demo` calls the data set in its folder."""
LOG = logging.getLogger("synthstudio.review.datasets")


@dataclass(frozen=True, kw_only=True)
class Unassigned:
    """Reviews of an earlier release that may belong to any of several data sets."""

    key: str
    name: str
    events: int


def content_key(dataset: Dataset) -> str:
    """A hash of what a data set holds: its skeleton and the digests of its shards."""
    shards = sorted(dataset.shard_digests.items())
    value = {"skeleton": dataset.identity.skeleton, "shards": shards}
    return hashlib.sha256(canonical_json(value)).hexdigest()


def dataset_key(store: Store, dataset: Dataset, *, known: Iterable[Path] = ()) -> str:
    """The store's name of a data set, whether it knows it or not.

    Reviews that an earlier release stored under dataset.json are adopted for good when no other
    data set has that file: looked at are `known` folders and those beside the data set.
    ReviewError when several have, or when the reviews are of people whom this one lacks.
    """
    content = content_key(dataset)
    with store.reading() as session:
        key = session.scalar(select(DatasetRow.key).where(DatasetRow.content == content))
        old = None if key is not None else _old_row(session, dataset)
    if key is not None:
        return key
    if old is None:
        return content
    others = [place.name for place in _same_manifest(dataset, content, known)]
    with store.reading() as session:
        fits = _fits(session, old, dataset)
    if others or not fits:
        raise _unsure(old, dataset, others)
    _assign(store, old.key, content)
    LOG.warning("the reviews of %s in %s are those of %s", old.name, store.url, dataset.place)
    return old.key


def register(store: Store, dataset: Dataset, name: str, *, known: Iterable[Path] = ()) -> str:
    """Make a data set known to the store under a name (1 to 80 characters); return its key.

    One that is known already keeps its events and takes the new name. Where reviews of an earlier
    release may be another's (see `dataset_key`), it begins without any; `unassigned` lists them.
    """
    check_name(name, "name of the data set")
    content = content_key(dataset)
    try:
        key = dataset_key(store, dataset, known=known)
    except ReviewError as error:
        LOG.warning("%s", error)
        key = content
    values = {"name": name, "skeleton": dataset.identity.skeleton, "people": dataset.people}
    try:
        with store.session() as session:
            row = session.get(DatasetRow, key)
            if row is None:
                session.add(DatasetRow(key=key, content=content, added_at=utc_now(), **values))
            elif row.name != name:
                row.name = name
    except exc.IntegrityError:
        with store.reading() as session:  # another process was faster
            if session.get(DatasetRow, key) is None:
                raise
    return key


def unassigned(store: Store, dataset: Dataset | None = None) -> list[Unassigned]:
    """Reviews of earlier releases that nobody has adopted; of `dataset`: which may be its own."""
    query = (
        select(DatasetRow, func.count(EventRow.id))
        .join(EventRow, EventRow.dataset == DatasetRow.key)
        .where(DatasetRow.content.is_(None))
        .group_by(DatasetRow.key)
        .order_by(DatasetRow.name, DatasetRow.key)
    )
    if dataset is not None:
        query = query.where(DatasetRow.key == _old_key(dataset))
    with store.reading() as session:
        return [
            Unassigned(key=row.key, name=row.name, events=events)
            for row, events in session.execute(query)
        ]


def adopt(store: Store, dataset: Dataset) -> int:
    """Give a data set the reviews of an earlier release that may be its own; their events' number.

    Somebody has decided so: no release can know. ReviewError when there are none, when they are
    of people whom it lacks, or when it has been reviewed since.
    """
    content = content_key(dataset)
    with store.session() as session:
        old = _old_row(session, dataset)
        if old is None:
            raise ReviewError(
                "no reviews of an earlier release are waiting for this data set",
                where=str(dataset.place),
            )
        if not _fits(session, old, dataset):
            raise _unsure(old, dataset, [])
        own = session.scalar(select(DatasetRow).where(DatasetRow.content == content))
        if own is not None:
            if _events(session, own.key):
                raise ReviewError(
                    "this data set has been reviewed since",
                    where=str(dataset.place),
                    expected="no events of its own",
                    got=f"{_events(session, own.key)}",
                )
            _remove(session, own.key)
        old.content = content
        return _events(session, old.key)


def _old_key(dataset: Dataset) -> str:
    return file_sha256(dataset.folder / MANIFEST_NAME)


def _old_row(session: Session, dataset: Dataset) -> DatasetRow | None:
    """The row of an earlier release that may be this data set's; one that nobody has adopted."""
    row = session.get(DatasetRow, _old_key(dataset))
    return row if row is not None and row.content is None else None


def _events(session: Session, key: str) -> int:
    return session.scalar(select(func.count()).where(EventRow.dataset == key)) or 0


def _fits(session: Session, row: DatasetRow, dataset: Dataset) -> bool:
    """Whether everybody who was reviewed is in the data set."""
    if row.people != dataset.people:
        return False
    items = session.execute(
        select(ItemRow.frame, ItemRow.instance)
        .where(ItemRow.dataset == row.key, ItemRow.added.is_(False))
        .distinct()
    )
    reviewed = {(frame, instance) for frame, instance in items}
    for person in dataset.iter_instances(["frame_index", "instance"]) if reviewed else ():
        reviewed.discard((person["frame_index"], person["instance"]))
    return not reviewed


def _assign(store: Store, key: str, content: str) -> None:
    with store.session() as session:
        free = (DatasetRow.key == key, DatasetRow.content.is_(None))
        done = session.execute(update(DatasetRow).where(*free).values(content=content))
        assert isinstance(done, CursorResult)
        if not done.rowcount and session.get_one(DatasetRow, key).content != content:
            raise ReviewError("another process has just adopted these reviews", where=store.url)


def _remove(session: Session, key: str) -> None:
    """Delete a data set that has no events, with all that was computed or chosen for it."""
    for mapper in Base.registry.mappers:
        column = mapper.local_table.c.get("dataset")
        if column is not None:
            session.execute(delete(mapper.class_).where(column == key))
    session.execute(delete(DatasetRow).where(DatasetRow.key == key))


def _same_manifest(dataset: Dataset, content: str, known: Iterable[Path]) -> list[Path]:
    """Other data sets at hand with the same dataset.json; copies of this one are none."""
    own = dataset.folder.resolve()
    data = (own / MANIFEST_NAME).read_bytes()
    found = []
    beside = _beside(own) if isinstance(dataset.place, Path) else ()
    for place in sorted({path.resolve() for path in (*known, *beside)} - {own}):
        manifest = place / MANIFEST_NAME
        try:
            same = manifest.stat().st_size == len(data) and manifest.read_bytes() == data
        except OSError:
            continue
        if same and (place / INDEX_NAME).is_file() and not _has_content(place, content):
            found.append(place)
    return found


def _beside(folder: Path) -> Iterator[Path]:
    for above in (folder.parent, folder.parent.parent):
        try:
            places = list(above.iterdir())
        except OSError:
            continue
        yield from places
        yield from (place / INNER for place in places)


def _has_content(place: Path, content: str) -> bool:
    try:
        return content_key(Dataset(place)) == content
    except SynthStudioError:
        return False


def _unsure(old: DatasetRow, dataset: Dataset, others: list[str]) -> ReviewError:
    name = dataset.place.name
    why = f"the dataset.json of {', '.join(others)} is the same" if others else "other people"
    return ReviewError(
        "reviews of an earlier release may be another data set's",
        where=name,
        expected="the one data set that they were made of",
        got=f'those of "{old.name}"; {why}',
        then="Nothing was changed. If you know that they are of this one: synthstudio review "
        f"adopt {name}",
    )
