"""Training a lifter (models/lifter.py) on true joints, spoilt as a pose network spoils them.

Everything random comes from (seed, step). 2D are the joints that labels are, regressed ones; 3D are
rotation centres, whose bones keep their lengths (docs/conventions.md). Letters: P people, J joints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from synthstudio.core.errors import ModelError
from synthstudio.core.labels import STATE_VISIBLE
from synthstudio.core.rng import Generator, stream
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.spec import Split
from synthstudio.core.threads import one_thread
from synthstudio.core.visibility import is_labelled
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import Row
from synthstudio.evaluation import localization
from synthstudio.models.lifter import Lifter, in_box
from synthstudio.training.data.joints_3d import root_relative

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]
_LIMB_ENDS = ("elbow", "wrist", "knee", "ankle")


@dataclass(frozen=True, kw_only=True, eq=False)
class LiftingPeople:
    """P people. Those of one `group` (P,) may show one pose and count as one in intervals."""

    skeleton: Skeleton
    xy: F64  # (P, J, 2) as models.lifter.in_box; NaN outside the frame and unlabelled
    visible: Bools  # (P, J)
    xyz_m: F64  # (P, J, 3) camera axes, relative to the hips' midpoint; NaN unknown
    group: I64  # (P,)

    def __len__(self) -> int:
        return len(self.xy)

    def __getitem__(self, rows: I64 | Bools | slice) -> LiftingPeople:
        return replace(
            self,
            xy=self.xy[rows],
            visible=self.visible[rows],
            xyz_m=self.xyz_m[rows],
            group=self.group[rows],
        )


@dataclass(frozen=True, kw_only=True)
class Noise:
    """What is wrong with the 2D joints of a pose network; lengths in the box's longer sides."""

    visible: float = 0.01  # standard deviation of visible joints, x and y apart
    hidden: float = 0.2
    missing: float = 0.2  # how many of the hidden joints are not found at all
    misjudged: float = 0.05  # how many joints are taken for hidden when visible, or for visible


@dataclass(frozen=True, kw_only=True)
class LiftingConfig:
    """How a lifter is trained. Without `visibility` it takes every joint for visible."""

    seed: int = 0
    steps: int = 2000
    batch: int = 256
    lr: float = 4e-3  # Adam's, falling linearly to nothing
    width: int = 256
    blocks: int = 2
    visibility: bool = True
    noise: Noise = field(default_factory=Noise)


def lifting_people(dataset: Dataset, *, split: Split | None = None) -> LiftingPeople:
    """The people of a data set, or of one split, with a labelled joint and known 3D joints.

    ModelError when there is nobody.
    """
    rows = list(rows_to_lift(dataset, split=split))
    if not rows:
        raise ModelError(
            "nobody to lift",
            where=f"{dataset.place}, split {split or 'any'}",
            expected="people with labelled joints and kinematic_joints_world_m",
            got="none",
            then="Generate people, or take another split.",
        )
    return people_of_rows(rows, dataset.skeleton)


def rows_to_lift(dataset: Dataset, *, split: Split | None) -> Iterator[tuple[Row, Row]]:
    """Frames and people with a labelled joint and known 3D joints, in the data set's order."""
    for frame in dataset.iter_frames():
        if split is not None and frame["split"] != split:
            continue
        for person in dataset.instances(frame["index"]):
            state = np.array(person["state"], np.uint8)
            place = root_relative(person, frame, dataset.skeleton, "kinematic")
            if is_labelled(state).any() and np.isfinite(place).any():
                yield frame, person


def people_of_rows(rows: Sequence[tuple[Row, Row]], skeleton: Skeleton) -> LiftingPeople:
    """The people of one or more frames and people that `rows_to_lift` gave."""
    pixels, boxes, visible, xyz, groups = [], [], [], [], []
    for frame, person in rows:
        state = np.array(person["state"], np.uint8)
        px = np.array(person["joints_px"], np.float64).reshape(-1, 2)
        pixels.append(np.where(is_labelled(state)[:, None], px, np.nan))
        boxes.append(person["amodal_box_px"])
        visible.append(state == STATE_VISIBLE)
        xyz.append(root_relative(person, frame, skeleton, "kinematic").astype(np.float64))
        groups.append(frame["group_id"])
    return LiftingPeople(
        skeleton=skeleton,
        xy=in_box(np.array(pixels), np.array(boxes, np.float64)),
        visible=np.array(visible),
        xyz_m=np.array(xyz),
        group=np.unique(groups, return_inverse=True)[1].astype(np.int64),
    )


def observed(people: LiftingPeople, noise: Noise, rng: Generator) -> tuple[F64, F64]:
    """What a network would say: joints (P, J, 2), NaN where not found, and visibility (P, J)."""
    shape = people.visible.shape
    sd = np.where(people.visible, noise.visible, noise.hidden)
    xy = people.xy + rng.normal(size=(*shape, 2)) * sd[..., None]
    xy[~people.visible & (rng.random(shape) < noise.missing)] = np.nan
    visible = people.visible ^ (rng.random(shape) < noise.misjudged)
    return xy, visible.astype(np.float64)


def train_lifter(people: LiftingPeople, config: LiftingConfig) -> Lifter:
    """Train a lifter by the squared error of the joints whose place in 3D is known.

    The same people and config give the same weights; noise is drawn anew in every step. ModelError
    for fewer than two people, which batch norm cannot do with.
    """

    def draw(step: int) -> Drawn:
        rng = stream(config.seed, "lifting", step)
        rows = rng.integers(0, len(people), config.batch)
        xy, visible = observed(people[rows], config.noise, rng)
        return Drawn(xy=xy, visible=visible, rows=rows, there=np.ones(len(rows), np.bool_))

    joints = len(people.skeleton.joints)
    return fit(
        lambda: Lifter(joints, width=config.width, blocks=config.blocks), people, draw, config
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """A batch: joints (..., J, 2) and visibility (..., J) as a network would say them, whose they
    are (...,) among the people, and where there is somebody (...,)."""

    xy: F64
    visible: F64
    rows: I64
    there: Bools


Net = TypeVar("Net", bound=nn.Module)


def fit(
    make: Callable[[], Net],
    people: LiftingPeople,
    draw: Callable[[int], Drawn],
    config: LiftingConfig,
) -> Net:
    """Train the network that `make` gives on the batches that `draw` gives, as `train_lifter`."""
    if len(people) < 2:
        raise ModelError(
            "too few people to train a lifter", expected="2 or more", got=str(len(people))
        )
    known = np.asarray(np.isfinite(people.xyz_m).all(-1))
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        net = make()
        optimizer = torch.optim.Adam(net.parameters(), lr=config.lr)
        falling = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 1 - k / config.steps)
        for step in range(config.steps):
            drawn = draw(step)
            visible = drawn.visible if config.visibility else np.ones_like(drawn.visible)
            use = torch.from_numpy(known[drawn.rows] & drawn.there[..., None])
            found = net(torch.from_numpy(drawn.xy).float(), torch.from_numpy(visible).float())
            error = found - torch.from_numpy(people.xyz_m[drawn.rows]).float()
            loss = error[use].square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            falling.step()
    return net.eval()


def joint_errors_m(predicted_m: F64, people: LiftingPeople) -> dict[str, F64]:
    """Errors (P, J) in metres by metric, NaN where the truth is unknown.

    Each person is scaled or aligned by all their joints, so hidden ones are measured where the
    visible ones put them.
    """
    known = np.asarray(np.isfinite(people.xyz_m).all(-1))
    zero = np.zeros((len(people), 3))
    truth = np.nan_to_num(people.xyz_m)
    return {
        "MPJPE": localization.mpjpe(predicted_m, truth, known=known, root=zero, truth_root=zero),
        "N-MPJPE": localization.n_mpjpe(
            predicted_m, truth, known=known, root=zero, truth_root=zero
        ),
        "PA-MPJPE": localization.pa_mpjpe(predicted_m, truth, known=known),
    }


def lifting_metrics(predicted_m: F64, people: LiftingPeople) -> dict[str, dict[str, float]]:
    """Millimetres by metric, for all, visible and hidden joints apart; NaN where there are none.

    All also has joints outside the frame. Bones are upper arms, forearms, thighs and shanks: they
    are visible when both ends are, and hidden when an end is.
    """
    names, parents = people.skeleton.joints, people.skeleton.parents
    bones = np.array(
        [(j, p) for j, p in enumerate(parents) if p is not None and names[j].endswith(_LIMB_ENDS)]
    )
    placed = np.asarray(np.isfinite(people.xy).all(-1))
    visible, hidden = placed & people.visible, placed & ~people.visible
    subsets = {
        "all": (np.ones_like(placed), np.ones((len(people), len(bones)), np.bool_)),
        "visible": (visible, visible[:, bones].all(-1)),
        "hidden": (hidden, hidden[:, bones].any(-1) & placed[:, bones].all(-1)),
    }
    errors = joint_errors_m(predicted_m, people)
    lengths = localization.bone_length_errors(predicted_m, people.xyz_m, bones=bones)
    return {
        name: {f"{metric}_mm": _mean_mm(error[joints]) for metric, error in errors.items()}
        | {"bone_length_mm": _mean_mm(lengths[limbs])}
        for name, (joints, limbs) in subsets.items()
    }


def _mean_mm(errors: F64) -> float:
    known = errors[np.isfinite(errors)]
    return float(known.mean()) * 1000 if len(known) else float("nan")
