"""Vectors in rows are what they are in columns."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from wardrobe_people import face_cross
from wardrobe_people import unit as unit_of

from synthstudio.body.clothes.vectors import cross_of, length, spread, tall, unit
from synthstudio.core.rng import stream

RNG = stream(0, "vectors")
V = RNG.normal(size=(3, 40)).astype(np.float32)
FACES = RNG.integers(0, 40, size=(60, 3))


def test_spread_is_a_product() -> None:
    matrix = sparse.random_array((25, 40), density=0.2, rng=RNG, format="csr", dtype=np.float32)
    assert np.allclose(spread(matrix, V), (matrix @ V.T).T, atol=1e-6)
    assert np.array_equal(spread(matrix, V), spread(matrix, np.asfortranarray(V)))
    assert spread(matrix, V).dtype == np.float32


@pytest.mark.parametrize("wrong", [V[:, :39], V.astype(np.float64)])
def test_spread_refuses_other_sizes_and_types(wrong: np.ndarray) -> None:
    with pytest.raises(AssertionError):
        spread(sparse.csr_array(np.eye(40, dtype=np.float32)), wrong)


def test_crosses_lengths_and_units() -> None:
    assert np.allclose(cross_of(V, FACES.T), face_cross(V.T, FACES).T, atol=1e-6)
    assert np.allclose(length(V), np.linalg.norm(V, axis=0), atol=1e-6)
    assert np.allclose(unit(V), unit_of(V.T).T, atol=1e-6)
    assert not unit(np.zeros((3, 2), np.float32)).any()


def test_tall_puts_one_after_the_other() -> None:
    made = tall(V, V[:, :2])
    assert made.shape == (42, 3)
    assert np.array_equal(made, np.vstack([V.T, V.T[:2]]))
    assert made.flags.c_contiguous
