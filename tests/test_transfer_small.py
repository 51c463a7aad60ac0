"""A small `make transfer` from end to end: its page adds up, and it goes on where it stopped."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import experiment_world
import numpy as np
import pytest
import torch

from benchmarks import (
    bank_bound,
    generated_people,
    photo_model,
    surest,
    transfer,
    transfer_table,
)
from benchmarks.generated_items import ITEMS, MORE, changed
from benchmarks.transfer import Transfer
from benchmarks.transfer_arms import ARMS, GROUPS, ROWS, SMALL, STYLES
from synthstudio import Recipe
from synthstudio.inference.onnx_model import OnnxModel
from synthstudio.models.packaged import default_tensors
from synthstudio.training import checkpoint
from synthstudio.training import config as configs
from synthstudio.training.config import Config
from synthstudio.training.poses import VIEWS

PEOPLE = {"train": 24, "dev": 6}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stick people as photos, and cut-outs of two categories."""
    out = tmp_path_factory.mktemp("photos")
    made = experiment_world.write(out / "world", sum(PEOPLE.values()))
    shutil.copytree(made / "images", out / "images")
    whole = json.loads((made / "coco.json").read_text())
    start = 0
    for name, count in PEOPLE.items():
        images = whole["images"][start : start + count]
        numbers = {image["id"] for image in images}
        people = [a for a in whole["annotations"] if a["image_id"] in numbers]
        part = whole | {"images": images, "annotations": people}
        (out / f"{name}.json").write_text(json.dumps(part))
        start += count
    experiment_world.cutouts(out / "cutouts")
    return out


@pytest.fixture(scope="module")
def made(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("transfer")
    words = ["--photos", str(photos), "--size", "small", "--workers", "1"]
    words += ["--cache", str(out / "cache")]
    words += ["--out", str(out / "transfer.md"), "--log", str(out / "transfer.log")]
    assert transfer.main(words) == 0
    before = {p: p.read_bytes() for p in out.rglob("results/*.json")}
    lost = sorted(before)[0]
    lost.unlink()  # the training is there, only its result is made again
    assert transfer.main(words) == 0
    assert json.loads(lost.read_bytes())["rows"] == json.loads(before[lost])["rows"]
    assert "1 trainings" in (out / "transfer.log").read_text()
    return out


def test_the_page_has_every_row_and_adds_up(made: Path, photos: Path) -> None:
    page = (made / "transfer.md").read_text()
    lines = [line.split(" | ") for line in page.splitlines() if line.startswith("| ")]
    rows = {cells[0][2:]: cells[1:] for cells in lines}
    assert {row.title for row in ROWS.values() if row.arm in GROUPS["main"]} <= set(rows)
    assert "6 people to test on" in page and "3 steps of 4 people" in page.replace("\n", " ")
    one = Transfer(photos, SMALL, made / "cache")
    for name, row in ROWS.items():
        if row.arm not in GROUPS["main"]:
            continue
        found = [
            json.loads(one.result(row.arm, seed).read_bytes())["rows"][name]
            for seed in range(SMALL.seeds)
        ]
        for column in found[0]:
            hits, asked = (sum(sum(seed[column][k]) for seed in found) for k in ("hits", "asked"))
            text = transfer_table.value(found, column)
            assert text in rows[row.title] or text in " ".join(rows[row.title])
            assert float(text.split(" ")[0]) == pytest.approx(100 * hits / asked, abs=0.051)
        clean = found[0]["clean"]["asked"]
        for level in transfer.FRACTIONS:
            parts = [found[0][f"{level} {kind}"]["asked"] for kind in ("visible", "hidden")]
            assert (np.sum(parts, 0) == clean).all()
            assert sum(parts[1]) > 0.1 * sum(clean)


def test_other_ways_to_learn_have_their_rows(made: Path, photos: Path) -> None:
    """Larger pictures, a teacher, and photos without labels first: beside what is there."""
    out = made / "others.md"
    words = ["--photos", str(photos), "--size", "small", "--workers", "1"]
    words += ["--cache", str(made / "cache"), "--out", str(out), "--log", str(made / "others.log")]
    asked = ("large", "taught", "views-1000", "views-alone", "alone-large", "pupil")
    for arm in asked:
        words += ["--arm", arm]
    assert transfer.main(words) == 0
    lines = [line for line in out.read_text().splitlines() if line.startswith("| ")]
    for name, row in ROWS.items():
        if row.arm in asked:
            assert sum(line.startswith(f"| {row.title} |") for line in lines) == 1, name
    one = Transfer(photos, SMALL, made / "cache")
    assert one.config("large", 0).network.size == (96, 72)
    assert one.config("taught", 0).adapt.start < one.config("adapted", 0).adapt.start == 1
    state = checkpoint.read(one.run_of("views", 0) / "last.safetensors")[0]
    begun = Path(one.config("views-1000", 0).init_from)
    assert begun == one.run_of("views", 0) / "last.safetensors"
    assert any(name.startswith("projection") for name in state)
    assert one.config("views-alone", 0).init_from == str(begun)
    teacher, pupil = one.config("alone-large", 0), one.config("pupil", 0)
    assert teacher.network.size == (96, 72) and pupil.network.size == (48, 36)
    photos_of, *people = pupil.train
    assert [source.dataset for source in people] == [source.dataset for source in teacher.train]
    taught, true = (
        json.loads(path.read_text())["annotations"]
        for path in (Path(photos_of.coco), photos / "train.json")
    )
    points = np.array([a["keypoints"] for a in taught]).reshape(len(taught), -1, 3)
    labelled = np.array([a["keypoints"] for a in true]).reshape(points.shape)
    known = points[..., 2] == 2
    assert (known.sum(0) == len(true) // 2).all() and not points[~known].any()
    assert [a["bbox"] for a in taught] == [a["bbox"] for a in true]
    assert (np.abs(points - labelled)[known].max(-1) > 0.02).mean() > 0.9  # nothing is copied


def test_few_photos_go_on_from_generated_people_for_fewer_steps(photos: Path, made: Path) -> None:
    one = Transfer(photos, SMALL, made / "cache")
    few, alone = (one.config(f"short-{name}", 0) for name in ("pretrained-1000", "4000"))
    assert Path(few.init_from) == one.run_of("alone", 0) / "last.safetensors"
    assert not alone.init_from and few.steps == alone.steps == 1 < one.config("orn", 0).steps
    assert few.augment.turned == 0.3 > alone.augment.turned and few.augment.cutouts
    larger, scratch = (one.config(f"large-{n}", 0) for n in (1000, 4000))
    assert Path(larger.init_from) == default_tensors() and not scratch.init_from
    assert larger.network.size == scratch.network.size == (96, 72)
    assert larger.network.bank_sharpness == scratch.network.bank_sharpness == 1


def test_few_labelled_photos_beside_the_others(
    made: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Larger pictures learn the labels of half, and say where joints of the other half are."""
    for name in ("mixed-large-1000", "pupil-1000"):
        monkeypatch.setitem(ARMS, name, replace(ARMS[name], people=12))
    out = made / "few.md"
    words = ["--photos", str(photos), "--size", "small", "--workers", "1", "--arm", "pupil-1000"]
    words += ["--cache", str(made / "cache"), "--out", str(out), "--log", str(made / "few.log")]
    assert transfer.main(words) == 0
    assert ROWS["pupil-1000"].title in out.read_text()
    one = Transfer(photos, SMALL, made / "cache")
    teacher, pupil = one.config("mixed-large-1000", 0), one.config("pupil-1000", 0)
    assert teacher.network.size == (96, 72) and pupil.network.size == (48, 36)
    assert pupil.train[1:-1] == teacher.train[1:]
    known, others = (
        {a["id"]: a["keypoints"] for a in json.loads(Path(p.coco).read_text())["annotations"]}
        for p in (pupil.train[0], pupil.train[-1])
    )
    true = json.loads((photos / "train.json").read_text())["annotations"]
    assert set(known).isdisjoint(others) and len(known) == 12
    assert set(known) | set(others) == {a["id"] for a in true}
    assert known == {a["id"]: a["keypoints"] for a in true if a["id"] in known}
    assert not any(others[a["id"]] == a["keypoints"] for a in true if a["id"] in others)


def test_the_surest_joints(made: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of them are found as often as the page says."""
    one = Transfer(photos, SMALL, made / "cache")
    run = one.run_of("orn", 0) / "last.safetensors"
    words = ["--photos", str(photos), "--cache", str(made / "cache"), str(run)]
    capsys.readouterr()
    assert surest.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" of ")[0] for line in lines[: len(surest.KEPT)]] == [
        f"surest {kept:4.0%}" for kept in surest.KEPT
    ]
    clean = json.loads(one.result("orn", 0).read_bytes())["rows"]["orn"]["clean"]
    share = sum(clean["hits"]) / sum(clean["asked"])
    assert lines[len(surest.KEPT) - 1].endswith(f"{share:6.1%} found")
    told = lines[len(surest.KEPT) : len(surest.KEPT) + 4]
    assert told[0] == f"{share:6.1%} found"
    assert sum(float(line.partition("%")[0]) for line in told) == pytest.approx(100, abs=0.3)
    generated = one.generated() / "wild"
    assert surest.main(["--people", str(generated), *words[2:]]) == 0
    assert " found" in capsys.readouterr().out

    upright = np.array([[[0.0, 0], [1, 0], [0, 2], [1, 2]]])
    turned = upright[..., ::-1] * [-1, 1]  # a quarter turn
    poses = np.concatenate([upright, -upright, turned])
    known = np.ones((3, 4), bool)
    assert surest.leans_deg(poses, known) == pytest.approx([0, 180, 90])
    known[1, 2] = False
    assert np.isnan(surest.leans_deg(poses, known)[1])


def test_where_joints_lie_that_are_not_found() -> None:
    """Of four joints, two of each side: found, the other side's, another's, none's."""
    truth = np.array([[[0.0, 0], [10, 0], [0, 30], [10, 30]]])
    flip = np.array([1, 0, 3, 2])
    guess = np.array([[[0.5, 0], [0, 0], [9, 0], [60, 60]]])
    known, within = np.ones((1, 4), bool), np.array([2.0])
    told = surest.kinds(guess, truth, known, within, flip)
    assert list(told.values()) == [0.25] * 4
    known[0, 3] = False  # who is not labelled counts for nothing
    told = surest.kinds(guess, truth, known, within, flip)
    assert list(told.values()) == pytest.approx([1 / 3] * 3 + [0])


def test_cutouts_of_training_and_test_are_parted(made: Path, photos: Path) -> None:
    one = Transfer(photos, SMALL, made / "cache")
    parts = [{p.name for p in one.cutouts(n).glob("*.png")} for n in ("train", "test")]
    assert all(parts) and not parts[0] & parts[1]
    for name in ARMS:
        config = one.config(name, 0)
        without = name.startswith(("style-", "without-", "with-"))
        without |= name in ("alone", "alone-large", "pupil", "views", "views-alone")
        assert config.augment.cutouts == ("" if without else str(one.cutouts("train")))
        assert str(photos / "dev.json") not in config.model_dump_json()
        alone = generated_people.config_for(one.generated()).network
        assert config.network.standardize == alone.standardize  # many begin with that network


def test_each_style_is_used_by_itself(photos: Path, tmp_path: Path) -> None:
    one = Transfer(photos, SMALL, tmp_path)
    used = {"none": set(), "all": set(STYLES) - {"colours", "fourier"}} | {n: {n} for n in STYLES}
    for name, styles in used.items():
        augment = one.config(f"style-{name}", 0).augment
        assert {n for n in STYLES if getattr(augment, n)} == styles
        assert bool(augment.photos) == (name in ("colours", "fourier"))
    tested = {e["file_name"] for e in json.loads((photos / "dev.json").read_text())["images"]}
    shown = {path.read_bytes() for path in one.examples().iterdir()}
    assert shown and shown.isdisjoint((photos / "images" / n).read_bytes() for n in tested)


def test_generated_people_with_an_item_changed_differ_in_its_fields_alone(
    photos: Path, tmp_path: Path
) -> None:
    one, folders = Transfer(photos, SMALL, tmp_path), set()
    for item, changes in (ITEMS | MORE).items():
        how = "with" if item in MORE else "without"
        folders.add(one.config(f"{how}-{item}", 0).train[1].dataset)
        for name in generated_people.SETS:
            whole = Recipe.load(generated_people.ROOT / "scenes" / f"{name}.yaml")
            fields, less = whole.to_dict(), changed(whole, item).to_dict()
            assert {key for key in fields if fields[key] != less[key]} == set(changes)
    assert (
        len(folders) == len(ITEMS | MORE) and one.config("alone", 0).train[1].dataset not in folders
    )
    assert changed(whole, "") == whole
    plain = changed(whole, "poses").people
    assert (plain.poses.athletic, plain.poses.random, plain.together.share) == (0, 0, 0)
    assert plain.wardrobe == whole.people.wardrobe and plain.poses.look == whole.people.poses.look


def test_fewer_people_are_a_part_of_more(photos: Path, tmp_path: Path) -> None:
    one = Transfer(photos, SMALL, tmp_path)
    held = []
    for people in (4, 9):
        written = json.loads(one.fewer(people).read_text())
        held.append({entry["id"] for entry in written["annotations"]})
        assert len(held[-1]) == people
        assert {e["image_id"] for e in written["annotations"]} == {
            e["id"] for e in written["images"]
        }
    assert held[0] < held[1]
    adapted = one.config("adapted", 0)
    assert adapted.adapt.coco == str(photos / "train.json") and not adapted.train[0].coco


def test_a_missing_folder_says_what_belongs_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert transfer.main(["--photos", str(tmp_path / "none")]) == 2
    told = capsys.readouterr().err
    assert "train.json, dev.json" in told and "axelcarlier/lsp" in told


def test_a_bank_of_the_people_asked_about_finds_their_hidden_joints(
    made: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And one of generated people fewer: the world's stick people stand otherwise."""
    generated = next((made / "cache").glob("*/people-*/wild"))
    own = photos.parent / "own"
    shutil.copytree(photos, own, dirs_exist_ok=True)
    shutil.copy(photos / "dev.json", own / "train.json")
    shares = {}
    for name, folder in (("others", photos), ("own", own)):
        words = ["--photos", str(folder), "--cache", str(made / "cache"), str(generated)]
        assert bank_bound.main(words) == 0
        rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
        shares |= {(name, row[0]): [float(cell) for cell in row[2:]] for row in rows}
        held = {row[0]: int(row[1]) for row in rows}
    assert min(shares["own", "photos"]) > 90
    assert shares["own", "wild"] == shares["others", "wild"]
    assert max(shares["own", "wild"]) < min(shares["own", "photos"])
    words = ["--photos", str(photos), "--cache", str(made / "cache"), "--answers", "--draws", "2"]
    assert bank_bound.main([*words, str(generated)]) == 0  # make bank
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    views = {int(row[1]) for row in rows if row[0] == "wild"}
    assert bank_bound.main([*words, "--of", "train", str(generated)]) == 0
    others = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert others == ["wild", "wild"]  # a bank of those photos would hold the people asked about
    assert len(rows) == 4 and views == {VIEWS * held["wild"]}  # everybody from so many heights


def test_one_arm_brings_what_it_starts_from() -> None:
    asked = transfer.jobs(2, ("mixed-1000", "orn"))
    assert asked == [(name, seed) for seed in (0, 1) for name in ("orn", "alone", "mixed-1000")]


def test_other_generated_people_are_another_arm(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {arm: transfer._digest(arm) for arm in ARMS}
    monkeypatch.setattr(transfer.generated_people, "digest", lambda: "others")
    changed = {arm for arm in ARMS if transfer._digest(arm) != before[arm]}
    assert {"alone", "taught", "mixed-1000", "pretrained-1000"} <= changed
    assert not {"kpe", "orn", "orn-1000"} & changed


def test_the_packages_network_goes_on_with_larger_pictures(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make model` in two runs, of which the second begins with the first one's weights."""
    network = {"widths": (8, 12), "width": 16, "bank": 40, "bank_sample": 10}

    def small(path: Path) -> Config:
        config = configs.load(path)
        height, width = config.network.size
        shrunk = config.network.model_copy(update=network | {"size": (height // 2, width // 2)})
        return config.model_copy(update={"network": shrunk, "steps": 2, "batch": 4})

    asked: list[tuple[int, int]] = []

    def figures(model: OnnxModel, *others: Any) -> dict[str, Any]:
        asked.append(model.size)
        return {}

    monkeypatch.setattr(photo_model, "configs", SimpleNamespace(load=small))
    monkeypatch.setattr(photo_model, "figures", figures)
    generated = next((made / "cache").glob("*/people-*"))
    words = ["--generated", str(generated), "--to", str(tmp_path / "to"), "--finder-as-it-is"]
    words += [w for n in ("small", "run", "cache") for w in (f"--{n}", str(tmp_path / n))]
    assert photo_model.main(words) == 0
    assert asked == [(96, 72)]
    _, began, _ = checkpoint.load_network(tmp_path / "run" / "best.safetensors")
    assert began.init_from == str(tmp_path / "small" / "best.safetensors")
    net, config, _ = checkpoint.load_network(tmp_path / "to" / "photos.safetensors")
    assert config == small(generated_people.LARGE_CONFIG) and net.block.bank is not None
    assert str(tmp_path).encode() not in (tmp_path / "to" / "photos.safetensors").read_bytes()
    card = (tmp_path / "to" / "photos.md").read_text()
    assert "96x72 pixels" in card and "2 steps of 4 people at 48x36" in card
