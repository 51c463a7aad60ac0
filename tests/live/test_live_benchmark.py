"""The benchmark of live runs, smaller: a rendered clip and its truth, spoilt and filtered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks import live as bench
from synthstudio.core.rng import stream
from synthstudio.inference.one_euro import OneEuro, filtered


@pytest.fixture(scope="session")
def clip(once: Callable[..., Path]) -> bench.Clip:
    def make(folder: Path) -> None:
        bench.make_clip(folder, pictures=45, seed=bench.SEED, workers=1, height=96)

    return bench.read_clip(once("live clip", make))


def through(clip: bench.Clip, found: np.ndarray) -> np.ndarray:
    """Found joints (T, P, J, 2) through the filter."""
    out = np.empty_like(found)
    for p in range(found.shape[1]):
        state = None
        for t, xy in enumerate(found[:, p]):
            size_px = float(clip.boxes[t, p, 2:].max())
            state = filtered(OneEuro(), state, xy, time_s=t / bench.FPS, size_px=size_px)
            out[t, p] = state.xy
    return out


def test_somebody_walks_and_somebody_stands(clip: bench.Clip) -> None:
    step = np.linalg.norm(np.diff(clip.joints, axis=0), axis=-1).mean((0, 2))
    assert clip.joints.shape[:2] == (45, 2) and clip.video.is_file()
    assert step.min() < bench.STILL_PX < 4 * bench.STILL_PX < step.max()


def test_the_filter_takes_jitter_and_adds_little_lag(clip: bench.Clip) -> None:
    """Noise as a network's, 0.7 % of a person: less than half is left, less than two pictures."""
    size = clip.boxes[..., 2:].max(-1)[..., None, None]
    noise = stream(3, "live").normal(0, 0.007, clip.joints.shape) * size
    same = np.zeros(clip.joints.shape[:2], np.int64)
    raw = bench.steadiness(clip.joints + noise, same, clip)
    steady = bench.steadiness(through(clip, clip.joints + noise), same, clip)
    assert raw.found == 1 and abs(raw.lag) < 0.3
    assert steady.jitter_px < bench.JITTER_RATIO * raw.jitter_px
    assert 0 < steady.lag < bench.LAG


def test_lag_is_what_was_put_in(clip: bench.Clip) -> None:
    late = np.concatenate([np.repeat(clip.joints[:1], 3, 0), clip.joints[:-3]])
    found = bench.steadiness(late, np.zeros(clip.joints.shape[:2], np.int64), clip)
    assert found.lag == pytest.approx(3, abs=0.4)
    assert found.jitter_px < bench.STILL_PX * 4


def test_a_recording_to_and_fro_has_its_length() -> None:
    text = "HIERARCHY\nMOTION\nFrames: 3\nFrame Time: 0.5\n1\n2\n3\n"
    made = bench.to_and_fro(text, 4)
    assert made.splitlines()[2:] == ["Frames: 10", "Frame Time: 0.5", *"1232123212"]
