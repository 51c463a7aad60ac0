"""One self-contained HTML page about a data set, with a datasheet in it; no script, no network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from synthstudio.core.bins import FRACTIONS
from synthstudio.core.errors import DatasetError
from synthstudio.core.images import decode_rgb
from synthstudio.core.labels import U8
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.durable import disk_errors, replace_file
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import NO_STATE, Row, labels_from_rows
from synthstudio.quality.examples import Example
from synthstudio.report import contents, datasheet, html
from synthstudio.report.draw import draw_labels, person_colour
from synthstudio.report.facts import Facts, chosen_examples, gather
from synthstudio.report.sketch import Figure, sketch

EXAMPLE_PX = (640, 480)
"""Width and height of an example."""
_LEAST_ROWS_PX = 900
_LEAST_EXAMPLES = 8
_HIDDEN = (
    "nothing hidden",
    "up to 10 % hidden",
    "10 to 30 % hidden",
    "30 to 50 % hidden",
    "50 to 70 % hidden",
    "70 to 90 % hidden",
    "over 90 % hidden",
)


def report(
    dataset: Dataset,
    out: Path,
    *,
    audit: Mapping[str, Any] | None = None,
    on_step: Callable[[str], None] | None = None,
) -> Facts:
    """Write the page `out` about a data set; `audit` is what `audit --json` printed of it.

    DatasetError when an image or a row is damaged; DiskError when writing fails.
    """
    facts = gather(dataset, on_step=on_step)
    if on_step is not None:
        on_step("drawing examples")
    body = [
        contents.header(dataset, facts, audit),
        contents.examples([*_figures(dataset, facts), *_more(dataset, facts)]),
        contents.made(dataset, facts),
        contents.licences(dataset, facts),
        contents.distributions(dataset, facts),
        contents.asked(dataset, facts),
        contents.audited(audit),
        contents.limits(dataset, facts, audit),
        datasheet.datasheet(dataset, facts, audit),
    ]
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    replace_file(out, html.page(f"{contents.name_of(dataset)}: data set report", body))
    return facts


def drawn(dataset: Dataset, index: int, instance: int) -> U8:
    """Return a stored frame with its labels, cut to the surroundings of one person.

    Rows that were imported without 3D or masks are sketched.
    """
    row, people = dataset.frame(index), dataset.instances(index)
    rgb = decode_rgb(dataset.image_bytes_of(row), str(dataset.image_path(index)))
    skeleton = get_skeleton(dataset.identity.skeleton)
    try:
        labels = labels_from_rows(row, people)
    except DatasetError:
        made = sketch(
            rgb, [figure_of(person, skeleton.name) for person in people], rows_px=_LEAST_ROWS_PX
        )
    else:
        made = draw_labels(rgb, labels, skeleton, rows_px=_LEAST_ROWS_PX, legend=False, names=False)
    who = next(person for person in people if person["instance"] == instance)
    return _around(made, who["amodal_box_px"] or who["modal_box_px"], made.shape[0] / rgb.shape[0])


def _around(made: U8, box: Sequence[float], zoom: float) -> U8:
    """Return a window of EXAMPLE_PX's shape about a box, inside the picture."""
    rows, columns = made.shape[:2]
    wide, high = EXAMPLE_PX
    x, y, w, h = (float(v) * zoom for v in box)
    tall = min(max(1.5 * h, 1.6 * w * high / wide, rows / 2), rows, columns * high / wide)
    size = np.array([tall * wide / high, tall])
    corner = np.clip(np.array([x + w / 2, y + h / 2]) - size / 2, 0, (columns, rows) - size)
    left, top = (int(v) for v in corner)
    cut = made[top : top + int(size[1]), left : left + int(size[0])]
    way = cv2.INTER_AREA if cut.shape[1] > wide else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(cut, EXAMPLE_PX, interpolation=way), np.uint8)


def figure_of(row: Row, skeleton: str) -> Figure:
    """Return what a sketch draws of an instance's row."""
    state = np.array(row["state"], np.int64)
    px = np.array(row["joints_px"], np.float64).reshape(-1, 2)
    px[(state == NO_STATE) | (state == 0)] = np.nan
    x, y, w, h = row["modal_box_px"]
    return Figure(skeleton=get_skeleton(skeleton), px=px, state=state.tolist(), box=(x, y, w, h))


def _figures(dataset: Dataset, facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield (axis, figure) of each example bin."""
    for axis, name, example in chosen_examples(facts.coverage):
        caption = _caption(axis, name, example, facts)
        picture = drawn(dataset, example.frame, example.instance)
        alt = f"part of frame {example.frame} with its labels drawn in"
        yield axis, html.picture(picture, caption, alt=alt)


def _more(dataset: Dataset, facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield ("more", figure) of the largest people of frames far apart, where bins show few."""
    bins = sum(1 for _ in chosen_examples(facts.coverage))
    wanted = _LEAST_EXAMPLES - bins if 2 * bins < _LEAST_EXAMPLES else 0
    step = max(1, facts.stats["frames"] // max(1, wanted))
    largest: dict[int, tuple[float, int]] = {}
    for person in dataset.iter_instances(["frame_index", "instance", "modal_box_px"]):
        frame_index, (_, _, w, h) = person["frame_index"], person["modal_box_px"]
        if wanted and frame_index % step == 0:
            largest[frame_index] = max(
                largest.get(frame_index, (0.0, 0)), (w * h, person["instance"])
            )
            if len(largest) > wanted:
                largest.pop(frame_index)
                break
    for index, (_, instance) in largest.items():
        dot = f'<span class="swatch" style="background:rgb{person_colour(instance)}"></span>'
        caption = f'{dot}<span class="soft">frame {index}, person {instance}</span>'
        alt = f"part of frame {index} with its labels drawn in"
        yield "more", html.picture(drawn(dataset, index, instance), caption, alt=alt)


def _caption(axis: str, name: str, example: Example, facts: Facts) -> str:
    if axis == "cause":
        joint = facts.coverage.skeleton.joints[example.joint].replace("_", " ")
        told = f"{name}: the {joint}"
    elif axis == "view":
        told = name.replace("_", " ")
    else:
        told = _HIDDEN[FRACTIONS.index(name)]
    who = f"frame {example.frame}, person {example.instance}"
    dot = f'<span class="swatch" style="background:rgb{person_colour(example.instance)}"></span>'
    return f'{dot}<b>{html.escape(told)}</b> <span class="soft">{who}</span>'
