"""The page of `make transfer`: a table with intervals over seeds and photos, and differences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.generated_items import ITEMS, MORE
from benchmarks.transfer_arms import LABELS, STYLES
from synthstudio.evaluation.intervals import (
    Interval,
    few_seeds_note,
    paired_interval,
    ratio_interval,
)

F64 = NDArray[np.float64]
Found = dict[str, list[dict[str, dict[str, list[int]]]]]
"""Row, seed, column: how many joints of each person were found and asked for."""
COLUMNS = {
    "clean": "clean",
    "35 visible": "35 % covered: visible",
    "35 hidden": "hidden",
    "60 visible": "60 % covered: visible",
    "60 hidden": "hidden",
    "natural visible": "as they are, other photos: v=2",
    "natural hidden": "v=1",
}
QUESTIONS = (
    ("orn", "kpe-free", "ORN instead of KPE decoded by the same bank"),
    ("orn", "kpe-peak", "ORN instead of KPE by peak"),
    ("pretrained", "orn", "pretraining on generated people"),
    ("orn", "orn-joined", "the poses' last word"),
    ("orn-flip", "orn", "the flip test"),
    ("large-sharp", "large", "sharpness 1 instead of 0.6, 192x144"),
    ("large-sharp-flip", "large-sharp", "the flip test, 192x144"),
    ("adapted", "alone", "statistics of photos, for generated people alone"),
    ("taught", "alone", "a teacher on photos, for generated people alone"),
    ("alone-large-flip", "alone-large", "the flip test, generated people alone at 192x144"),
    ("pupil-flip", "pupil", "the flip test of the pupil"),
    *((f"pretrained-{n}", f"orn-{n}", f"pretraining before {n:,} labelled photos") for n in LABELS),
    *(
        (f"mixed-{n}", f"orn-{n}", f"generated people before and beside {n:,} labelled photos")
        for n in LABELS
    ),
    ("mixed-1000", "pretrained-1000", "generated people beside photos, not before them alone"),
    ("mixed-1000", "orn-2500", "generated people beside 1,000 instead of 2,500 labelled photos"),
    ("pretrained-1000", "orn-2500", "pretraining and 1,000 instead of 2,500 labelled photos"),
    ("pretrained-2500", "orn", "pretraining and 2,500 instead of all labelled photos"),
    ("mixed-2500", "orn", "generated people beside 2,500 instead of all labelled photos"),
    ("views-1000", "orn-1000", "photos without labels before 1,000 labelled ones"),
    ("views-alone", "alone", "photos without labels before generated people alone"),
    ("mixed-1000-photos", "mixed-1000", "poses of the photos alone in that bank"),
    ("pretrained-1000-photos", "pretrained-1000", "the same after pretraining alone"),
    ("pretrained-1000", "orn-4000", "pretraining and 1,000 instead of 4,000 labelled photos"),
    ("mixed-1000", "orn-4000", "generated people beside 1,000 instead of 4,000 labelled photos"),
    ("short-4000-varied", "short-4000", "more varied 4,000 labelled photos, as few steps"),
    ("short-pretrained-1000", "short-1000-varied", "pretraining before 1,000, as few steps"),
    ("short-pretrained-1000", "short-4000", "that instead of 4,000 labelled photos, as few steps"),
    ("short-pretrained-1000", "short-4000-varied", "that instead of 4,000, both more varied"),
    ("pretrained-1000-varied", "pretrained-1000", "pretraining and 1,000 more varied photos"),
    ("mixed-1000-varied", "orn-4000", "generated people before and beside 1,000, for 4,000"),
    ("large-1000", "large-4000", "1,000 for 4,000 labelled photos, 192x144"),
    ("pupil-1000", "mixed-1000", "the other photos, labelled by larger pictures, beside 1,000"),
    ("pupil-1000", "orn-4000", "1,000 labelled photos, the others and generated people for 4,000"),
    ("pupil-1000-flip", "pupil-1000", "the flip test of that pupil"),
    ("style-all", "style-none", "all styles that ask no photos, for generated people alone"),
    *((f"style-{name}", "style-none", f"{name} alone") for name in STYLES),
    *(("alone", f"without-{item}", f"{item} of generated people as in photos") for item in ITEMS),
    *((f"with-{item}", "alone", f"{item} about generated people") for item in MORE),
)
HEAD = """# Transfer to real photos
How the networks do on photos that nobody here made: trained on photos, on generated people and on \
both, tested on other photos, clean and with real cut-outs over part of each person.

```sh
{command}
```

FOLDER holds `train.json` and `dev.json` (COCO keypoints), `images/` and `cutouts/`; the command \
says more when it is missing. Measured on the LSP extended set (Johnson and Everingham, CVPR 2011; \
12 joints, gymnastics, parkour and sports; labels by a crowd, most hidden joints unlabelled): \
{people}. No photo of it may be redistributed, and nothing made from it is in this project.

A joint is found when it lies within 0.1 of the longer side of the person's box (PCK@0.1). People \
are cut out by their annotated box. Each is covered once by a cut-out of a category that no \
training saw, turned by up to 30 degrees, over 35 % and 60 % of the convex hull of the labelled \
joints; a joint is hidden when less than half of it is left. All networks are `nano` ({steps} \
steps of {batch} people, {precision}), with things pasted over half of the people while training, \
half of them cut-outs, the others made up; every picture is standardized. Generated people: \
{generated_frames} frames each of `scenes/everyday.yaml` and `scenes/wild.yaml`, by \
`scenes/training/photos.yaml`: as many steps, \
made-up pastes alone, over a quarter of them, noise, float32. What comes \
after generated people starts from that network; adapted networks had {adapt_steps} more steps on \
generated people, at a learning rate of 5e-4, in which the norms took their statistics from the \
photos, without their labels (`adapt.start: 1`), and a mean teacher said where joints are in \
them (`adapt.start: 0.2`). \
`--group alone` has generated people alone, adapted, and taught on the photos by a network of \
larger pictures, which saw generated people alone; this pupil is asked for the photos' joints, so \
its last two columns are of fewer joints; \
`--group few` 1,000 labelled photos beside generated people, and the other photos with joints that \
a network of larger pictures, which learnt the same, found there; \
`--group short` 1,000 labelled photos after generated people, varied more and for fewer steps, and \
4,000 alone; \
`--group labels` rows of fewer labelled photos; `--group large` larger pictures; `--group items` \
generated people without each of the things that make them like photos. The last two \
columns are photos in which people are hidden as life has it and somebody marked hidden joints \
(v=1), with no paste. Intervals (95 %) draw seeds, then photos. {few}

"""


def page(found: Found, titles: Mapping[str, str], size: dict[str, Any], *, command: str) -> str:
    seeds = max((len(rows) for rows in found.values()), default=0)
    people = f"{len(next(iter(found.values()))[0]['clean']['asked'])} people to test on"
    note = few_seeds_note(seeds) if seeds != 1 else "One seed: luck of the training is not covered."
    head = HEAD.format(people=people, few=note, command=command, **size)
    columns = [name for name in COLUMNS if any(name in rows[0] for rows in found.values())]
    lines = ["| network | " + " | ".join(COLUMNS[name] for name in columns) + " | seeds |"]
    lines.append("|---" * (len(columns) + 2) + "|")
    for row, rows in found.items():
        cells = [value(rows, name) for name in columns]
        lines.append(f"| {titles[row]} | " + " | ".join(cells) + f" | {len(rows)} |")
    lines += ["", "Differences, in points, of the same seeds on the same photos:", ""]
    lines += ["| what | " + " | ".join(COLUMNS[name] for name in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for ours, theirs, text in QUESTIONS:
        if ours in found and theirs in found and len(found[ours]) == len(found[theirs]):
            cells = [difference(found[ours], found[theirs], name).text() for name in columns]
            lines.append(f"| {text} | " + " | ".join(cells) + " |")
    return head + "\n".join(lines) + "\n"


def value(rows: list[dict[str, dict[str, list[int]]]], column: str) -> str:
    found = ratio_interval(*_sides(rows, column), seed=0)
    return f"{100 * found.value:.1f} ({100 * found.low:.1f} to {100 * found.high:.1f})"


def difference(
    ours: list[dict[str, dict[str, list[int]]]],
    theirs: list[dict[str, dict[str, list[int]]]],
    column: str,
) -> Interval:
    return paired_interval(_sides(ours, column), _sides(theirs, column), seed=0)


def _sides(rows: list[dict[str, dict[str, list[int]]]], column: str) -> tuple[F64, F64]:
    hits, asked = (
        np.array([seed[column][name] for seed in rows], np.float64) for name in ("hits", "asked")
    )
    return hits, asked
