"""What an export reads: a data set, or something that answers like one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

import pyarrow as pa

from synthstudio.dataset.manifest import Identity
from synthstudio.dataset.rows import Row


class Labelled(Protocol):
    """Frames with their people and pictures, as `dataset.reader.Dataset` gives them.

    Frames come by rising index; each may be asked for again, with the same answer.
    """

    @property
    def identity(self) -> Identity:
        """Return what they are."""

    def iter_frames(self, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """Yield the rows of the frames."""

    def iter_instances(self) -> Iterator[Row]:
        """Yield the rows of the people, by frame."""

    def iter_batches(self, kind: Literal["instances"]) -> Iterator[pa.RecordBatch]:
        """Yield the same as record batches."""

    def image_bytes_of(self, row: Row) -> bytes:
        """Return the checked bytes of the picture of a frame's row."""
