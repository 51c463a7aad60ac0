"""`dress`: nobody is nude, same bytes, well-formed surfaces, every kind builds."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from scipy.spatial import cKDTree
from wardrobe_people import GARMENTS, LOOK, OUTFITS, PHENOTYPES, dressed, garment, person

from synthstudio.body.atlas import Atlas, load_atlas
from synthstudio.body.clothes import kinds as designs
from synthstudio.body.skin import skin_surfaces
from synthstudio.body.wardrobe import Dressed, check_outfit, garments
from synthstudio.core.errors import RecipeError
from synthstudio.core.scene import NO_PART, PARTS, Surface
from synthstudio.core.solve import Slot


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return load_atlas()


def digest(made: Dressed) -> str:
    """Return a hash of every array of every surface."""
    out = hashlib.sha256()
    for s in made.surfaces:
        out.update(s.name.encode())
        for array in (s.vertices_m, s.faces, s.coords, s.tint, s.part, s.covers, s.drawn):
            out.update(b"none" if array is None else np.ascontiguousarray(array).tobytes())
    return out.hexdigest()


@pytest.mark.parametrize(
    "kinds", [(), ("t_shirt",), ("jeans",), ("jeans", "sneakers", "cap"), ("coat", "boots")]
)
def test_nobody_is_nude(kinds):
    with pytest.raises(RecipeError, match="nothing covers the"):
        check_outfit(person("man", "stand_relaxed", *kinds))


def test_a_dress_alone_covers():
    check_outfit(person("thin", "stand_relaxed", "dress"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sleeve": None}, "missing or unknown"),
        ({"wings": 1.0}, "missing or unknown"),
        ({"sleeve": 5.0}, "out of range; expected 0.11 to 0.21; got 5"),
        ({"sleeve": float("nan")}, "out of range"),
    ],
)
def test_a_wrong_shape_is_refused(change, message):
    spec = person("man", "stand_relaxed", "t_shirt", "jeans")
    shape = {**spec.outfit[0].shape, **change}
    wrong = replace(spec.outfit[0], shape={k: v for k, v in shape.items() if v is not None})
    with pytest.raises(RecipeError, match=message):
        check_outfit(replace(spec, outfit=(wrong, spec.outfit[1])))


def test_an_unknown_garment_is_refused():
    spec = person("man", "stand_relaxed", "t_shirt", "jeans")
    wrong = replace(spec.outfit[0], kind="toga", shape={})
    with pytest.raises(RecipeError, match="unknown garment"):
        check_outfit(replace(spec, outfit=(*spec.outfit, wrong)))


def test_two_garments_in_one_place_are_refused():
    with pytest.raises(RecipeError, match="in one place"):
        check_outfit(person("man", "stand_relaxed", "t_shirt", "sweater", "jeans"))


@pytest.mark.parametrize("outfit", sorted(OUTFITS))
def test_surfaces_are_well_formed(atlas, outfit):
    made = dressed(atlas, person("heavy", "walk_left_contact", *OUTFITS[outfit]))
    names = [s.name for s in made.surfaces]
    assert names[:3] == ["skin", "eyes", "lashes"]
    assert set(names[3:]) == set(OUTFITS[outfit])
    for s in made.surfaces:
        count = len(s.vertices_m)
        assert s.instance == 0
        assert np.isfinite(s.vertices_m).all()
        assert np.isfinite(s.coords).all()
        assert s.vertices_m.dtype == s.coords.dtype == np.float32
        assert s.faces.dtype == np.int32
        if s.normals is not None:
            long = np.linalg.norm(s.normals[np.unique(s.faces)], axis=1)
            assert s.normals.shape == s.vertices_m.shape
            assert s.normals.dtype == np.float32
            assert ((np.abs(long - 1) < 1e-4) | (long == 0)).all()
            assert (long > 0.5).mean() > 0.995
        assert s.coords.shape == s.vertices_m.shape == (count, 3)
        assert s.faces.min() >= 0
        assert s.faces.max() < count
        for array, kind in ((s.part, np.uint8), (s.covers, np.uint32), (s.drawn, np.bool_)):
            assert array is None or (array.shape == (len(s.faces),) and array.dtype == kind)
        assert s.tint is None or (s.tint.shape == (count, 3) and np.isfinite(s.tint).all())
        assert not ((s.covers is None) and (s.part is None))


def test_the_skin_is_the_whole_body(atlas):
    skin = dressed(atlas, person("man", "stand_relaxed", *OUTFITS["plain"])).surfaces[0]
    assert skin.faces.shape == (27420, 3)
    assert np.array_equal(skin.part, atlas.part)
    face_of = np.array(PARTS)[skin.part]
    shown = {name: skin.drawn[face_of == name].mean() for name in PARTS}
    assert shown["pelvis"] == 0
    assert shown["left_thigh"] == shown["right_thigh"] == 0
    assert shown["torso"] < 0.2  # the neck's root
    assert shown["left_hand"] == shown["right_hand"] == 1
    assert shown["neck"] > 0.5


@pytest.mark.parametrize("detail", ["fine", "coarse"])
def test_same_bytes_with_and_without_cached_designs(atlas, detail):
    spec = replace(person("thin", "sit_upright", *OUTFITS["office"]), detail=detail)
    other = person("man", "stand_relaxed", *OUTFITS["sport"])
    designs.forget_designs()
    first = digest(dressed(atlas, spec))
    dressed(atlas, other)
    assert digest(dressed(atlas, spec)) == first
    designs.forget_designs()
    dressed(atlas, other)
    assert digest(dressed(atlas, spec)) == first
    assert digest(dressed(atlas, replace(spec, identity="another"))) != first


def test_another_process_makes_the_same_bytes(atlas):
    code = (
        "from wardrobe_people import *\n"
        "from test_wardrobe import digest\n"
        "from synthstudio.body.atlas import load_atlas\n"
        "print(digest(dressed(load_atlas(), person('man', 'lunge', *OUTFITS['party']))))"
    )
    here = os.path.dirname(__file__)  # noqa: PTH120
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([here, *sys.path])},
        capture_output=True,
        text=True,
        check=True,
    )
    expected = digest(dressed(atlas, person("man", "lunge", *OUTFITS["party"])))
    assert done.stdout.split()[-1] == expected


def test_the_cache_of_designs_is_bounded(atlas):
    dressed(atlas, person("man", "stand_relaxed", *OUTFITS["plain"]))
    assert 0 < len(designs._CACHE) <= designs._DESIGNS


def test_the_catalogue_is_sorted_and_complete():
    kinds = garments()
    assert [k.kind for k in kinds] == sorted(GARMENTS)
    assert {k.slot for k in kinds} == set(get_args(Slot))
    for kind in kinds:
        assert kind.patterns
        assert kind.steps >= 1
        assert all(low < high for low, high in kind.shape.values())
    for gender in (0.0, 1.0):
        for slot in ("top", "bottom", "shoes", "hair"):
            worn = [k for k in kinds if k.slot == slot and k.gender[0] <= gender <= k.gender[1]]
            assert len(worn) >= 2


@pytest.mark.parametrize("outfit", sorted(OUTFITS))
def test_details_differ_in_triangles_and_in_little_else(atlas, outfit):
    spec = person("heavy", "lunge", *OUTFITS[outfit])
    fine, coarse = dressed(atlas, spec), dressed(atlas, replace(spec, detail="coarse"))
    assert [s.name for s in fine.surfaces] == [s.name for s in coarse.surfaces]
    for one, other in zip(fine.surfaces[:3], coarse.surfaces[:3], strict=True):
        assert np.array_equal(one.vertices_m, other.vertices_m)
        assert (one.drawn is None) or np.array_equal(one.drawn, other.drawn)
    for one, other in zip(fine.surfaces[3:], coarse.surfaces[3:], strict=True):
        assert len(other.faces) <= len(one.faces)
        assert one.material == other.material
        known = [int(np.bitwise_or.reduce(s.covers)) for s in (one, other)]
        assert known[0] == known[1]
        apart = cKDTree(one.vertices_m).query(other.vertices_m)[0]
        assert np.median(apart) < 0.012
    sizes = [sum(len(s.faces) for s in made.surfaces[3:]) for made in (fine, coarse)]
    assert 0.2 < sizes[1] / sizes[0] < 0.45


@pytest.mark.parametrize("detail", ["fine", "coarse"])
@pytest.mark.parametrize("kind", sorted(GARMENTS))
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_ends_of_every_range_build(atlas, kind, share, detail):
    slot = GARMENTS[kind].kind.slot
    rest = [k for k in ("t_shirt", "jeans") if GARMENTS[k].kind.slot != slot]
    spec = person("man", "arms_crossed", *rest)
    spec = replace(spec, outfit=(*spec.outfit, garment(kind, share)), detail=detail)
    pieces = [s for s in dressed(atlas, spec).surfaces if s.name == kind]
    assert pieces
    for piece in pieces:
        assert np.isfinite(piece.vertices_m).all()
        assert piece.drawn is None or piece.drawn.any()


def test_materials_reach_their_pieces(atlas):
    spec = person("man", "stand_relaxed", "t_shirt", "jeans", "sneakers")
    sole = replace(spec.outfit[2].material, base_rgb=(0.9, 0.1, 0.1))
    spec = replace(spec, outfit=(*spec.outfit[:2], replace(spec.outfit[2], second_material=sole)))
    shoes = [s for s in dressed(atlas, spec).surfaces if s.name == "sneakers"]
    lowest = min(shoes, key=lambda s: float(s.vertices_m[:, 2].min()))
    assert lowest.material == sole
    assert {s.material for s in shoes} == {sole, spec.outfit[2].material}


def test_hair_and_hats_leave_face_and_ears_to_be_hidden(atlas):
    scalp, head = (1 << PARTS.index(part) for part in ("scalp", "head"))
    for kind, entry in GARMENTS.items():
        if entry.kind.slot not in ("hair", "hat"):
            continue
        made = dressed(atlas, person("man", "stand_relaxed", "t_shirt", "jeans", kind))
        for s in made.surfaces:
            if s.name == kind:
                assert (s.covers & scalp == scalp).all()
                assert not (s.covers & head).any()
                assert kind == "headscarf" or (s.covers == scalp).all()


def test_eyes_keep_their_part_and_hide_nothing(atlas):
    made = dressed(atlas, person("man", "stand_relaxed", "t_shirt", "jeans"))
    eyes, lashes = made.surfaces[1:3]
    head = 1 << PARTS.index("head")
    assert (eyes.part == PARTS.index("head")).all()
    assert ((eyes.covers & head) > 0).all()
    assert (lashes.part == NO_PART).all()


@pytest.mark.parametrize("phenotype", sorted(PHENOTYPES))
def test_eyes_look_forward(atlas, phenotype):
    made = dressed(atlas, person(phenotype, "stand_relaxed", "t_shirt", "jeans"))
    eyes = made.surfaces[1]
    front = eyes.vertices_m[np.argsort(eyes.coords[:, 1])[:6]]
    assert np.allclose(np.linalg.norm(eyes.coords, axis=1), 1, atol=1e-5)
    assert (front[:, 1] < eyes.vertices_m[:, 1].mean() - 0.008).all()


# Test skin -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def surfaces(atlas: Atlas) -> tuple[Surface, ...]:
    return dressed(atlas, person("man", "stand_relaxed", "t_shirt", "jeans")).surfaces


def _redness(tint: np.ndarray) -> np.ndarray:
    return tint[:, 0] / tint[:, 1]


def test_lips_ears_and_nails_are_told_apart(atlas, surfaces):
    tint = surfaces[0].tint
    redness = _redness(tint)
    plain = atlas.weights[:, [atlas.bone_names.index("spine02")]].toarray().ravel() > 0.9
    plain &= np.arange(len(plain)) < 13380
    assert np.allclose(redness[plain], 1, atol=0.01)
    assert redness[atlas.masks["lips"] > 0.9].min() > 1.5
    assert np.median(redness[atlas.masks["ears"] > 0.9]) > 1.08
    nails = tint[atlas.masks["fingernails"] > 0.9]
    assert nails.mean() > 1.01
    assert nails[:, 0].mean() > nails[:, 2].mean()


def test_tints_are_symmetric(atlas, surfaces):
    from scipy.spatial import cKDTree

    at, tint = atlas.template_m[:13380], surfaces[0].tint[:13380]
    distance, twin = cKDTree(at).query(at * [-1, 1, 1])
    near = distance < 1e-3
    assert near.mean() > 0.9
    assert np.abs(tint[near] - tint[twin[near]]).mean() < 0.01


def test_tints_stay_in_range(surfaces):
    tint = surfaces[0].tint
    assert tint.min() > 0.05
    assert tint.max() < 1.25
    assert not tint.flags.writeable


def test_the_look_reaches_the_materials(atlas, surfaces):
    skin, eyes, lashes = surfaces[:3]
    assert (skin.material.kind, eyes.material.kind) == ("skin", "eye")
    assert skin.material.base_rgb == LOOK.skin_rgb
    assert eyes.material.base_rgb == LOOK.iris_rgb
    assert max(lashes.material.base_rgb) < 0.07
    bearded = replace(LOOK, stubble=0.7, freckles=0.4)
    vertices = surfaces[0].vertices_m
    material = skin_surfaces(atlas, vertices, bearded, surfaces[0].drawn)[0].material
    assert (material.sheen, material.bump) == (0.7, 0.4)


def test_brows_are_darker_than_the_skin(atlas, surfaces):
    for skin_rgb in ((0.72, 0.52, 0.42), (0.11, 0.055, 0.035)):
        for hair_rgb in ((0.8, 0.8, 0.8), (0.45, 0.3, 0.14), (0.01, 0.01, 0.01)):
            look = replace(LOOK, skin_rgb=skin_rgb, hair_rgb=hair_rgb)
            made = skin_surfaces(atlas, surfaces[0].vertices_m, look, surfaces[0].drawn)
            brow = made[0].material.second_rgb
            assert sum(brow) < 0.9 * sum(skin_rgb)


def test_skin_is_textured_in_template_coordinates(atlas, surfaces):
    assert surfaces[0].coords is atlas.template_m
    assert surfaces[2].coords[:, 2].min() > 0.63  # lashes lie at the eyes
