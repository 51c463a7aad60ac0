"""`make fuzz` in small: 200 cases are clean, and what is a fault is found and runs again alone."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.fuzz import judge
from benchmarks.fuzz.campaign import Campaign, keep_fault, only
from benchmarks.fuzz.cases import Case, Name, Target
from benchmarks.fuzz.targets import TARGETS
from synthstudio.core.errors import RecipeError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a fuzz folder; its sound inputs are made once."""
    return tmp_path_factory.mktemp("fuzz")


def test_two_hundred_cases(folder: Path) -> None:
    totals = Campaign(folder, seed=1, cases=200, processes=1, grow=False).run(say=_silent)
    assert totals.cases == 200
    assert not totals.faults, totals.faults
    assert totals.whats["taken"] > 25 and totals.whats["refused"] > 65
    assert set(totals.targets) == set(TARGETS)


def test_a_stopped_campaign_goes_on_with_the_same_cases(folder: Path) -> None:
    def names(cases: int, resume: bool) -> list[str]:
        options: dict[str, Any] = {"processes": 1, "targets": ("configs",), "grow": False}
        Campaign(folder, seed=9, cases=cases, **options).run(say=_silent, resume=resume)
        lines = (folder / "seed-9.jsonl").read_text().splitlines()
        return [json.loads(line)["name"] for line in lines]

    assert names(4, False) == [*names(2, False), "configs:2", "configs:3"]
    assert names(4, True) == ["configs:0", "configs:1", "configs:2", "configs:3"]


def test_a_case_is_its_name(folder: Path) -> None:
    name = Name.parse("coco:5.8.13")
    assert str(name) == "coco:5.8.13"
    first, second = (judge.Judge(work=folder, sound=folder / "sound", seed=4) for _ in range(2))
    assert first.files(name) == second.files(name) != first.files(Name.parse("coco:5.8"))


def _litters(case: Case) -> None:
    (case.out.with_name("cwd") / "core").write_text("x")


def _leaves_half(case: Case) -> None:
    case.out.mkdir()
    raise RecipeError("no")


def _eats(case: Case) -> None:
    np.ones(PLANTED_BYTES, np.uint8)


def _raises(case: Case) -> None:
    raise KeyError("x")


def _changes(case: Case) -> None:
    (case.input / "a.txt").write_text("other")


def _spins(case: Case) -> None:
    until = time.process_time() + 120
    while time.process_time() < until:
        pass


def _dies(case: Case) -> None:
    import os

    os._exit(9)


def _refuses(case: Case) -> None:
    raise RecipeError("no", where="a.txt")


PLANTED = {
    "litter": _litters, "half": _leaves_half, "memory": _eats, "traceback": _raises,
    "changed": _changes, "refused": _refuses, "hang": _spins, "died": _dies,
}  # fmt: skip
PLANTED_BYTES = 1 << 30
"""The planted worker's limit: a machine that hands out pages slowly must not take it for a hang."""
FOUND = {"half": "litter", "changed": "litter"}


def _plant() -> None:
    for name, ask in PLANTED.items():
        planted = Target(name=name, weight=1, inputs=lambda sound: [{"a.txt": b"x"}], ask=ask)
        judge.TARGETS[name] = planted


def serve_planted(*arguments: Any) -> None:
    """A worker that knows the planted targets."""
    _plant()
    judge.MOST_BYTES = PLANTED_BYTES
    judge.serve(*arguments)


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.fuzz.campaign.MOST_CPU_S", 15.0)
    before = dict(TARGETS)
    _plant()
    yield
    TARGETS.clear()
    TARGETS.update(before)


def test_planted_faults_are_found(folder: Path, planted: None) -> None:
    campaign = Campaign(
        folder, seed=2, cases=len(PLANTED), processes=1, targets=tuple(PLANTED),
        grow=False, worker=serve_planted,
    )  # fmt: skip
    totals = campaign.run(say=_silent, resume=False)
    for name in PLANTED:
        assert totals.targets[name][FOUND.get(name, name)] == 1, (name, totals.targets[name])
    told = (folder / "faults" / "2-traceback-0" / "told.txt").read_text()
    assert "KeyError: 'x'" in told and "--seed 2 --only traceback:0" in told
    assert (folder / "faults" / "2-traceback-0" / "in" / "a.txt").is_file()


def test_a_fault_runs_again_alone(folder: Path, planted: None) -> None:
    ((name, verdict),) = only(folder, 2, [Name.parse("traceback:0")])
    assert (verdict.what, verdict.is_fault) == ("traceback", True)
    kept = keep_fault(folder, folder / "sound", 2, name, verdict)
    assert (kept / "told.txt").is_file()


def _silent(*words: object, **options: object) -> None:
    """Say nothing."""
