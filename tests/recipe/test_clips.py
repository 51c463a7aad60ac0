"""Clips: what is shared in time, what moves, and that nothing is walked through."""

import dataclasses
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from recipe_fake import CATALOGUE, FakeSolve

from benchmarks import physics
from synthstudio.core.bins import body_of
from synthstudio.core.errors import AssetError, RecipeError
from synthstudio.core.spec import FrameSpec, PersonSpec
from synthstudio.generation import pipeline
from synthstudio.generation.stage import Stage, identity_of, prepare
from synthstudio.recipe.draw import draw, draw_moment
from synthstudio.recipe.sampling import clips
from synthstudio.recipe.sampling.choose import split_of
from synthstudio.recipe.schema.load import load, parse
from synthstudio.recipe.schema.recipe import Recipe
from synthstudio.report.pictures import clip_film, clip_strip

MOTIONS = Path(__file__).parents[2] / "scenes" / "motions"
SHARED = {"backdrop", "cutouts", "light", "shadow_box_m", "skeleton", "split", "things"}


def recipe(**fields: object) -> Recipe:
    text: dict[str, object] = {
        "name": "walks",
        "frames": 40,
        "seed": 3,
        "motion": {"folder": "motions", "share": 0.7},
        "clip": {"frames": 8, "fps": 6},
        "backdrop": {"kind": "room"},
        "people": {"count": [1, 3]},
        "things": [{"kind": "procedural", "count": 1}],
        "lens": {"noise": 1.0},
    }
    return parse(text | fields, "walks")


def clip(wants: Recipe, number: int) -> list[FrameSpec]:
    solve, length = FakeSolve(), clips.frames_of(wants)
    return [draw(wants, number * length + t, solve) for t in range(length)]


def test_a_clip_shares_who_where_and_light_and_moves_in_time():
    for number in range(4):
        frames = clip(recipe(), number)
        first = frames[0]
        assert [f.index for f in frames] == list(range(8 * number, 8 * number + 8))
        for t, frame in enumerate(frames):
            for name in SHARED:
                assert getattr(frame, name) == getattr(first, name), name
            assert frame.clip is not None
            assert frame.clip.clip_id == f"3-{number}"
            assert (frame.clip.frame, frame.clip.frames, frame.clip.time_s) == (t, 8, t / 6)
            assert frame.clip.motions == first.clip.motions  # type: ignore[union-attr]
            lens = dataclasses.replace(frame.lens, noise_seed=first.lens.noise_seed)
            assert lens == first.lens
            for person, before, name in zip(
                frame.people, first.people, frame.clip.motions, strict=True
            ):
                still = dataclasses.replace(person, pose=before.pose, position_m=before.position_m)
                assert still == before
                gone = math.dist(person.position_m[:2], before.position_m[:2])
                assert gone == pytest.approx(1.2 * t / 6 if name else 0.0, abs=1e-6)
                assert (person.pose.family == "motion") == bool(name)
        assert len({f.lens.noise_seed for f in frames}) == 8
        assert len({f.group_id for f in frames}) == 8


def test_frames_do_not_depend_on_which_were_drawn_before():
    wants = recipe()
    backwards = [draw(wants, i, FakeSolve()) for i in reversed(range(16))][::-1]
    assert backwards == [*clip(wants, 0), *clip(wants, 1)]
    longer = recipe(frames=4000)
    assert draw(longer, 13, FakeSolve()) == backwards[13]


def test_a_clip_is_never_parted_by_splits():
    wants = recipe(splits={"train": 0.5, "val": 0.25, "test": 0.25})
    seen = [{f.split for f in clip(wants, number)} for number in range(8)]
    assert all(len(splits) == 1 for splits in seen)
    assert [*map(set, seen)] == [{split_of(wants, number)} for number in range(8)]
    assert len(set().union(*seen)) > 1


def test_variants_stand_beside_each_time_of_a_clip():
    wants = recipe(variants={"clean": 1, "light": 1})
    solve = FakeSolve()
    frames = [draw(wants, i, solve) for i in range(12)]
    assert [f.variant for f in frames] == ["base", "clean", "light"] * 4
    assert [f.clip.frame for f in frames if f.clip] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert [f.group_id for f in frames][::3] == ["3-0", "3-1", "3-2", "3-3"]
    assert frames[2].light == frames[5].light != frames[0].light
    assert frames[4].people == frames[3].people


def test_motions_are_a_source_of_poses_without_clips():
    wants = recipe(clip=None, motion={"folder": "motions", "share": 0.5})
    solve, moving, times = FakeSolve(), 0, set()
    specs = [draw(wants, i, solve) for i in range(60)]
    for spec in specs:
        assert spec.clip is None and spec.group_id == f"3-{spec.index}"
        for person in spec.people:
            if person.pose.turns:
                moving += 1
                times.add(person.pose.turns[0].turn_rad[0])
                assert person.pose.family == "motion"
                assert person.position_m[2] == solve.drop_m(person)
    assert 0.35 < moving / sum(len(s.people) for s in specs) < 0.65
    assert len(times) > 0.9 * moving  # each at a time of its own


def test_weights_mirror_and_length_choose_the_motion():
    names = {"stroll": 3.0, "turn": 1.0, "short": 1.0}
    wants = recipe(motion={"folder": "motions", "share": 1.0, "names": names})
    found = [draw_moment(wants, m, FakeSolve()).frame for m in range(80)]
    walks = [clips.walk_of(frame, 0) for frame in found]
    counts = [[w.motion.name for w in walks if w].count(n) for n in ("stroll", "turn", "short")]
    assert counts[2] == 0  # 1 s is shorter than the clip
    assert 0.6 < counts[0] / 80 < 0.9
    assert 20 < sum(w.mirrored for w in walks if w) < 60
    assert all(0 <= w.start_s <= w.motion.seconds - 7 / 6 + 1e-3 for w in walks if w)


def test_too_long_a_clip_an_unknown_motion_and_held_out_ones():
    with pytest.raises(RecipeError, match=r"the longest 4\.00 s"):
        draw(recipe(clip={"frames": 60, "fps": 6}, people={"count": 4}), 0, FakeSolve())
    with pytest.raises(RecipeError, match="Did you mean 'stroll'"):
        draw(recipe(motion={"folder": "motions", "names": {"strol": 1}}), 0, FakeSolve())
    held = recipe(
        motion={"folder": "motions", "share": 1.0},
        holdout={"poses": ["stroll"], "share": 1.0},
        splits={"train": 0.5, "val": 0.5, "test": 0.0},
    )
    seen: dict[str, set[str]] = {"train": set(), "val": set()}
    for number in range(20):
        spec = draw(held, 8 * number, FakeSolve())
        assert spec.clip is not None
        seen[spec.split] |= set(spec.clip.motions)
    assert seen == {"train": {"turn"}, "val": {"stroll"}}
    with pytest.raises(RecipeError, match="nothing to choose from for motions"):
        every = ["short", "stroll", "turn"]
        draw(recipe(holdout={"poses": every}), 0, FakeSolve())


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
def test_what_a_clip_cannot_be(fields: dict[str, object], says: str):
    with pytest.raises(RecipeError, match=says):
        recipe(**fields)


def test_cameras_move_as_they_are_told():
    base = draw_moment(recipe(motion={"folder": "motions", "share": 1.0}), 0, FakeSolve())
    first, gone = base.base.camera, np.array([1.5, -0.5])
    middle = np.array([0.2, 0.4])

    def seen(move: str, time_s: float) -> object:
        wants = recipe(clip={"frames": 8, "fps": 6, "camera": move, "dolly_m": 1.0})
        frame = dataclasses.replace(base.frame, recipe=wants)
        return clips.camera_at(frame, first, middle_m=middle, gone_m=gone * time_s, time_s=time_s)

    assert seen("fixed", 1.0) == first
    for move in ("pan", "follow", "dolly", "handheld"):
        start, later = seen(move, 0.0), seen(move, 7 / 6)
        assert start.position_m == pytest.approx(first.position_m), move  # type: ignore[attr-defined]
        assert start.yaw_rad == pytest.approx(first.yaw_rad), move  # type: ignore[attr-defined]
        assert later != start
    end = seen("dolly", 7 / 6)
    assert math.dist(end.position_m, first.position_m) == pytest.approx(1.0)  # type: ignore[attr-defined]
    along = seen("follow", 1.0)
    assert np.subtract(along.position_m, first.position_m) == pytest.approx([1.5, -0.5, 0])  # type: ignore[attr-defined]
    was, now = (
        first.project(first.to_camera(np.array([0.2, 0.4, 0.9]))),
        (turned := seen("pan", 1.0)).project(turned.to_camera(np.array([1.7, -0.1, 0.9]))),  # type: ignore[attr-defined]
    )
    assert abs(was[0] - now[0]) < 40  # who moves stays in the same column, but for roll


class _Crowded(FakeSolve):
    """Heavy people lie in themselves wherever a motion has them."""

    heaviest = 0.5

    def own_depth_m(self, person: PersonSpec) -> float:
        assert person.pose.turns  # nobody who stands is asked
        weight = person.phenotype.weight
        return 0.05 + weight if weight > self.heaviest else 0.0


def test_who_follows_a_motion_has_a_body_with_room_for_it():
    wants = recipe(people={"count": 2, "identities": 60}, holdout={"identities": 20})
    changed = 0
    for number in range(20):
        usual = draw_moment(wants, number, FakeSolve()).base
        roomy = draw_moment(wants, number, _Crowded()).base
        walks = [bool(p.pose.turns) for p in usual.people]
        assert walks == [bool(p.pose.turns) for p in roomy.people]
        assert len({p.identity for p in roomy.people}) == 2
        for was, now, walking in zip(usual.people, roomy.people, walks, strict=True):
            if not walking or was.phenotype.weight <= 0.5:
                assert now.phenotype == was.phenotype
            else:
                assert now.phenotype.weight <= 0.5
                held = [int(p.identity.removeprefix("id-")) > 40 for p in (was, now)]
                assert held[0] == held[1]  # nobody of the hold-out comes among the others
                changed += 1
    assert changed >= 5
    left = recipe(people={"count": 2, "identities": 60, "poses": {"untangle": False}})
    for number in range(5):  # where the recipe leaves limbs in bodies, it does so here
        assert draw_moment(left, number, _Crowded()).base.people == (
            draw_moment(left, number, FakeSolve()).base.people
        )


def test_where_nobody_has_room_the_freest_of_those_asked_walks():
    crowded = _Crowded()
    crowded.heaviest = 0.0
    every = {"folder": "motions", "share": 1.0}
    wants = recipe(people={"count": 1, "identities": 3}, motion=every)
    people = {draw_moment(wants, n, crowded).base.people[0].phenotype for n in range(12)}
    pool = {draw_moment(wants, n, FakeSolve()).base.people[0].phenotype for n in range(12)}
    assert people == {min(pool, key=lambda body: body.weight)}


def test_another_body_for_a_motion_is_of_the_same_quota():
    shares = {"slim": 0.3, "medium": 0.4, "heavy": 0.3}
    wants = recipe(
        people={"count": 1, "identities": 80},
        motion={"folder": "motions", "share": 1.0},
        clip=None,
        quotas={"body": shares},
    )
    solve, other = FakeSolve(), _Crowded()
    other.heaviest = 0.42
    for number in range(16):
        was, now = (draw_moment(wants, number, s).base.people[0].phenotype for s in (solve, other))
        assert body_of(was) == body_of(now)


# With real bodies ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("motions")
    shutil.copytree(MOTIONS, folder / "motions")
    return folder


def test_nobody_is_walked_through_at_any_frame(root: Path):
    wants = recipe(
        clip={"frames": 8, "fps": 5},
        motion={"folder": "motions", "share": 0.7, "names": {"stroll": 1}},
        people={"count": 2, "min_gap_m": 0.1, "arrangement": {"kind": "group", "spread_m": 0.4}},
    )
    stage = Stage(prepare(wants, assets=root, device="cpu"))
    moved = 0
    for number in range(2):
        for t in range(8):
            spec = pipeline.draw_spec(stage, 8 * number + t)
            items = [*spec.people, *spec.things]
            for i, one in enumerate(spec.people):
                moved += bool(one.pose.turns)
                for other in items[i + 1 :]:
                    assert stage.gap_m(one, other) > 0.07, (number, t)
    assert moved


def test_nobody_who_walks_lies_in_themselves():
    """By Warp's signed distance; without another body some heavy ones do."""
    fast = MOTIONS.parent / "challenges" / "fast.yaml"
    shape = {"weight": [0.75, 0.95], "age": [0.5, 0.9]}  # the wide alone
    found = []
    for untangle in (True, False):
        wants = load(fast)
        people = wants.people.model_dump() | {"shape": shape, "poses": {"untangle": untangle}}
        wants = parse(wants.model_dump() | {"people": people}, "fast")
        stage = Stage(prepare(wants, assets=MOTIONS.parent, device="cpu"))
        specs = [pipeline.draw_spec(stage, 9 * moment) for moment in range(12)]
        found.append([physics.itself_m(spec.people[0])[2] > physics.SOFT_M for spec in specs])
    assert sum(found[1]) >= 2 and not any(found[0])


def test_a_path_through_somebody_is_seen(root: Path):
    """Negative control: start and end are free, the way between them is not."""
    stage = Stage(prepare(recipe(), assets=root, device="cpu"))
    base = draw_moment(recipe(motion=None), 0, stage).base.people[0]

    def at(x: float) -> PersonSpec:
        return dataclasses.replace(base, position_m=(x, 0.0, base.position_m[2]))

    assert min(stage.gap_m(at(0.0), at(x)) for x in (-2.0, 2.0)) > 0.5
    assert stage.sweep_gap_m((at(0.0),), (at(-2.0), at(2.0))) < 0
    assert stage.sweep_gap_m((at(0.0),), (at(1.6), at(2.0))) > 0.3
    near = stage.gap_m(at(0.0), at(0.9))
    assert stage.sweep_gap_m((at(0.0),), (at(0.9),)) == pytest.approx(near, abs=0.03)


def test_a_clip_is_made_and_shown(root: Path, tmp_path: Path):
    wants = recipe(
        image={"width_px": 160, "height_px": 120},
        clip={"frames": 4, "fps": 6},
        motion={"folder": "motions", "share": 1.0},
        people={"count": 1},
    )
    settings = prepare(wants, assets=root, device="cpu")
    stage = Stage(settings)
    frames = [
        pipeline.make_frame(stage, dataclasses.replace(pipeline.draw_spec(stage, t), lens=_CLEAR))
        for t in range(4)
    ]
    tracks = [frame.labels.people[0].identity for frame in frames]
    assert len(set(tracks)) == 1
    joints = np.array([frame.labels.people[0].joints_world_m for frame in frames])
    assert (np.linalg.norm(np.diff(joints, axis=0), axis=2).max(axis=1) > 0.02).all()
    again = pipeline.make_frame(stage, frames[2].spec)  # replayed from the stored spec alone
    assert again.jpeg == frames[2].jpeg
    clip_strip(settings, 1, tmp_path / "strip.png", frames=3)
    clip_film(settings, 0, tmp_path / "film.webp")
    assert (tmp_path / "strip.png").stat().st_size > 1000
    assert (tmp_path / "film.webp").stat().st_size > 1000
    with pytest.raises(RecipeError, match="makes no clips"):
        clip_strip(prepare(recipe(clip=None), assets=root, device="cpu"), 0, tmp_path / "x.png")


_CLEAR = parse({"name": "x"}, "x") and draw(recipe(motion=None, clip=None), 0, FakeSolve()).lens


def test_the_ledger_names_motions_and_a_broken_file_stops_the_run(root: Path, tmp_path: Path):
    rows = identity_of(prepare(recipe(), assets=root, device="cpu")).assets
    (row,) = [row for row in rows if row.name.startswith("motions/")]
    (reported,) = json.loads((MOTIONS / "manifest.json").read_text())
    assert (row.licence, row.source, len(row.sha256)) == (
        reported["license"],
        reported["source"],
        64,
    )
    (tmp_path / "motions").mkdir()
    with pytest.raises(AssetError, match="no file that can be used"):
        prepare(recipe(), assets=tmp_path, device="cpu")
    (tmp_path / "motions" / "a.bvh").write_text("HIERARCHY\nMOTION\n")
    with pytest.raises(AssetError, match=r"a\.bvh:1"):
        prepare(recipe(), assets=tmp_path, device="cpu")
    assert CATALOGUE.motions[1].seconds == 3.0
