"""A list of people: found, sorted, cut into pages; as cells of a grid and as lines of a CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.labels import CAUSES
from synthstudio.review.risk.people import PeopleTable

I64 = NDArray[np.int64]
SORTS: dict[str, str] = {
    "frame": "frame",
    "risk": "risk, highest first",
    "occluded": "most occluded first",
    "shown": "least occluded first",
    "edited": "last edited first",
}
"""Name -> what the page calls it."""
PAGE_SIZES = (24, 48, 96, 192)
_FACTS = ("occluded", "truncated", "crowd", "depth")
_TEXTS = ("pose family", "view", "variant", "split", "group", "identity")
_REVIEW = ("status", "reviewer", "assigned", "changed", "comments", "risk", "disagreement")


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of a list: `number` from 0 of `pages`, its rows of the people table."""

    rows: I64
    number: int
    pages: int
    first: int
    total: int


def ordered(rows: I64, how: str, table: PeopleTable, columns: Mapping[str, NDArray[Any]]) -> I64:
    """Return rows sorted by one of SORTS; what nobody knows comes last, ties by frame."""
    keys: dict[str, Callable[[], NDArray[np.float64]]] = {
        "risk": lambda: -columns["risk"][rows],
        "occluded": lambda: -table.occluded[rows],
        "shown": lambda: table.occluded[rows],
        "edited": lambda: -columns["edited"][rows],
    }
    if how not in keys:
        return rows
    return rows[np.argsort(keys[how](), kind="stable")]  # argsort puts NaN last


def page_of(rows: I64, *, number: int, size: int) -> Page:
    """Return a page; a number beyond the last page means the last."""
    pages = max(1, -(-len(rows) // size))
    number = min(max(number, 0), pages - 1)
    first = number * size
    return Page(
        rows=rows[first : first + size], number=number, pages=pages, first=first, total=len(rows)
    )


def place_of(rows: I64, row: int) -> int | None:
    """Return where a row is in a list, None when it is not."""
    found = np.flatnonzero(rows == row)
    return int(found[0]) if len(found) else None


def csv_header(joints: Sequence[str]) -> list[str]:
    """Return the columns of the CSV."""
    texts = [name.replace(" ", "_") for name in _TEXTS]
    return ["frame", "instance", *_REVIEW, "edited", *_FACTS, *texts, *joints]


def csv_rows(
    rows: I64, table: PeopleTable, columns: Mapping[str, NDArray[Any]]
) -> Iterator[list[object]]:
    """Yield a line a person: review, numbers, texts, and the cause of each joint as on disk."""
    numbers = [table.number(name)[rows] for name in _FACTS]
    texts = [table.texts(name, rows) for name in _TEXTS]
    causes = table.arrays["cause"][:, rows]
    for k, row in enumerate(rows.tolist()):
        yield [
            int(table.frame[row]),
            int(table.instance[row]),
            *(_said(columns[name][row]) for name in _REVIEW),
            _moment(columns["edited"][row]),
            *(_said(values[k]) for values in numbers),
            *(values[k] for values in texts),
            *(CAUSES[code] if code < len(CAUSES) else "" for code in causes[:, k]),
        ]


def percent(value: float) -> str:
    """Return a fraction for people to read; "" for one that nobody knows."""
    return f"{value:.0%}" if np.isfinite(value) else ""


def _said(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.6g}" if np.isfinite(value) else ""
    return value


def _moment(seconds: float) -> str:
    if not np.isfinite(seconds):
        return ""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
