"""Beards, glasses, masks, headscarves, teeth, faces: where they lie and what they hide."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree
from wardrobe_people import PHENOTYPES, dress, dressed, person

from synthstudio.body.atlas import bare_body, load_atlas
from synthstudio.body.face import EXPRESSIONS
from synthstudio.core.errors import RecipeError
from synthstudio.core.scene import PARTS, Surface
from synthstudio.core.skeleton import JOINTS, SKELETONS
from synthstudio.core.spec import PersonSpec

HEAD = 1 << PARTS.index("head")
MASK_OVER_NOSE_M = 0.002


def named(surfaces: tuple[Surface, ...], name: str) -> list[Surface]:
    return [s for s in surfaces if s.name == name]


def wearing(*kinds: str, phenotype: str = "man", pose: str = "stand_relaxed") -> PersonSpec:
    return person(phenotype, pose, "t_shirt", "jeans", *kinds)


def with_face(spec: PersonSpec, face: dict[str, float]) -> PersonSpec:
    return replace(spec, pose=replace(spec.pose, face=face))


def bare(spec: PersonSpec) -> np.ndarray:
    angles, face = spec.pose.angles_rad, spec.pose.face
    return bare_body(load_atlas(), spec.phenotype, angles, (), face).vertices_m


@pytest.mark.parametrize("phenotype", sorted(PHENOTYPES))
def test_a_mask_covers_nose_mouth_and_chin_and_leaves_eyes(phenotype):
    spec = wearing("medical_mask", "full_beard", phenotype=phenotype)
    surfaces = dressed(spec)
    assert not named(surfaces, "full_beard")  # below the mask
    sheet = max(named(surfaces, "medical_mask"), key=lambda s: len(s.faces))
    assert not (sheet.covers & HEAD).any()  # so it hides the nose
    skin = bare(spec)
    at, front = sheet.vertices_m, skin[:, 1]
    for part in (load_atlas().masks["lips"] > 0.9, _near((0.0, -0.146, 0.610), 0.008)):
        ahead = _depth(at, skin[part])
        assert (front[part] - ahead > MASK_OVER_NOSE_M - 0.006).mean() > 0.9
    groups = load_atlas().groups
    eyes = np.concatenate([skin[np.unique(groups[f"{s}_eye"])] for s in ("left", "right")])
    assert at[:, 2].max() < eyes[:, 2].mean()


def _near(centre: tuple[float, float, float], radius: float) -> np.ndarray:
    near = np.linalg.norm(load_atlas().template_m - np.array(centre), axis=1) < radius
    skin = np.isin(np.arange(len(near)), np.unique(load_atlas().body_faces[load_atlas().skin_face]))
    return near & skin & (load_atlas().masks["inside-mouth"] < 0.2)


def _depth(sheet: np.ndarray, points: np.ndarray) -> np.ndarray:
    near = cKDTree(sheet[:, [0, 2]]).query(points[:, [0, 2]])[1]
    return sheet[near, 1]


@pytest.mark.parametrize("face", [{"grin": 0.5}, {"jawOpen": 1.5}, {"jawOpen": float("nan")}])
def test_a_wrong_face_is_refused(face):
    with pytest.raises(RecipeError, match="face unit"):
        bare(with_face(wearing(), face))


def test_rotation_centres_do_not_know_faces_and_teeth_show():
    spec = with_face(wearing(), EXPRESSIONS["shout"])
    angles = spec.pose.angles_rad
    still = bare_body(load_atlas(), spec.phenotype, angles)
    loud = bare_body(load_atlas(), spec.phenotype, angles, (), spec.pose.face)
    assert np.array_equal(still.kinematic_joints_m, loud.kinematic_joints_m)
    moved = np.linalg.norm(still.joints_m - loud.joints_m, axis=1)
    assert moved[JOINTS.index("lower_inner_lip")] > 0.02
    moved = moved[: len(SKELETONS["coco23"].joints)]
    face = [JOINTS.index(n) for n in ("nose", "left_eye", "right_eye", "left_ear", "right_ear")]
    assert moved[face].max() < 0.01
    assert np.delete(moved, face).max() < 1e-6
    (teeth,) = named(dress(load_atlas(), loud, spec), "teeth")
    assert (teeth.covers & HEAD == HEAD).all()
    assert not named(dressed(wearing()), "teeth")
    gap = [np.unique(load_atlas().groups[f"{row}_teeth"]) for row in ("upper", "lower")]
    opened = loud.vertices_m[gap[0], 2].mean() - loud.vertices_m[gap[1], 2].mean()
    closed = still.vertices_m[gap[0], 2].mean() - still.vertices_m[gap[1], 2].mean()
    assert opened > closed + 0.008
