"""What index.json says of each shard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synthstudio.core.places import Place
from synthstudio.dataset.durable import damaged
from synthstudio.dataset.shards import SHARDS_DIR


@dataclass(frozen=True)
class Listed:
    """A shard's row of index.json."""

    first: int
    frames: int
    people: int
    failed: int
    sha256: str


def parse_index(index: Mapping[str, Any], path: Place) -> dict[int, Listed]:
    """The rows of an index.json by shard, in its order; DatasetError when one is damaged."""
    listed = index.get("shards")
    if not isinstance(listed, list):
        raise damaged(path, "shards as a list", repr(listed))
    out: dict[int, Listed] = {}
    for row in listed:
        try:
            shard, name = int(row["shard"]), str(row["path"])
            counts = int(row["first"]), int(row["frames"]), int(row["people"])
            failed, sha256 = int(row["failed"]), str(row["sha256"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise damaged(path, "a row for each shard", repr(error)) from error
        if name != f"{SHARDS_DIR}/{shard:05d}":
            raise damaged(path, f"path {SHARDS_DIR}/{shard:05d}", name)
        out[shard] = Listed(*counts, failed, sha256)
    return out
