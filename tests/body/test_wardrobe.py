"""`dress`: nobody is nude, same bytes, well-formed surfaces, every kind builds and covers parts."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from samples import sampled
from wardrobe_people import GARMENTS, OUTFITS, dressed, garment, person

from synthstudio.body import wardrobe
from synthstudio.body.atlas import load_atlas
from synthstudio.body.clothes.garment_mesh import ValueCache, clipped, weave_of
from synthstudio.body.wardrobe import check_outfit
from synthstudio.core.errors import GeometryError, RecipeError
from synthstudio.core.rng import stream
from synthstudio.core.scene import NO_PART, PARTS


def digest(made) -> str:
    out = hashlib.sha256()
    for s in made:
        out.update(s.name.encode())
        for array in (s.vertices_m, s.faces, s.coords, s.tint, s.part, s.covers, s.drawn):
            out.update(b"none" if array is None else np.ascontiguousarray(array).tobytes())
    return out.hexdigest()


@pytest.mark.parametrize("outfit", sampled(sorted(OUTFITS), 4))
def test_surfaces_are_well_formed(outfit):
    made = dressed(person("heavy", "walk_left_contact", *OUTFITS[outfit]))
    names = [s.name for s in made]
    assert names[:3] == ["skin", "eyes", "lashes"]
    assert set(names[3:]) == set(OUTFITS[outfit])
    for s in made:
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


def test_the_skin_is_the_whole_body_and_eyes_keep_their_part():
    made = dressed(person("man", "stand_relaxed", *OUTFITS["gym"]))
    skin, eyes, lashes = made[:3]
    assert skin.faces.shape == (27420, 3)
    assert np.array_equal(skin.part, load_atlas().part)
    face_of = np.array(PARTS)[skin.part]
    shown = {name: skin.drawn[face_of == name].mean() for name in PARTS}
    assert shown["pelvis"] == 0
    assert shown["left_thigh"] == shown["right_thigh"] == 0
    assert shown["torso"] < 0.2  # the neck's root
    assert shown["left_hand"] == shown["right_hand"] == 1
    assert shown["neck"] > 0.5
    head = PARTS.index("head")
    assert (eyes.part == head).all()
    assert ((eyes.covers & 1 << head) > 0).all()
    assert (lashes.part == NO_PART).all()


@pytest.mark.parametrize("detail", ["fine", "coarse"])
def test_same_bytes_with_and_without_cached_designs(detail):
    spec = replace(person("thin", "sit_upright", "shirt", "shorts"), detail=detail)
    other = person("man", "stand_relaxed", *OUTFITS["stage"])
    wardrobe.designed.cache_clear()
    first = digest(dressed(spec))
    dressed(other)
    assert digest(dressed(spec)) == first
    wardrobe.designed.cache_clear()
    dressed(other)
    assert digest(dressed(spec)) == first
    assert digest(dressed(replace(spec, identity="another"))) != first


COVERED = {
    "t_shirt": ("torso left_upper_arm right_upper_arm pelvis", "left_hand head left_shin"),
    "shirt": ("torso left_forearm right_forearm left_upper_arm", "head left_shin"),
    "jeans": ("pelvis left_thigh right_shin", "left_hand right_forearm head"),
    "skirt": ("pelvis left_thigh right_thigh", "left_hand right_hand head"),
    "sports_top": ("torso", "left_hand head left_shin"),
    "leotard": ("torso pelvis", "left_hand head left_shin"),
    "leggings": ("pelvis left_thigh right_thigh right_shin", "left_hand right_forearm head"),
    "boots": ("left_foot right_foot left_shin right_shin", "left_thigh pelvis"),
    "gloves": ("left_hand right_hand", "left_upper_arm torso"),
    "scarf": ("neck torso", "head left_hand"),
    "long_socks": ("left_shin right_foot", "pelvis torso"),
    "blazer": ("torso left_forearm right_upper_arm", "head left_shin"),
}
"""Parts that lie under a garment whose shape is at the low end, and some that do not."""
ENDS = [(kind, share, detail) for kind in sorted(GARMENTS) for share, detail in (
    (0.0, "coarse"), (1.0, "coarse"), (0.0, "fine"), (1.0, "fine"))]  # fmt: skip


@pytest.mark.parametrize(("kind", "share", "detail"), sampled(ENDS, 4))
def test_the_ends_of_every_range_build_and_cover_their_parts(kind, share, detail):
    slot = GARMENTS[kind].kind.slot
    rest = [k for k in ("t_shirt", "jeans") if GARMENTS[k].kind.slot != slot]
    spec = person("man", "arms_crossed", *rest)
    spec = replace(spec, outfit=(*spec.outfit, garment(kind, share)), detail=detail)
    pieces = [s for s in dressed(spec) if s.name == kind]
    assert pieces
    for piece in pieces:
        assert np.isfinite(piece.vertices_m).all()
        assert piece.drawn is None or piece.drawn.any()
    covers = np.concatenate([s.covers for s in pieces])
    union = int(np.bitwise_or.reduce(covers))
    covered, free = COVERED.get(kind, ("", "")) if share == 0 else ("", "")
    assert [part for part in covered.split() if not union >> PARTS.index(part) & 1] == []
    assert [part for part in free.split() if union >> PARTS.index(part) & 1] == []
    if slot in ("hair", "hat"):  # face and ears are left to be hidden
        scalp, head = (1 << PARTS.index(part) for part in ("scalp", "head"))
        assert (covers & scalp == scalp).all() and not (covers & head).any()
        assert kind == "headscarf" or (covers == scalp).all()


WORN = person("man", "stand_relaxed", "t_shirt", "jeans")


def shaped(**change):
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


def test_answers_are_right_when_more_is_asked_than_is_kept():
    numbers = stream(0, "known").random((2, 300_000), np.float32)
    known = ValueCache(2, np.zeros(2))
    for asked in (numbers, numbers[:, ::-1], numbers[:, :9]):
        got = known.get(asked, lambda new, asked=asked: 2.0 * asked[:, new].T)
        np.testing.assert_array_equal(got, 2.0 * asked.T)


def test_a_cut_that_leaves_nothing_is_an_error():
    atlas = load_atlas()
    weave = weave_of(atlas, atlas.groups["tights"], fine=False)
    with pytest.raises(GeometryError, match="leaves no cloth"):
        clipped(weave, np.full(weave.rows.shape[0], -1, np.float32))
