"""`dress`: nobody is nude, same bytes, well-formed surfaces, every kind builds."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from samples import sampled
from wardrobe_people import GARMENTS, OUTFITS, dressed, garment, person

from synthstudio.body.atlas import Atlas, load_atlas
from synthstudio.body.clothes import kinds as designs
from synthstudio.body.wardrobe import Dressed, check_outfit
from synthstudio.core.errors import RecipeError
from synthstudio.core.scene import NO_PART, PARTS


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


@pytest.mark.parametrize("outfit", sampled(sorted(OUTFITS), 2))
def test_surfaces_are_well_formed(atlas, outfit):
    made = dressed(atlas, person("heavy", "walk_left_contact", *OUTFITS[outfit]))
    names = [s.name for s in made.surfaces]
    assert names[:3] == ["skin", "eyes", "lashes"]
    assert set(names[3:]) == set(OUTFITS[outfit])
    for s in made.surfaces:
        count = len(s.vertices_m)
        assert s.instance == 0
        assert np.isfinite(s.vertices_m).all() and np.isfinite(s.coords).all()
        assert s.vertices_m.dtype == s.coords.dtype == np.float32
        assert s.coords.shape == s.vertices_m.shape == (count, 3)
        assert s.faces.dtype == np.int32
        assert 0 <= s.faces.min() <= s.faces.max() < count
        if s.normals is not None:
            long = np.linalg.norm(s.normals[np.unique(s.faces)], axis=1)
            assert (s.normals.shape, s.normals.dtype) == (s.vertices_m.shape, np.float32)
            assert ((np.abs(long - 1) < 1e-4) | (long == 0)).all()
            assert (long > 0.5).mean() > 0.995
        for array, kind in ((s.part, np.uint8), (s.covers, np.uint32), (s.drawn, np.bool_)):
            assert array is None or (array.shape == (len(s.faces),) and array.dtype == kind)
        assert s.tint is None or (s.tint.shape == (count, 3) and np.isfinite(s.tint).all())
        assert s.covers is not None or s.part is not None


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


ENDS = [(kind, share, detail) for kind in sorted(GARMENTS) for share, detail in (
    (0.0, "coarse"), (1.0, "coarse"), (0.0, "fine"), (1.0, "fine"))]  # fmt: skip


@pytest.mark.parametrize(("kind", "share", "detail"), sampled(ENDS, 4))
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


WORN = person("man", "stand_relaxed", "t_shirt", "jeans")


def shaped(**change):
    """Return the usual outfit with a T-shirt of another shape; None takes a value away."""
    shape = {k: v for k, v in (WORN.outfit[0].shape | change).items() if v is not None}
    return (replace(WORN.outfit[0], shape=shape), WORN.outfit[1])


@pytest.mark.parametrize(
    ("outfit", "message"),
    [
        ((), "nothing covers the"),
        ((garment("t_shirt"),), "nothing covers the"),
        ((garment("jeans"), garment("sneakers"), garment("cap")), "nothing covers the"),
        ((garment("coat"), garment("boots")), "nothing covers the"),
        ((garment("blazer"), garment("jeans")), "nothing covers the"),
        ((*WORN.outfit, garment("sweater")), "in one place"),
        ((*WORN.outfit, garment("blazer"), garment("apron")), "in one place"),
        ((*WORN.outfit, replace(WORN.outfit[0], kind="toga", shape={})), "unknown garment"),
        (shaped(sleeve=None), "missing or unknown"),
        (shaped(wings=1.0), "missing or unknown"),
        (shaped(sleeve=5.0), "out of range; expected 0.11 to 0.21; got 5"),
        (shaped(sleeve=float("nan")), "out of range"),
    ],
)
def test_outfits_that_cannot_be_worn_are_refused(outfit, message):
    with pytest.raises(RecipeError, match=message):
        check_outfit(replace(WORN, outfit=outfit))


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
