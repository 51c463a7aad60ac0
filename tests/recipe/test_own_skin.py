"""People whose limbs would lie in their own skin are drawn anew, on the real body."""

from types import SimpleNamespace

import pytest

from benchmarks import physics, proofs, touch
from synthstudio.core.rng import stream
from synthstudio.core.spec import Phenotype
from synthstudio.generation import pipeline
from synthstudio.generation.stage import Stage
from synthstudio.recipe.sampling.pose_jitter import apart

USUAL = Phenotype(gender=0.5, age=0.67, muscle=0.5, weight=0.5, height=0.5, proportions=0.5)
ONCE_DEEP = {
    ("everyday", 27): 5,  # a head that turned into the hand behind it
    ("everyday", 52): 0,
    ("systems/whole_body", 20): 1,  # no stray of the pose is free by capsules
    ("same_clothes", 25): 0,  # a fingertip, which lies deep alone
}


@pytest.mark.nightly("four scenes on real bodies; how another pose is taken is quick below")
@pytest.mark.parametrize(("scene", "frame"), ONCE_DEEP)
def test_nobody_lies_deep_in_themselves(scene, frame, tmp_path):
    path = proofs.ROOT / "scenes" / f"{scene}.yaml"
    stage = Stage(proofs.settings_for(path, assets=tmp_path, frames=frame + 1))
    person = pipeline.draw_spec(stage, frame).people[ONCE_DEEP[scene, frame]]
    *parts, depth_m = physics.itself_m(person)
    assert depth_m <= touch.SOFT_M, parts


class _Skins:
    """A solver by whose capsules and skins candidates lie so deep, one after another."""

    def __init__(self, capsules, skins):
        self.capsules, self.skins = iter(capsules), iter(skins)

    def self_penetration_m(self, phenotype, angles, like=()):
        return next(self.capsules)

    def resolve_self_intersection(self, phenotype, angles, *, both_hands=False):
        depth = next(self.skins)
        return angles | {"freed": depth}, depth


@pytest.mark.parametrize(
    ("capsules", "skins", "taken"),
    [
        ([0.0], [0.01], 0.01),  # the first is free: no other is asked
        ([0.0, 0.0], [0.05, 0.0], 0.0),  # the first cannot be freed
        ([0.09, 0.03, *[0.05] * 8], [0.04, 0.01], 0.01),  # capsules find none: by depth
        ([0.0] * 10, [*[0.05] * 4, 0.03, *[0.06] * 5], 0.03),  # none is free: the freest
    ],
)
def test_another_stray_is_taken_where_skin_cannot_be_freed(capsules, skins, taken):
    solve = _Skins(capsules, skins)
    poses = SimpleNamespace(untangle=True, jitter_deg=3.0)
    limits = dict.fromkeys(("left_shoulder_abduction", "right_shoulder_abduction"), (0.0, 2.0))
    draw = SimpleNamespace(
        recipe=SimpleNamespace(people=SimpleNamespace(poses=poses)),
        catalogue=SimpleNamespace(limits_rad=limits),
        geometry=solve,
        rng=lambda *keys: stream(0, *keys),
    )
    out = apart(draw, USUAL, {}, stream(0, "t"), like=(), keys=("t",))
    assert out["freed"] == taken
    assert list(solve.capsules) == list(solve.skins) == []  # and no fewer were asked
