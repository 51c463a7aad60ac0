"""A comparison as one self-contained HTML page."""

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
from synthstudio.report.html import card, cards, escape, page, section, table


def comparison_page(arms: Sequence[Arm], rows: Sequence[Row]) -> bytes:
    """Return the page of a comparison."""
    first = arms[0]
    people = len(first.runs[0].predictions)
    groups = len(np.unique(first.runs[0].predictions.group))
    seeds = "one seed" if len(first.runs) == 1 else f"{len(first.runs)} seeds"
    lead = (
        f"{len(arms)} ways to train, {seeds} each, "
        f"asked about the same {people:,} people in {groups:,} moments."
    )
    head = ("", *(a.name for a in arms), *(f"{a.name} minus {first.name}" for a in arms[1:]))
    lines = [
        (
            f"{row.name} ({row.unit})",
            *(value_text(row, v) for v in row.values),
            *(difference_text(row, d) for d in row.differences[1:]),
        )
        for row in rows
    ]
    forests = []
    for k, arm in enumerate(arms[1:], 1):
        shown = [
            (row.name, row.scale * d.value, row.scale * d.low, row.scale * d.high)
            for row in rows
            if (d := row.differences[k]) is not None and row.scale == 100 and not row.less_is_better
        ]
        forests.append(card(f"{arm.name} minus {first.name}", plots.forest(shown, unit="points")))
    told = ("weights", "seed", *differing_options(arms))
    runs = [(a.name, *(str(r.about.get(key, "")) for key in told)) for a in arms for r in a.runs]
    warned = "".join(f'<p class="warn">{escape(line)}</p>' for line in caveats(arms))
    note = (
        "95 % intervals of a paired bootstrap: seeds are drawn first, then whole moments, for "
        "both sides alike. A star: the interval excludes zero. Less is better for distances, "
        "MPJPE and ECE. AP, AUROC, F1 and ECE are means over seeds, with "
        f"{STATISTIC_ROUNDS} draws. Nothing is corrected for looking at many figures."
    )
    return page(
        "comparison",
        [
            plots.STYLE,
            f'<header><h1>Runs side by side</h1><p class="lead">{escape(lead)}</p></header>'
            f"{warned}",
            section(
                "figures", "Figures", table(head, lines), f'<p class="soft">{escape(note)}</p>'
            ),
            section("differences", "Differences", cards(*forests, wide=True)),
            section("runs", "Runs", table(("arm", *told), runs)),
        ],
    )
