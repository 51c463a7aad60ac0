"""The class Skeleton, and COCO's 17 joints, which others extend or refer to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """A set of joints; `get_skeleton(name)` restores it from a stored name."""

    name: str  # as stored in rows, data sets and checkpoints: of a custom one its definition
    title: str  # display name
    joints: tuple[str, ...]
    up: tuple[tuple[str, str], ...]  # (joint, its parent)
    pairs: tuple[tuple[int, int], ...]  # indices of (left, right) joints that mirroring swaps
    known_as: tuple[str, ...]  # the name of each joint in the package's skeletons; "": none's
    sigmas: NDArray[np.float64]  # (J,) OKS constants
    sigma_source: str
    places: tuple[str, ...]  # anatomical place of each joint
    edges: tuple[tuple[int, int], ...]  # pairs of joint numbers, for drawing and COCO

    @property
    def own(self) -> bool:
        """Whether it is custom, not built-in."""
        return self.name != self.title

    @property
    def flip(self) -> NDArray[np.int64]:
        """(J,) the index of each joint's mirror image."""
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
        """Whether labels are interchangeable: equal joints in order, mirror and `known_as`."""
        own_key, other_key = (s.joints + s.known_as + tuple(s.flip.tolist()) for s in (self, other))
        return own_key == other_key

    def described(self, beside: Skeleton) -> str:
        """Its title, disambiguated from `beside`, another skeleton."""
        if self.title != beside.title:
            return self.title
        parts = (("joints", "joints"), ("pairs", "pairs"), ("known_as", "same_as"))
        other = [what for field, what in parts if getattr(self, field) != getattr(beside, field)]
        return f"{self.title} with other {' and '.join(other) or 'facts'}"

    def numbers_in(self, other: Skeleton) -> tuple[int | None, ...]:
        """For each joint its index in `other`; None if missing there.

        Names alone are ambiguous: a horse's nose is not a person's. Joints are the same
        if both are `known_as` one, and all are if the labels are interchangeable.
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
"""sRGB by side, distinguishable with every common kind of colour vision."""


def both(*kinds: str) -> tuple[str, ...]:
    """The joints of these kinds, left and right of each: left_eye, right_eye, left_ear ..."""
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
"""Default sigma of joints without measured annotator variance."""
