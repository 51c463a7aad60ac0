"""Programs of benchmarks/ and tools/ import and say how they are called; their rules, in small."""

import importlib
import inspect
import shutil
import sys

import numpy as np
import pytest
import warp as wp
from exchange_sets import make_set

from benchmarks import cuda, every_scene, finetune, golden, golden_digest, small_inputs
from benchmarks.faults import commands
from benchmarks.faults.judge import Judge
from benchmarks.fuzz import judge
from benchmarks.fuzz.campaign import Campaign, only
from benchmarks.fuzz.cases import Name, Target
from benchmarks.fuzz.targets import TARGETS
from benchmarks.proofs import ROOT
from synthstudio.core.errors import RecipeError

FILES = [p for of in ("benchmarks", "tools") for p in (ROOT / of).rglob("*.py")]
MODULES = {
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", "."): path
    for path in sorted(FILES)
    if path.name != "__init__.py" and path.parent.name != "readers"
}


@pytest.mark.parametrize("name", MODULES)
def test_a_program_imports_and_says_how_it_is_called(name, monkeypatch, capsys):
    main = getattr(importlib.import_module(name), "main", None)
    if main is None or "ArgumentParser" not in MODULES[name].read_text(encoding="utf-8"):
        return
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    words = [["--help"]] if inspect.signature(main).parameters else []
    with pytest.raises(SystemExit) as stop:
        main(*words)
    assert stop.value.code == 0 and capsys.readouterr().out.startswith("usage: ")


def test_golden_knows_what_may_not_change(tmp_path):
    path = tmp_path / "expected.yaml"
    for what in ("*", "frames/*", "*joints_px", "*instances.parquet:*", "*annotations*keypoints"):
        path.write_text(f"- {{what: '{what}', reason: because}}\n")
        with pytest.raises(SystemExit, match="labels"):
            golden.read_expected(path)
    assert golden.read_expected() is not None
    labels = "frames/a/shards/00000/instances.parquet:state"
    base = {labels: "1", "frames/a/dataset.json:versions.synthstudio": "1", "frames/a/x.jpg": "1"}
    new = dict.fromkeys(base, "2") | {"commands/stats:--more": ""}
    found = golden.compare(base, new, (golden.Expected(what="*", reason="all"),))
    assert (set(found.unlisted), set(found.listed)) == ({labels}, {"frames/a/x.jpg"})
    base = {"s/a/f.json": "1", "s/a/f.json:rows[].x": "1", "s/a/index.json:shards[].sha256": "1"}
    assert set(golden_digest.differences(base, dict.fromkeys(base, "2"))) == {"s/a/f.json:rows[].x"}


@pytest.mark.nightly("a minute; commands and formats have quick tests of their own")
def test_nothing_differs_from_what_is_stored(tmp_path):
    kept, found = golden.stored(), golden.small(tmp_path)
    for command, options in kept["commands"].items():
        assert set(options) <= set(found["commands"].get(command, ())), command
    names = {*kept["keys"], *found["keys"]}
    changed = {k for k in names if kept["keys"].get(k) != found["keys"].get(k)}
    assert not changed, "meant? then: python -m benchmarks.golden --write-tests"


@pytest.mark.gpu
@pytest.mark.parametrize("scene", cuda.SCENES)
def test_the_labels_of_a_gpu_are_those_of_the_cpu(scene):
    if not wp.is_cuda_available():
        pytest.skip("no CUDA device")
    assert not cuda.compared(scene, ("cpu", "cuda"), frames=6).fields


# make faults ----------------------------------------------------------------------------------


FAULTY = ("import", "export coco", "filter", "split", "validate --fix SET", "review import")


@pytest.mark.nightly("kills and full disks; tests/dataset and tests/test_outputs.py have the rules")
@pytest.mark.parametrize("name", FAULTY)
def test_commands_stand_faults(name, once, tmp_path):
    world = once("faults", lambda folder: commands.make(folder, make_set=make_set))
    command = next(c for c in commands.COMMANDS if c.name == name)
    found = dict(Judge(command, world, tmp_path, moments=2).outcomes(("killed", "disk full")))
    assert not [line for outcome in found.values() for line in outcome.wrong]
    assert "killed, done again" in found["killed"].tally


# make fuzz ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.nightly("half a minute; tests/formats and tests/quality fuzz each reader quickly")
def test_two_hundred_hostile_inputs(fuzz):
    one = Campaign(folder=fuzz, seed=1, cases=200)
    totals = one.run(log=lambda *words, **options: None)
    assert one.run() == totals  # goes on after the last case
    assert totals.cases == 200 and not totals.faults, totals.faults
    assert min(totals.whats["taken"], totals.whats["refused"]) > 25
    assert set(totals.targets) == set(TARGETS)


def _raise(error):
    raise error


NO = RecipeError("no", where="a.txt")
PLANTED = {
    "litter": lambda case: (case.out.with_name("cwd") / "core").write_text("x"),
    "half": lambda case: case.out.mkdir() or _raise(RecipeError("no")),
    "traceback": lambda case: _raise(KeyError("x")),
    "refused": lambda case: _raise(NO),
}


@pytest.mark.nightly("sound inputs of every kind take a quarter of a minute")
def test_planted_faults_are_found_and_run_again_alone(fuzz, monkeypatch):
    for name, ask in PLANTED.items():
        planted = Target(name=name, weight=1, inputs=lambda sound: [{"a.txt": b"x"}], ask=ask)
        monkeypatch.setitem(judge.TARGETS, name, planted)
    names = [Name.parse(f"{name}:0") for name in PLANTED]
    found = {name.target: verdict.what for name, verdict in only(fuzz, 2, names)}
    assert found == {name: name.replace("half", "litter") for name in PLANTED}


# Long runs, small -----------------------------------------------------------------------------


@pytest.mark.nightly("two frames of a scene, drawn and posed in several ways")
def test_a_scene_ends_with_its_page(tmp_path):
    sizes = ["--frames", "2", "--posed", "2", "--people", "3"]
    assert every_scene.main([*sizes, "--log", str(tmp_path / "log"), "challenges/plain"]) == 0
    page = (tmp_path / "log").read_text()
    assert "challenges/plain" in page and "not held: nothing" in page


def test_finetuning_compares_its_arms_and_goes_on(tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    small_inputs.make_people(photos, photos=6)
    for name in ("train", "dev"):
        shutil.copy(photos / "coco.json", photos / f"{name}.json")
    small_inputs.make_assets(tmp_path / "assets", ROOT / "scenes")
    shutil.copytree(tmp_path / "assets" / "occluders", photos / "cutouts")
    make_set(tmp_path / "people")
    config = small_inputs.training_config("", steps=2, augment={"paste": 0.5})
    small_inputs.write_json(tmp_path / "tiny.yaml", config | {"train": [{"coco": "x"}], "val": []})
    words = [str(photos), "--out", str(out), "--generated", str(tmp_path / "people")]
    words += ["--config", str(tmp_path / "tiny.yaml"), "--heads", "kpe", "--photos", "9"]
    assert finetune.main([*words, "--seeds", "1"]) == 0
    found = finetune.read(out / "results-2")
    assert [row.arm for row in found] == ["generated", "photos", "pasted", "mixed", "after"]
    for seeds in found.values():
        asked = {column: int(joints[1].sum()) for column, joints in seeds[0].items()}
        assert asked["clean"] == 12 * 17 == asked["35 visible"] + asked["35 hidden"]
        assert asked["60 hidden"] > asked["35 hidden"] > 0
    kept = {p: p.read_bytes() for p in out.rglob("*.json")}
    assert finetune.main([*words, "--seeds", "2", "--arms", "photos,pasted"]) == 0
    assert {p: p.read_bytes() for p in kept} == kept and len(list(out.rglob("*-1.json"))) == 2
    longer = ["--seeds", "1", "--arms", "after", "--steps", "1", "--first-steps", "2"]
    assert finetune.main([*words, *longer]) == 0
    assert [row.arm for row in finetune.read(out / "results-1")] == ["after"]
    with pytest.raises(SystemExit, match="fewer than 13 people"):
        finetune.main([*words[:-1], "13"])


def test_the_table_of_finetuning_subtracts_equal_seeds():
    def joints(found):
        return {c: np.array([[found] * 4, [10] * 4], float) for c in finetune.COLUMNS}

    rows = {"photos": {0: 3, 1: 5}, "pasted": {1: 6}, "generated": {0: 2}}
    found = {
        finetune.Row(0 if arm == "generated" else 8, "orn", arm): {
            seed: joints(count) for seed, count in seeds.items()
        }
        for arm, seeds in rows.items()
    }
    lines = finetune.table(found).splitlines()
    assert [line for line in lines if "| photos |" in line and "40.0 (30.0 to 50.0)" in line]
    assert [line for line in lines if "photos, pastes - photos | +10.0 (+10.0 to +10.0) *" in line]
    assert [line for line in lines if "generated, pastes - photos | -10.0" in line]
    assert finetune.plot(found).count("<circle") == 9
