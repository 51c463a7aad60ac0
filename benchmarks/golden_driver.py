"""Run many commands of one checkout in this process: `golden_driver.py JOBS.json RESULTS.jsonl`.

It imports nothing but the standard library and the package under test, and that only as
`python -m synthstudio` does: PYTHONPATH decides whose package it is. A command that outlives its
limit ends the process; the caller then starts another one for the commands that are left.
"""

from __future__ import annotations

import contextlib
import copy
import faulthandler
import io
import json
import logging
import os
import runpy
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

BASE_ERROR = "SynthStudioError"


class Captured(io.TextIOWrapper):
    """A stream that loggers and consoles may hold on to: what it got is taken away by `take`."""

    def __init__(self) -> None:
        """Begin empty."""
        super().__init__(io.BytesIO(), encoding="utf-8", errors="replace", write_through=True)

    def take(self) -> str:
        """Return what was written since the last call."""
        self.flush()
        held = self.buffer
        assert isinstance(held, io.BytesIO)
        text = held.getvalue().decode("utf-8", "replace")
        held.seek(0)
        held.truncate()
        return text


def error_class(error: BaseException | None) -> str:
    """Return the class of the package's error behind an exit, "" when there is none."""
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
    start = time.monotonic()
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
    return {
        "status": status,
        "error": raised,
        "stdout": out.take(),
        "stderr": err.take() + trace,
        "seconds": round(time.monotonic() - start, 3),
    }


BEFORE: dict[str, dict[str, Any]] = {
    "light": {"from_photo": False},
    "cutouts": {"size": "share"},
    "occlude": {"ground": "any"},
}
"""Parts of a recipe and what they meant before they had these fields."""


def recipe_as_before(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe whose newer fields, where it does not name them, have the values of before."""
    out = {"streams": "", "light": {}, **copy.deepcopy(recipe)}
    poses = out.setdefault("people", {}).setdefault("poses", {})
    out["people"]["poses"] = {"untangle": False, **poses}
    for part, values in BEFORE.items():
        if isinstance(out.get(part), dict):
            out[part] = {**values, **out[part]}
    behind = out.get("backdrop") or {}
    for one in (behind, *(choice["backdrop"] for choice in behind.get("choices", []))):
        if one.get("kind") == "photo":
            one.update({"ground": "any", "mirrored": 0.5} | one)
    return out


def default_as_before() -> None:
    """Recipes mean what they did before they had newer fields, networks learn regressed 3D joints.

    The base does not have those fields; with other values no frame or weight compares.
    """
    from synthstudio.recipe.schema import load
    from synthstudio.recipe.schema.recipe import Recipe
    from synthstudio.training.config import Config

    validate = load._validate

    def as_before(data: Any, where: str, node: Any, kind: Any) -> Any:
        mapping = isinstance(data, dict) and all(isinstance(key, str) for key in data)
        return validate(recipe_as_before(data) if mapping else data, where, node, kind)

    if "streams" in Recipe.model_fields:  # else it is the base itself
        load._validate = as_before  # type: ignore[assignment]
    for kind in reversed(Config.__mro__):
        field = getattr(kind, "__pydantic_fields__", {}).get("joints_3d")
        if field is not None:
            field.default = "regressed"
            kind.model_rebuild(force=True)


def main(jobs: Path, results: Path) -> None:
    """Run the jobs of a JSON file, one line of JSON each as soon as it has ended."""
    import synthstudio

    if (Path(synthstudio.__file__).parent / "api" / "recipes.py").is_file():
        default_as_before()
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
