"""Programs of benchmarks/: all import and say how they are called; their own rules, in small.

Nightly each family that ends with a page runs once, and a second call makes nothing again.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
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
from benchmarks.faults.inject import NONE, Fault, run
from benchmarks.faults.judge import Judge
from benchmarks.fuzz import judge
from benchmarks.fuzz.campaign import Campaign, only
from benchmarks.fuzz.cases import Case, Name, Target
from benchmarks.fuzz.targets import TARGETS
from benchmarks.proofs import ROOT
from synthstudio.body import pose_library
from synthstudio.core.errors import RecipeError
from synthstudio.core.images import encode_jpeg
from synthstudio.generation import pipeline
from synthstudio.generation.stage import Stage, prepare
from synthstudio.props import procedural
from synthstudio.recipe.schema.load import dump, load, parse

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


def test_a_label_or_a_pixel_that_differs_is_found() -> None:
    small = {"width_px": 96, "height_px": 96}
    recipe = parse({**dump(load(ROOT / "scenes" / "bench.yaml")), "frames": 1, "image": small})
    stage = Stage(prepare(recipe, assets=ROOT / "scenes", device="cpu", renderer="raster"))
    frame = pipeline.make_frame(stage, pipeline.draw_spec(stage, 0))
    found = cuda.Compared()
    cuda.compare(found, frame, frame)
    assert not found.fields and found.pixels == [0.0]
    person = frame.labels.people[0]
    moved = dataclasses.replace(person, joints_px=person.joints_px + 1e-9)
    labels = dataclasses.replace(frame.labels, people=(moved, *frame.labels.people[1:]))
    grey = encode_jpeg(np.full((96, 96, 3), 128, np.uint8), 90)
    cuda.compare(found, frame, dataclasses.replace(frame, labels=labels, jpeg=grey))
    assert dict(found.fields) == {"labels.people[0].joints_px": 1} and found.pixels[1] > 0.5


# make faults ----------------------------------------------------------------------------------


def test_moments_of_a_command_are_counted_and_come_again(tmp_path: Path) -> None:
    folder = tmp_path / "case"
    folder.mkdir()

    def action() -> None:
        for k in range(4):
            (folder / f"d{k}").mkdir(exist_ok=True)
            (folder / f"d{k}" / "f").write_text("x")

    sound = run(action, folder, NONE, tmp_path / "a.log")
    assert (sound.status, sound.events, sound.growing) == (0, 8, 8)
    killed = run(action, folder, Fault(kill_at=5), tmp_path / "b.log")
    assert killed.killed and not killed.err
    full = run(action, folder, Fault(full_at=3), tmp_path / "c.log")
    assert full.status == 99 and "No space left" in full.err


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
    totals = Campaign(folder=fuzz, seed=1, cases=200).run(say=_silent)
    assert totals.cases == 200 and not totals.faults, totals.faults
    assert min(totals.whats["taken"], totals.whats["refused"]) > 25
    assert set(totals.targets) == set(TARGETS)


def _litters(case: Case) -> None:
    (case.out.with_name("cwd") / "core").write_text("x")


def _leaves_half(case: Case) -> None:
    case.out.mkdir()
    raise RecipeError("no")


def _raises(case: Case) -> None:
    raise KeyError("x")


def _refuses(case: Case) -> None:
    raise RecipeError("no", where="a.txt")


PLANTED = {"litter": _litters, "half": _leaves_half, "traceback": _raises, "refused": _refuses}


@pytest.mark.nightly("sound inputs of every kind take a quarter of a minute")
def test_planted_faults_are_found_and_run_again_alone(
    fuzz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, ask in PLANTED.items():
        planted = Target(name=name, weight=1, inputs=lambda sound: [{"a.txt": b"x"}], ask=ask)
        monkeypatch.setitem(judge.TARGETS, name, planted)
    names = [Name.parse(f"{name}:0") for name in PLANTED]
    found = {name.target: verdict.what for name, verdict in only(fuzz, 2, names)}
    assert found == {name: name.replace("half", "litter") for name in PLANTED}


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
