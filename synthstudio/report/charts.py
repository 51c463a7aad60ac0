"""Charts as plain HTML: they wrap on a phone, print, and can be read aloud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from synthstudio.report.html import escape

CAUSE_COLOURS = {
    "visible": "#009e73",
    "self": "#e69f00",
    "person": "#cc79a7",
    "object": "#3a86c8",
    "truncated": "#8b9199",
    "unknown": "#b8a25e",
    "unlabelled": "#c9ccd1",
}
"""After Okabe and Ito (2008): told apart by every common kind of colour vision."""


def bars(counts: Mapping[str, int], *, most: int = 0, percent: bool = True) -> str:
    """Return horizontal bars with counts; more than `most` names are summed up as others."""
    rows = list(counts.items())
    if most and len(rows) > most:
        rest = sum(n for _, n in rows[most - 1 :])
        rows = [*rows[: most - 1], (f"{len(rows) - most + 1} others", rest)]
    total, largest = sum(counts.values()), max([n for _, n in rows], default=0)
    out = []
    for name, n in rows:
        share = f" · {n / total:.0%}" if percent and total else ""
        width = 100 * n / largest if largest else 0
        label = escape(name.replace("_", " "))
        out.append(
            f'<span class="name" title="{label}">{label}</span>'
            f'<span class="track"><i style="width:{width:.1f}%"></i></span>'
            f'<span class="n">{n:,}{share}</span>'
        )
    return f'<div class="bars">{"".join(out)}</div>' if out else '<p class="soft">none</p>'


def columns(labels: Sequence[str], counts: Sequence[int], *, axis: Sequence[str]) -> str:
    """Return upright bars; `labels` name each for a pointer, `axis` stands below."""
    largest = max([*counts, 1])
    each = "".join(
        f'<div title="{escape(label)}: {n:,}"><i style="height:{100 * n / largest:.1f}%"></i></div>'
        for label, n in zip(labels, counts, strict=True)
    )
    below = "".join(f"<span>{escape(a)}</span>" for a in axis)
    return f'<div class="columns">{each}</div><div class="axis">{below}</div>'


def stacked(rows: Mapping[str, Mapping[str, int]], colours: Mapping[str, str]) -> str:
    """Return a bar of shares a row, with one legend; parts that nobody has are left out."""
    used = [name for name in colours if any(row.get(name) for row in rows.values())]
    legend = "".join(
        f'<span><i style="background:{colours[name]}"></i>{escape(name)}</span>' for name in used
    )
    out = []
    for label, row in rows.items():
        total = sum(row.get(name, 0) for name in used) or 1
        parts = "".join(
            f'<i style="width:{100 * row.get(name, 0) / total:.2f}%;background:{colours[name]}" '
            f'title="{escape(name)}: {row.get(name, 0):,} ({row.get(name, 0) / total:.0%})"></i>'
            for name in used
        )
        first = used[0] if used else ""
        out.append(
            f'<span class="name">{escape(label.replace("_", " "))}</span>'
            f'<span class="track">{parts}</span>'
            f'<span class="n">{row.get(first, 0) / total:.0%}</span>'
        )
    return f'<div class="legend">{legend}</div><div class="bars">{"".join(out)}</div>'


def heat(
    rows: Sequence[str], names: Sequence[str], counts: Sequence[Sequence[int]], *, corner: str = ""
) -> str:
    """Return a table of counts whose cells are the darker the more there are."""
    largest = max([n for row in counts for n in row] + [1])
    head = "".join(f'<th class="n">{escape(n.replace("_", " "))}</th>' for n in names)
    lines = []
    for label, row in zip(rows, counts, strict=True):
        cells = "".join(
            f'<td style="background:rgba(var(--shade),{0.55 * (n / largest) ** 0.5:.3f})">'
            f"{n:,}</td>"
            if n
            else '<td class="soft">·</td>'
            for n in row
        )
        lines.append(f"<tr><th>{escape(label.replace('_', ' '))}</th>{cells}</tr>")
    return (
        f'<div class="scroll"><table class="heat"><thead><tr><th>{escape(corner)}</th>{head}</tr>'
        f"</thead><tbody>{''.join(lines)}</tbody></table></div>"
    )
