"""Prefetching of batches, in order."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import cv2
from torch.utils.data import DataLoader, Dataset

from synthstudio.core.errors import ModelError

Made = TypeVar("Made")
_DEPTH = 3


def prefetch(
    make: Callable[[int], Made], numbers: range, *, depth: int = _DEPTH, processes: int = 0
) -> Generator[Made]:
    """Yield `make(number)` for each number, up to `depth` of them in advance. By a thread: OpenCV
    and NumPy release the interpreter lock. By `processes` of a DataLoader, twice as far ahead, if
    steps are mostly Python, as on a GPU; they are forked, so `make` may hold anything but device
    memory. Exceptions are raised here; ModelError if a process ended."""
    if processes and len(numbers):
        yield from _by_processes(make, numbers, depth=depth, processes=processes)
        return
    ahead: deque[Future[Made]] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
    try:
        for number in numbers:
            ahead.append(pool.submit(make, number))
            if len(ahead) > depth:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class _Numbered(Dataset[Made | Exception], Generic[Made]):
    """The result of `make` for each number, or its exception."""

    def __init__(self, make: Callable[[int], Made]) -> None:
        self.make = make

    def __getitem__(self, number: int) -> Made | Exception:
        try:
            return self.make(number)
        except Exception as error:
            return error


def _by_processes(
    make: Callable[[int], Made], numbers: range, *, depth: int, processes: int
) -> Generator[Made]:
    loader = DataLoader(
        _Numbered(make),
        batch_size=None,
        sampler=numbers,
        num_workers=processes,
        prefetch_factor=-(-2 * depth // processes),  # shared memory of containers is small
        collate_fn=lambda made: made,
        worker_init_fn=_begin,
        multiprocessing_context="fork",
    )
    made = iter(loader)
    for _ in numbers:
        try:
            item = next(made)
        except RuntimeError as error:
            raise ModelError(
                "a process that makes batches died",
                where="training",
                got=str(error)[:200],
                then="Provide more memory, also shared memory (docker's "
                "shm-size), or lower `batch`; continue with --resume.",
            ) from error
        if isinstance(item, Exception):
            raise item
        yield item


def _begin(worker: int) -> None:
    """Ignore Ctrl-C in workers, and disable OpenCV's threads, which do not survive a fork."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)
