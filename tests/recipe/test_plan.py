import numpy as np
import pytest

from synthstudio.core.rng import stream
from synthstudio.recipe.sampling.plan import BLOCK, permuted


def worst_prefix(values: np.ndarray, threshold: float) -> float:
    """Return the largest |people below the threshold - their due| over all prefixes."""
    below = np.cumsum(values < threshold)
    return float(np.abs(below - threshold * np.arange(1, len(values) + 1)).max())


@pytest.mark.parametrize("block", [1, 7, BLOCK])
def test_every_block_covers_the_interval_evenly(block: int) -> None:
    values = np.array([permuted(3, "view", number=n, block=block) for n in range(4 * block)])
    assert ((values >= 0) & (values < 1)).all()
    for k in range(4):
        places = np.sort((values[k * block : (k + 1) * block] * block).astype(int))
        assert places.tolist() == list(range(block))


def test_prefixes_stay_near_and_plain_random_numbers_do_not() -> None:
    planned = np.array([permuted(1, "view", number=n) for n in range(5000)])
    luck = stream(1, "luck").random(5000)
    assert worst_prefix(planned, 0.4) < 16  # hypergeometric within a block of 100: sd below 2.5
    assert worst_prefix(luck, 0.4) > 40


def test_a_number_decides_its_sample_alone() -> None:
    forwards = [permuted(5, "body", number=n) for n in range(300)]
    backwards = [permuted(5, "body", number=n) for n in reversed(range(300))]
    assert forwards == backwards[::-1]


def test_streams_differ_by_seed_key_and_block() -> None:
    base = [permuted(5, "body", number=n) for n in range(100)]
    for seed, key, start in ((6, "body", 0), (5, "view", 0), (5, "body", 100)):
        other = [permuted(seed, key, number=start + n) for n in range(100)]
        assert abs(np.corrcoef(base, other)[0, 1]) < 0.4
