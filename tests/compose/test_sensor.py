"""A sensor's noise follows its line; white balance keeps grey cards as bright as they were."""

from dataclasses import replace

import numpy as np
import pytest

from synthstudio.compose.lens import balance, develop, noise_line, noisy
from synthstudio.core.images import srgb_to_linear
from synthstudio.core.spec import LensSpec

NONE = LensSpec()
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


def _card(level: int, size: tuple[int, int] = (60, 80)) -> np.ndarray:
    return np.full((*size, 3), level, np.uint8)


@pytest.mark.parametrize("iso", [800, 12_800])
def test_the_variance_is_gain_times_light_plus_read_squared(iso):
    levels = np.array([0.0, 0.002, 0.02, 0.1, 0.2, 0.4, 0.8])
    cards = [np.full((600, 600, 3), level, np.float32) for level in levels]
    seen = [noisy(card, iso, seed).astype(float) for seed, card in enumerate(cards)]
    gain, read = noise_line(iso)
    for k in range(3):
        variance = np.array([picture[..., k].var() for picture in seen])
        # Every level's variance is known to the same share of it, so that is what is fitted.
        design = np.stack([levels, np.ones(len(levels))], axis=1) / variance[:, None]
        slope, intercept = np.linalg.lstsq(design, np.ones(len(levels)), rcond=None)[0]
        assert slope == pytest.approx(gain[k], rel=0.02)
        assert intercept == pytest.approx(read[k] ** 2, rel=0.02)
        means = np.array([picture[..., k].mean() for picture in seen])
        assert np.abs(means - levels).max() < 4 * np.sqrt(variance.max()) / 600 * 2


@pytest.mark.parametrize("mired", [-150.0, -40.0, 60.0, 150.0])
@pytest.mark.parametrize("tint", [-0.3, 0.0, 0.4])
def test_grey_cards_keep_their_luminance(mired, tint):
    lens = replace(NONE, white_balance_mired=mired, tint_ev=tint)
    for level in (40, 90, 140):
        card = _card(level, (6, 8))
        before, after = srgb_to_linear(card) @ LUMINANCE, srgb_to_linear(develop(card, lens))
        # Half a grey level of rounding at 40.
        assert after @ LUMINANCE == pytest.approx(before, rel=0.02)
        red, green, blue = after[0, 0] / after[0, 0, 1]
        if tint == 0:
            assert (red > 1 > blue) == (mired > 0)
        assert green == 1


def test_balance_is_the_ratio_of_two_black_bodies():
    """Planck's law at three wavelengths: a light of 4,000 K taken for one of 5,000 K."""
    waves = np.array([0.610, 0.550, 0.465])
    warm, cold = (1 / np.expm1(14_387.77 / (waves * kelvin)) for kelvin in (4000, 5000))
    wanted = warm / cold
    gains = balance(1e6 / 4000 - 1e6 / 5000, 0.0)
    assert gains / gains[1] == pytest.approx(wanted / wanted[1], rel=0.01)
    assert balance(30.0, 0.0) * balance(-30.0, 0.0) == pytest.approx(
        np.full(3, (balance(30.0, 0.0) * balance(-30.0, 0.0))[1])
    )
    pink = balance(0.0, 0.25)
    assert pink[0] == pytest.approx(pink[2])
    assert pink[0] / pink[1] == pytest.approx(2**0.25)
