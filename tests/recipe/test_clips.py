"""Clips and motion: what is shared in time, who moves, and that nothing is walked through."""

import dataclasses
import itertools
import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from recipe_fake import FakeSolve, ahead

from synthstudio.core.errors import AssetError, RecipeError
from synthstudio.core.spec import FrameSpec, MovingSpec
from synthstudio.generation import pipeline
from synthstudio.generation.stage import FrameGenerator, identity_of, prepare
from synthstudio.recipe.draw import draw, draw_moment
from synthstudio.recipe.sampling import clips
from synthstudio.recipe.sampling.check import check
from synthstudio.recipe.sampling.context import split_of
from synthstudio.recipe.sampling.moving import NAMED
from synthstudio.recipe.schema.load import parse
from synthstudio.report.pictures import clip_film, clip_strip

SCENES = Path(__file__).parents[2] / "scenes"
SHARED = {"backdrop", "cutouts", "light", "shadow_box_m", "skeleton", "split", "objects"}


def recipe(**fields):
    text = {
        "name": "walks",
        "frames": 40,
        "seed": 3,
        "motion": {"folder": "motions", "share": 0.7},
        "clip": {"frames": 8, "fps": 6},
        "backdrop": {"kind": "room"},
        "people": {"count": [1, 3]},
        "objects": [{"kind": "procedural", "count": 1}],
        "lens": {"noise": 1.0},
    }
    return parse(text | fields, "walks")


def clip(wants, number):
    solve, length = FakeSolve(), clips.frames_of(wants)
    return [draw(wants, number * length + t, solve) for t in range(length)]


def test_a_clip_shares_who_where_and_light_and_moves_in_time():
    for number in range(3):
        frames = clip(recipe(), number)
        first = frames[0]
        assert [f.index for f in frames] == list(range(8 * number, 8 * number + 8))
        for t, frame in enumerate(frames):
            for name in SHARED:
                assert getattr(frame, name) == getattr(first, name), name
            assert frame.clip.clip_id == f"3-{number}"
            assert (frame.clip.frame, frame.clip.frames, frame.clip.time_s) == (t, 8, t / 6)
            assert frame.clip.motions == first.clip.motions
            assert dataclasses.replace(frame.lens, noise_seed=first.lens.noise_seed) == first.lens
            for person, before, name in zip(
                frame.people, first.people, frame.clip.motions, strict=True
            ):
                still = dataclasses.replace(person, pose=before.pose, position_m=before.position_m)
                assert still == before
                gone = math.dist(person.position_m[:2], before.position_m[:2])
                assert gone == pytest.approx(1.2 * t / 6 if name else 0.0, abs=1e-6)
                assert (person.pose.family == "motion") == bool(name)
        assert len({f.lens.noise_seed for f in frames}) == len({f.group_id for f in frames}) == 8


def test_a_clip_is_never_parted_by_splits():
    wants = recipe(splits={"train": 0.5, "val": 0.25, "test": 0.25})
    seen = [{f.split for f in clip(wants, number)} for number in range(8)]
    assert all(len(splits) == 1 for splits in seen)
    assert [*map(set, seen)] == [{split_of(wants, number)} for number in range(8)]
    assert len(set().union(*seen)) > 1


def test_weights_mirror_and_length_choose_the_motion():
    names = {"stroll": 3.0, "turn": 1.0, "short": 1.0}
    wants = recipe(motion={"folder": "motions", "share": 1.0, "names": names})
    walks = [clips.walk_of(draw_moment(wants, m, FakeSolve()).ctx, 0) for m in range(60)]
    counts = Counter(w.motion.name for w in walks if w)
    assert counts["short"] == 0  # 1 s is shorter than the clip
    assert 0.55 < counts["stroll"] / 60 < 0.92
    assert 15 < sum(w.mirrored for w in walks if w) < 45
    assert all(0 <= w.start_s <= w.motion.seconds - 7 / 6 + 1e-3 for w in walks if w)


def test_too_long_a_clip_an_unknown_motion_and_held_out_ones():
    with pytest.raises(RecipeError, match=r"the longest 4\.00 s"):
        draw(recipe(clip={"frames": 60, "fps": 6}, people={"count": 4}), 0, FakeSolve())
    for says, fields in (
        ("Did you mean 'stroll'", {"motion": {"folder": "motions", "names": {"strol": 1}}}),
        ("nothing to choose from for motions", {"holdout": {"poses": ["short", "stroll", "turn"]}}),
    ):
        with pytest.raises(RecipeError, match=says):
            check(recipe(**fields), FakeSolve().catalogue)
    held = recipe(
        motion={"folder": "motions", "share": 1.0},
        holdout={"poses": ["stroll"], "share": 1.0},
        splits={"train": 0.5, "val": 0.5, "test": 0.0},
    )
    seen = {"train": set(), "val": set()}
    for spec in (draw(held, 8 * number, FakeSolve()) for number in range(12)):
        seen[spec.split] |= set(spec.clip.motions)
    assert seen == {"train": {"turn"}, "val": {"stroll"}}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"backdrop": {"kind": "photo", "folder": "b"}, "clip": {"camera": "follow"}}, "photo"),
        ({"backdrop": {"kind": "hdri", "folder": "h"}, "clip": {"camera": "dolly"}}, "hdri"),
        ({"clip": {"frames": 1}}, "clip.frames"),
        ({"clip": {"camera": {"fixed": 0}}}, "clip.camera"),
        ({"targets": {"occluded_fraction": 0.3}}, "single moments"),
    ],
)
def test_what_a_clip_cannot_be(fields, says):
    with pytest.raises(RecipeError, match=says):
        recipe(**fields)


def test_cameras_move_as_they_are_told():
    base = draw_moment(recipe(motion={"folder": "motions", "share": 1.0}), 0, FakeSolve())
    first, gone, middle = base.base.camera, np.array([1.5, -0.5]), np.array([0.2, 0.4])

    def seen(move, time_s):
        wants = recipe(clip={"frames": 8, "fps": 6, "camera": move, "dolly_m": 1.0})
        frame = dataclasses.replace(base.ctx, recipe=wants)
        return clips.camera_at(frame, first, middle_m=middle, gone_m=gone * time_s, time_s=time_s)

    assert seen("fixed", 1.0) == first
    for move in ("pan", "follow", "dolly", "handheld"):
        start, later = seen(move, 0.0), seen(move, 7 / 6)
        assert start.position_m == pytest.approx(first.position_m), move
        assert start.yaw_rad == pytest.approx(first.yaw_rad), move
        assert later != start
    assert math.dist(seen("dolly", 7 / 6).position_m, first.position_m) == pytest.approx(1.0)
    along = np.subtract(seen("follow", 1.0).position_m, first.position_m)
    assert along == pytest.approx([1.5, -0.5, 0])
    rotated = seen("pan", 1.0)
    was = first.project(first.to_camera(np.array([0.2, 0.4, 0.9])))
    now = rotated.project(rotated.to_camera(np.array([1.7, -0.1, 0.9])))
    assert abs(was[0] - now[0]) < 40  # who moves stays in the same column, but for roll


def test_nobody_is_walked_through_at_any_frame():
    wants = recipe(
        clip={"frames": 4, "fps": 2.5},
        motion={"folder": "motions", "share": 0.7, "names": {"stroll": 1}},
        people={"count": 2, "min_gap_m": 0.1, "arrangement": {"kind": "group", "spread_m": 0.4}},
    )
    stage = FrameGenerator(prepare(wants, assets=SCENES, device="cpu"))
    specs = [pipeline.draw_spec(stage, k) for k in range(8)]
    assert any(person.pose.turns for spec in specs for person in spec.people)
    for spec in specs:
        items = [*spec.people, *spec.objects]
        for i, one in enumerate(spec.people):
            assert all(stage.gap_m(one, other) > 0.07 for other in items[i + 1 :]), spec.index


def test_a_path_through_somebody_is_seen():
    """Negative control: start and end are free, the way between them is not."""
    stage = FrameGenerator(prepare(recipe(), assets=SCENES, device="cpu"))
    base = draw_moment(recipe(motion=None), 0, stage).base.people[0]

    def at(x):
        return dataclasses.replace(base, position_m=(x, 0.0, base.position_m[2]))

    assert min(stage.gap_m(at(0.0), at(x)) for x in (-2.0, 2.0)) > 0.5
    assert stage.sweep_gap_m((at(0.0),), (at(-2.0), at(2.0))) < 0
    assert stage.sweep_gap_m((at(0.0),), (at(1.6), at(2.0))) > 0.3
    near = stage.gap_m(at(0.0), at(0.9))
    assert stage.sweep_gap_m((at(0.0),), (at(0.9),)) == pytest.approx(near, abs=0.03)


def test_a_clip_is_made_and_shown(tmp_path):
    wants = recipe(
        image={"width_px": 64, "height_px": 64, "supersample": 1},
        clip={"frames": 3, "fps": 6},
        motion={"folder": "motions", "share": 1.0},
        people={"count": 1},
        lens={},
    )
    settings = prepare(wants, assets=SCENES, device="cpu")
    stage = FrameGenerator(settings)
    frames = [pipeline.make_frame(stage, pipeline.draw_spec(stage, t)) for t in range(3)]
    people = [frame.labels.people[0] for frame in frames]
    assert len({person.identity for person in people}) == 1
    joints = np.array([person.joints_world_m for person in people])
    assert (np.linalg.norm(np.diff(joints, axis=0), axis=2).max(axis=1) > 0.02).all()
    again = pipeline.make_frame(stage, frames[2].spec)  # replayed from the stored spec alone
    assert again.jpeg == frames[2].jpeg
    clip_strip(settings, 1, tmp_path / "strip.png", frames=2)
    clip_film(settings, 0, tmp_path / "film.webp")
    assert all((tmp_path / name).stat().st_size > 500 for name in ("strip.png", "film.webp"))
    with pytest.raises(RecipeError, match="has no clips"):
        clip_strip(prepare(recipe(clip=None), assets=SCENES, device="cpu"), 0, tmp_path / "x.png")


def test_the_ledger_names_motions_and_a_broken_file_stops_the_run(tmp_path):
    rows = identity_of(prepare(recipe(), assets=SCENES, device="cpu")).assets
    (row,) = [row for row in rows if row.name.startswith("motions/")]
    (reported,) = json.loads((SCENES / "motions/manifest.json").read_text())
    assert (row.licence, row.source) == (reported["license"], reported["source"])
    assert len(row.sha256) == 64
    (tmp_path / "motions").mkdir()
    with pytest.raises(AssetError, match="no usable file"):
        prepare(recipe(), assets=tmp_path, device="cpu")
    (tmp_path / "motions" / "a.bvh").write_text("HIERARCHY\nMOTION\n")
    with pytest.raises(AssetError, match=r"a\.bvh:1"):
        prepare(recipe(), assets=tmp_path, device="cpu")


# Who moves at a frame's moment: forward, planted, flying, as a recording goes on

PEOPLE = {"count": 1, "identities": 3, "hold": {"share": 0.0}}


def _stage(**fields):
    text = {
        "name": "going",
        "frames": 400,
        "seed": 2,
        "skeleton": "coco17",
        "image": {"width_px": 96, "height_px": 96},
        "people": PEOPLE,
        "lens": {"exposure_s": [0.002, 0.01]},
    }
    return FrameGenerator(prepare(parse(text | fields, "going"), assets=SCENES, device="cpu"))


def _of(families):
    kinds = dict.fromkeys(families.split(), 1.0)
    return PEOPLE | {"poses": {"families": kinds, "mix": 0.0, "random": 0.0}}


def _velocity(spec: FrameSpec, moving: MovingSpec) -> np.ndarray:
    here = np.array(spec.people[moving.person].position_m)
    return (np.array(moving.position_m) - here) / moving.after_s


def test_who_walks_or_runs_goes_forward_over_the_foot_that_stands():
    stage = _stage(people=_of("walk run"))
    speeds = {"walk": [], "run": []}
    for index in range(24):
        spec = pipeline.draw_spec(stage, index)
        (moving,) = spec.moving
        speed = float(_velocity(spec, moving)[:2] @ ahead(spec.people[0]))
        assert speed >= -1e-6
        speeds[spec.people[0].pose.family].append(speed)
        if spec.people[0].pose.name not in NAMED:
            later = _later(stage, spec, moving)
            ankles = np.linalg.norm((later - stage.joints_m(spec.people[0]))[15:17], axis=1)
            assert ankles.min() < 1e-6 < ankles.max()
    assert 0.3 < np.median(speeds["walk"]) < 2.5
    assert np.median(speeds["run"]) > np.median(speeds["walk"])
    assert max(speeds["run"]) < 10


def _later(stage, spec, moving):
    there = {name: getattr(moving, name) for name in ("pose", "position_m", "yaw_rad")}
    return stage.joints_m(dataclasses.replace(spec.people[moving.person], **there))


def test_who_sits_or_stands_is_still_and_an_instant_moves_nobody():
    quiet = _stage(people=_of("sit stand lie"))
    assert all(pipeline.draw_spec(quiet, i).moving == () for i in range(6))
    instant = _stage(people=_of("run"), lens={"noise": 0.0})
    assert all(pipeline.draw_spec(instant, i).moving == () for i in range(4))


def test_nothing_else_of_a_frame_changes_with_the_exposure():
    exposed, instant = (_stage(people=_of("run"), **lens) for lens in ({}, {"lens": {}}))
    for index in (0, 3):
        a, b = (pipeline.draw_spec(stage, index) for stage in (exposed, instant))
        lens = dataclasses.replace(a.lens, exposure_s=0.0)
        assert dataclasses.replace(a, lens=lens, moving=()) == b
        assert 0.002 <= a.lens.exposure_s <= 0.01


FAST = {
    "motion": {"folder": "motions", "share": 1.0},
    "clip": {"frames": 8, "fps": 60, "camera": {"fixed": 1}},
}


@pytest.mark.parametrize("start", [0, 5])
def test_in_clips_people_move_as_they_do_to_the_next_frame(start):
    stage = _stage(**FAST)
    specs = [pipeline.draw_spec(stage, 8 * start + t) for t in range(8)]
    for now, then in itertools.pairwise(specs):
        (moving,) = now.moving
        gone = stage.joints_m(then.people[0]) - stage.joints_m(now.people[0])
        way = (_later(stage, now, moving) - stage.joints_m(now.people[0])) / moving.after_s / 60
        assert np.linalg.norm(way - gone, axis=1).max() < 0.3 * np.linalg.norm(gone, axis=1).max()
        cosine = (way * gone).sum() / np.linalg.norm(way) / np.linalg.norm(gone)
        assert cosine > 0.97
