"""Sets of occluded photos are like any other: seen, counted, checked, split, out and back."""

import json
import shutil

import numpy as np
import photo_world
import pyarrow.parquet as pq
import pytest
from photo_world import BY, varied

from synthstudio.core.errors import DatasetError
from synthstudio.core.images import decode_rgb
from synthstudio.core.masks import decode
from synthstudio.dataset import splits
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import INSTANCE_SCHEMA, write_parquet
from synthstudio.formats.imports import import_from
from synthstudio.generation.photos import audit as photo_audit
from synthstudio.generation.photos.run import occlude
from synthstudio.generation.stage import settings_of
from synthstudio.recipe.sampling.context import SampleContext
from synthstudio.recipe.search.photo_occluders import kinds_of

EACH = 4


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return photo_world.write(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def stored(world, tmp_path_factory):
    out = tmp_path_factory.mktemp("sets") / "photos"
    occlude(varied(world), world / "coco.json", out, images=world / "images", frames_per_shard=5)
    return Dataset(out)


@pytest.fixture(scope="module")
def imported(world, tmp_path_factory):
    out = tmp_path_factory.mktemp("imported") / "set"
    import_from("coco", world / "coco.json", out, images=world / "images")
    return Dataset(out)


def pasted(data):
    return [row for row in data.iter_instances() if row["origin"][0] == "rendered"]


@pytest.mark.parametrize("ground", ["any", "known"])
def test_photos_that_stay_as_they_are_are_counted(ground, world, tmp_path):
    """By their pictures: all frames of such a photo show the same."""
    file, out = world / "coco.json", tmp_path / "set"
    made = occlude(varied(world, ground=ground, each=1), file, out, images=world / "images")
    data, shown = Dataset(out), {}
    for row in data.iter_frames(["index", "group_id"]):
        shown.setdefault(row["group_id"], set()).add(data.image_bytes(row["index"]))
    assert made.photos == len(shown)
    assert made.unchanged == sum(len(pictures) == 1 for pictures in shown.values())
    assert made.unchanged == (made.photos if ground == "known" else 0)


def test_leaks_of_pasted_people_and_cutouts_are_seen_and_split_away(stored, tmp_path):
    rows = [
        {**row, "split": "train" if k < EACH + 1 else "test"}
        for k, row in enumerate(stored.iter_frames())
    ]
    table = {row["index"]: row["split"] for row in rows}
    assert not splits.leaks(stored, keys=("group",), table=table)
    found = {leak.key for leak in splits.leaks(stored, keys=("asset", "identity"), table=table)}
    assert found == {"asset", "identity"}
    with pytest.raises(DatasetError, match="too few independent groups"):
        splits.split(stored, keys=("group", "identity"), fractions=(0.5, 0, 0.5))
    made = splits.split(stored, keys=("asset",), fractions=(1, 0, 0))
    assert not splits.leaks(
        stored, keys=("asset",), table=dict.fromkeys(made.frames.tolist(), "train")
    )


def audited(folder, world):
    return photo_audit.audit(folder, assets=world, device="cpu")


def test_the_second_oracle_agrees_and_finds_what_is_planted(stored, world, tmp_path):
    tally, people = audited(stored.folder, world)
    assert len(pasted(stored)) >= 2 and stored.people > len(pasted(stored)) + 2 * EACH
    assert tally.report()["passed"]
    assert tally.touched >= 20
    assert people.people == len(pasted(stored))
    assert people.state_differs == people.cause_differs == 0
    copy = tmp_path / "planted"
    shutil.copytree(stored.folder, copy)
    path = next(copy.rglob("shards/00000/instances.parquet"))
    rows = pq.read_table(path).to_pylist()
    hidden = next(r for r in rows if r["origin"][0] == "human" and "person" in r["cause"])
    j = hidden["cause"].index("person")
    hidden["cause"][j] = "object"
    seen = next(r for r in rows if r["frame_index"] == 1 and "visible" in r["cause"])
    seen["state"][seen["cause"].index("visible")] = 1
    whole = next(r for r in rows if r["frame_index"] == 2 and r["instance"] == 1)
    whole["modal_counts"] = rows[1]["modal_counts"]
    write_parquet(path, INSTANCE_SCHEMA, rows)
    tally, _ = audited(copy, world)
    assert (tally.cause_differs, tally.state_differs, tally.mask_differs) == (1, 1, 1)
    assert len(tally.findings) == 3
    one = next(f for f in tally.findings if f.joint)
    assert str(one) == f"frame {one.frame}, person {one.instance}, {one.joint}: {one.what}"


def test_joints_lost_by_a_crop_are_truncated_and_others_stay(world, tmp_path):
    out = tmp_path / "cropped"
    own = varied(world, by={"frame": 1}, ground="known")
    made = occlude(own, world / "coco.json", out, images=world / "images")
    data, lost, clean = Dataset(out), [], {}
    for row in data.iter_frames():
        people = {person["instance"]: person for person in data.instances(row["index"])}
        crop = json.loads(row["spec"])["crop"]
        if crop is None:
            clean = people
            continue
        x, y, w, h = crop
        assert (row["width_px"], row["height_px"]) == (w, h)
        assert decode_rgb(data.image_bytes(row["index"]), "").shape == (h, w, 3)
        for number, now in people.items():
            was = clean[number]
            for j, (u, v) in enumerate(np.reshape(was["joints_px"], (-1, 2)) - (x, y)):
                assert np.array_equal(now["joints_px"][2 * j : 2 * j + 2], (u, v), equal_nan=True)
                outside = was["state"][j] in (1, 2) and not (0 <= u < w and 0 <= v < h)
                kept = was["state"][j], was["cause"][j]
                assert (now["state"][j], now["cause"][j]) == ((0, "truncated") if outside else kept)
            whole, part = (decode({"size": p["mask_size"], "counts": p["modal_counts"]})
                           for p in (was, now))  # fmt: skip
            assert (part == whole[y : y + h, x : x + w]).all() and part.sum() == now[
                "modal_area_px"
            ]
            assert now["truncated_fraction"] == pytest.approx(1 - part.sum() / whole.sum())
            assert now["occluded_fraction"] == 0
        lost.append(max(now["truncated_fraction"] for now in people.values()))
    assert made.cropped == made.photos and len(lost) == 2 * EACH and 0.05 < min(lost) < 0.6
    assert audited(out, world)[0].report()["passed"]
    path = next(out.rglob("shards/00000/instances.parquet"))
    rows = pq.read_table(path).to_pylist()
    one = next(r for r in rows if "truncated" in r["cause"])
    one["state"][one["cause"].index("truncated")] = 1
    write_parquet(path, INSTANCE_SCHEMA, rows)
    assert audited(out, world)[0].state_differs == 1


def test_what_cannot_be_made_again_says_so(stored, imported):
    with pytest.raises(DatasetError, match=r"does not contain the photos.*synthstudio audit"):
        settings_of(stored)
    with pytest.raises(DatasetError, match=r"imported frames.*synthstudio validate"):
        settings_of(imported)


def test_a_run_plans_every_kind_by_its_weight(world):
    own = varied(world)
    for nth, number in ((0, 0), (1, 0), (0, 1)):
        draws = [
            SampleContext(recipe=own.recipe, index=k, split="train", geometry=own)
            for k in range(400)
        ]
        order = [kinds_of(draw, nth, number) for draw in draws]
        for kind, weight in BY.items():
            share = sum(kinds[0] == kind for kinds in order) / 400
            assert share == pytest.approx(weight / sum(BY.values()), abs=0.006)
        assert all(sorted(kinds) == sorted(BY) for kinds in order)
    only = varied(world, by={"person": 1.0, "object": 0.0})
    draw = SampleContext(recipe=only.recipe, index=3, split="train", geometry=only)
    assert kinds_of(draw, 0, 0) == ["person"]
