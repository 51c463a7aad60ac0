"""The frames of one shard of a data set that is read; no other shard is opened."""

from __future__ import annotations

from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import Row


def shard_frames(dataset: Dataset, shard: int) -> list[Row]:
    """The rows of a shard's frames, in their order; DatasetError when it is damaged.

    `shard`: one of `dataset.shard_digests`.
    """
    frames, _ = dataset._tables(dataset._entry_of_shard(shard))
    return frames.to_pylist()


def shard_people(dataset: Dataset) -> dict[int, int]:
    """How many people are stored in each shard; that of a finished set is not opened for it."""
    return {shard: row.people for shard, row in dataset._listed.items()}
