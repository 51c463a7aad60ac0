"""A failure profile becomes a recipe for it: valid, drawable, meetable; another one another."""

import numpy as np
import pytest
import yaml
from made_predictions import predictions

from synthstudio.core.errors import ModelError, RecipeError
from synthstudio.core.labels import CAUSES
from synthstudio.core.people import VIEWS, camera_azimuth_rad
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.evaluation import storage
from synthstudio.evaluation.storage import Predictions
from synthstudio.generation import pipeline
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.inference import suggest
from synthstudio.inference.suggest import next_recipe, profile
from synthstudio.recipe.schema.load import parse

BONES = get_skeleton("coco17")
J = 17
OBJECT, PERSON, SELF = (CAUSES.index(c) for c in ("object", "person", "self"))


def answers(
    *,
    cause=OBJECT,
    joints=("left_wrist", "right_wrist"),
    families=("walk", "sit", "squat"),
    bad_family="squat",
    bad_view="back",
    bad_fraction=0.6,
    people=240,
):
    """People whose `joints`, hidden by `cause`, are missed where family, view and fraction (half of
    the people each) are all the bad ones."""
    rng = stream(3, "suggest")
    hard = np.arange(people) % 2 == 0
    fraction = np.where(hard, bad_fraction, 0.2)
    family = np.array(
        [bad_family if h else families[k // 2 % len(families)] for k, h in enumerate(hard)]
    )
    turn = np.where(hard, VIEWS.index(bad_view), np.arange(people) // 2 % len(VIEWS)) * np.pi / 4
    true = rng.uniform(0, 100, (people, J, 2))
    state, by = np.full((people, J), 2, np.uint8), np.zeros((people, J), np.uint8)
    which = [BONES.joints.index(name) for name in joints]
    state[:, which], by[:, which] = 1, cause
    error = np.zeros((people, J))
    error[np.ix_(hard, which)] = 50
    xyz = np.zeros((people, J, 3))
    for name, x, y in (
        ("left_shoulder", 0.2, -0.5),
        ("right_shoulder", -0.2, -0.5),
        ("left_hip", 0.1, 0),
        ("right_hip", -0.1, 0),
    ):
        at = BONES.joints.index(name)
        # Turned towards its left by `turn`, the camera sees its left.
        xyz[:, at] = np.stack([x * np.cos(turn), np.full(people, y), -x * np.sin(turn)], -1)
    fractions = np.zeros((people, J, 5))
    fractions[..., 0] = state == 2
    return predictions(
        true,
        xy=true + np.stack([error, 0 * error], -1),
        true_fractions=fractions,
        true_xyz_m=xyz,
        state=state,
        cause=by,
        area=np.full(people, 4e3),
        box=np.tile([0.0, 0, 50, 100], (people, 1)),
        fraction=fraction,
        family=family,
    )


def _recipe(**how):
    return next_recipe(profile(answers(**how), BONES), frames=12)


def test_the_profile_counts_what_failed_along_every_axis():
    found = profile(answers(), BONES)
    assert found.joints == 240 * J
    assert found.missed == 120 * 2
    assert found.misses["region"]["left_wrist"] == 120
    assert found.misses["region"]["left_knee"] == 0
    assert found.misses["cause"]["object"] == 240
    assert found.misses["fraction"][".5-.7"] == 240
    assert found.misses["view"]["back"] == 240
    assert found.counts["view"]["front"] == 15 * J  # every eighth of the other half
    assert found.misses["family"] == {"sit": 0, "squat": 240, "walk": 0}
    bins, missed, joints = found.worst[0]
    assert bins[1:] == ("object", ".5-.7", "back", "squat")
    assert (missed, joints) == (120, 120)


def test_the_recipe_asks_for_what_fails_and_another_profile_for_something_else():
    a = _recipe()
    b = _recipe(
        joints=("left_ankle", "right_ankle"), bad_family="walk", bad_view="left", bad_fraction=0.4
    )
    assert set(a["targets"]["joints"]) == {"left_wrist+right_wrist"}
    assert set(b["targets"]["joints"]) == {"left_ankle+right_ankle"}
    for recipe, view, family, fraction in ((a, "back", "squat", "0.6"), (b, "left", "walk", "0.4")):
        quotas = recipe["quotas"]
        assert max(quotas["view"], key=quotas["view"].get) == view
        assert max(quotas["family"], key=quotas["family"].get) == family
        choice = recipe["targets"]["occluded_fraction"]["choice"]
        assert max(choice, key=choice.get) == fraction
    assert a != b
    by_people, by_self = _recipe(cause=PERSON), _recipe(cause=SELF)
    assert by_people["targets"] == {"causes": {"person": [0.05, 0.15]}}
    assert by_people["people"]["count"] == [2, 4]
    assert by_self["targets"] == {"causes": {"self": [0.15, 0.3]}}
    assert "view" not in (by_self.get("quotas") or {})


def test_the_side_seen_is_the_one_that_the_labels_say(pairs):
    dataset = Dataset(pairs)
    skeleton = get_skeleton(dataset.identity.skeleton)
    names = [
        skeleton.joints.index(n)
        for n in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
    ]
    eyes = {
        f["index"]: np.linalg.inv(np.reshape(f["world_to_camera"], (4, 4)))[:3, 3]
        for f in dataset.iter_frames()
    }
    rows = list(dataset.iter_instances())
    world = np.array([np.reshape(r["joints_world_m"], (-1, 3)) for r in rows])
    seen = np.array([np.reshape(r["joints_camera_m"], (-1, 3)) for r in rows])
    truth = camera_azimuth_rad(world[:, names], np.array([eyes[r["frame_index"]] for r in rows]))
    one = answers(people=len(rows))
    relative = seen - seen[:, names[2:]].mean(1, keepdims=True)
    found = suggest._views(Predictions(**{**vars(one), "true_xyz_m": relative}), skeleton)
    sector = np.abs((found * np.pi / 4 - truth + np.pi) % (2 * np.pi) - np.pi)
    assert len(np.unique(found)) > 2
    assert np.median(sector) < np.pi / 8
    assert sector.max() < np.pi / 4  # half a sector, and how far from the middle they stand


def test_nothing_that_failed_is_told():
    perfect = answers()
    perfect = Predictions(**{**vars(perfect), "xy": perfect.true_xy})
    with pytest.raises(ModelError, match="no failures"):
        profile(perfect, BONES)


MORE = pytest.mark.nightly("other causes are drawn by the same code")


@pytest.mark.parametrize(
    "cause", [OBJECT, pytest.param(PERSON, marks=MORE), pytest.param(SELF, marks=MORE)]
)
def test_frames_can_be_drawn_and_meet_what_is_asked(cause, tmp_path):
    settings = prepare(parse(_recipe(cause=cause)), assets=tmp_path, device="cpu")
    stage = FrameGenerator(settings)
    specs = [pipeline.draw_spec(stage, index) for index in range(0, 12, 2)]
    targets = [target for spec in specs for target in spec.targets]
    assert targets
    met = [target.met for target in targets]
    assert np.mean(met) >= 0.75, met


def test_a_recipe_to_start_from_keeps_the_rest_of_itself(tmp_path):
    like = parse(
        {
            "name": "mine",
            "seed": 7,
            "image": {"width_px": 200, "height_px": 160},
            "holdout": {"poses": ["squat"], "occluders": ["bookcase"]},
            "backdrop": {"kind": "plain"},
        }
    )
    recipe = next_recipe(profile(answers(), BONES), frames=5, like=like)
    made = parse(recipe)
    assert (made.name, made.seed, made.frames) == ("mine-fails", 8, 5)
    assert made.image == like.image
    assert made.holdout == like.holdout
    assert "squat" not in (recipe["quotas"].get("family") or {})  # never in training frames
    assert made.objects  # somebody has to do the hiding
    clip = parse({"name": "c", "clip": {"frames": 4}, "motion": None, "backdrop": {"kind": "room"}})
    with pytest.raises(RecipeError, match="clips"):
        next_recipe(profile(answers(), BONES), frames=5, like=clip)


def test_an_evaluation_on_disk_becomes_yaml_that_says_why(tmp_path):
    made = storage.Evaluation(about={"skeleton": "coco17"}, metrics={}, predictions=answers())
    storage.write(tmp_path / "e", made, b"<html></html>")
    found = profile(*suggest.read_evaluation(tmp_path / "e"))
    recipe = next_recipe(found, frames=9)
    text = suggest.as_yaml(recipe, found)
    assert text.startswith("# For what a network missed")
    assert "squat" in text.split("name:")[0]
    assert parse(yaml.safe_load(text)) == parse(recipe)
    wrong = storage.Evaluation(about={"skeleton": "coco23"}, metrics={}, predictions=answers())
    storage.write(tmp_path / "w", wrong, b"")
    with pytest.raises(ModelError, match="number of joints differs"):
        suggest.read_evaluation(tmp_path / "w")
