"""A comparison of runs as one page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synthstudio.evaluation.compare import (
    STATISTIC_ROUNDS,
    Arm,
    Row,
    caveats,
    difference_text,
    differing_options,
    value_text,
)
from synthstudio.report import plots
from synthstudio.report.html import render


def comparison_page(arms: Sequence[Arm], rows: Sequence[Row]) -> bytes:
    first, others = arms[0], arms[1:]
    predictions = first.runs[0].predictions
    differences = [f"{arm.name} minus {first.name}" for arm in others]
    forests = []
    for k, title in enumerate(differences, 1):
        shown = [
            (row.name, row.scale * d.value, row.scale * d.low, row.scale * d.high)
            for row in rows
            if (d := row.differences[k]) and row.scale == 100 and not row.less_is_better
        ]
        forests.append((title, plots.forest(shown, unit="points")))
    about = ("weights", "seed", *differing_options(arms))
    return render(
        "comparison.html",
        arms=arms,
        seeds=len(first.runs),
        people=len(predictions),
        groups=len(np.unique(predictions.group)),
        caveats=caveats(arms),
        head=["", *(arm.name for arm in arms), *differences],
        rows=[
            (
                f"{row.name} ({row.unit})",
                *(value_text(row, v) for v in row.values),
                *(difference_text(row, d) for d in row.differences[1:]),
            )
            for row in rows
        ],
        rounds=STATISTIC_ROUNDS,
        forests=forests,
        run_head=("arm", *about),
        runs=[
            (arm.name, *(str(run.about.get(key, "")) for key in about))
            for arm in arms
            for run in arm.runs
        ],
    )
