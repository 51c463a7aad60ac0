"""Ages in years: statures as the WHO's tables have them, by Anny's own measure."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest

from synthstudio.body.anny import load
from synthstudio.body.atlas import bare_body, load_atlas
from synthstudio.body.pose_library import library
from synthstudio.body.wardrobe import garments
from synthstudio.core.errors import RecipeError
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import JOINTS
from synthstudio.core.spec import GarmentSpec, Material, PersonSpec, Phenotype, PoseSpec
from synthstudio.recipe.sampling.ages import aged, stature_m
from synthstudio.recipe.sampling.people import identity
from synthstudio.recipe.schema.load import parse
from synthstudio.recipe.schema.recipe import Recipe

# WHO 2006 and 2007, read from the standards' own tables: years, median and +2 SD in cm.
TABLE = {
    0.0: {2: (87.1, 93.2), 4: (103.3, 111.7), 8: (127.3, 138.6), 12: (149.1, 163.3),
          19: (176.5, 191.1)},
    1.0: {2: (85.7, 92.2), 4: (102.7, 111.3), 8: (126.6, 138.2), 12: (151.2, 164.9),
          19: (163.2, 176.2)},
}  # fmt: skip
BODY = Phenotype(gender=0.0, age=0.67, muscle=0.5, weight=0.5, height=0.4, proportions=0.5)


def _recipe(**shape: object) -> Recipe:
    return parse({"name": "ages", "seed": 3, "people": {"identities": 40, "shape": shape}})


@pytest.mark.parametrize("gender", [0.0, 1.0])
def test_statures_are_the_tables(gender: float) -> None:
    for years, (median, tall) in TABLE[gender].items():
        assert stature_m(years, gender, 0.0) == pytest.approx(median / 100, abs=0.001)
        assert stature_m(years, gender, 2.0) == pytest.approx(tall / 100, abs=0.003)


def test_old_people_are_a_little_shorter() -> None:
    for gender, lost in ((0.0, 0.05), (1.0, 0.08)):
        assert stature_m(25, gender, 0) - stature_m(80, gender, 0) == pytest.approx(lost, abs=0.001)


@pytest.mark.parametrize("years", [2.0, 3.5, 6.0, 9.0, 12.5, 16.0, 21.0, 60.0, 88.0])
def test_anny_is_as_tall_as_was_meant(years: float) -> None:
    """Weight and muscle change the stature of Anny's old people by some centimetres."""
    rng = stream(0, "test")
    for _ in range(8):
        gender, weight, muscle, proportions = rng.random(4) * (1, 0.8, 0.6, 0.6) + (
            0,
            0.1,
            0.2,
            0.2,
        )
        start = Phenotype(
            gender=round(float(gender)), age=0.67, muscle=muscle, weight=weight, height=0.4,
            proportions=proportions,
        )  # fmt: skip
        key = int(rng.integers(1000))
        made = aged(start, years, stream(1, key))
        sd = NormalDist().inv_cdf(float(stream(1, key).random()))
        wanted = stature_m(years, made.gender, max(-2.2, min(2.2, sd)))
        found = bare_body(load_atlas(), made, {}).stature_m
        assert found == pytest.approx(wanted, abs=0.015 if years < 40 else 0.05)
        assert 0 < made.height < 1


def test_small_children_have_large_heads() -> None:
    """Head over stature falls with age: about a fifth at two, below a seventh when grown."""
    share = {}
    for years in (2.0, 8.0, 25.0):
        body = bare_body(load_atlas(), aged(BODY, years, stream(0, "x")), {})
        skin = body.rest_m[np.unique(load_atlas().body_faces)]
        chin = body.rest_m[
            np.abs(load_atlas().template_m - (0.0, -0.128, 0.535)).sum(1).argmin(), 2
        ]
        share[years] = (skin[:, 2].max() - chin) / body.stature_m
    assert 0.17 < share[2.0] < 0.24
    assert 0.14 < share[8.0] < share[2.0] - 0.02
    assert 0.11 < share[25.0] < share[8.0] - 0.01


def test_kinematic_bones_keep_their_lengths_at_two() -> None:
    child = aged(BODY, 2.0, stream(0, "x"))
    poses = [pose for pose in library() if not pose.holds][::25]
    pairs = [("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")]
    lengths = []
    for pose in poses:
        at = bare_body(load_atlas(), child, pose.angles_rad).kinematic_joints_m
        place = {name: at[k] for k, name in enumerate(JOINTS)}
        lengths.append([np.linalg.norm(place[f"left_{a}"] - place[f"left_{b}"]) for a, b in pairs])
    assert np.ptp(np.array(lengths), axis=0).max() < 5e-4


def test_the_pool_has_the_ages_asked_for_and_the_rest_as_before() -> None:
    kinds = garments()
    plain, old = _recipe(), _recipe(age_years=[2, 90])
    ages = []
    for number in range(40):
        one, other = identity(plain, number, kinds), identity(old, number, kinds)
        assert one.years is None
        assert other.years is not None
        ages.append(other.years)
        assert (one.phenotype.gender, one.phenotype.weight) == (
            other.phenotype.gender,
            other.phenotype.weight,
        )
        assert one.look.skin_rgb == other.look.skin_rgb
        assert other == identity(old, number, kinds)
    assert min(ages) < 12
    assert max(ages) > 75


@pytest.mark.parametrize("years", [1.9, [2, 91], "old"])
def test_ages_out_of_range_are_refused(years: object) -> None:
    with pytest.raises(RecipeError, match="age_years"):
        _recipe(age_years=years)


def test_children_stand_on_the_floor() -> None:
    body, poses = load(), {pose.name: pose for pose in library()}
    shapes = {kind.kind: {k: low for k, (low, _) in kind.shape.items()} for kind in garments()}
    outfit = tuple(
        GarmentSpec(kind=kind, shape=shapes[kind], material=Material())
        for kind in ("t_shirt", "shorts", "sneakers", "short_hair")
    )
    for years in (2.0, 7.0):
        pose = poses["stand_relaxed"]
        person = PersonSpec(
            identity="child",
            phenotype=aged(BODY, years, stream(0, "x")),
            look=identity(_recipe(), 0, garments()).look,
            pose=PoseSpec(name=pose.name, family=pose.family, angles_rad=pose.angles_rad),
            outfit=outfit,
            years=years,
        )
        person = replace(person, position_m=(0.0, 0.0, body.drop_m(person)))
        surfaces = body.surfaces(person, instance=1)
        shoes = np.concatenate([s.vertices_m[:, 2] for s in surfaces if s.name == "sneakers"])
        assert shoes.min() == pytest.approx(0.0, abs=1e-6)
        for side in (1, -1):
            sole = np.concatenate([s.vertices_m for s in surfaces if s.name == "sneakers"])
            own = sole[side * sole[:, 0] > 0.01]
            assert own[:, 2].min() < 0.01
