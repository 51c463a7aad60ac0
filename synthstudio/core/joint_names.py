"""Joints' names in the spellings of other tools: their side and the joint they denote."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from synthstudio.core.skeleton import Skeleton

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SIDES = {"left": "left", "l": "left", "right": "right", "r": "right"}
_FUSED = re.compile(r"(left|right)(.+)|(.+)(left|right)")
_SAME = {"head": "headtop", "tophead": "headtop"}


def side_of(name: str) -> tuple[str, str] | None:
    """(`left` or `right`, the rest) of a name: left_eye, LeftEye, LEye, eye.L, lefteye, EyeLeft."""
    words = [word.lower() for word in _WORDS.findall(name)]
    sides = [word for word in words if word in _SIDES]
    if len(sides) == 1:
        return _SIDES[sides[0]], "".join(word for word in words if word not in _SIDES)
    fused = _FUSED.fullmatch("".join(words)) if not sides else None
    if fused is None:
        return None
    return (fused[1], fused[2]) if fused[1] else (fused[4], fused[3])


def mirror_pairs(joints: Sequence[str]) -> list[list[str]]:
    """[left, right] joints by their names, in the order of the left ones.

    A single letter before small ones (leye, reye) counts where both names are there.
    """
    sides = {name: side_of(name) for name in joints}
    known = {name.lower() for name in joints}
    for name in joints:
        low = name.lower()
        if sides[name] is None and low[:1] in ("l", "r") and len(low) > 2:
            if {f"l{low[1:]}", f"r{low[1:]}"} <= known:
                sides[name] = _SIDES[low[0]], low[1:]
    count = Counter(side for side in sides.values() if side)
    at = {side: name for name, side in sides.items() if side and count[side] == 1}
    return [
        [name, at["right", side[1]]]
        for name, side in sides.items()
        if side and side[0] == "left" and count[side] == 1 and ("right", side[1]) in at
    ]


def lacks_pairs(skeleton: Skeleton) -> bool:
    """Whether mirroring is unsafe: no pair is known, or a joint with a side has none."""
    paired = {skeleton.joints[j] for pair in skeleton.pairs for j in pair}
    return not paired or any(side_of(name) and name not in paired for name in skeleton.joints)


def spelled(names: Iterable[str], skeleton: Skeleton) -> Mapping[str, str]:
    """Name -> joint for `names` that match a joint of the skeleton in any spelling."""
    by_key = {_key(joint): joint for joint in skeleton.joints}
    found = {}
    for name in names:
        key = _key(name)
        if key not in by_key and name[:1].lower() in ("l", "r"):
            key = f"{_SIDES[name[0].lower()]} {name[1:].lower()}"
        if key in by_key:
            found[name] = by_key[key]
    return found


def same_joints(names: Sequence[str], skeleton: Skeleton) -> Mapping[str, str] | None:
    """`spelled` where `names` are the skeleton's joints in any order, each once, or None."""
    found = spelled(names, skeleton)
    same = len(names) == len(skeleton.joints) and set(found.values()) == set(skeleton.joints)
    return found if same else None


def known_joints(
    names: Sequence[str], among: Iterable[Skeleton]
) -> tuple[Skeleton, Mapping[str, str]] | None:
    """The first skeleton with these joints; exact spelling and order take precedence."""
    skeletons = list(among)
    for skeleton in skeletons:
        if skeleton.joints == tuple(names):
            return skeleton, {name: name for name in names}
    found = ((s, same_joints(names, s)) for s in skeletons)
    return next(((s, same) for s, same in found if same is not None), None)


def _key(name: str) -> str:
    side, plain = side_of(name), re.sub(r"[^a-z0-9]", "", name.lower())
    return f"{side[0]} {side[1]}" if side else _SAME.get(plain, plain)
