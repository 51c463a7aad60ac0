"""A run that starts from another's weights: what belongs to a joint goes by the joint's name.

A network learnt with 17 joints starts one of 12, or the other way round: rows of the tensors in
LAYOUTS are copied joint by joint, joints that the file does not know stay as they were drawn, and
the poses of its bank lose or lack those joints. A joint can lie outside a crop, but in 3D no
place says "none": a file that lacks joints gives no places in 3D.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.models.blocks.bank import PoseBank
from synthstudio.training import checkpoint, networks

POSES, PLACES = "block.bank.poses", "block.bank.xyz_m"
REFINER = "block.refiner.maps.weight"
LAYOUTS = {
    "block.maps.weight": 0, "block.maps.bias": 0,
    "block.first.weight": 0, "block.first.bias": 0,
    "block.reader.match.weight": 0, "block.reader.name": 0,
    "block.lean.own": 0, "block.heads.own": 0,
    REFINER: 1,
    "block.refiner.last.weight": 0, "block.refiner.last.bias": 0,
}  # fmt: skip
"""Tensors with a part for each joint, and the axis of the joints. Before the joints' maps the
refiner reads the cover."""
OUTSIDE = -1.0
"""A place outside every crop: there a joint of a pose takes no part."""


def start(net: nn.Module, path: Path, *, skeleton: Skeleton, poses: int) -> str:
    """Load what fits of a weights file into `net` and return what matched, as lines.

    `bones`: the joints of `net`. The bank keeps its own poses and is filled up to `poses` with
    those of the file. ModelError when nothing fits, or the file is not ours.
    """
    tensors, told = checkpoint.read(path)
    theirs = get_skeleton(told["skeleton"])
    tensors = mapped(net.state_dict(), tensors, ours=skeleton.joints, theirs=theirs.joints)
    bank = joined(getattr(getattr(net, "block", None), "bank", None), tensors, most=poses)
    tensors.pop(POSES, None)
    tensors.pop(PLACES, None)
    lines = []
    if bank is not None:
        net.block.bank = bank  # type: ignore[union-attr]
        tensors |= {f"block.bank.{k}": v for k, v in bank.state_dict().items()}
    matched = networks.take_weights(net, tensors, where=str(path))
    kept = {POSES, PLACES} & set(matched.missing)
    if kept:
        missing = tuple(name for name in matched.missing if name not in kept)
        matched = dataclasses.replace(matched, missing=missing)
        lines.append("the bank holds the poses of the people to learn from alone")
    if theirs.joints != skeleton.joints:
        common = [name for name in skeleton.joints if name in theirs.joints]
        new = [name for name in skeleton.joints if name not in theirs.joints]
        lines.append(
            f"{len(common)} of {len(skeleton.joints)} joints by name from {theirs.name}"
            + (f"; new: {', '.join(new)}" if new else "")
        )
    return "\n".join([matched.text(), *lines])


def mapped(
    own: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    *,
    ours: Sequence[str],
    theirs: Sequence[str],
) -> dict[str, Tensor]:
    """Return the weights `state` of joints `theirs` for a network `own` of joints `ours`.

    Where the tensors differ in anything but the number of joints they stay as they are.
    """
    out = dict(state)
    for name, axis in LAYOUTS.items():
        if name in own and name in state:
            before = 1 if name == REFINER else 0
            out[name] = _mapped(own[name], state[name], axis, before, list(ours), list(theirs))
    for name in (POSES, PLACES):
        if name in state:
            out[name] = _poses(state[name], list(ours), list(theirs))
    if not set(ours) <= set(theirs):
        out.pop(PLACES, None)
    return out


def _mapped(
    own: Tensor, state: Tensor, axis: int, before: int, ours: list[str], theirs: list[str]
) -> Tensor:
    own, state = own.movedim(axis, 0), state.movedim(axis, 0)
    times = [(len(t) - before) / len(j) for t, j in ((own, ours), (state, theirs))]
    if own.shape[1:] != state.shape[1:] or any(t != int(t) or t < 1 for t in times):
        return state.movedim(0, axis)
    out = own.clone()
    out[:before] = state[:before]
    for k in range(int(min(times))):  # first maps, then those of the bank
        for j, name in enumerate(ours):
            if name in theirs:
                out[before + k * len(ours) + j] = state[
                    before + k * len(theirs) + theirs.index(name)
                ]
    return out.movedim(0, axis).contiguous()


def _poses(poses: Tensor, ours: list[str], theirs: list[str]) -> Tensor:
    """Return (N, J, .) poses with our joints; OUTSIDE for those that they lack."""
    out = torch.full((len(poses), len(ours), poses.shape[-1]), OUTSIDE, dtype=poses.dtype)
    for j, name in enumerate(ours):
        if name in theirs:
            out[:, j] = poses[:, theirs.index(name)]
    return out


def joined(own: PoseBank | None, state: Mapping[str, Tensor], *, most: int) -> PoseBank | None:
    """Return the bank with its own poses first, filled up to `most` with those of `state`.

    3D places stay only if both have them. None when there is no bank, or nothing to add.
    """
    if own is None or POSES not in state or len(own.poses) >= most:
        return None
    more = state[POSES][: most - len(own.poses)]
    xyz = None
    if own.xyz_m is not None and PLACES in state:
        xyz = torch.cat([own.xyz_m, state[PLACES][: len(more)]])
    return PoseBank(torch.cat([own.poses, more]), xyz)
