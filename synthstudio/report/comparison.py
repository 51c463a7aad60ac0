"""Pages of several networks: runs compared, challenges, latency."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from synthstudio.evaluation import compare, robustness
from synthstudio.evaluation.robustness import PARTS
from synthstudio.evaluation.storage import percent
from synthstudio.report import pages
from synthstudio.report.pages import Picture, render


def comparison_page(arms: Sequence[compare.Arm], rows: Sequence[compare.Row]) -> bytes:
    first, others = arms[0], arms[1:]
    predictions = first.runs[0].predictions
    differences = [f"{arm.name} minus {first.name}" for arm in others]
    forests = []
    for k, title in enumerate(differences, 1):
        shown = [
            (row.name, d)
            for row in rows
            if (d := row.differences[k]) and row.scale == 100 and not row.less_is_better
        ]
        forests.append((title, pages.forest(shown)))
    about = ("weights", "seed", *compare.differing_options(arms))
    return render(
        "comparison.html",
        arms=arms,
        seeds=len(first.runs),
        people=len(predictions),
        groups=len(np.unique(predictions.group)),
        caveats=compare.caveats(arms),
        head=["", *(arm.name for arm in arms), *differences],
        rows=[
            (
                f"{row.name} ({row.unit})",
                *(compare.value_text(row, v) for v in row.values),
                *(compare.difference_text(row, d) for d in row.differences[1:]),
            )
            for row in rows
        ],
        rounds=compare.STATISTIC_ROUNDS,
        forests=forests,
        run_head=("arm", *about),
        runs=[
            (arm.name, *(str(run.about.get(key, "")) for key in about))
            for arm in arms
            for run in arm.runs
        ],
    )


def robustness_page(
    rows: Sequence[robustness.Row],
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
            forests[f"{name}, {part} joints"] = pages.forest(
                [(r.challenge, r.change) for r in chosen if r.run == name]
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


def stress_page(
    card: str,
    rows: Sequence[robustness.Row],
    *,
    pictures: Mapping[str, Sequence[Picture]],
    version: int,
    weights: str,
) -> bytes:
    """`card`: the summary as lines; `pictures`: of the worst, by set."""
    head = ["", "joints", "PCK@0.1", "the same joints clean", "change"]
    parts = {f"{part} joints": [row for row in rows if row.part == part] for part in PARTS}
    parts["joints hidden by the cause of the set"] = [r for r in rows if r.part not in PARTS]
    tables = {
        part: [_cells(row.challenge, [row], [row.run]) for row in own]
        for part, own in parts.items()
    }
    forests = {
        part: pages.forest([(r.challenge, r.change) for r in own]) for part, own in parts.items()
    }
    return render(
        "stress.html",
        card=card,
        head=head,
        tables=tables,
        forests=forests,
        pictures=pictures,
        version=version,
        weights=weights,
    )


def _cells(challenge: str, rows: Sequence[robustness.Row], names: Sequence[str]) -> list[str | int]:
    own = {row.run: row for row in rows if row.challenge == challenge}
    cells: list[str | int] = [challenge, own[names[0]].joints]
    for name in names:
        row = own[name]
        cells += [percent(row.value.value), percent(row.plain.value), row.change.marked()]
        cells += [] if row.to_first is None else [row.to_first.marked()]
    return cells


def benchmark_page(
    title: str,
    lead: str,
    *,
    ranges: Sequence[pages.Range] = (),
    trade: Sequence[pages.Trade],
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    about: Mapping[str, Any],
) -> bytes:
    return render(
        "benchmark.html",
        title=title,
        lead=lead,
        ranges=pages.ranges(ranges) if ranges else "",
        trade=pages.trade(trade) if trade else "",
        head=head,
        rows=rows,
        about=[(name, str(value)) for name, value in about.items()],
    )
