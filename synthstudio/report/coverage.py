"""Coverage as text, and as a sheet: an example of each bin, with its count.

Tables of text are at most 96 columns wide, thin bins marked.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from synthstudio.core.arrays import F64, I64, U8
from synthstudio.core.labels import CAUSES, VISIBILITY, PersonLabel
from synthstudio.core.people import BODIES, FRACTIONS, HEIGHTS, VIEWS
from synthstudio.core.progress import OnProgress, counter
from synthstudio.dataset.reader import Dataset
from synthstudio.quality.coverage import (
    HIDDEN,
    REGIONS,
    UNKNOWN,
    Bins,
    Coverage,
    Example,
    Gap,
    gaps,
    known_places,
    thin_below,
    thin_pairs,
)
from synthstudio.report.draw import PAPER, TEXT, cut_out, draw_labels, drawable, legend_strip
from synthstudio.report.evaluation import ring

PAIRS = (("joint", "cause"), ("cause", "fraction"), ("family", "view"))
"""The pairs of axes with listed thin bins."""
LISTED = 8
"""Maximum number of listed gaps."""
_CAUSES = dict(
    zip(VISIBILITY, ("seen", "by itself", "by a person", "by an object", "outside"), strict=True)
)


def text(found: Coverage, *, at_least: float | None = None) -> str:
    """Tables of marginals and pairs of axes; then the significant gaps."""
    rule = (
        f"fewer than {at_least:g}"
        if at_least is not None
        else "less than half of an even share of its table"
    )
    lines = [
        f"{found.frames} frames, {found.people} people, {int(found.counts.sum())} joints",
        f"* thin: {rule}   . empty",
    ]
    for section in (_people_lines, _body_lines, _joint_lines, _cause_lines, _gap_lines):
        lines += ["", *section(found, at_least)]
    return "\n".join(line.rstrip() for line in lines)


def _people_lines(found: Coverage, at_least: float | None) -> list[str]:
    counts, rows, columns = _cut(found, "family", "view")
    views = [name.replace("_left", " l").replace("_right", " r") for name in columns]
    title = "people by pose family and side seen"
    return _table(title, rows, views, counts, at_least=at_least, width=8)


def _body_lines(found: Coverage, at_least: float | None) -> list[str]:
    counts = found.of_people("body")[:-1].reshape(-1, len(HEIGHTS))
    names = found.labels["body"][:-1]
    rows = [name.rsplit("-", 1)[0].replace("-", ", ") for name in names[:: len(HEIGHTS)]]
    return _table("people by body", rows, HEIGHTS, counts, at_least=at_least)


def _joint_lines(found: Coverage, at_least: float | None) -> list[str]:
    counts, rows, columns = _cut(found, "joint", "cause")
    causes = [_CAUSES.get(name, name) for name in columns]
    return _table("joints by cause", rows, causes, counts, at_least=at_least, width=13)


def _cause_lines(found: Coverage, at_least: float | None) -> list[str]:
    """Joints by cause and fraction, and in the last line people by fraction."""
    counts, rows, columns = _cut(found, "cause", "fraction")
    named = [_CAUSES.get(name, name) for name in rows]
    title = "joints by cause and occluded fraction of the person"
    lines = _table(title, named, columns, counts, at_least=at_least)
    people = found.of_people("fraction")[: len(columns)]
    width, minimum = max(map(len, [*named, "all"])), thin_below(people, at_least)
    return [*lines, _line("people", people, width=width, cell=9, minimum=minimum)]


def _cut(found: Coverage, first: str, second: str) -> tuple[I64, list[str], list[str]]:
    def shown(axis: str, sums: I64) -> list[int]:
        """Impossible bins are shown only if not empty."""
        return sorted({*known_places(found, axis), *np.flatnonzero(sums).tolist()})

    counts, (rows, columns) = found.table((first, second), shown)
    return counts, rows, columns


def _table(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    counts: I64,
    *,
    at_least: float | None,
    width: int = 9,
) -> list[str]:
    names = max(map(len, [*rows, "all"]))
    minimum = thin_below(counts, at_least)
    down, across = counts.sum(axis=1), counts.sum(axis=0)
    head = " " * names + "".join(f"{name:>{width - 1}} " for name in [*columns, "all"])
    lines = [title, head]
    for name, row, total in zip(rows, counts, down, strict=True):
        line = _line(name, row, width=names, cell=width, minimum=minimum)
        lines.append(line + _cell(int(total), width, thin_below(down, at_least)))
    sums = _line("all", across, width=names, cell=width, minimum=thin_below(across, at_least))
    return [*lines, sums + _cell(int(counts.sum()), width, 0)]


def _line(name: str, counts: I64, *, width: int, cell: int, minimum: float) -> str:
    return f"{name:<{width}}" + "".join(_cell(int(n), cell, minimum) for n in counts)


def _cell(count: int, width: int, minimum: float) -> str:
    return f"{count or '.':>{width - 1}}" + ("*" if 0 < count < minimum else " ")


def _gap_lines(found: Coverage, at_least: float | None) -> list[str]:
    """The worst gaps, one line each, and the number of other thin bins."""
    thin = sum(len(thin_pairs(found, pair, at_least=at_least)) for pair in PAIRS)
    if not thin:
        return ["nothing is thin"]
    worst = gaps(found, at_least=at_least)
    if not worst:
        return [
            f"{thin} thin bins of pairs, none statistically significant at this size:",
            "more frames fill them",
        ]
    listed = [(_gap_name(gap), gap) for gap in worst[:LISTED]]
    width = max(len(name) for name, _ in listed)
    even = ("an even share is", "expected from either alone")  # of one axis, of two
    lines = [
        f"  {name:<{width}}  {gap.count:,}, {even[len(gap.axes) - 1]} {gap.expected:,.0f}"
        for name, gap in listed
    ]
    more = len(worst) - len(listed)
    return [
        "largest gaps (--write FILE makes a recipe for them):",
        *lines,
        *([f"  and {more} more in --json"] if more else []),
        f"{thin} thin bins of pairs: the others follow from these or are not significant",
    ]


def _gap_name(gap: Gap) -> str:
    unit = "joints" if {"joint", "cause"} & set(gap.axes) else "people"
    named = [
        f"occluded {name}" if axis == "fraction" else _CAUSES.get(name, name)
        for axis, name in zip(gap.axes, gap.names, strict=True)
    ]
    return f"{unit}: {', '.join(named)}"


# The sheet ----------------------------------------------------------------------------------------

CELL_PX = (190, 224)
"""Width and height of a picture."""
COLUMNS = 9
_GAP, _SIDE, _HEAD, _TITLE, _STRIP = 6, 128, 26, 50, 20
_FAINT = (120, 126, 136)
_EMPTY = (36, 39, 45)
_OCCLUDERS = {
    "self": "hidden by\nitself",
    "person": "hidden by\na person",
    "object": "hidden by\na object",
    "truncated": "outside\nthe frame",
    "unknown": "hidden,\nby what is\nunknown",
}
_HIDDEN_BY = (
    "all seen",
    "up to\n10 %\nhidden",
    "10 to\n30 %",
    "30 to\n50 %",
    "50 to\n70 %",
    "70 to\n90 %",
    "more\nthan 90 %",
)
_RING = (255, 236, 90)
_AROUND_JOINT = 0.3
"""Half a side of a joint's picture, relative to the person's height."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A bin of the sheet; `caption` if rows and columns do not name it."""

    example: Example | None
    caption: str = ""


@dataclass(frozen=True, kw_only=True)
class Section:
    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]


def sheet(dataset: Dataset, found: Coverage, *, on_progress: OnProgress | None = None) -> U8:
    """The sheet (h, w, 3) of a data set's coverage; DatasetError when an image is
    damaged."""
    blocks = sections(found)
    examples = sorted(
        {cell.example for block in blocks for row in block.cells for cell in row if cell.example},
        key=lambda e: (e.frame, e.instance, e.joint),
    )
    pictures, report = {}, counter(on_progress, len(examples))
    for k, (example, picture) in enumerate(_pictures(dataset, examples)):
        pictures[example] = picture
        report(k + 1)
    return _page(found, blocks, pictures)


def sections(found: Coverage) -> tuple[Section, ...]:
    """The blocks of the sheet with an example for each bin that has one; empty blocks
    are left out."""
    blocks = (_hidden(found), _causes(found), _bodies(found), _families(found))
    return tuple(block for block in blocks if block is not None)


def _hidden(found: Coverage) -> Section:
    """The block of fractions by side, or in one row if sides are unknown."""
    bins, views, fractions = found.examples.by_view, len(VIEWS), len(FRACTIONS)
    title = "How much of a person is hidden"
    of = [[f * (views + 1) + v for v in range(views + 1)] for f in range(fractions + 1)]
    if not any(bins.counts[place] for row in of for place in row[:views]):
        names = tuple(name.replace("\n", " ") for name in _HIDDEN_BY)
        unknown = bins.counts[of[fractions][views]] > 0
        row = [row[views] for row in of[: fractions + unknown]]
        names = (*names, UNKNOWN) if unknown else names
        return Section(title=title, rows=("",), columns=names, cells=_grid(bins, [row]))
    unknown = any(bins.counts[row[views]] for row in of)
    columns = [name.replace("_", " ") for name in VIEWS]
    columns += ["side not known"] if unknown else []
    return Section(
        title=f"{title}, and the side facing the camera",
        rows=_HIDDEN_BY,
        columns=tuple(columns),
        cells=_grid(bins, [row[: views + unknown] for row in of[:fractions]]),
    )


def _causes(found: Coverage) -> Section:
    bins, regions = found.examples.by_cause, len(REGIONS)
    of = {c: [CAUSES.index(c) * regions + r for r in range(regions)] for c in (*HIDDEN, UNKNOWN)}
    causes = [c for c in of if c != UNKNOWN or bins.counts[of[c]].any()]
    return Section(
        title="Causes by part of the body",
        rows=tuple(_OCCLUDERS[cause] for cause in causes),
        columns=tuple(REGIONS),
        cells=_grid(bins, [of[cause] for cause in causes]),
    )


def _bodies(found: Coverage) -> Section | None:
    bins = found.examples.by_body
    if not bins.counts[: len(BODIES)].any():
        return None
    places = [[k + g * COLUMNS for k in range(COLUMNS)] for g in range(len(BODIES) // COLUMNS)]
    return Section(
        title="Bodies",
        rows=("men", "women"),
        columns=tuple(name.split("-", 1)[1].replace("-", ", ") for name in BODIES[:COLUMNS]),
        cells=_grid(bins, places),
    )


def _families(found: Coverage) -> Section | None:
    names, bins = found.families, found.examples.by_family
    order = sorted(range(len(names)), key=names.__getitem__)
    if names in ([], [UNKNOWN]):
        return None
    cells = [
        dataclasses.replace(cell, caption=names[k].replace("_", " "))
        for k, cell in zip(order, _grid(bins, [order])[0], strict=True)
    ]
    return Section(
        title="Pose families",
        rows=("",) * -(-len(cells) // COLUMNS),
        columns=(),
        cells=tuple(tuple(cells[k : k + COLUMNS]) for k in range(0, len(cells), COLUMNS)),
    )


def _grid(bins: Bins, places: Sequence[Sequence[int]]) -> tuple[tuple[Cell, ...], ...]:
    """The cells of bins: people are not repeated if avoidable, rarest bins first."""
    used: set[int] = set()
    chosen: dict[int, Example | None] = {}
    every = [place for row in places for place in row]
    for place in sorted(every, key=lambda place: (int(bins.counts[place]), place)):
        chosen[place] = bins.example(place, used)
        if (example := chosen[place]) is not None:
            used.add(example.subject)
    return tuple(tuple(Cell(example=chosen[place]) for place in row) for row in places)


def _pictures(dataset: Dataset, examples: Sequence[Example]) -> Iterator[tuple[Example, U8]]:
    skeleton = dataset.skeleton
    last, rgb = -1, np.zeros((1, 1, 3), np.uint8)
    for example in examples:
        if example.frame != last:
            last = example.frame
            rgb = dataset.rgb_of(dataset.frame(last))
        people = dataset.people_of(last)
        labels = drawable(people[people.instance == example.instance])
        picture, moved = _cut_out(rgb, labels.people[0], example.joint)
        labels = dataclasses.replace(labels, people=(moved,))
        rows = picture.shape[0]
        drawn = draw_labels(picture, labels, skeleton, rows_px=rows, legend=False, names=False)
        if example.joint >= 0 and np.isfinite(moved.joints_px[example.joint]).all():
            ring(drawn, moved.joints_px[example.joint], _RING, 13)
        yield example, drawn


def _cut_out(rgb: U8, person: PersonLabel, joint: int) -> tuple[U8, PersonLabel]:
    """The crop of a person or a joint, and the labels moved into it."""
    wide, high = CELL_PX
    x, y, w, h = person.amodal_box_px
    middle, tall = np.array([x + w / 2, y + h / 2]), max(1.12 * h, 1.12 * w * high / wide, 24.0)
    if joint >= 0 and np.isfinite(person.joints_px[joint]).all():
        middle, tall = person.joints_px[joint], max(2 * _AROUND_JOINT * h, 24.0)
    frame_high, frame_wide = rgb.shape[:2]
    tall = min(tall, 1.25 * frame_high, 1.25 * frame_wide * high / wide)
    size = np.array([tall * wide / high, tall])
    frame = np.array([frame_wide, frame_high])
    # The window stays inside the frame if it fits, else is centred; but joints outside
    # is shown there.
    inside = np.clip(middle - size / 2, 0, np.maximum(frame - size, 0))
    corner = np.where(size > frame, (frame - size) / 2, inside)
    if joint >= 0 and ((middle < 0) | (middle >= frame)).any():
        corner = middle - size / 2
    scale = high / tall
    return cut_out(rgb, corner, scale, CELL_PX), _moved(person, corner, scale)


def _moved(person: PersonLabel, corner: F64, scale: float) -> PersonLabel:
    def box(of: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        x, y, w, h = of
        left, top = (x - corner[0]) * scale, (y - corner[1]) * scale
        return left, top, w * scale, h * scale

    return dataclasses.replace(
        person,
        joints_px=(person.joints_px - corner) * scale,
        modal_box_px=box(person.modal_box_px),
        amodal_box_px=box(person.amodal_box_px),
    )


def _page(found: Coverage, blocks: Sequence[Section], pictures: dict[Example, U8]) -> U8:
    wide, high = CELL_PX
    line = high + _STRIP + _GAP
    width = _SIDE + COLUMNS * (wide + _GAP) + 2 * _GAP
    heights = [_TITLE + (_HEAD if b.columns else 0) + len(b.cells) * line for b in blocks]
    legend = legend_strip(width)
    page = Image.new("RGB", (width, sum(heights) + _TITLE + 2 * _GAP + len(legend)), PAPER)
    draw = ImageDraw.Draw(page)
    title = (
        f"{found.frames:,} frames, {found.people:,} people. In each bin one of those who are seen "
        "largest, and how many there are (of joints, where one is shown)."
    )
    _write(draw, (2 * _GAP, _TITLE / 2), title, 17)
    top = _TITLE
    for block, tall in zip(blocks, heights, strict=True):
        _draw_section(page, block, pictures, top)
        top += tall
    page.paste(Image.fromarray(legend), (0, page.height - len(legend)))
    return np.asarray(page, np.uint8).copy()


def _draw_section(page: Image.Image, block: Section, pictures: dict[Example, U8], top: int) -> None:
    draw = ImageDraw.Draw(page)
    wide, high = CELL_PX
    # Without heads of rows the pictures begin at the left edge.
    left = _SIDE if any(block.rows) else 2 * _GAP
    draw.line((2 * _GAP, top + 6, page.width - 2 * _GAP, top + 6), fill=_FAINT)
    _write(draw, (2 * _GAP, top + 28), block.title, 20)
    top += _TITLE
    for k, name in enumerate(block.columns):
        _write(draw, (left + k * (wide + _GAP) + wide / 2, top + _HEAD / 2 - 2), name, 15, "mm")
    top += _HEAD if block.columns else 0
    for i, (head, row) in enumerate(zip(block.rows, block.cells, strict=True)):
        y = top + i * (high + _STRIP + _GAP)
        _write(draw, (2 * _GAP, y + high / 2), head, 15, spacing=6)
        for k, cell in enumerate(row):
            _draw_cell(page, cell, pictures, (left + k * (wide + _GAP), y))


def _draw_cell(
    page: Image.Image, cell: Cell, pictures: dict[Example, U8], at: tuple[int, int]
) -> None:
    draw = ImageDraw.Draw(page)
    wide, high = CELL_PX
    x, y = at
    draw.rectangle((x, y, x + wide - 1, y + high + _STRIP - 1), fill=_EMPTY)
    middle = y + high + _STRIP / 2
    if cell.example is None:
        _write(draw, (x + wide / 2, y + high / 2), "empty", 16, "mm", _FAINT)
    else:
        page.paste(Image.fromarray(pictures[cell.example]), at)
        count = f"{cell.example.count:,}"
        spot = f"frame {cell.example.frame} / {cell.example.instance}"
        _write(draw, (x + 6, middle), cell.caption or count, 14)
        right, ink = (count, TEXT) if cell.caption else (spot, _FAINT)
        _write(draw, (x + wide - 6, middle), right, 12, "rm", ink)


def _write(
    draw: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    size: int,
    anchor: str = "lm",
    fill: tuple[int, int, int] = TEXT,
    spacing: int = 4,
) -> None:
    font = ImageFont.load_default(size)
    draw.text(at, text, fill=fill, font=font, anchor=anchor, spacing=spacing)
