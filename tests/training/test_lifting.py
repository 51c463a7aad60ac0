"""A lifter: visibility helps where joints are hidden, shuffled truth teaches nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import lifting as bench
from synthstudio.core.camera import Camera
from synthstudio.core.errors import ModelError
from synthstudio.core.labels import STATE_OUTSIDE, STATE_VISIBLE
from synthstudio.core.rng import stream
from synthstudio.dataset.reader import Dataset
from synthstudio.models.lifter import Lifter, in_box, lift, root_translation_m
from synthstudio.training.lifting import (
    LiftingConfig,
    LiftingPeople,
    Noise,
    lifting_metrics,
    lifting_people,
    observed,
    train_lifter,
)

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "research" / "lifting.md").read_text(
    encoding="utf-8"
)


@pytest.fixture(scope="module")
def shown() -> bench.Posed:
    return bench.posed(150, part="test")


@pytest.fixture(scope="module")
def train_people() -> LiftingPeople:
    return bench.posed(300, part="train").people


def test_the_same_seed_gives_the_same_weights(train_people: LiftingPeople) -> None:
    few = LiftingConfig(steps=5, batch=32, width=32)
    before = torch.random.get_rng_state()
    one, two = (train_lifter(train_people, few).state_dict() for _ in range(2))
    assert torch.equal(before, torch.random.get_rng_state())  # nobody else's numbers are taken
    assert all(torch.equal(one[name], two[name]) for name in one)
    other = train_lifter(train_people, LiftingConfig(seed=1, steps=5, batch=32, width=32))
    assert not torch.equal(one["last.weight"], other.state_dict()["last.weight"])


def test_noise_is_what_it_says(train_people: LiftingPeople) -> None:
    xy, visible = observed(train_people, Noise(), stream(0, "noise"))
    off, seen = xy - train_people.xy, train_people.visible
    assert np.nanstd(off[seen]) == pytest.approx(0.01, rel=0.05)
    assert np.nanstd(off[~seen]) == pytest.approx(0.2, rel=0.05)
    assert not np.isnan(xy[seen]).any()
    assert np.isnan(xy[~seen]).any(-1).mean() == pytest.approx(0.2, abs=0.03)
    assert (visible != seen).mean() == pytest.approx(0.05, abs=0.01)


def test_a_missing_joint_has_no_place() -> None:
    torch.manual_seed(0)
    net, rng = Lifter(17, width=32).eval(), stream(0, "missing")
    xy = rng.normal(size=(2, 17, 2))
    xy[1] = xy[0]
    xy[0, 3], xy[1, 3] = np.nan, (np.nan, 5.0)
    seen = np.ones((2, 17))
    seen[0, 3] = 0  # nor has it a visibility
    out = lift(net, xy, seen)
    assert np.isfinite(out).all()
    assert out[0] == pytest.approx(out[1], abs=1e-6)
    xy[1, 3] = 0.0
    assert np.abs(lift(net, xy, seen)[1] - out[0]).max() > 1e-4


def test_metrics_tell_hidden_joints_and_bones_apart(shown: bench.Posed) -> None:
    people = shown.people
    assert lifting_metrics(people.xyz_m, people)["hidden"] == pytest.approx(
        {f"{m}_mm": 0 for m in ("MPJPE", "N-MPJPE", "PA-MPJPE", "bone_length")}, abs=1e-4
    )
    wrong = people.xyz_m + np.where(people.visible, 0, 0.05)[..., None] * (0.6, 0, 0.8)
    got = lifting_metrics(wrong, people)
    assert got["hidden"]["MPJPE_mm"] == pytest.approx(50)
    assert got["visible"]["MPJPE_mm"] == pytest.approx(0, abs=1e-9)
    assert got["visible"]["bone_length_mm"] == pytest.approx(0, abs=1e-9)
    longer = lifting_metrics(people.xyz_m * 1.1, people)
    limbs = [("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")]
    lengths = [
        np.linalg.norm(
            people.xyz_m[:, people.skeleton.joints.index(f"{side}_{a}")]
            - people.xyz_m[:, people.skeleton.joints.index(f"{side}_{b}")],
            axis=-1,
        )
        for side in ("left", "right")
        for a, b in limbs
    ]
    assert longer["all"]["bone_length_mm"] == pytest.approx(100 * np.mean(lengths))


def test_the_root_is_where_the_exact_camera_has_it(shown: bench.Posed) -> None:
    rng, xyz = stream(0, "roots"), shown.people.xyz_m
    camera = Camera(
        width_px=640, height_px=480, focal_px=600, position_m=(0, 0, 0), yaw_rad=0, pitch_rad=0
    )
    root = np.stack([rng.uniform(-1, 1, len(xyz)), rng.uniform(-1, 1, len(xyz))], -1)
    root = np.concatenate([root, rng.uniform(3, 20, (len(xyz), 1))], 1)
    px = camera.project(xyz + root[:, None])
    weight = (rng.random(px.shape[:2]) < 0.5).astype(np.float64)
    weight[:, :3] = 1.0
    spoilt = np.where(weight[..., None] > 0, px, 1e4)  # what has no weight may be anywhere
    assert root_translation_m(xyz, spoilt, camera.K, weight=weight) == pytest.approx(root, abs=1e-6)
    # Somebody taken for a tenth taller is put a tenth further.
    assert root_translation_m(xyz * 1.1, px, camera.K, weight=weight) == pytest.approx(root * 1.1)
    weight[0], weight[0, 5:7] = 0, 1
    assert np.isnan(root_translation_m(xyz, px, camera.K, weight=weight)[0]).all()


def test_people_of_a_data_set(pairs: Path) -> None:
    dataset = Dataset(pairs)
    people = lifting_people(dataset)
    rows = [(f, p) for f in dataset.iter_frames() for p in dataset.instances(f["index"])]
    assert len(people) == len(rows)
    assert len(np.unique(people.group)) == len({frame["group_id"] for frame, _ in rows})
    hips = [people.skeleton.joints.index(name) for name in ("left_hip", "right_hip")]
    assert people.xyz_m[:, hips].mean(1) == pytest.approx(np.zeros((len(rows), 3)), abs=1e-6)
    for k, (frame, person) in enumerate(rows):
        state = np.array(person["state"])
        assert (people.visible[k] == (state == STATE_VISIBLE)).all()
        assert (np.isnan(people.xy[k]).any(-1) == (state == STATE_OUTSIDE)).all()
        # Projecting the 3D joints at the root's depth gives the 2D ones, but for what tells
        # regressed joints from centres: a few centimetres.
        world = np.array(person["kinematic_joints_world_m"]).reshape(-1, 3)
        matrix = np.array(frame["world_to_camera"]).reshape(4, 4)
        root = (world[hips].mean(0) @ matrix[:3, :3].T) + matrix[:3, 3]
        K = np.array(frame["K"]).reshape(3, 3)
        at = (people.xyz_m[k] + root) @ K.T
        px = np.array(person["joints_px"]).reshape(-1, 2)
        off_m = np.linalg.norm(at[:, :2] / at[:, 2:] - px, axis=1) * root[2] / K[0, 0]
        assert off_m.max() < 0.12
        assert np.median(off_m) < 0.04


def test_what_does_not_fit_is_said(
    pairs: Path, train_people: LiftingPeople, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = Lifter(17, width=8)
    with pytest.raises(ModelError, match=r"lift: .*expected xy \(P, 17, 2\)"):
        lift(net, np.zeros((2, 16, 2)), np.zeros((2, 16)))
    with pytest.raises(ModelError, match="person 1: a person's box has no extent"):
        in_box(np.zeros((2, 3, 2)), np.array([[0.0, 0, 5, 5], [0, 0, 0, 0]]))
    with pytest.raises(ModelError, match="too few people"):
        train_lifter(train_people[:1], LiftingConfig(steps=1))
    dataset = Dataset(pairs)
    monkeypatch.setattr(Dataset, "iter_frames", lambda self: iter(()))
    with pytest.raises(
        ModelError, match=r"split test: nobody to lift; expected people .* got none"
    ):
        lifting_people(dataset, split="test")


def test_the_page_runs_as_printed(
    pairs: Path, rendered_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pairs.parent)
    code = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    assert len(code) == 2
    quick = "\n".join(code).replace('Path("people")', 'Path("pairs")')
    quick = quick.replace('Path("clips")', repr(rendered_clip)).replace("steps=2000", "steps=3")
    assert quick.count("pairs") == 1 and quick.count("steps=3") == 2
    names: dict[str, Any] = {"PosixPath": Path}
    exec(compile(quick, "docs/research/lifting.md", "exec"), names)
    assert names["xyz_m"].shape == names["test"].xyz_m.shape
    enough = names["seen"].sum(1) >= 3
    assert enough.any()
    assert (np.isfinite(names["root_m"]).all(1) == enough).all()
    assert names["moved_m"].shape == names["clips"].people.xyz_m.shape
