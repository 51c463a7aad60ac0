"""What a job has done, read from what it wrote: the same for every server that looks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from synthstudio.core.errors import SynthStudioError
from synthstudio.dataset.durable import TEMPORARY
from synthstudio.dataset.shards import SHARDS_DIR, is_shard_name, read_entry
from synthstudio.studio.jobs.process import ERR_NAME, OUT_NAME, tail

MOST_OUT_BYTES = 1_000_000
_ERROR = "error: "
_STOPPED = "stopped; "
Ending = Literal["done", "failed", "cancelled", "lost"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a process ended. `result`: the JSON object that it printed last, if it did."""

    state: Ending
    message: str
    result: dict[str, Any]


def frames_on_disk(dataset: Path) -> int:
    """Return how many frames of an unfinished data set are written, also of open shards."""
    made = 0
    try:
        for place in (dataset / SHARDS_DIR).iterdir():
            if is_shard_name(place.name):
                made += _complete(place)
            elif place.name.startswith(f"{TEMPORARY}shard-"):
                made += sum(1 for _ in (place / "images").iterdir())
    except OSError:  # not there yet, or renamed while we looked
        return made
    return made


def _complete(shard: Path) -> int:
    try:
        return read_entry(shard).frames
    except SynthStudioError:
        return 0  # generate will say so when it resumes


def outcome(folder: Path, *, cancelled: bool) -> Outcome:
    """Return how the process that wrote into `folder` ended; it must have ended.

    A result on stdout: done. An error of ours: failed. Neither, and nobody asked: lost.
    """
    result, said = printed(folder / OUT_NAME), tail(folder / ERR_NAME)
    if result is not None:
        return Outcome(state="done", message=_last(said), result=result)
    if cancelled:
        return Outcome(state="cancelled", message="Cancelled; complete shards are kept.", result={})
    errors = [line for line in said.splitlines() if line.startswith(_ERROR)]
    if errors:
        whole = said[said.rindex(errors[-1]) :]
        return Outcome(state="failed", message=whole.removeprefix(_ERROR), result={})
    if "Traceback (most recent call last)" in said or "Usage:" in said:
        return Outcome(state="failed", message=said, result={})
    why = "The process ended and nobody recorded why (killed, or the machine was restarted)."
    return Outcome(state="lost", message=f"{why}\n{said}".strip(), result={})


def printed(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in the last line of a job's output, or None."""
    try:
        if path.stat().st_size > MOST_OUT_BYTES:
            return None
        lines = path.read_text("utf-8").strip().splitlines()
        found = json.loads(lines[-1]) if lines else None
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _last(said: str) -> str:
    lines = [line for line in said.splitlines() if not line.startswith(_STOPPED)]
    return lines[-1] if lines else ""
