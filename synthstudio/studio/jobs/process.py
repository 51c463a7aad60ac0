"""Processes of jobs: started detached, identified by pid and start time, ended in steps."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from synthstudio.core.errors import SynthStudioError
from synthstudio.core.places import Place, parse_place
from synthstudio.dataset.durable import TEMPORARY
from synthstudio.dataset.shards import SHARDS_DIR, is_shard_name, read_entry
from synthstudio.dataset.source import BYTES_SETTING, FOLDER_SETTING

PID_NAME = "pid.txt"
"""Written by the process itself first, so that it is found after a server's end."""
OUT_NAME = "out.txt"
ERR_NAME = "err.txt"
TAIL_BYTES = 8_000
_START_TOLERANCE_S = 10.0  # until its number is on disk; a clock that is set moves it, too
_SECRET = ("SECRET", "TOKEN", "PASSWORD", "COOKIE", "CREDENTIAL", "API_KEY")
_OWN_PREFIXES = ("STREAMLIT_", "SYNTHSTUDIO_")
_OF_STORES = {
    "s3": ("AWS_", "FSSPEC_S3"),
    "gs": ("GOOGLE_", "FSSPEC_GS", "FSSPEC_GCS"),
    "az": ("AZURE_", "FSSPEC_AZ", "FSSPEC_ABFS"),
}
_OF_CACHE = (FOLDER_SETTING, BYTES_SETTING)
_children: dict[int, subprocess.Popen[bytes]] = {}
_lock = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Running:
    """A process. `start_time`: system start time, seconds since 1970, to detect recycled pids."""

    pid: int
    start_time: float


def start(
    command: Sequence[str],
    folder: Path,
    *,
    extra: Mapping[str, str] | None = None,
    outlives: bool = True,
) -> Running:
    """Start a command in its own session, with output into files in `folder`.

    It survives this process, unless it reads the end of its input (`outlives` False).
    Raises OSError if it cannot be started.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PID_NAME).unlink(missing_ok=True)
    record = ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(folder / PID_NAME)]
    with (folder / OUT_NAME).open("wb") as out, (folder / ERR_NAME).open("wb") as err:
        child = subprocess.Popen(
            [*record, *command],
            stdin=subprocess.DEVNULL if outlives else subprocess.PIPE,
            stdout=out,
            stderr=err,
            env={**clean_environment(), **(extra or {})},
            start_new_session=True,
            close_fds=True,
        )
    with _lock:
        _children[child.pid] = child
    try:
        start_time = psutil.Process(child.pid).create_time()
    except psutil.NoSuchProcess:  # already ended and reaped
        start_time = 0.0
    return Running(pid=child.pid, start_time=start_time)


def clean_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of jobs: no settings of ours, no secrets, no credentials of stores."""
    kept_back = (*_OWN_PREFIXES, *(start for starts in _OF_STORES.values() for start in starts))
    return {
        name: value
        for name, value in environment.items()
        if not name.upper().startswith(kept_back)
        and not any(word in name.upper() for word in _SECRET)
    }


def environment_of(place: str | Place) -> dict[str, str]:
    """Return a job's variables for reading a data set: credentials of its store."""
    found = place if isinstance(place, Path) else parse_place(place)
    if isinstance(found, Path):
        return {}
    names = _OF_STORES[found.scheme]
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(names) or name in _OF_CACHE
    }


def is_alive(process: Running) -> bool:
    """Whether this very process still runs; zombies count as ended."""
    if _is_running(process.pid, process.start_time):
        return True
    with _lock:
        child = _children.pop(process.pid, None)
    if child is not None:
        child.wait()  # reaps the ended process
        if child.stdin is not None:
            child.stdin.close()
    return False


def recorded(folder: Path) -> Running | None:
    try:
        path = folder / PID_NAME
        return Running(pid=int(path.read_text("ascii")), start_time=path.stat().st_mtime)
    except (OSError, ValueError):
        return None


def send_signal(process: Running, number: signal.Signals) -> bool:
    """Send a signal to the process and its descendants; False if it has ended."""
    if not _is_running(process.pid, process.start_time):
        return False
    with suppress(ProcessLookupError, PermissionError):
        # Its session is its own, so its group has only it and its workers.
        if os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, number)
        else:
            os.kill(process.pid, number)
        return True
    return False


def kill_leftovers(process: Running) -> None:
    """Kill a dead process's remaining group: workers that outlived it."""
    if process.pid in (0, 1, os.getpid(), os.getpgrp()) or _is_running(process.pid):
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # the number is not reused while the group exists


def tail(path: Path, *, lines: int = 12) -> str:
    """Return the last lines of a log as plain text; "" when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    kept = "".join(c if c.isprintable() or c == "\n" else " " for c in text)
    return "\n".join(kept.strip().splitlines()[-lines:])


def _is_running(pid: int, start_time: float | None = None) -> bool:
    """Whether a process has this number, zombies apart, and if given this start time."""
    try:
        found = psutil.Process(pid)
        moved_s = 0.0 if start_time is None else abs(found.create_time() - start_time)
        return moved_s <= _START_TOLERANCE_S and found.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, ValueError):
        return False


MAX_OUT_BYTES = 1_000_000
_ERROR = "error: "
_STOPPED = "stopped; "
Ending = Literal["done", "failed", "cancelled", "lost"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a process ended. `result`: the JSON object printed last, if any."""

    state: Ending
    message: str
    result: dict[str, Any]


def frames_on_disk(dataset: Path) -> int:
    """Return how many frames of an unfinished data set are written, including open shards."""
    made = 0
    with suppress(OSError):  # not there yet, or renamed while we looked
        for place in (dataset / SHARDS_DIR).iterdir():
            if is_shard_name(place.name):
                with suppress(SynthStudioError):  # generate reports it on resuming
                    made += read_entry(place).frames
            elif place.name.startswith(f"{TEMPORARY}shard-"):
                made += sum(1 for _ in (place / "images").iterdir())
    return made


def read_outcome(folder: Path, *, cancelled: bool) -> Outcome:
    """Return how the ended process that wrote into `folder` ended.

    A result on stdout: done. A SynthStudioError: failed. Neither, without a cancel: lost.
    """
    result, errors_text = read_result(folder / OUT_NAME), tail(folder / ERR_NAME)
    if result is not None:
        lines = [line for line in errors_text.splitlines() if not line.startswith(_STOPPED)]
        return Outcome(state="done", message=lines[-1] if lines else "", result=result)
    if cancelled:
        return Outcome(state="cancelled", message="Cancelled; complete shards are kept.", result={})
    errors = [line for line in errors_text.splitlines() if line.startswith(_ERROR)]
    if errors:
        whole = errors_text[errors_text.rindex(errors[-1]) :]
        return Outcome(state="failed", message=whole.removeprefix(_ERROR), result={})
    if "Traceback (most recent call last)" in errors_text or "Usage:" in errors_text:
        return Outcome(state="failed", message=errors_text, result={})
    why = "The process ended for an unknown reason (killed, or the machine was restarted)."
    return Outcome(state="lost", message=f"{why}\n{errors_text}".strip(), result={})


def read_result(path: Path) -> dict[str, Any] | None:
    try:
        if path.stat().st_size > MAX_OUT_BYTES:
            return None
        lines = path.read_text("utf-8").strip().splitlines()
        found = json.loads(lines[-1]) if lines else None
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
