"""Plots of the studio: figures from counts, with the filter of a click on each bar or cell.

A browser's selection consists of point indices; `Plot.filters` maps them, so no text from the
browser is trusted. Colours of causes are those of the report.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from synthstudio.core.arrays import F64, I64
from synthstudio.core.labels import CAUSES
from synthstudio.core.progress import people_text
from synthstudio.review.values import Pair
from synthstudio.studio.gallery.filters import Form, JointCondition

STATUS_COLOURS = {
    "pending": "#8b9199",
    "approved": "#009e73",
    "rejected": "#d55e00",
    "flagged": "#e69f00",
    "skipped": "#56b4e9",
}
"""After Okabe and Ito (2008), as for causes; pages write the word beside the colour."""
ACCENT = "#3a86c8"
_BINS = tuple((round(0.1 * k, 1), round(0.1 * (k + 1), 1)) for k in range(10))
"""Of the occluded fraction; only the last includes its upper end."""
CONFIG = {"displayModeBar": False, "scrollZoom": False}
"""For st.plotly_chart: no tool bar, no zoom by wheel."""
_MAX_BARS = 9
_MANY = 2_000
"""Above this many points, WebGL is used."""
TOOLS = {"displaylogo": False, "scrollZoom": False, "modeBarButtonsToRemove": ["toImage"]}
"""With a tool bar: lasso, box, zoom."""


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A figure, the filter of each of its points, and a description for screen readers."""

    figure: go.Figure
    filters: tuple[Form, ...]
    alt: str


def occluded_counts(fraction: F64) -> I64:
    """How many people are in each of _BINS, without unknown ones (NaN)."""
    known = fraction[np.isfinite(fraction)].astype(np.float64)
    tenth = np.floor(np.round(known * 10, 9)).astype(np.int64)
    return np.bincount(np.clip(tenth, 0, 9), minlength=10).astype(np.int64)


def heat_map(counts: I64, joints: Sequence[str], *, dark: bool = False) -> Plot:
    """Fractions of people by cause and joint: `counts` (J, causes); `dark`: the page's theme."""
    used = [k for k, name in enumerate(CAUSES) if k < 5 or counts[:, k].any()]
    people = counts.sum(axis=1, keepdims=True)
    fractions = counts[:, used] / np.maximum(people, 1)
    names = [CAUSES[k] for k in used]
    rows = [joint.replace("_", " ") for joint in joints]
    figure = go.Figure(
        go.Heatmap(
            z=fractions,
            x=names,
            y=rows,
            zmin=0,
            zmax=1,
            showscale=False,
            hoverinfo="skip",
            colorscale=[[0, "rgba(31,111,178,0.05)"], [1, "rgba(31,111,178,0.95)"]],
            xgap=1,
            ygap=1,
        )
    )
    white = "#ffffff"
    ink = white if dark else "#1d2125"
    cells = [(j, i) for j in range(len(joints)) for i in range(len(names))]
    # Heat maps get no clicks; invisible marks above the cells do.
    figure.add_scatter(
        x=[names[i] for _, i in cells],
        y=[rows[j] for j, _ in cells],
        mode="markers+text",
        text=[_percent(fractions[j, i]) for j, i in cells],
        textfont={
            "size": 12,
            "color": [white if fractions[j, i] >= 0.6 else ink for j, i in cells],
        },
        marker={"size": 22, "opacity": 0, "symbol": "square"},
        hovertext=[
            f"{rows[j]}: {names[i]}, {people_text(int(counts[j, used[i]]))}" for j, i in cells
        ],
        hoverinfo="text",
        selected={"marker": {"opacity": 0}},
        unselected={"marker": {"opacity": 0}},
    )
    _set_layout(figure, height=20 * len(joints) + 44)
    figure.update_yaxes(range=[len(joints) - 0.5, -0.5], showgrid=False)
    figure.update_xaxes(side="top", range=[-0.5, len(names) - 0.5], showgrid=False)
    filters = tuple(
        Form(joints=(JointCondition(which=joints[j], test=_joint_test(names[i])),))
        for j, i in cells
    )
    maximum = max(1, int(people.max(initial=0)))
    parts = "; ".join(f"{row} visible {counts[j, 0] / maximum:.0%}" for j, row in enumerate(rows))
    alt = f"Causes by joint, percent of people: {parts}."
    return Plot(figure=figure, filters=filters, alt=alt)


def histogram(counts: I64) -> Plot:
    labels = [f"{lo:.0%} to {hi:.0%}" for lo, hi in _BINS]
    figure = go.Figure(
        go.Bar(
            x=[(lo + hi) / 2 for lo, hi in _BINS],
            y=counts.tolist(),
            width=0.094,
            marker={"color": ACCENT},
            hoverinfo="text",
            hovertext=[f"{name}: {people_text(n)}" for name, n in zip(labels, counts, strict=True)],
            **_SELECTED_STYLE,
        )
    )
    _set_layout(figure, height=150)
    figure.update_xaxes(tickformat=".0%", range=[0, 1], dtick=0.2, showgrid=False)
    filters = tuple(Form(ranges={"occluded": limits}) for limits in _BINS)
    parts = ", ".join(f"{n} at {name}" for name, n in zip(labels, counts, strict=True) if n)
    return Plot(
        figure=figure, filters=filters, alt=f"People by occluded fraction: {parts or 'none'}."
    )


def bars(
    counts: Mapping[str, int], *, field: str, colours: Mapping[str, str] | None = None
) -> Plot:
    rows = sorted(counts.items(), key=lambda row: (-row[1], row[0]))[:_MAX_BARS]
    names = [name for name, _ in rows]
    figure = _across(
        names,
        [n for _, n in rows],
        [f"{n:,}" for _, n in rows],
        height=24 * max(1, len(rows)) + 16,
        marker={"color": [(colours or {}).get(name, ACCENT) for name in names]},
        hovertext=[f"{name}: {people_text(n)}" for name, n in rows],
        hoverinfo="text",
        **_SELECTED_STYLE,
    )
    figure.update_xaxes(visible=False, range=[0, 1.25 * max([1, *(n for _, n in rows)])])
    parts = ", ".join(f"{n} {name}" for name, n in rows)
    filters = tuple(Form(choices={field: (name,)}) for name in names)
    return Plot(figure=figure, filters=filters, alt=f"People by {field}: {parts or 'none'}.")


def points(places: F64, ids: Sequence[Pair], occluded: F64) -> Plot:
    """A map of people at `places` (P, 2), for a lasso; coloured if `occluded` is known for all."""
    many = len(ids) > _MANY
    scale = {"colorscale": "Viridis", "cmin": 0, "cmax": 1, "colorbar": {"title": "occluded"}}
    known = bool(np.isfinite(occluded).all())
    colours = {"color": occluded, **scale} if known else {"color": ACCENT}
    figure = go.Figure(
        (go.Scattergl if many else go.Scatter)(
            x=places[:, 0],
            y=places[:, 1],
            mode="markers",
            marker={"size": 5 if many else 9, "opacity": 0.75, **colours},
            hovertext=[f"frame {frame}, person {instance}" for frame, instance in ids],
            hoverinfo="text",
        )
    )
    _set_layout(figure, height=560)
    figure.update_layout(dragmode="lasso")
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleanchor="x")
    return Plot(figure=figure, filters=(), alt=f"{people_text(len(ids))} by pose.")


def interval(rate: float, low: float, high: float) -> Plot:
    far = min(1.0, max(0.1, np.ceil(high * 11) / 10))
    figure = go.Figure()
    figure.add_scatter(
        x=[low, high], y=[0, 0], mode="lines", hoverinfo="skip", line={"color": ACCENT, "width": 6}
    )
    figure.add_scatter(
        x=[rate],
        y=[0],
        mode="markers",
        hoverinfo="text",
        hovertext=[f"{rate:.1%}"],
        marker={"size": 13, "color": "#d55e00", "line": {"color": "white", "width": 2}},
    )
    _set_layout(figure, height=84)
    figure.update_layout(margin={"l": 12, "r": 24, "t": 4, "b": 30})
    figure.update_xaxes(
        range=[0, far], tickformat=".0%", nticks=6, automargin=False, showgrid=True, showline=True
    )
    figure.update_yaxes(visible=False, range=[-1, 1])
    alt = f"{rate:.1%} of the labels are wrong, between {low:.1%} and {high:.1%}."
    return Plot(figure=figure, filters=(), alt=alt)


def per_joint(values: F64, joints: Sequence[str], *, means: str) -> Plot:
    texts = [f"{v:.2f}" if np.isfinite(v) else "" for v in values]
    shown = np.nan_to_num(values)
    figure = _across(
        joints,
        shown,
        texts,
        height=20 * len(joints) + 34,
        marker={"color": ACCENT},
        hoverinfo="skip",
    )
    ends = [1.2 * end for end in (min(0.0, *shown), max(0.1, *shown))]  # room for the numbers
    figure.update_xaxes(title={"text": means, "font": {"size": 12}}, showgrid=True, range=ends)
    named = zip(joints, texts, strict=True)
    parts = ", ".join(f"{joint.replace('_', ' ')} {text}" for joint, text in named if text)
    return Plot(figure=figure, filters=(), alt=f"{means}: {parts or 'nothing yet'}.")


def over_days(days: Sequence[str], counts: Mapping[str, Sequence[float]], *, means: str) -> Plot:
    figure = go.Figure()
    palette = ("#3a86c8", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a25e")
    for k, (name, values) in enumerate(counts.items()):
        figure.add_bar(
            x=list(days), y=list(values), name=name, marker={"color": palette[k % len(palette)]}
        )
    _set_layout(figure, height=200)
    figure.update_layout(
        barmode="stack", showlegend=len(counts) > 1, legend={"orientation": "h", "y": -0.25}
    )
    figure.update_xaxes(type="category")
    figure.update_yaxes(title={"text": means, "font": {"size": 12}})
    parts = ", ".join(f"{name} {sum(values):g}" for name, values in counts.items())
    return Plot(figure=figure, filters=(), alt=f"{means} by day: {parts or 'none'}.")


def _across(
    names: Sequence[str], values: Any, texts: Sequence[str], *, height: int, **more: Any
) -> go.Figure:
    rows = [name.replace("_", " ") for name in names]
    figure = go.Figure(go.Bar(y=rows, x=values, orientation="h", text=texts, **more))
    figure.update_traces(textposition="outside", cliponaxis=False)
    _set_layout(figure, height=height)
    figure.update_yaxes(autorange="reversed", type="category")
    return figure


_SELECTED_STYLE = {
    "selected": {"marker": {"opacity": 1}},
    "unselected": {"marker": {"opacity": 0.85}},
}


def _set_layout(figure: go.Figure, *, height: int) -> None:
    figure.update_layout(
        height=height,
        margin={"l": 4, "r": 4, "t": 4, "b": 4},
        showlegend=False,
        bargap=0.25,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        dragmode=False,
        font={"size": 12},
        hoverlabel={"font": {"size": 12}},
        clickmode="event+select",
    )
    figure.update_xaxes(automargin=True, fixedrange=True, zeroline=False)
    figure.update_yaxes(automargin=True, fixedrange=True, zeroline=False)


def _joint_test(cause: str) -> str:
    return {"visible": "visible", "truncated": "cause = truncated", "unlabelled": "unlabelled"}.get(
        cause, f"hidden by {cause}"
    )


def _percent(share: float) -> str:
    return "" if share == 0 else "<1" if share < 0.01 else f"{100 * share:.0f}"
