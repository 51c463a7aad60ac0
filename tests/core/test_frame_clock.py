"""Times of frames: a constant rate as stated, a changing one by each frame's own timestamp."""

import math

import asset_roots
import numpy as np
import pytest

from synthstudio.api.datasets import import_photos
from synthstudio.core.video import FrameClock, timed_frames
from synthstudio.formats import photos

NAN = math.nan
EVEN = [k / 10 for k in range(8)]
DARK = [0.0, 1.0, 2.0, 3.0, 3.1, 3.2, 3.3]


@pytest.mark.parametrize(
    ("rate_hz", "stamps", "want"),
    [
        (10.0, EVEN, EVEN),
        (10.0, [t + 5 for t in EVEN], EVEN),  # the file starts later
        (10.0, [round(t, 3) + 0.001 * (k % 2) for k, t in enumerate(EVEN)], EVEN),  # rounded
        (10.0, [0.0] * 8, EVEN),  # no timestamps
        (10.0, [NAN] * 8, EVEN),
        (0.0, [0.0] * 3, [0.0, NAN, NAN]),
        (0.0, DARK, DARK),
        (10.0, DARK, DARK),
        (2.1, DARK, DARK),  # the mean rate
        (2.1, [0.0, 1.0, 1.0, 2.0], [0.0, 1.0, 1.0, 2.0]),  # one stands
        (2.1, [0.0, 1.0, 0.5, 2.0], [0.0, 1.0, 1.0, 2.0]),  # one goes back
    ],
)
def test_times_of_frames(rate_hz, stamps, want):
    clock = FrameClock(rate_hz)
    assert [clock.time_s(stamp) for stamp in stamps] == pytest.approx(want, nan_ok=True)


def test_a_constant_rate_is_exact(tmp_path):
    path = asset_roots.film(tmp_path / "a.mp4", range(0, 200, 10), hz=30.0, size=(64, 48))
    assert [time_s for _, time_s in timed_frames(path)] == [k / 30.0 for k in range(20)]


@pytest.mark.parametrize(
    ("rate_hz", "numbers"),
    [(1.0, [0, 1, 2, 3]), (0.5, [0, 2]), (10.0, [0, 1, 2, 3, 4, 5, 6]), (5.0, [0, 1, 2, 3, 5])],
)
def test_frames_of_a_changing_rate_are_taken_by_their_times(
    tmp_path, monkeypatch, rate_hz, numbers
):
    grey = np.full((48, 64, 3), 99, np.uint8)
    monkeypatch.setattr(photos, "timed_frames", lambda path: ((grey, t) for t in DARK))
    monkeypatch.setattr(photos, "stated_rate_hz", lambda path: 7 / 3.4)
    (tmp_path / "a.mp4").write_bytes(b"film")
    made = import_photos(tmp_path / "a.mp4", tmp_path / "set", rate_hz=rate_hz)
    rows = [made._stored.frame(k) for k in range(len(made))]
    assert [row["time_s"] for row in rows] == [DARK[k] for k in numbers]
