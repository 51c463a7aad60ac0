"""Beards, glasses, masks, headscarves, teeth, faces: where they lie and what they hide."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree
from wardrobe_people import GARMENTS, PHENOTYPES, dress, dressed, person

from synthstudio.body.atlas import Atlas, bare_body, load_atlas
from synthstudio.body.clothes.hair import hairline
from synthstudio.body.face import EXPRESSIONS
from synthstudio.core.errors import RecipeError
from synthstudio.core.scene import PARTS, Surface
from synthstudio.core.skeleton import JOINTS, SKELETONS
from synthstudio.core.spec import PersonSpec

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
