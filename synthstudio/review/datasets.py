"""Keys of data sets in the store, by content."""

from __future__ import annotations

import hashlib

from sqlalchemy import exc

from synthstudio.dataset.durable import canonical_json
from synthstudio.dataset.reader import Dataset
from synthstudio.review.check import check_name
from synthstudio.review.models import DatasetRow, utc_now
from synthstudio.review.store import Store

INNER = "dataset"
"""Folder name of the data set of `synthstudio demo`."""


def content_key(dataset: Dataset) -> str:
    """A content hash of a data set: its skeleton and the digests of its shards."""
    shards = sorted(dataset.shard_digests.items())
    value = {"skeleton": dataset.identity.skeleton, "shards": shards}
    return hashlib.sha256(canonical_json(value)).hexdigest()


def register(store: Store, dataset: Dataset, name: str) -> str:
    """Register a data set under a name (1 to 80 characters), or rename it; return its key."""
    check_name(name, "name of the data set")
    key = content_key(dataset)
    values = {"name": name, "skeleton": dataset.identity.skeleton, "people": dataset.people}
    try:
        with store.session() as session:
            row = session.get(DatasetRow, key)
            if row is None:
                session.add(DatasetRow(key=key, added_at=utc_now(), **values))
            elif row.name != name:
                row.name = name
    except exc.IntegrityError:
        with store.reading() as session:  # another process was faster
            if session.get(DatasetRow, key) is None:
                raise
    return key
