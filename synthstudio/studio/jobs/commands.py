"""The command line of each kind of job: fixed lists of arguments, never a shell."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from synthstudio.core.errors import Refused
from synthstudio.dataset.durable import write_file
from synthstudio.studio.jobs.orders import FORMATS, Generate, Order, place_of, roots_of
from synthstudio.studio.settings import Settings

DATABASE = "SYNTHSTUDIO_JOB_DATABASE"
"""The environment variable that names the store to an export: a URL may hold a password, and
everybody on a machine can read a command line."""


def as_spec(order: Order) -> dict[str, Any]:
    """Return an order as plain values, as the job table holds it."""
    if isinstance(order, Generate):
        return {
            "recipe": dict(order.recipe),
            "out": order.out,
            "assets": order.assets,
            "workers": order.workers,
            "resume": False,
        }
    return {
        "dataset": order.dataset,
        "form": order.form,
        "out": order.out,
        "only": order.only,
    }


def as_order(spec: Mapping[str, Any]) -> Generate:
    """Return the order of a data set that `as_spec` made these values of."""
    return Generate(
        recipe=spec["recipe"], out=spec["out"], assets=spec["assets"], workers=spec["workers"]
    )


def command(kind: str, spec: Mapping[str, Any], settings: Settings) -> list[str]:
    """Return the arguments of a job; Refused when its row holds what no order can."""
    place = place_of(settings, str(spec["out"]))
    if kind == "generate":
        roots = roots_of(settings)
        number = spec["assets"]
        if type(number) is not int or not 0 <= number < len(roots):
            raise _damaged("assets", number)
        line = [
            sys.executable,
            "-m",
            "synthstudio",
            "generate",
            str(recipe_file(place)),
            "--out",
            str(place),
            "--assets",
            str(roots[number]),
            "--workers",
            str(int(spec["workers"])),
            "--json",
        ]
        return [*line, "--resume"] if spec["resume"] else line
    if kind == "export" and spec["form"] in FORMATS:
        return [
            sys.executable,
            "-m",
            "synthstudio.studio.jobs.reviewed",
            "--dataset",
            str(spec["dataset"]),
            "--format",
            str(spec["form"]),
            "--only",
            str(spec["only"]),
            "--out",
            str(archive(place)),
        ]
    raise _damaged("kind", kind)


def environment(kind: str, settings: Settings) -> dict[str, str]:
    """Return what a job is told beside its command line."""
    return {DATABASE: settings.database} if kind == "export" else {}


def archive(place: Path) -> Path:
    """Return the file that an export makes."""
    return place.with_suffix(".zip")


def recipe_file(place: Path) -> Path:
    """Return where the recipe of an output lies: beside it."""
    return place.with_suffix(".yaml")


def prepare(kind: str, spec: Mapping[str, Any], settings: Settings) -> None:
    """Write what the job reads: a recipe as YAML beside its output. DiskError when it cannot."""
    if kind != "generate":
        return
    settings.exports.mkdir(parents=True, exist_ok=True)
    path = recipe_file(place_of(settings, str(spec["out"])))
    text = yaml.safe_dump(dict(spec["recipe"]), sort_keys=False, allow_unicode=True)
    write_file(path, f"# Made by the studio.\n{text}".encode())


def _damaged(field: str, got: object) -> Refused:
    return Refused(
        "the job table holds something else",
        where=f"job, {field}",
        got=repr(got)[:80],
        reason="invalid",
    )
