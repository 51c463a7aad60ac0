"""Latency, and accuracy against latency, as one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from synthstudio.report import plots
from synthstudio.report.html import render


def benchmark_page(
    title: str,
    lead: str,
    *,
    ranges: Sequence[plots.Range] = (),
    trade: Sequence[plots.Trade] = (),
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    about: Mapping[str, Any],
) -> bytes:
    return render(
        "benchmark.html",
        title=title,
        lead=lead,
        ranges=plots.ranges(ranges, unit="ms") if ranges else "",
        trade=plots.trade(trade) if trade else "",
        head=head,
        rows=rows,
        about=[(name, str(value)) for name, value in about.items()],
    )
