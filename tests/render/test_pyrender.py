"""The raster path against OpenGL: the same masks and the same depth."""

import os
import sys

import numpy as np
import pytest
from render_scenes import busy_scene

from synthstudio.core.errors import DeviceError
from synthstudio.render import pyrender_backend, shade
from synthstudio.render.pack import pack

REQUIRED = "egl" in os.environ.get("SYNTHSTUDIO_REQUIRE", "")


@pytest.fixture(scope="module")
def pairs():
    """(raster, pyrender) renderings of three scenes at 320x240."""
    scenes = [busy_scene(seed, 320, 240) for seed in (1, 2, 3)]
    try:
        drawn = [pyrender_backend.render(s, want=frozenset({"surface"})) for s in scenes]
    except DeviceError as error:
        if REQUIRED:
            raise
        pytest.skip(str(error))
    want = frozenset({"surface"})
    yield [(shade.render(pack(s), s, want=want), d) for s, d in zip(scenes, drawn, strict=True)]
    pyrender_backend.close()


@pytest.mark.egl
def test_masks_agree(pairs):
    tried = 0
    for ours, theirs in pairs:
        for instance in np.unique(ours.instance):
            mine, other = ours.instance == instance, theirs.instance == instance
            if mine.sum() > 2000:
                tried += 1
                assert (mine & other).sum() / (mine | other).sum() >= 0.995
    assert tried >= 5


@pytest.mark.egl
def test_depths_parts_and_surfaces_agree(pairs):
    for ours, theirs in pairs:
        both = (ours.instance == theirs.instance) & (ours.instance > 0)
        error = np.abs(ours.depth_m[both] - theirs.depth_m[both])
        assert np.median(error) < 0.001 and np.quantile(error, 0.99) < 0.005
        assert np.isinf(theirs.depth_m[theirs.instance == 0]).all()
        assert (ours.part == theirs.part).mean() > 0.998
        assert (ours.surface == theirs.surface).mean() > 0.995


def test_without_opengl_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyrender", None)
    pyrender_backend._pyrender.cache_clear()
    try:
        with pytest.raises(DeviceError, match=r"libegl1.*libgl1-mesa-dri"):
            pyrender_backend.render(busy_scene(1, 64, 48))
    finally:
        pyrender_backend._pyrender.cache_clear()
