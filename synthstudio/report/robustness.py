"""Challenges against the plain scene as one page, for several runs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from synthstudio.evaluation.robustness import PARTS, Row, percent
from synthstudio.report import plots
from synthstudio.report.html import Picture, render


def robustness_page(
    rows: Sequence[Row],
    *,
    pictures: Mapping[str, Sequence[Picture]],
    about: Mapping[str, str],
    runs: Sequence[tuple[str, str]],
) -> bytes:
    """`pictures` and `about` by challenge; `runs`: name and weights of each."""
    names = [name for name, _ in runs]
    tables, forests = {}, {}
    for part in PARTS:
        chosen = [row for row in rows if row.part == part]
        tables[part] = [_cells(c, chosen, names) for c in pictures if c != "plain"]
        for name in names:
            forests[f"{name}, {part} joints"] = plots.forest(
                [
                    (r.challenge, 100 * r.change.value, 100 * r.change.low, 100 * r.change.high)
                    for r in chosen
                    if r.run == name and np.isfinite(r.change.value)
                ],
                unit="points",
            )
    head = ["", "joints"]
    for k, name in enumerate(names):
        head += [name, "plain", "less plain"]
        head += [f"less {names[0]}"] if k else []
    return render(
        "robustness.html",
        head=head,
        tables=tables,
        forests=forests,
        pictures=pictures,
        about=about,
        runs=runs,
        pairs=max(row.pairs for row in rows),
    )


def _cells(challenge: str, rows: Sequence[Row], names: Sequence[str]) -> list[str | int]:
    own = {row.run: row for row in rows if row.challenge == challenge}
    cells: list[str | int] = [challenge, own[names[0]].joints]
    for name in names:
        row = own[name]
        star = " *" if row.change.excludes_zero else ""
        changed = np.isfinite(row.change.value)
        cells += [percent(row.value), percent(row.plain)]
        cells += [row.change.text() + star if changed else "-"]
        if row.to_first is not None:
            known = np.isfinite(row.to_first.value)
            mark = " *" if row.to_first.excludes_zero else ""
            cells += [row.to_first.text() + mark if known else "-"]
    return cells
