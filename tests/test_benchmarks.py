"""Programs of benchmarks/: all import and say how they are called; their own rules, in small.

Nightly each family that ends with a page runs once, and a second call makes nothing again.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import warp as wp
from exchange_sets import make_set

from benchmarks import (
    cuda,
    every_scene,
    golden,
    golden_digest,
    proof,
)
from benchmarks.faults import commands
from benchmarks.faults.judge import Judge
from benchmarks.fuzz.campaign import Campaign
from benchmarks.fuzz.targets import TARGETS
from benchmarks.proofs import ROOT
from synthstudio.body import pose_library
from synthstudio.props import procedural
from synthstudio.recipe.schema.load import parse

FILES = [p for p in (ROOT / "benchmarks").rglob("*.py") if p.parent.name != "readers"]
MODULES = {
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", "."): path
    for path in sorted(FILES)
    if path.name != "__init__.py"
}


@pytest.mark.parametrize("name", MODULES)
def test_a_program_imports_and_says_how_it_is_called(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main = getattr(importlib.import_module(name), "main", None)
    if main is None or "ArgumentParser" not in MODULES[name].read_text(encoding="utf-8"):
        return
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    words = [["--help"]] if inspect.signature(main).parameters else []
    with pytest.raises(SystemExit) as stop:
        main(*words)
    assert stop.value.code == 0 and capsys.readouterr().out.startswith("usage: ")


# What they take from the package --------------------------------------------------------------


def test_the_proof_holds_out_what_the_package_has() -> None:
    kinds = {k.kind for k in procedural.kinds() if "occluder" in k.roles}
    families = {pose.family for pose in pose_library.library()}
    assert set(proof.HELD_OCCLUDERS) < kinds and set(proof.HELD_FAMILIES) < families
    for size in (proof.FULL, proof.SMALL):
        train, test = (parse(proof.recipe(size, test=t)) for t in (False, True))
        assert train.targets == test.targets and train.seed != test.seed


def test_golden_knows_what_may_not_change(tmp_path: Path) -> None:
    path = tmp_path / "expected.yaml"
    for what in ("*", "frames/*", "*joints_px", "*instances.parquet:*", "*annotations*keypoints"):
        path.write_text(f"- {{what: '{what}', reason: because}}\n")
        with pytest.raises(SystemExit, match="labels"):
            golden.read_expected(path)
    assert golden.read_expected() is not None
    labels = "frames/a/shards/00000/instances.parquet:state"
    base = {labels: "1", "frames/a/dataset.json:versions.synthstudio": "1", "frames/a/x.jpg": "1"}
    new = dict.fromkeys(base, "2") | {"commands/stats:--more": "", "wording/a:stderr": "2"}
    found = golden.compare(base, new, (golden.Expected(what="*", reason="all"),))
    assert (set(found.unlisted), set(found.listed)) == ({labels}, {"frames/a/x.jpg"})
    base = {"s/a/f.json": "1", "s/a/f.json:rows[].x": "1", "s/a/index.json:shards[].sha256": "1"}
    assert set(golden_digest.differences(base, dict.fromkeys(base, "2"))) == {"s/a/f.json:rows[].x"}


@pytest.mark.nightly("a minute; commands, formats and refusals have quick tests of their own")
def test_nothing_differs_from_what_is_stored(tmp_path: Path) -> None:
    kept, found = golden.stored(), golden.small(tmp_path)
    for command, options in kept["commands"].items():
        assert set(options) <= set(found["commands"].get(command, ())), command
    for part in ("keys", "verdicts"):
        names = {*kept[part], *found[part]}
        changed = {k for k in names if kept[part].get(k) != found[part].get(k)}
        assert not changed, f"{part}: meant? then: python -m benchmarks.golden --write-tests"


@pytest.mark.gpu
@pytest.mark.parametrize("scene", cuda.SCENES)
def test_the_labels_of_a_gpu_are_those_of_the_cpu(scene: str) -> None:
    if not wp.is_cuda_available():
        pytest.skip("no CUDA device")
    assert not cuda.compared(scene, ("cpu", "cuda"), frames=6).fields


# make faults ----------------------------------------------------------------------------------


FAULTY = ("import", "export coco", "filter", "split", "validate --fix SET", "review import")


@pytest.mark.nightly("kills and full disks; tests/dataset and tests/test_outputs.py have the rules")
@pytest.mark.parametrize("name", FAULTY)
def test_commands_stand_faults(
    name: str, once: Callable[[str, Callable[[Path], object]], Path], tmp_path: Path
) -> None:
    world = once("faults", lambda folder: commands.make(folder, make_set=make_set))
    command = next(c for c in commands.COMMANDS if c.name == name)
    found = dict(Judge(command, world, tmp_path, moments=2).outcomes(("killed", "disk full")))
    assert not [line for outcome in found.values() for line in outcome.wrong]
    assert "killed, done again" in found["killed"].tally


# make fuzz ------------------------------------------------------------------------------------


def _silent(*words: object, **options: object) -> None:
    """Say nothing."""


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fuzz folder; its sound inputs are made once."""
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.nightly("half a minute; tests/formats and tests/quality fuzz each reader quickly")
def test_two_hundred_hostile_inputs(fuzz: Path) -> None:
    totals = Campaign(folder=fuzz, seed=1, cases=200).run(log=_silent)
    assert totals.cases == 200 and not totals.faults, totals.faults
    assert min(totals.whats["taken"], totals.whats["refused"]) > 25
    assert set(totals.targets) == set(TARGETS)


# Long runs, small -----------------------------------------------------------------------------


def run_proof(out: Path) -> tuple[Path, list[str]]:
    words = ["--small", "--cache", str(out / "cache"), "--log", str(out / "log")]
    assert proof.main([*words, "--arms", "b,g,c", "--workers", "1"]) == 0
    return out / "log", ["(b) KPE, occlusion", "| (c) - (b), hidden |"]


def run_scene(out: Path) -> tuple[Path, list[str]]:
    sizes = ["--frames", "2", "--posed", "2", "--people", "3"]
    assert every_scene.main([*sizes, "--log", str(out / "log"), "challenges/plain"]) == 0
    return out / "log", ["challenges/plain", "not held: nothing"]


LONG = (run_proof, run_scene)


@pytest.mark.nightly("minutes of training; the package's own parts of it have quick tests")
@pytest.mark.timeout(0)
@pytest.mark.parametrize("made", LONG, ids=lambda made: made.__name__)
def test_a_long_run_ends_with_its_page_and_a_second_trains_nothing(
    made: Callable[[Path], Any], tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    page, titles = made(tmp_path)
    text = page.read_text()
    assert not [title for title in titles if title not in text] and "old" not in text.split()
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.safetensors")}
    made(tmp_path)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.safetensors")} == before
