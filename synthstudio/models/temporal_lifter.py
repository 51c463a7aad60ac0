"""A lifter that sees neighbouring frames: dilated convolutions over time (Pavllo et al. 2019).

VideoPose3D with the input of models/lifter.py. The paper repeats a clip's first and last frame
beyond its ends; here a frame that is not there, beyond the ends, between sightings or in a clip
shorter than the field, is one in which every joint is missing. So each frame gets one answer,
however its clip is cut or padded. Letters: B clips, T frames, J joints, P people in frames.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthstudio.core.errors import ModelError
from synthstudio.models.lifter import sightings

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
_KERNEL = 3


def _layer(inputs: int, outputs: int, *, kernel: int, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, kernel, dilation=dilation, bias=False),
        nn.BatchNorm1d(outputs),
        nn.ReLU(inplace=True),
    )


class TemporalLifter(nn.Module):
    """2D joints (B, T, J, 2) and visibility (B, T, J) to root-relative metres (B, T, J, 3).

    An answer depends on `reach` frames before and `reach` after, 3 ** blocks in all.
    """

    def __init__(self, joints: int, *, width: int = 256, blocks: int = 3) -> None:
        super().__init__()
        self.joints = joints
        self.reach = (_KERNEL**blocks - 1) // 2
        self.first = _layer(6 * joints, width, kernel=1)
        self.alone = nn.Sequential(*(_layer(width, width, kernel=1) for _ in range(2)))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                _layer(width, width, kernel=_KERNEL, dilation=_KERNEL**k),
                _layer(width, width, kernel=1),
            )
            for k in range(blocks)
        )
        self.last = nn.Conv1d(width, 3 * joints, 1)

    def forward(self, xy: Tensor, visible: Tensor) -> Tensor:
        """`xy` is NaN where nobody says where a joint is; `visible` is 0 to 1."""
        seen = sightings(xy, visible).transpose(1, 2)
        x: Tensor = self.first(nn.functional.pad(seen, (self.reach, self.reach)))
        x = x + self.alone(x)
        for k, block in enumerate(self.blocks):
            beside = _KERNEL**k
            x = x[..., beside:-beside] + block(x)
        out: Tensor = self.last(x).transpose(1, 2).unflatten(2, (self.joints, 3))
        return out


@torch.no_grad()
def lift_tracks(net: TemporalLifter, xy: F64, visible: F64, *, track: I64, time: I64) -> F64:
    """(P, J, 3) metres in camera axes, relative to the midpoint of the hips.

    `xy` (P, J, 2) and `visible` (P, J) as of `lifter.lift`; `track` (P,) says who each is and
    `time` (P,) in which frame, in any order. Tracks may end and begin again: frames without a
    sighting are missing. ModelError for shapes that do not fit and for somebody who is twice in a
    frame.
    """
    joints = net.joints
    if (
        xy.shape != (len(xy), joints, 2)
        or visible.shape != (len(xy), joints)
        or not (track.shape == time.shape == (len(xy),))
    ):
        raise ModelError(
            "the joints do not fit the lifter",
            where="lift_tracks",
            expected=f"xy (P, {joints}, 2), visible (P, {joints}), track (P,) and time (P,)",
            got=f"{xy.shape}, {visible.shape}, {track.shape} and {time.shape}",
        )
    order = np.lexsort((time, track))
    out = np.empty((len(xy), joints, 3))
    if not len(order):
        return out
    same, apart = np.diff(track[order]) == 0, np.diff(time[order])
    if (twice := same & (apart == 0)).any():
        row = order[int(np.argmax(twice))]
        raise ModelError(
            "somebody is twice in one frame",
            where=f"lift_tracks, track {track[row]}, frame {time[row]}",
            expected="one sighting of each track in a frame",
            got="2",
        )
    net.eval()
    weight = net.last.weight
    # Beyond `reach` frames nothing is seen of the sighting before: what follows stands alone.
    for rows in np.split(order, np.flatnonzero(~same | (apart > net.reach)) + 1):
        at = time[rows] - time[rows[0]]
        line = np.full((at[-1] + 1, joints, 3), np.nan)
        line[at, :, :2], line[at, :, 2] = xy[rows], visible[rows]
        given = torch.from_numpy(line).to(weight.device, weight.dtype)[None]
        out[rows] = net(given[..., :2], given[..., 2])[0].cpu().numpy()[at]
    return out
