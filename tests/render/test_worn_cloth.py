"""Wrinkles, prints and blotches: what they add, what they leave, which colours they have."""

import dataclasses

import numpy as np
import pytest
from shade_scenes import from_above, lit, shot, square

from synthstudio.core.spec import Material

CLOTH = Material(kind="cloth", base_rgb=(0.3, 0.3, 0.3), bump=0.5, specular=0.02, roughness=0.8)
FLAT = np.array([[-1, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1]], np.float32)


@pytest.fixture(scope="module")
def sheets():
    # 8 mm a pixel: a person 210 pixels high.
    out = []
    for wrinkles in (0.0, 0.3, 1.0):
        material = dataclasses.replace(CLOTH, wrinkles=wrinkles)
        cloth = square(1.0, 0.5, material=material, coords=FLAT)
        view = from_above(2.55, 256, 256.0)
        out.append(shot(view, [cloth], lit((0.5, 0.3, 1), 0.6, 0.5))[0])
    return out


def test_wrinkles_leave_labels(sheets):
    for sheet in sheets[1:]:
        assert np.array_equal(sheet.instance, sheets[0].instance)
        assert np.array_equal(sheet.depth_m, sheets[0].depth_m)
