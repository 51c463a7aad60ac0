"""What `make transfer` compares: how much is trained, on what, and how it is decoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmarks.generated_items import ITEMS, MORE
from benchmarks.ready import PRECISION


@dataclass(frozen=True, kw_only=True)
class Size:
    steps: int
    adapt_steps: int
    generated_frames: int  # of each set
    seeds: int
    network: dict[str, Any] = field(default_factory=dict)
    batch: int = 64
    precision: str = PRECISION


FULL = Size(steps=3750, adapt_steps=600, generated_frames=3000, seeds=3)
QUICK = Size(steps=1200, adapt_steps=300, generated_frames=1000, seeds=1)
SMALL = Size(
    steps=3, adapt_steps=2, generated_frames=4, seeds=2, batch=4,
    network={"size": [48, 36], "widths": [8, 12], "width": 16, "bank": 40, "bank_sample": 10},
)  # fmt: skip
SIZES = {"full": FULL, "quick": QUICK, "small": SMALL}


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A training. `start`: the arm whose weights it begins with; `people`: on how many of the
    labelled photos, 0: all; `weight`: what a person in photos weighs beside a generated one, 0:
    no generated people beside them; `adapt`: it learns from the photos without their labels,
    the share of its steps after which a mean teacher says where joints are, 1: its norms take
    their statistics from them and no more; `keep`: of how many of the photos a teacher labels a
    joint; `lr`: the peak learning rate, 0: as usual; `steps`: the share of the usual steps;
    `augment`, `network`: what differs of these; `large`: pictures of twice the height and
    width, twice the steps (with generated people: `transfer_photos.larger`), and the weights of
    the package's own network to begin with, unless `scratch`; `teacher`: the arm whose network
    says where joints of the photos are, instead of their labels (with `people`: of all other
    photos, beside these labels), and who learns them beside generated people; `views`: its
    backbone alone learns, from pairs of views of the photos without their labels. Without
    photos: generated people, by the config of that network. `style`: the only one of `STYLES`
    that is used, "none": not one, "all": every one that asks no photos, "": those of that
    config. `item`: what of `generated_items.ITEMS` the generated people are without."""

    block: str = "orn"
    photos: bool = True
    start: str = ""
    people: int = 0
    adapt: float | None = None
    keep: float = 0.5
    lr: float = 0.0
    steps: float = 1.0
    augment: dict[str, Any] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    large: bool = False
    scratch: bool = False
    views: bool = False
    weight: float = 0.0
    style: str = ""
    item: str = ""
    teacher: str = ""

    @property
    def needs(self) -> tuple[str, ...]:
        """The arms that are trained before it."""
        return tuple(name for name in (self.start, self.teacher) if name)


GENTLY = 5e-4
"""The peak learning rate of networks that adapt: at the usual one they forget what they know."""
VIEWS = {
    "cutouts": "", "scale": 0.4, "shift": 0.15, "colour": 0.4, "grey": 0.2, "blur": 0.3,
}  # fmt: skip
"""How two views of a person in a photo differ, of whom no label is known."""
VARIED = {
    "turned": 0.3, "scale": 0.35, "noise": 0.3, "colour": 0.35, "grey": 0.1, "shift": 0.1,
}  # fmt: skip
BESIDE = VARIED | {"turned": 0.4, "half_body": 0.1, "colour": 0.4}
"""How people vary of whom there are few; and how where generated people stay beside them."""
SHARP = {"bank_sharpness": 1.0, "bank_sample": 500}
"""The bank of larger pictures, as `scenes/training/few_photos.yaml` has it."""
SHORT = 0.32
"""Of the usual steps, those after which few photos are not yet known by heart."""
ARMS = {
    "kpe": Arm(block="kpe"),
    "orn": Arm(),
    "alone": Arm(photos=False),
    "pretrained": Arm(start="alone"),
    "adapted": Arm(photos=False, start="alone", adapt=1.0, lr=GENTLY),
    "taught": Arm(photos=False, start="alone", adapt=0.2, keep=0.2, lr=GENTLY),
    "alone-large": Arm(photos=False, large=True),
    "pupil": Arm(photos=False, start="alone", teacher="alone-large"),
    "large": Arm(large=True),
    "views": Arm(views=True, augment=VIEWS),
    "views-1000": Arm(people=1000, start="views"),
    "views-alone": Arm(photos=False, start="views"),
}
STYLES = {
    "resample": 0.3, "blur": 0.3, "gamma": 0.3, "grey": 0.1, "noise": 0.3, "jpeg": 0.3,
    "colours": 0.3, "fourier": 0.3,
}  # fmt: skip
"""Augmentations that change how a picture looks, and how often; those of `ASKING` ask photos."""
ASKING = ("colours", "fourier")
STYLED = ("none", "all", *STYLES)
ARMS |= {f"style-{name}": Arm(photos=False, style=name) for name in STYLED}
ARMS |= {f"without-{item}": Arm(photos=False, item=item) for item in ITEMS}
ARMS |= {f"with-{item}": Arm(photos=False, item=item) for item in MORE}


def styles_of(style: str) -> dict[str, float]:
    """The share of people that an arm of that `style` changes in each of the ways of `STYLES`."""
    used = {"none": (), "all": set(STYLES) - set(ASKING)}.get(style, (style,))
    return {name: share * (name in used) for name, share in STYLES.items()}


LABELS = (250, 1000, 2500, 4000)
_TOGETHER = 7000
"""What people in photos weigh together beside some 9,000 generated ones."""
ARMS |= {f"orn-{n}": Arm(people=n) for n in LABELS}
ARMS |= {f"pretrained-{n}": Arm(people=n, start="alone") for n in LABELS}
ARMS |= {f"mixed-{n}": Arm(people=n, start="alone", weight=_TOGETHER / n) for n in LABELS}
ARMS |= {
    "mixed-large-1000": Arm(people=1000, weight=_TOGETHER / 1000, large=True),
    "pupil-1000": Arm(
        people=1000, start="alone", weight=4.0, teacher="mixed-large-1000", keep=0.75
    ),
    "short-4000": Arm(people=4000, steps=SHORT),
    "short-4000-varied": Arm(people=4000, steps=SHORT, augment=VARIED),
    "short-1000-varied": Arm(people=1000, steps=SHORT, augment=VARIED),
    "short-pretrained-1000": Arm(people=1000, start="alone", steps=SHORT, augment=VARIED),
    "pretrained-1000-varied": Arm(people=1000, start="alone", augment=VARIED),
    "mixed-1000-varied": Arm(people=1000, start="alone", weight=30.0, augment=BESIDE),
    "large-1000": Arm(people=1000, large=True, steps=SHORT / 2, augment=VARIED, network=SHARP),
    "large-4000": Arm(people=4000, large=True, scratch=True, steps=SHORT / 2, network=SHARP),
}
GROUPS = {
    "main": ("kpe", "orn", "alone", "pretrained"),
    "photos": ("kpe", "orn"),
    "alone": ("alone", "adapted", "taught", "alone-large", "pupil"),
    "large": ("large",),
    "views": ("views-1000", "orn-1000", "views-alone", "alone"),
    "styles": tuple(f"style-{name}" for name in STYLED),
    "items": ("alone", *(name for name, arm in ARMS.items() if arm.item)),
    "few": ("alone", "orn-1000", "orn-4000", "mixed-1000", "mixed-large-1000", "pupil-1000"),
    "short": (
        *("alone", "orn-4000", "short-1000-varied", "short-4000", "short-4000-varied"),
        *("short-pretrained-1000", "pretrained-1000-varied", "mixed-1000-varied"),
        *("large-1000", "large-4000"),
    ),
    "labels": (
        *("alone", "orn", "pretrained"),
        *(f"{how}-{n}" for n in LABELS for how in ("orn", "pretrained", "mixed")),
    ),
}
"""What is trained together: the table; its rows without generated people; generated people alone,
adapted to the photos, and taught by larger pictures on them; larger pictures; photos without labels
first; each style by itself; generated people without each item by which they are like photos, and
with more; 1,000 labelled photos beside the others without labels; after generated people, in a
third of the steps; how many labels they save."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the table: an arm's network and how it is decoded."""

    title: str
    arm: str
    peak: bool = False
    free: bool = False  # joined with a bank of the training people's poses, without training
    flip: bool = False
    last_word: bool = True  # ORN's final fusion with the poses
    sharpness: float = 0.0  # of its bank; 0: as it was trained
    photo_poses: bool = False  # in its bank the poses of the labelled photos alone


ROWS = {
    "kpe-peak": Row(title="KPE, by peak", arm="kpe", peak=True),
    "kpe": Row(title="KPE, by expected hits", arm="kpe"),
    "kpe-free": Row(title="KPE, a free pose bank", arm="kpe", free=True),
    "orn": Row(title="ORN", arm="orn"),
    "orn-joined": Row(title="ORN without the poses' last word", arm="orn", last_word=False),
    "orn-flip": Row(title="ORN, flip test", arm="orn", flip=True),
    "pretrained": Row(title="ORN after generated people", arm="pretrained"),
    "pretrained-flip": Row(title="the same, flip test", arm="pretrained", flip=True),
    "alone": Row(title="ORN, generated people alone", arm="alone"),
    "adapted": Row(title="the same, statistics of photos without labels", arm="adapted"),
    "taught": Row(title="the same, a teacher on photos without labels", arm="taught"),
    "alone-large": Row(title="ORN, generated people alone, 192x144", arm="alone-large"),
    "alone-large-flip": Row(
        title="generated people alone, 192x144, flip test", arm="alone-large", flip=True
    ),
    "pupil": Row(title="generated people alone, taught by that on photos", arm="pupil"),
    "pupil-flip": Row(title="the pupil, flip test", arm="pupil", flip=True),
    "large": Row(title="ORN after generated people, 192x144, twice the steps", arm="large"),
    "mixed-large-1000": Row(
        title="1,000 labelled photos beside generated people, 192x144", arm="mixed-large-1000"
    ),
    "mixed-large-1000-flip": Row(
        title="the same, 192x144, flip test", arm="mixed-large-1000", flip=True
    ),
    "pupil-1000": Row(
        title="after and beside generated people, 1,000, taught by that on the other photos",
        arm="pupil-1000",
    ),
    "pupil-1000-flip": Row(title="that pupil, flip test", arm="pupil-1000", flip=True),
    "short-4000": Row(title="4,000 labelled photos, 0.32 of the steps", arm="short-4000"),
    "short-4000-varied": Row(title="the same, more varied", arm="short-4000-varied"),
    "short-1000-varied": Row(title="1,000, as few steps, more varied", arm="short-1000-varied"),
    "short-pretrained-1000": Row(
        title="after generated people, 1,000, as few steps, more varied",
        arm="short-pretrained-1000",
    ),
    "pretrained-1000-varied": Row(
        title="after generated people, 1,000, more varied", arm="pretrained-1000-varied"
    ),
    "mixed-1000-varied": Row(
        title="after and beside generated people, 1,000, more varied", arm="mixed-1000-varied"
    ),
    "large-1000": Row(
        title="192x144, 1,000 photos after the package's network, 0.16 of the steps",
        arm="large-1000",
    ),
    "large-4000": Row(title="192x144, 4,000 photos alone, as few steps", arm="large-4000"),
    "views-1000": Row(title="ORN after photos without labels, 1,000", arm="views-1000"),
    "views-alone": Row(
        title="generated people alone, after photos without labels", arm="views-alone"
    ),
    "large-flip": Row(title="the same, 192x144, flip test", arm="large", flip=True),
    "large-sharp": Row(title="192x144, the bank at sharpness 1", arm="large", sharpness=1.0),
    "large-sharp-flip": Row(
        title="192x144, sharpness 1, flip test", arm="large", sharpness=1.0, flip=True
    ),
}
ROWS |= {f"orn-{n}": Row(title=f"ORN, {n:,} labelled photos", arm=f"orn-{n}") for n in LABELS}
ROWS |= {
    f"style-{name}": Row(title=f"generated people alone, style: {name}", arm=f"style-{name}")
    for name in STYLED
}
ROWS |= {
    name: Row(title=f"generated people {name.replace('-', ' ', 1)}", arm=name)
    for name, arm in ARMS.items()
    if arm.item
}
ROWS |= {
    f"pretrained-{n}": Row(title=f"the same after generated people, {n:,}", arm=f"pretrained-{n}")
    for n in LABELS
}
ROWS |= {
    f"mixed-{n}": Row(title=f"after and beside generated people, {n:,}", arm=f"mixed-{n}")
    for n in LABELS
}
ROWS |= {
    f"{name}-photos": Row(
        title=f"{ROWS[name].title}, poses of the photos", arm=name, photo_poses=True
    )
    for name in (f"{how}-{n}" for how in ("pretrained", "mixed") for n in LABELS)
}
