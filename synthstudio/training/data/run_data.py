"""What a training run sees, whatever its samples are: people cut out, or whole frames."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.errors import ModelError
from synthstudio.core.skeleton import Skeleton
from synthstudio.training.data.batches import InputSpec

I64 = NDArray[np.int64]


class Subset(Protocol):
    """Samples, and which of them are used."""

    def __len__(self) -> int: ...

    def take(self, index: I64) -> Self:
        """Fewer of them; `index` counts within this subset."""


Samples = TypeVar("Samples", bound=Subset)


class Stream(Protocol):
    """Samples that are read while they are learnt from."""

    def __len__(self) -> int: ...

    def first(self, count: int) -> Any:
        """The first so many of them, as a Subset."""


Data = TypeVar("Data", bound="RunData[Any]")


@dataclass(frozen=True, kw_only=True)
class RunData(Generic[Samples]):
    """The samples of a run. `key` is a hash of all of it.

    `train` is the first epoch's; `later_epoch` gives those of another one where samples are
    rendered during training, and is None where all epochs share them. `close` ends what renders.
    Where samples are a `stream`, `train` are labels of some of them, without pictures.
    """

    train: Samples
    val: Samples | None
    spec: InputSpec
    key: str
    later_epoch: Callable[[int], Samples] | None = None
    stream: Stream | None = None
    close: Callable[[], None] = lambda: None

    @property
    def skeleton(self) -> Skeleton:
        return self.spec.skeleton

    def __len__(self) -> int:
        """How many samples there are to learn from."""
        return len(self.train if self.stream is None else self.stream)

    def of_epoch(self, epoch: int) -> Samples:
        """The samples of an epoch; epochs must be requested in rising order."""
        return self.train if self.later_epoch is None or not epoch else self.later_epoch(epoch)


def overfit_subset(data: Data, count: int, *, repeats: int = 50) -> Data:
    """Train and validate on the first `count` samples alone (--overfit).

    An epoch repeats them, so that validation does not follow every step.
    """
    if data.stream is None:
        val = data.train.take(np.arange(min(count, len(data))))
    else:
        val = data.stream.first(min(count, len(data)))
    train = val.take(np.tile(np.arange(len(val)), repeats))
    key = hashlib.sha256(f"{data.key} first {len(val)}".encode()).hexdigest()
    return dataclasses.replace(data, train=train, val=val, key=key, later_epoch=None, stream=None)


def fast_dev_run_subset(data: Data, *, batch: int) -> Data:
    """Validate on one batch alone (--fast-dev-run)."""
    if data.val is None:
        return data
    return dataclasses.replace(data, val=data.val.take(np.arange(min(batch, len(data.val)))))


def check_unchanged(before: str, now: str, out: Path) -> None:
    """ModelError when a resumed run would see other samples than it did."""
    if before != now:
        raise ModelError(
            "the data changed since this run began",
            where=str(out),
            expected=f"crops {before[:16]}",
            got=now[:16],
            then="Bring the data set back, or start anew in another folder.",
        )
