"""Progress of long work, how it is stopped, and counts in words.

On stderr: bars with rate and time left on a terminal, a line per interval in a log.
"""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

OnProgress = Callable[[int, int, float], None]
"""Called with (done, total, rate per second)."""
LOG_EVERY_S = 30.0
SLOW_S = 2.0


def counter(on_progress: OnProgress | None, total: int | None) -> Callable[[int], None]:
    """A function of the number done; the rate is measured from now. Total None: what is done."""
    started = time.monotonic()

    def report(done: int) -> None:
        if on_progress is not None:
            on_progress(done, total or done, done / max(1e-6, time.monotonic() - started))

    return report


@contextmanager
def stop_on_signals(stop: list[str]) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into a stop after the step; a second one interrupts."""
    previous = {}

    def handle(number: int, _: object) -> None:
        if stop:
            raise KeyboardInterrupt
        stop.append("interrupted; continue with --resume")

    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            previous[number] = signal.signal(number, handle)
        except ValueError:  # not the main thread: its owner handles signals
            continue
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def progress(title: str) -> Iterator[OnProgress]:
    """Show a bar with rate and time left on stderr while the body runs; yield its reporter."""
    with progress_steps() as step:
        yield step(title)


@contextmanager
def waiting(title: str) -> Iterator[None]:
    """Show a spinner with elapsed time on a terminal, after two seconds."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    spinner = Progress(*columns, console=Console(stderr=True), transient=True)
    spinner.add_task(title, total=None)
    timer = threading.Timer(SLOW_S, spinner.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        if spinner.live.is_started:
            spinner.stop()


@contextmanager
def progress_steps(wanted: bool | OnProgress = True) -> Iterator[Callable[[str], OnProgress]]:
    """Show one bar per step; yield the function that starts a step. With a function as `wanted`
    every step reports to it instead; with False none does."""
    if wanted is not True:
        reporter = wanted if callable(wanted) else lambda done, total, per_second: None
        yield lambda title: reporter
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        Remaining(),
    )
    console = Console(stderr=True)
    if not console.is_terminal:
        yield plain_progress
        return
    with Progress(*columns, console=console, transient=True) as bar:

        def step(title: str) -> OnProgress:
            task = bar.add_task(title, total=None, rate="starting")

            def report(done: int, total: int, per_second: float) -> None:
                bar.update(task, completed=done, total=total, rate=_rate(per_second))

            return report

        yield step


def plain_progress(title: str) -> OnProgress:
    """Return a reporter for logs: lines at intervals instead of a bar."""
    last = time.monotonic()

    def report(done: int, total: int, per_second: float) -> None:
        nonlocal last
        if time.monotonic() - last >= LOG_EVERY_S:
            last = time.monotonic()
            note(f"{title}: {done} of {total}{_rate(per_second, ', ')}")

    return report


def _rate(per_second: float, before: str = "") -> str:
    """The rate, unless it is not measured."""
    return f"{before}{per_second:.1f}/s" if per_second else ""


def note(line: str) -> None:
    """Write a note to stderr; a stderr that cannot be written is ignored."""
    with suppress(OSError):
        sys.stderr.write(f"{line}\n")


# Counts in words: 1 person, 2,000 people ---------------------------------------------------------


def _amount(number: int, one: str, many: str) -> str:
    return f"1 {one}" if number == 1 else f"{number:,} {many}"


people_text = partial(_amount, one="person", many="people")
frames_text = partial(_amount, one="frame", many="frames")
images_text = partial(_amount, one="image", many="images")


def first_names(names: Sequence[str], maximum: int, separator: str = ", ") -> str:
    """Names for a sentence: the first `maximum`, and how many more."""
    more = f" and {len(names) - maximum} more" if len(names) > maximum else ""
    return separator.join(names[:maximum]) + more
