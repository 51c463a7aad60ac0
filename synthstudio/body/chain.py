"""Forward kinematics of Anny's rig: the algebra of its "local-ref" poses in a few products.

Letters: B bones. A bone's delta D turns it, and all below it, about its own head in world-aligned
axes, from the reference pose (identity deltas). So with parent p the whole turn of a bone is
G = G_p D, its head lies at w = w_p + G_p (q - q_p) for heads q of the reference pose, and
skinning takes x to G A (x - h) + w, where A turns the bone from rest to reference and h is its
head at rest.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.scene import F32, F64


@dataclass(frozen=True, kw_only=True, eq=False)
class Chain:
    """One person's bones."""

    parents: tuple[int, ...]  # (B,) -1 for the root, which comes first
    to_reference: F64  # (B, 3, 3) A
    heads_m: F64  # (B, 3) h
    offsets_m: F64  # (B, 3) q - q_p; zero for the root


def chain_of(model: Any, rest_bone_poses: Any, parents: tuple[int, ...]) -> Chain:
    """Return the bones of `anny.Anny` in a rest pose (1, B, 4, 4)."""
    rest = rest_bone_poses[0].numpy().astype(np.float64)
    turns, heads = rest[:, :3, :3], rest[:, :3, 3]
    reference = model.reference_bone_orientations.numpy().astype(np.float64)
    to_reference = reference @ turns.transpose(0, 2, 1)
    above = np.maximum(parents, 0)
    # The root takes no reference orientation: what hangs from it keeps its place.
    hung = to_reference.copy()
    hung[0] = np.eye(3)
    offsets = (hung[above] @ (heads - heads[above])[:, :, None])[:, :, 0]
    return Chain(parents=parents, to_reference=to_reference, heads_m=heads, offsets_m=offsets)


def posed_chain(chain: Chain, deltas: F64) -> tuple[F32, F64]:
    """Return (B, 3, 4) skinning transforms and (B, 3, 3) whole turns of bone deltas (B, 3, 3)."""
    turns = deltas.copy()
    at = np.zeros((len(turns), 3, 1))
    offsets = chain.offsets_m[:, :, None]
    for bones, above in _levels(chain.parents):
        turn = turns[above]
        at[bones] = at[above] + turn @ offsets[bones]
        turns[bones] = turn @ deltas[bones]
    skinning = np.empty((len(turns), 3, 4))
    skinning[:, :, :3] = turns @ chain.to_reference
    skinning[:, :, 3:] = at - skinning[:, :, :3] @ chain.heads_m[:, :, None]
    return skinning.astype(np.float32), turns


@functools.lru_cache(maxsize=2)
def _levels(
    parents: tuple[int, ...],
) -> tuple[tuple[NDArray[np.intp], NDArray[np.intp]], ...]:
    """Return, from the root's children on, each level's bones and their parents."""
    depth: list[int] = []
    for parent in parents:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    levels = (np.flatnonzero(np.array(depth) == d) for d in range(1, max(depth) + 1))
    return tuple((bones, np.array(parents)[bones]) for bones in levels)
