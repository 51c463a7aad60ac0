"""One run of a command in a process of its own, with a fault put into it.

Moments and places are what Python's audit hooks see of the run: files that are opened to be
written, folders made, names changed and taken away, below the folder of the case. The n-th is the
same in every run, so a fault is known by its number and can be made again.
"""

import errno
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
GROWING = ("open", "os.mkdir", "os.link", "os.symlink", "os.rename")
"""What needs room on a disk; only these fail on a full one."""
MOMENTS = (*GROWING, "os.remove", "os.rmdir")
LIMIT_S = 300


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run ended. `events`: moments seen, of which `growing` need room."""

    status: int
    killed: bool
    err: str
    events: int = 0
    growing: int = 0
    hung: bool = False


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is put into a run: at most one of these."""

    kill_at: int = 0
    kill_after_s: float = 0
    full_at: int = 0
    stop_at: int = 0


NONE = Fault()


class _Hook:
    """Counts moments below a folder and does at the wanted one what the fault says."""

    def __init__(self, below: Path, fault: Fault) -> None:
        self.below, self.fault = str(below), fault
        self.events = self.growing = 0
        self.busy = False

    def __call__(self, name: str, arguments: tuple[Any, ...]) -> None:
        if self.busy or name not in MOMENTS:
            return
        self.busy = True
        try:
            if self._counts(name, arguments):
                self._moment(name)
        finally:
            self.busy = False

    def _counts(self, name: str, arguments: tuple[Any, ...]) -> bool:
        path = arguments[1] if name in ("os.rename", "os.link", "os.symlink") else arguments[0]
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if not isinstance(path, str):
            return False
        if name == "open":
            mode, flags = arguments[1], arguments[2]
            writes = any(c in mode for c in "wax+") if mode else bool(flags & WRITING)
            if not writes:
                return False
        return os.path.abspath(path).startswith(self.below)  # noqa: PTH100

    def _moment(self, name: str) -> None:
        self.events += 1
        self.growing += name in GROWING
        fault = self.fault
        if self.events == fault.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.events == fault.stop_at:
            os.kill(os.getpid(), signal.SIGSTOP)
        if fault.full_at and name in GROWING and self.growing >= fault.full_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def start(action: Callable[[], object], folder: Path, fault: Fault, log: Path) -> int:
    """Fork a process that runs `action` in `folder`; return its number.

    Its streams go to the file `log`, and what it counted to `log` with the suffix .count.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    status = 70
    try:
        status = _child(action, folder, fault, log)
    finally:
        os._exit(status)


def _child(action: Callable[[], object], folder: Path, fault: Fault, log: Path) -> int:
    os.setpgid(0, 0)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    for number in (1, 2):
        os.dup2(out, number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
    counts = os.open(log.with_suffix(".count"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.chdir(folder)
    hook = _Hook(folder, fault)
    sys.addaudithook(hook)
    status = _run(action)
    hook.busy = True
    os.write(counts, f"{hook.events} {hook.growing}".encode())
    return status


def _run(action: Callable[[], object]) -> int:
    try:
        action()
        sys.stdout.flush()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        traceback.print_exc()
        return 99
    return 0


def wait(child: int, log: Path, *, cont: bool = False, kill_after_s: float = 0) -> Ended:
    """Wait for a run; with `cont` go on where it stopped itself. One that hangs is killed."""
    end, hung = time.monotonic() + LIMIT_S, False
    kill = time.monotonic() + kill_after_s if kill_after_s else end
    while True:
        done, how = os.waitpid(child, os.WNOHANG | (os.WUNTRACED if cont else 0))
        if done and os.WIFSTOPPED(how):
            time.sleep(0.3)
            os.kill(child, signal.SIGCONT)
            continue
        if done:
            break
        if time.monotonic() > kill and not hung:
            hung = time.monotonic() > end
            os.kill(child, signal.SIGKILL)
        time.sleep(0.005)
    counted = log.with_suffix(".count")
    numbers = counted.read_text().split() if counted.is_file() else []
    events, growing = map(int, numbers) if len(numbers) == 2 else (0, 0)
    return Ended(
        status=os.waitstatus_to_exitcode(how),
        killed=os.WIFSIGNALED(how),
        err=log.read_text("utf-8", "replace") if log.is_file() else "",
        events=events,
        growing=growing,
        hung=hung,
    )


def run(action: Callable[[], object], folder: Path, fault: Fault, log: Path) -> Ended:
    child = start(action, folder, fault, log)
    return wait(child, log, cont=bool(fault.stop_at), kill_after_s=fault.kill_after_s)
