"""What a skeleton is, and COCO's 17 joints, which others begin with or refer to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """A set of joints. `get_skeleton(name)` gives it again, wherever the name was kept."""

    name: str  # what rows, data sets and checkpoints keep: of an own one its whole definition
    title: str  # what people read
    joints: tuple[str, ...]
    up: tuple[tuple[str, str], ...]  # (joint, its parent)
    pairs: tuple[tuple[int, int], ...]  # numbers of (left, right) joints that a mirror swaps
    known_as: tuple[str, ...]  # the name of each joint in the package's skeletons; "": none's
    sigmas: NDArray[np.float64]  # (J,) OKS constants
    sigma_source: str
    places: tuple[str, ...]  # where each joint lies anatomically
    edges: tuple[tuple[int, int], ...]  # pairs of joint numbers, for drawing and COCO

    @property
    def own(self) -> bool:
        """Whether it is somebody's own and no skeleton of the package."""
        return self.name != self.title

    @property
    def flip(self) -> NDArray[np.int64]:
        """(J,) the joint that each joint becomes in a mirror."""
        found = np.arange(len(self.joints))
        for left, right in self.pairs:
            found[left], found[right] = right, left
        return found

    @property
    def parents(self) -> tuple[int | None, ...]:
        """The parent of each joint; None for the root."""
        names = (dict(self.up).get(name) for name in self.joints)
        return tuple(None if name is None else self.joints.index(name) for name in names)

    def same_labels(self, other: Skeleton) -> bool:
        """Whether labels of both mean the same: joints in their order, mirror and `known_as`."""
        ours, theirs = (s.joints + s.known_as + tuple(s.flip.tolist()) for s in (self, other))
        return ours == theirs

    def described(self, beside: Skeleton) -> str:
        """What people read of it in a message that also names `beside`, another skeleton."""
        if self.title != beside.title:
            return self.title
        parts = (("joints", "joints"), ("pairs", "pairs"), ("known_as", "same_as"))
        other = [what for field, what in parts if getattr(self, field) != getattr(beside, field)]
        return f"{self.title} with other {' and '.join(other) or 'facts'}"

    def numbers_in(self, other: Skeleton) -> tuple[int | None, ...]:
        """For each joint its number in `other`; None where that has not got it.

        Names alone say nothing: the nose of a horse is not that of a person. Joints are the same
        where both are `known_as` one, and all are where the labels of both mean the same.
        """
        if self.same_labels(other):
            return tuple(range(len(self.joints)))
        at = {name: j for j, name in enumerate(other.known_as) if name}
        return tuple(at.get(name) for name in self.known_as)

    @property
    def sides(self) -> tuple[str, ...]:
        """For each joint "left", "right" or "middle": left and right differ in colour."""
        found = ["middle"] * len(self.joints)
        for left, right in self.pairs:
            found[left], found[right] = "left", "right"
        return tuple(found)


COLOURS = {"left": (255, 140, 26), "right": (40, 140, 255), "middle": (240, 240, 240)}
"""sRGB by side, told apart by every common kind of colour vision."""


def both(*kinds: str) -> tuple[str, ...]:
    """The joints of such kinds, left and right of each: left_eye, right_eye, left_ear ..."""
    return tuple(f"{side}_{kind}" for kind in kinds for side in ("left", "right"))


SIGMAS = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072,
    "wrist": 0.062, "hip": 0.107, "knee": 0.087, "ankle": 0.089,
}  # fmt: skip
"""OKS sigma of each kind of joint."""


def joint_kind(name: str) -> str:
    """Name of a joint without its side."""
    return name.removeprefix("left_").removeprefix("right_")


COCO17 = ("nose", *both("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"))
COCO_SIGMAS = tuple(SIGMAS[joint_kind(name)] for name in COCO17)
COCO_SOURCE = "COCO keypoint evaluation (cocodataset.org/#keypoints-eval)"
MEDIAN_SIGMA = sorted(COCO_SIGMAS)[len(COCO_SIGMAS) // 2]
"""What a joint gets of which nobody measured how far people who click it differ."""
