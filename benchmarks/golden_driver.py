"""Run many commands of one checkout in this process: `golden_driver.py JOBS.json RESULTS.jsonl`.

It imports nothing but the standard library and the package under test, and that only as
`python -m synthstudio` does: PYTHONPATH decides whose package it is. A command that outlives its
limit ends the process; the caller then starts another one for the commands that are left.
"""

import contextlib
import faulthandler
import io
import json
import logging
import os
import runpy
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

BASE_ERROR = "SynthStudioError"


class Captured(io.TextIOWrapper):
    """A stream that loggers and consoles may hold on to: what it got is taken away by `take`."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", errors="replace", write_through=True)

    def take(self) -> str:
        """What was written since the last call."""
        self.flush()
        held = self.buffer
        assert isinstance(held, io.BytesIO)
        text = held.getvalue().decode("utf-8", "replace")
        held.seek(0)
        held.truncate()
        return text


def error_class(error: BaseException | None) -> str:
    """The class of the package's error behind an exit, "" when there is none."""
    seen = 0
    while error is not None and seen < 20:
        if any(kind.__name__ == BASE_ERROR for kind in type(error).__mro__):
            return type(error).__name__
        error, seen = error.__cause__ or error.__context__, seen + 1
    return ""


def run(arguments: list[str], out: Captured, err: Captured) -> dict[str, Any]:
    """Run `python -m synthstudio ARGUMENTS` here; return its verdict and what it wrote."""
    sys.argv = ["synthstudio", *arguments]
    status: Any = 0
    raised, trace = "", ""
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_module("synthstudio", run_name="__main__")
        except SystemExit as stop:
            status = stop.code
            raised = error_class(stop)
        except BaseException as error:  # a traceback is a verdict too
            status, raised, trace = "traceback", type(error).__name__, traceback.format_exc()
    if not isinstance(status, str):
        status = int(status or 0)
    return {"status": status, "error": raised, "stdout": out.take(), "stderr": err.take() + trace}


def main(jobs: Path, results: Path) -> None:
    """Run the jobs of a JSON file, one line of JSON each as soon as it has ended."""
    import synthstudio

    warnings.simplefilter("default")
    out, err = Captured(), Captured()
    home = Path.cwd()
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"package": synthstudio.__file__}) + "\n")
        for job in json.loads(jobs.read_text(encoding="utf-8")):
            os.chdir(home / job["folder"])
            faulthandler.dump_traceback_later(job["limit_s"], exit=True, file=sys.__stderr__)
            verdict = run(job["arguments"], out, err)
            faulthandler.cancel_dump_traceback_later()
            os.chdir(home)
            logging.getLogger("synthstudio").setLevel(logging.INFO)
            file.write(json.dumps({"name": job["name"], **verdict}) + "\n")
            file.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
