"""Memory of a device that runs out is one message, not a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from synthstudio.core.errors import ModelError

HALVE = "Halve `batch` and double `accumulate`; then a smaller `network.size`."
ELSEWHERE = "Free some of it, or ask on another --device."


@contextmanager
def enough(device: torch.device, *, got: str, then: str) -> Iterator[None]:
    """Turn a device's lack of memory in the body into a ModelError that says what to do."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ModelError(
            "the memory does not hold a batch", where=str(device), got=got, then=then
        ) from error
