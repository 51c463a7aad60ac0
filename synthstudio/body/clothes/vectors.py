"""Vectors of many points, one row a component.

A (3, V) array runs through NumPy several times faster than (V, 3). Letters: N vertices before,
V after a sparse product, F faces.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse._sparsetools import csr_matvec

from synthstudio.core.scene import F32

_TINY = np.float32(1e-12)


def spread(matrix: sparse.csr_array, values: F32) -> F32:
    """Return (K, V): the (V, N) matrix applied to each of K rows (K, N), all float32.

    Calls the routine under `matrix @ row`: a dressed person takes some 200 products, and the
    checks around each cost more than most of the products themselves.
    """
    rows, columns = matrix.shape
    assert values.shape[1] == columns
    assert values.dtype == matrix.dtype == np.float32
    out = np.zeros((len(values), rows), np.float32)
    for row, of in zip(out, np.ascontiguousarray(values), strict=True):
        csr_matvec(rows, columns, matrix.indptr, matrix.indices, matrix.data, of, row)
    return out


def cross_of(v: F32, corner: NDArray[np.intp]) -> F32:
    """Return (3, F) face normals whose length is twice the area; v (3, V), corner (3, F)."""
    a, b, c = (v.take(which, axis=1) for which in corner)
    b -= a
    c -= a
    out = np.empty_like(a)
    for k, (i, j) in enumerate(((1, 2), (2, 0), (0, 1))):
        np.multiply(b[i], c[j], out=out[k])
        out[k] -= b[j] * c[i]
    made: F32 = out
    return made


def unit(v: F32) -> F32:
    """Return vectors (3, V) at length 1; zeros stay zeros."""
    return np.asarray(v / np.maximum(length(v), _TINY), np.float32)


def length(v: F32) -> F32:
    """Return (V,) lengths of vectors (3, V)."""
    x, y, z = v
    made: F32 = np.sqrt(x * x + y * y + z * z)
    return made


def tall(rows: F32, more: F32) -> F32:
    """Return (V + E, 3) of (3, V) and (3, E): as surfaces hold them."""
    count = rows.shape[1]
    out = np.empty((count + more.shape[1], 3), np.float32)
    out[:count] = rows.T
    out[count:] = more.T
    return out
