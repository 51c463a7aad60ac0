"""Counts of people by the values of a field: what plots show and forms offer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.errors import DatasetError
from synthstudio.core.labels import CAUSES
from synthstudio.dataset.query_fields import FIELDS
from synthstudio.dataset.rows import NO_STATE
from synthstudio.review.risk.people import F64, I64, MARK, PeopleTable

BINS = 20
_STATES = ("outside", "hidden", "visible", "unlabelled")


@dataclass(frozen=True, kw_only=True)
class Facet:
    """People by the values of one field.

    Of a text: `values` (most people first) and `counts`. Of a number: `edges` (N + 1), rising,
    and `counts` (N); the last bin holds its upper edge too. `unknown`: people without a value.
    """

    field: str
    values: tuple[str, ...] = ()
    edges: F64 | None = None
    counts: I64
    unknown: int


def facet(table: PeopleTable, field: str, *, rows: I64 | None = None, bins: int = BINS) -> Facet:
    """Return counts by the values of a field, of all people or of some rows; DatasetError.

    A person counts once under each entry of a field that is a list. The edges of a number are
    those of all people, so that plots of different rows can be laid over each other.
    """
    if field not in FIELDS:
        raise DatasetError(
            "no such field", where="field", expected=", ".join(FIELDS), got=repr(field)
        )
    if FIELDS[field].kind == "number":
        return _numbers(table, field, rows, bins)
    codes, names = table.codes(field)
    own = codes if rows is None else codes[rows]
    counts = np.bincount(own[own >= 0], minlength=len(names))
    found: dict[str, int] = {}
    for text, count in zip(names.to_pylist(), counts.tolist(), strict=True):
        is_list = FIELDS[field].kind == "list"
        entries = [e for e in text.split(MARK) if e] if is_list else [text]
        for entry in dict.fromkeys(entries):
            found[entry] = found.get(entry, 0) + count
    ordered = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    kept = [(value, count) for value, count in ordered if count]
    return Facet(
        field=field,
        values=tuple(value for value, _ in kept),
        counts=np.array([count for _, count in kept], np.int64),
        unknown=int((own < 0).sum()),
    )


def _numbers(table: PeopleTable, field: str, rows: I64 | None, bins: int) -> Facet:
    values = table.number(field)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1.0, bins + 1)
    own = values if rows is None else values[rows]
    held = own[np.isfinite(own)]
    counts = np.histogram(held, edges)[0].astype(np.int64)
    return Facet(field=field, edges=edges, counts=counts, unknown=len(own) - len(held))


def joint_facet(
    table: PeopleTable, what: Literal["state", "cause"], *, rows: I64 | None = None
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return names of states or causes (N), and people by joint and name, (J, N)."""
    planes = table.arrays[what] if rows is None else table.arrays[what][:, rows]
    names: tuple[str, ...] = _STATES if what == "state" else CAUSES
    codes = (*range(3), NO_STATE) if what == "state" else tuple(range(len(CAUSES)))
    counts = [np.count_nonzero(planes == code, axis=1) for code in codes]
    return names, np.stack(counts, axis=1).astype(np.int64)
