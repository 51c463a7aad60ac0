"""Skin: tints where lips, ears and nails are, template coordinates, materials from the look."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from wardrobe_people import LOOK, dressed, person

from synthstudio.body.atlas import Atlas, load_atlas
from synthstudio.body.skin import skin_surfaces
from synthstudio.core.scene import Surface


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return load_atlas()


@pytest.fixture(scope="module")
def surfaces(atlas: Atlas) -> tuple[Surface, ...]:
    return dressed(atlas, person("man", "stand_relaxed", "t_shirt", "jeans")).surfaces


def _redness(tint: np.ndarray) -> np.ndarray:
    return tint[:, 0] / tint[:, 1]


def test_lips_ears_and_nails_are_told_apart(atlas: Atlas, surfaces: tuple[Surface, ...]) -> None:
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


def test_tints_are_symmetric(atlas: Atlas, surfaces: tuple[Surface, ...]) -> None:
    from scipy.spatial import cKDTree

    at, tint = atlas.template_m[:13380], surfaces[0].tint[:13380]
    distance, twin = cKDTree(at).query(at * [-1, 1, 1])
    near = distance < 1e-3
    assert near.mean() > 0.9
    assert np.abs(tint[near] - tint[twin[near]]).mean() < 0.01


def test_tints_stay_in_range(surfaces: tuple[Surface, ...]) -> None:
    tint = surfaces[0].tint
    assert tint.min() > 0.05
    assert tint.max() < 1.25
    assert not tint.flags.writeable


def test_the_look_reaches_the_materials(atlas: Atlas, surfaces: tuple[Surface, ...]) -> None:
    skin, eyes, lashes = surfaces[:3]
    assert (skin.material.kind, eyes.material.kind) == ("skin", "eye")
    assert skin.material.base_rgb == LOOK.skin_rgb
    assert eyes.material.base_rgb == LOOK.iris_rgb
    assert max(lashes.material.base_rgb) < 0.07
    bearded = replace(LOOK, stubble=0.7, freckles=0.4)
    vertices = surfaces[0].vertices_m
    material = skin_surfaces(atlas, vertices, bearded, surfaces[0].drawn)[0].material
    assert (material.sheen, material.bump) == (0.7, 0.4)


def test_brows_are_darker_than_the_skin(atlas: Atlas, surfaces: tuple[Surface, ...]) -> None:
    for skin_rgb in ((0.72, 0.52, 0.42), (0.11, 0.055, 0.035)):
        for hair_rgb in ((0.8, 0.8, 0.8), (0.45, 0.3, 0.14), (0.01, 0.01, 0.01)):
            look = replace(LOOK, skin_rgb=skin_rgb, hair_rgb=hair_rgb)
            made = skin_surfaces(atlas, surfaces[0].vertices_m, look, surfaces[0].drawn)
            brow = made[0].material.second_rgb
            assert sum(brow) < 0.9 * sum(skin_rgb)


def test_skin_is_textured_in_template_coordinates(
    atlas: Atlas, surfaces: tuple[Surface, ...]
) -> None:
    assert surfaces[0].coords is atlas.template_m
    assert surfaces[2].coords[:, 2].min() > 0.63  # lashes lie at the eyes
