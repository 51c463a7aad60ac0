"""The benchmark of live runs: its measures on places made by hand, and its smallest clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import live as bench
from synthstudio.core.rng import stream


def test_lag_and_jitter_are_what_was_put_in() -> None:
    """Somebody walks back and forth and somebody stands."""
    time = np.arange(60)[:, None, None, None]
    joints = np.tile(stream(0, "joints").uniform(0, 90, (1, 2, 17, 2)), (60, 1, 1, 1))
    joints[:, :1] += 40 * np.sin(time / 6)
    boxes = np.tile([0.0, 0, 90, 90], (60, 2, 1))
    clip = bench.Clip(video=Path("none"), joints=joints, visible=np.ones((60, 2, 17)), boxes=boxes)
    same = np.zeros((60, 2), np.int64)
    late = bench.steadiness(np.concatenate([joints[:1].repeat(3, 0), joints[:-3]]), same, clip)
    assert late.found == 1 and late.lag == pytest.approx(3, abs=0.4)
    noisy = bench.steadiness(joints + stream(1, "noise").normal(0, 0.5, joints.shape), same, clip)
    assert abs(noisy.lag) < 0.3 and noisy.jitter_px == pytest.approx(2.45 * 0.5, rel=0.2)


def test_a_recording_to_and_fro_has_its_length() -> None:
    text = "HIERARCHY\nMOTION\nFrames: 3\nFrame Time: 0.5\n1\n2\n3\n"
    made = bench.to_and_fro(text, 4)
    assert made.splitlines()[2:] == ["Frames: 10", "Frame Time: 0.5", *"1232123212"]


@pytest.mark.nightly("a clip is rendered")
def test_a_clip_has_somebody_who_walks_and_somebody_who_stands(tmp_path: Path) -> None:
    bench.make_clip(tmp_path, pictures=45, seed=bench.SEED, workers=1, height=96)
    clip = bench.read_clip(tmp_path)
    step = np.linalg.norm(np.diff(clip.joints, axis=0), axis=-1).mean((0, 2))
    assert clip.joints.shape[:2] == (45, 2) and clip.video.is_file()
    assert step.min() < bench.STILL_PX < 4 * bench.STILL_PX < step.max()
