"""Clothes cover what they should, in deep poses too, and know which parts lie under them."""

from dataclasses import replace

import numpy as np
import pytest
from samples import sampled
from scipy.spatial import cKDTree
from wardrobe_people import OUTFITS, bare_of, dressed, face_cross, person
from wardrobe_people import unit as unit_of

from synthstudio.body import wardrobe
from synthstudio.body.atlas import Atlas, load_atlas
from synthstudio.body.clothes import kinds as designs
from synthstudio.body.clothes.garment_mesh import (
    basis,
    boundary_edges,
    clipped,
    edges_of,
    places,
    weave_of,
)
from synthstudio.core.camera import Camera, look_at
from synthstudio.core.errors import GeometryError
from synthstudio.core.scene import PARTS, Light, PosedPerson, Scene, Surface
from synthstudio.core.spec import PersonSpec
from synthstudio.render.pack import pack
from synthstudio.render.raster import rasterise

POSES = ("stand_relaxed", "squat_deep", "bend_forward", "arms_crossed", "reach_up_both", "lunge")
COVER_POSES = ("stand_relaxed", "arms_crossed", "reach_up_both", "sit_upright", "lunge", "kick")
VIEWS = ((20, 0), (200, -15))


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return load_atlas()


# Cutting ------------------------------------------------------------------------------------


def test_a_cut_is_crisp_and_closed(atlas):
    weave = weave_of(atlas, atlas.groups["tights"], fine=True)
    height = places(atlas, weave.rows).at[:, 2] - 0.1
    above, below = clipped(weave, height), clipped(weave, -height)
    for part, sign in ((above, 1), (below, -1)):
        z = sign * (places(atlas, part.rows).at[:, 2] - 0.1)
        assert z.min() > -0.0015  # a cut stays 2 % of an edge away from its ends
        assert np.allclose(part.rows.sum(axis=1), 1, atol=1e-5)
    area = [
        np.linalg.norm(face_cross(places(atlas, w.rows).at, w.faces), axis=1).sum()
        for w in (weave, above, below)
    ]
    assert np.isclose(area[0], area[1] + area[2], rtol=1e-3)
    cut = places(atlas, above.rows).at[
        boundary_edges(above.faces, edges_of(above.faces, above.rows.shape[0]))[0]
    ]
    assert (np.abs(cut[..., 2] - 0.1) < 0.0015).all(axis=1).sum() > 40


def test_a_cut_that_leaves_nothing_is_an_error(atlas):
    weave = weave_of(atlas, atlas.groups["tights"], fine=False)
    with pytest.raises(GeometryError, match="leaves no cloth"):
        clipped(weave, np.full(weave.rows.shape[0], -1, np.float32))


# What can be seen -----------------------------------------------------------------------------


def _camera(centre: np.ndarray, yaw: float, pitch: float) -> Camera:
    y, p = np.radians(yaw), np.radians(pitch)
    ahead = np.array([np.sin(y) * np.cos(p), np.cos(y) * np.cos(p), np.sin(p)])
    eye = tuple(centre - 3.2 * ahead)
    turn, tilt = look_at(eye, tuple(centre))
    return Camera(
        width_px=180, height_px=240, focal_px=320.0, position_m=eye, yaw_rad=turn, pitch_rad=tilt
    )


def _picture(surfaces: list[Surface], camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return triangle and depth of each pixel, and which triangles face the camera."""
    person_ = PosedPerson(
        instance=1,
        surfaces=tuple(replace(s, instance=1) for s in surfaces),
        joints_m=np.zeros((0, 3)),
        kinematic_joints_m=np.zeros((0, 3)),
        patches=None,  # type: ignore[arg-type]
        stature_m=1.7,
    )
    dark = Light(
        sun_direction=np.array([0, 0, 1.0]), sun_rgb=np.zeros(3), ambient_sh=np.zeros((9, 3))
    )
    backdrop = np.zeros((camera.height_px, camera.width_px, 3), np.uint8)
    scene = Scene(camera=camera, people=(person_,), objects=(), light=dark, backdrop=backdrop)
    packed = pack(scene)
    seen = rasterise(packed)
    at = packed.host_camera_m
    front = (face_cross(at, packed.host_faces) * at[packed.host_faces[:, 0]]).sum(axis=1) < 0
    return seen.triangle, seen.depth_m, front


def _leaks(atlas: Atlas, spec: PersonSpec) -> tuple[float, float]:
    """Return shares of the person's pixels: skin in front of cloth that lies on it, and bare
    body where nothing is drawn before 5 cm behind it.
    """
    bare = bare_of(atlas, spec)
    surfaces = list(wardrobe.dress(atlas, bare, spec).surfaces)
    skin, rest = surfaces[0], surfaces[1:]
    hidden = np.full(len(atlas.template_m), -1.0, np.float32)
    base = basis(atlas, spec.detail)
    for garment in spec.outfit:
        cut = designs.design(base, garment).tailored
        hidden = np.maximum(hidden, (cut.hides or cut.inside)(base.places))
    deep = hidden[atlas.body_faces].min(axis=1)
    nude, veiled = replace(skin, drawn=atlas.skin_face), replace(skin, drawn=skin.drawn & False)
    used = bare.vertices_m[base.skin]
    centre = (used.min(axis=0) + used.max(axis=0)).astype(float) / 2
    through = holes = total = 0
    for yaw, pitch in VIEWS:
        camera = _camera(centre, yaw, pitch)
        seen, depth, _ = _picture(surfaces, camera)
        cloth, cloth_depth, front = _picture([veiled, *rest], camera)
        body, body_depth, _ = _picture([nude], camera)
        on_skin = (seen >= 0) & (seen < len(deep))
        seen_deep = deep[np.where(on_skin, seen, 0)]
        through += (
            on_skin
            & (seen_deep > 0.004)
            & (cloth >= 0)
            & front[cloth]
            & (cloth_depth < depth + 0.04)
        ).sum()
        holes += ((body >= 0) & (deep[body] > 0.02) & (depth > body_depth + 0.05)).sum()
        total += (seen >= 0).sum()
    return through / total, holes / total


@pytest.mark.parametrize("detail", ["fine", "coarse"])
@pytest.mark.parametrize(
    ("phenotype", "outfit"),
    sampled(((who, outfit) for outfit in sorted(OUTFITS) for who in ("heavy", "man", "thin")), 8),
)
def test_no_skin_shows_through_cloth(atlas, phenotype, outfit, detail):
    people = [replace(person(phenotype, p, *OUTFITS[outfit]), detail=detail) for p in POSES]
    through, holes = np.array(
        [_leaks(atlas, who) for who in people[: 6 if detail == "fine" else 4]]
    ).T
    assert through.mean() <= 0.0005 or detail == "coarse"
    assert through.max() <= 0.002
    assert holes.mean() <= 0.001


# What clothes cover ---------------------------------------------------------------------------


def _uncovered(atlas: Atlas, spec: PersonSpec) -> tuple[int, int]:
    """Return how many pairs of garment triangle and body point straight under it there are, and
    how many of these triangles do not know the point's part.

    Pairs that only the pose brought together (a hand on the hip) do not count.
    """
    base = basis(atlas, spec.detail)
    bare = bare_of(atlas, spec)
    made = wardrobe.dress(atlas, bare, spec)
    normals = unit_of(base.normal_sum @ face_cross(bare.vertices_m, atlas.body_faces))
    tree = cKDTree(bare.vertices_m[base.skin])
    pairs = missing = 0
    pieces = {}
    for garment in spec.outfit:
        for cloth in designs.design(base, garment).cloths:
            at = np.vstack([cloth.where.at, cloth.where.at[cloth.rim[:, 0]]])
            pieces[garment.kind, len(cloth.all_faces)] = at
    for s in made.surfaces:
        at = pieces.get((s.name, len(s.faces)))
        if at is None or s.name in ("short_hair", "cap"):
            continue
        centre = s.vertices_m[s.faces].mean(axis=1)[::6]
        facing = unit_of(face_cross(s.vertices_m, s.faces))[::6]
        rest = at[s.faces].mean(axis=1)[::6]
        distance, near = tree.query(centre, k=24, distance_upper_bound=0.07)
        i, j = np.nonzero(np.isfinite(distance))
        point = base.skin[near[i, j]]
        away = centre[i] - bare.vertices_m[point]
        height = (away * normals[point]).sum(axis=1)
        aside = np.linalg.norm(away - height[:, None] * normals[point], axis=1)
        under = (height > 0) & (aside < 0.012)
        under &= (normals[point] * facing[i]).sum(axis=1) > 0.5
        under &= np.linalg.norm(atlas.template_m[point] - rest[i], axis=1) < 0.12
        known = s.covers[::6][i] >> atlas.vertex_part[point] & 1
        pairs += int(under.sum())
        missing += int((under & (known == 0)).sum())
    return pairs, missing


@pytest.mark.parametrize(("detail", "minimum"), [("fine", 2000), ("coarse", 500)])
@pytest.mark.parametrize("pose", COVER_POSES)
def test_clothes_know_what_they_cover(atlas, pose, detail, minimum):
    for outfit in (("t_shirt", "jeans", "sneakers"), ("dress", "boots"), ("coat", "shorts")):
        spec = replace(person("man", pose, *outfit), detail=detail)
        pairs, missing = _uncovered(atlas, spec)
        assert pairs > minimum
        assert missing <= 0.004 * pairs


@pytest.mark.parametrize(
    ("kind", "covered", "free"),
    [
        ("t_shirt", "torso left_upper_arm right_upper_arm pelvis neck", "left_hand head left_shin"),
        ("shirt", "torso left_forearm right_forearm left_upper_arm", "head left_shin"),
        ("jeans", "pelvis left_thigh right_shin left_foot", "left_hand right_forearm head"),
        ("skirt", "pelvis left_thigh right_thigh", "left_hand right_hand head"),
        ("sports_top", "torso left_upper_arm right_upper_arm neck", "left_hand head left_shin"),
        ("leotard", "torso pelvis left_upper_arm", "left_hand head left_shin"),
        ("leggings", "pelvis left_thigh right_thigh", "left_hand right_forearm head"),
        ("boots", "left_foot right_foot left_shin right_shin", "left_thigh pelvis"),
        ("gloves", "left_hand right_hand", "left_upper_arm torso"),
        ("scarf", "neck torso", "head left_hand"),
        ("long_socks", "left_shin right_foot", "pelvis torso"),
        ("blazer", "torso left_forearm right_upper_arm", "head left_shin"),
    ],
)
def test_parts_under_each_garment(atlas, kind, covered, free):
    slot = wardrobe.GARMENTS[kind].kind.slot
    rest = [k for k in ("t_shirt", "shorts") if wardrobe.GARMENTS[k].kind.slot != slot]
    union = 0
    for s in dressed(atlas, person("man", "stand_relaxed", kind, *rest)).surfaces:
        if s.name == kind:
            assert (s.covers > 0).all()
            union |= int(np.bitwise_or.reduce(s.covers))
    for part in covered.split():
        assert union >> PARTS.index(part) & 1, part
    for part in free.split():
        assert not union >> PARTS.index(part) & 1, part


# Texture space --------------------------------------------------------------------------------


def test_folds_differ_between_people_and_not_between_calls(atlas):
    spec = person("man", "sit_upright", "t_shirt", "jeans")
    one, again = (dressed(atlas, spec).surfaces[3].vertices_m for _ in range(2))
    other = dressed(atlas, replace(spec, identity="other")).surfaces[3].vertices_m
    assert np.array_equal(one, again)
    assert 0.0002 < np.abs(one - other).mean() < 0.02
