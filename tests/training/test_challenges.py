"""`synthstudio robustness`: challenges show the plain scene's people; one page compares runs."""

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import untrained
from command_line import run_json

import synthstudio as ss
from synthstudio.api import robustness as home
from synthstudio.api.recipes import scene_file
from synthstudio.api.robustness import CHALLENGES, robustness
from synthstudio.core.errors import ArgumentError, DiskError, ModelError
from synthstudio.core.images import decode_rgb, linear_to_srgb_u8, srgb_to_linear
from synthstudio.dataset.reader import Dataset
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.recipe.draw import draw
from synthstudio.recipe.schema.load import load
from synthstudio.training.evaluation import averaged, exposures


@pytest.fixture(scope="module")
def made(once):
    """Two runs beside each other on two challenges, and the page."""

    def make(folder):
        runs = [folder / name for name in ("one", "other")]
        for seed, run in enumerate(runs):
            run.mkdir()
            untrained.save(run / "best.safetensors", block="kpe", skeleton="coco17", seed=seed)
        found = robustness(
            runs, folder / "page", frames=2, challenges=("dark", "fast"), device="cpu",
            progress=False,
        )  # fmt: skip
        assert "Only 2 moments: " in found["text"]

    return once("challenges", make)


def test_the_page_holds_every_run_and_challenge(made):
    figures = json.loads((made / "page" / "robustness.json").read_text(encoding="utf-8"))
    rows = figures["rows"]
    asked = itertools.product(("dark", "fast"), ("visible", "hidden"), ("one", "other"))
    assert [(r["challenge"], r["part"], r["run"]) for r in rows] == list(asked)
    visible = [r for r in rows if r["part"] == "visible"]
    assert all(r["joints"] > 10 and 0 <= r["value"]["value"] <= 1 for r in visible)
    for row in visible:
        change = row["value"]["value"] - row["plain"]["value"]
        assert row["change"]["value"] == pytest.approx(change)
    page = (made / "page" / "robustness.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 2 * 3
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")


def test_a_second_call_takes_what_is_there(made, tmp_path):
    files = sorted((made / "page" / "sets").rglob("*.parquet"))
    before = [f.stat().st_mtime_ns for f in files]
    text = (made / "page" / "robustness.json").read_bytes()
    words = ["robustness", made / "one", made / "other", "--frames", 2, "--out", made / "page"]
    words += ["--challenge", "dark", "--challenge", "fast", "--device", "cpu"]
    assert run_json(*words)["rows"] == json.loads(text)["rows"]
    assert [f.stat().st_mtime_ns for f in files] == before
    assert (made / "page" / "robustness.json").read_bytes() == text


def test_bad_runs_and_folders_are_named(made, tmp_path):
    one = made / "one"
    with pytest.raises(ArgumentError, match="two runs have the same name"):
        robustness([one, one], tmp_path / "a")
    with pytest.raises(ArgumentError, match="challenges"):
        robustness([one], tmp_path / "a", challenges=("rain",))
    with pytest.raises(ArgumentError, match="no runs"):
        robustness([], tmp_path / "a")
    with pytest.raises(ModelError, match="no weights"):
        robustness([tmp_path], tmp_path / "a")
    (tmp_path / "bad.safetensors").write_bytes(bytes(100))
    with pytest.raises(ModelError, match=r"bad\.safetensors"):  # before anything is generated
        robustness([tmp_path / "bad.safetensors"], tmp_path / "a", progress=False)
    for test, network in ((robustness, [one]), (home.stress, one)):
        with pytest.raises(DiskError, match=r"bad\.safetensors"):
            test(network, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["bad.safetensors"]


def test_a_clip_is_one_exposure(made):
    dataset = Dataset(made / "page" / "sets" / "fast")
    sharp, blurred = (
        next(iter(exposures(dataset, moments=1, blurred=blurred))) for blurred in (False, True)
    )
    assert sharp.frame["clip_frame"] == 4 == dataset.frame(0)["clip_frames"] // 2
    assert sharp.people == blurred.people
    off = np.abs(sharp.rgb().astype(int) - blurred.rgb())
    assert off.max() > 40  # limbs smear
    assert np.median(off) < 4  # walls do not
    with pytest.raises(ModelError, match=r"too few frames; expected 27; got 18"):
        next(iter(exposures(dataset, moments=3, blurred=True)))
    black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    grey = averaged([black, white])
    assert grey.min() == grey.max() == linear_to_srgb_u8(np.full(1, 0.5, np.float32))[0]
    assert srgb_to_linear(grey).mean() == pytest.approx(0.5, abs=0.01)
    assert (averaged([white]) == white).all()


@pytest.mark.parametrize("name", CHALLENGES)
def test_challenges_show_the_people_of_the_plain_scene(name, monkeypatch):
    """`fast`: but for bodies that have no room for the walk, so here all have."""
    monkeypatch.setattr(FrameGenerator, "skin_penetration_m", lambda self, person: 0.0)
    recipes = [load(scene_file(f"challenges/{each}.yaml")) for each in (name, "plain")]
    steps = [recipe.clip.frames if recipe.clip else 1 for recipe in recipes]
    own, plain = (_first_people(r, 0, s) for r, s in zip(recipes, steps, strict=True))
    for mine, theirs in zip(own, plain, strict=True):
        assert mine.identity == theirs.identity
        assert mine.phenotype == theirs.phenotype
        same_pose = mine.pose.angles_rad == theirs.pose.angles_rad
        assert same_pose == (name not in ("unusual", "fast"))
        assert (mine.outfit == theirs.outfit) == (name not in ("blending", "bare", "loose"))


def _first_people(recipe, *frames):
    """Who comes first in some frames, with the finest meshes."""
    assets = scene_file("stress.yaml").parent
    stage = FrameGenerator(prepare(recipe, assets=assets, device="cpu"))
    people = [draw(recipe, frame, stage).people[0] for frame in frames]
    return [dataclasses.replace(person, detail="fine") for person in people]


# ---- the stress test: one fixed test whose figures are changes of the same people's joints


def truth_of(data, *, off_px=0.0):
    """A function that knows the joints by image and box, hidden ones `off_px` away."""
    known = {}
    for index in range(len(data)):
        row, people = data.frame(index), data.people_of(index)
        image = decode_rgb(data.image_bytes_of(row), "image").tobytes()
        for box, xy, state in zip(
            people.amodal_boxes_px, people.joints_px, people.state, strict=True
        ):
            known[image, tuple(np.float32(box))] = xy + np.where(state == 1, off_px, 0)[:, None]

    def predict(rgb, boxes):
        return np.stack([known[rgb.tobytes(), tuple(np.float32(box))] for box in boxes])

    return predict


@pytest.fixture
def ready(monkeypatch, sticks):
    """All sets of the test are ten frames of sticks."""
    monkeypatch.setattr(home, "made_set", lambda *_: sticks)
    monkeypatch.setattr(home, "QUICK", 10)
    return Dataset(sticks)


def test_the_card_has_ten_lines_and_the_page_pictures(ready, tmp_path):
    made = ss.stress(truth_of(ready, off_px=400), tmp_path, quick=True, progress=False)
    lines = made["text"].splitlines()
    assert len(lines) == 10 and "visible 100.0, hidden (by the own body) 0.0" in lines[1]
    assert [line.split()[0] for line in lines[4:8]] == ["object", "person", "own", "frame"]
    assert all("100.0 / 0.0 (+0.0 / +0.0)" in line for line in lines[4:6])
    assert "100.0 (+0.0)" in lines[7]  # what is outside the frame is not measured
    rows = made["rows"]
    assert [*dict.fromkeys(r["challenge"] for r in rows)] == [
        home.set_name(*s) for s in home.SETTINGS
    ]
    joints = {(r["challenge"], r["part"]): r["joints"] for r in rows}
    assert joints["object-1", "object"] + joints["person-1", "person"] == 32 + 15
    people = {r["challenge"]: r["pairs"] for r in rows}
    assert people["person-1"] * 2 == people["object-1"] == 18  # the one behind alone
    figures = json.loads((Path(made["page"]).parent / home.STRESS_FIGURES).read_text())
    assert (figures["version"], figures["moments"], figures["rows"]) == (1, 10, rows)
    page = Path(made["page"]).read_text()
    assert page.count("data:image/jpeg") == 2 * 17


def test_changes_are_those_of_the_same_joints(ready, tmp_path):
    """A joint that is hidden in the stressed set is looked up in the clean one, whatever it is."""
    calls = []
    exact, blind = truth_of(ready), truth_of(ready, off_px=400)

    def predict(rgb, boxes):
        calls.append(len(boxes))
        return exact(rgb, boxes) if len(calls) <= 10 else blind(rgb, boxes)  # the clean set first

    made = ss.stress(predict, tmp_path, quick=True, progress=False)
    hidden = [r for r in made["rows"] if r["part"] == "hidden"]
    assert {r["plain"]["value"] for r in hidden} == {1.0}
    assert all(r["change"]["value"] == -1 and r["change"]["high"] == -1 for r in hidden)
    assert "-100.0 (-100.0 to -100.0) * points" in made["text"]


@pytest.mark.parametrize(("cause", "level"), [(home.CLEAN, 0), *home.SETTINGS])
def test_every_set_shows_the_clean_people(cause, level):
    recipes = [home.stress_recipe(*setting) for setting in ((cause, level), (home.CLEAN, 0))]
    own, clean = (_first_people(recipe, 0) for recipe in recipes)
    for mine, theirs in zip(own, clean, strict=True):
        assert (mine.identity, mine.phenotype) == (theirs.identity, theirs.phenotype)
        assert mine.outfit == theirs.outfit


def test_other_networks_stand_challenges_too(ready, sticks, monkeypatch, tmp_path):
    monkeypatch.setattr(home, "made_set", lambda *_: sticks)
    mine = truth_of(ready)
    found = robustness(
        [mine, "default"], tmp_path / "a", frames=9, challenges=("dark",), progress=False
    )
    rows = {(r["run"], r["part"]): r for r in found["rows"]}
    assert rows["predict", "visible"]["value"]["value"] == 1
    assert rows["default", "visible"]["to_first"]["high"] < 0
    with pytest.raises(ArgumentError, match="two runs have the same name"):
        robustness([mine, mine], tmp_path / "b", challenges=("dark",))
