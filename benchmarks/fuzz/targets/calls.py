"""Calls that several targets share: the command line in this process, a data set read whole."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from benchmarks.fuzz.cases import Case
from synthstudio.core.errors import SynthStudioError

USAGE = (0, 1, 2)


def command(case: Case, *words: object) -> str:
    """Run `synthstudio WORDS`; SynthStudioError when it refuses, RuntimeError for anything odd."""
    from synthstudio import cli

    case.done.append("synthstudio " + " ".join(map(str, words)))
    out, errors = io.StringIO(), io.StringIO()
    arguments, sys.argv = sys.argv, ["synthstudio", *map(str, words)]
    try:
        with redirect_stdout(out), redirect_stderr(errors):
            cli.main()
        status: object = 0
    except SystemExit as stop:
        status = stop.code or 0
    finally:
        sys.argv = arguments
    told = errors.getvalue()
    if status not in USAGE or "Traceback (most" in told:
        raise RuntimeError(f"status {status}: {told[-3000:]}")
    if status and not told.strip() and not out.getvalue().strip():
        raise RuntimeError(f"status {status} without a word")
    if status and "error: " in told:
        raise SynthStudioError(told[-2000:])
    return out.getvalue()


def read_whole(folder: Path) -> None:
    """Open a data set and read all of it: rows, people, pictures, hashes."""
    import synthstudio as ss

    dataset = ss.Dataset(folder)
    for frame in dataset:
        assert len(frame.people) >= 0
        assert frame.image.ndim == 3
    assert not list(dataset._stored.verify()), "what was written is not whole"
