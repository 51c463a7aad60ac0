"""A pose network on clips: features of neighbouring frames, and a transformer over each joint.

After the video form of FCPose (Mao et al. 2021):

    each frame ─► features ─► warped onto the current frame by optical flow ─► block ─► maps
    each joint's maps and features, a token a frame ─► transformer over the frames ─► its map now

So a joint that is hidden for some frames is found from the frames before and after. What a frame
says of a joint is moved to where the picture moved; flow sees a post and not the arm that moves on
behind it, so the places go through a straight line in time, weighed by the transformer.
Letters: B clips, T frames of a clip, J joints, h, w cells.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor, nn

from synthstudio.core.errors import ModelError
from synthstudio.models.contract import PoseNet, PoseOutputs, StagedFeatures
from synthstudio.models.flow import warped
from synthstudio.models.heatmaps import cell_centres
from synthstudio.models.layers import resize

_WAVES = 8
"""Sines and cosines of a frame's offset in time."""
_CURRENT, _TRUST, _NEAR = 3.0, 2.0, 0.2
"""To begin with: what the current frame's map counts more, the power of how sure a place is, and
what a place counts less with every frame that lies between."""
_LEAST = 1e-12
_FLOOR = -12.0
"""No frame says more against a cell than this: one frame alone cannot rule it out."""


class VideoPoseNet(nn.Module):
    """A PoseNet that sees neighbouring frames; `net` is trained along with it, or frozen before."""

    def __init__(
        self, net: PoseNet, joints: int, *, channels: int, width: int = 64, layers: int = 2
    ) -> None:
        """`channels` are those of the net's features; `width` is the tokens'."""
        super().__init__()
        self.net = net
        self.token = nn.Linear(channels + 3, width)
        self.joint = nn.Parameter(0.02 * torch.randn(joints, width))
        self.time = nn.Linear(2 * _WAVES, width)
        self.temporal = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(
                width, 4, 2 * width, dropout=0.0, batch_first=True, norm_first=True
            ),
            layers,
            enable_nested_tensor=False,
        )
        self.weights = nn.Linear(width, 2)  # of a frame's map and place
        self.about = nn.Linear(width, 4)  # shift of the place now, how much it counts, its width
        for head in (self.weights, self.about):  # begins with what is known without learning
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        self.trust = nn.Parameter(torch.tensor([_CURRENT, _TRUST, _NEAR]))

    def forward(
        self, frames: Tensor, flow_px: Tensor, offset: Tensor, there: Tensor | None = None
    ) -> PoseOutputs:
        """The joints of the current frame of each clip.

        `frames` (B, T, 3, H, W), uint8 or from 0 to 1; `flow_px` (B, T, 2, H, W) from the current
        frame to each (flow.flow_from); `offset` (B, T) in frames, 0 for the current one; `there`
        (B, T) is False for a frame that is missing, whatever stands in its place. ModelError for
        shapes that do not fit and for a clip without a current frame.
        """
        b, t = frames.shape[:2]
        there = offset.new_ones((b, t), dtype=torch.bool) if there is None else there
        _check(frames, flow_px, offset, there)
        now = there & (offset == 0)
        features, stages = self._features(frames, flow_px, there)
        each: PoseOutputs = self.net.block(features)
        outputs = _rows(each, now[there])
        seen, log_maps, place, sure = self._seen(features, each.maps, offset, there)
        weights = self._weights(seen, sure, offset, there, now)
        current = seen[now]
        logits = (weights[..., 0, None, None] * log_maps.clamp_min(_FLOOR)).sum(1)
        logits = logits + self._about(current, _line(place, weights[..., 1], offset), logits)
        return dataclasses.replace(
            outputs,
            logits=(*(stage[now[there]] for stage in stages), *outputs.logits, logits),
            fused=None,
        )

    def _features(
        self, frames: Tensor, flow_px: Tensor, there: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Of the N frames that are there, on the current frames' cells (N, C, h, w); and stages."""
        net = self.net
        found = net.features(net.inputs(frames[there], where="VideoPoseNet"))
        staged = found if isinstance(found, StagedFeatures) else StagedFeatures(last=found)
        return warped(staged.last, flow_px[there]), staged.logits

    def _seen(
        self, features: Tensor, maps: Tensor, offset: Tensor, there: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Tokens that heard each other (B, T, J, width), log maps (B, T, J, h, w), places
        (B, T, J, 2) from 0 to 1 and how sure they are (B, T, J); 0 where there is no frame.

        A token has the features where the frame sees the joint, that place and how sure it is.
        """
        h, w = maps.shape[-2:]
        log_maps, maps = maps.clamp_min(_LEAST).log(), maps.flatten(2)
        grown = resize(features, (int(h), int(w)))
        seen = maps @ grown.flatten(2).transpose(1, 2)  # (N, J, C)
        place = maps @ (cell_centres(h, w, maps) / torch.tensor([w, h]).to(maps))
        sure = maps.amax(-1)
        tokens = self.token(torch.cat([seen, place, sure[..., None]], -1)) + self.joint
        tokens = tokens + self.time(_waves(offset[there].to(maps)))[:, None]
        line, log_maps, place, sure = (
            _spread(each, there) for each in (tokens, log_maps, place, sure)
        )
        b, t, j = sure.shape
        absent = (~there).repeat_interleave(j, 0)
        heard: Tensor = self.temporal(
            line.transpose(1, 2).flatten(0, 1), src_key_padding_mask=absent
        )
        return heard.view(b, j, t, -1).transpose(1, 2), log_maps, place, sure

    def _weights(
        self, seen: Tensor, sure: Tensor, offset: Tensor, there: Tensor, now: Tensor
    ) -> Tensor:
        """(B, T, J, 2) what each frame's map and place counts; each sums to one over the frames."""
        current, power, near = self.trust
        offset = offset.to(sure).masked_fill(~there, 0.0)[..., None]
        maps = current * now[..., None].to(sure).expand_as(sure)
        places = power * sure.clamp_min(1e-6).log() - near * offset.abs()
        said: Tensor = self.weights(seen) + torch.stack([maps, places], -1)
        lost = ~there[..., None, None]
        return said.masked_fill(lost, -torch.inf).softmax(1)

    def _about(self, current: Tensor, place: Tensor, like: Tensor) -> Tensor:
        """(B, J, h, w) a Gaussian's logits about places (B, J, 2), by the current tokens."""
        h, w = like.shape[-2:]
        said: Tensor = self.about(current)
        at = place + said[..., :2]
        share, spread = nn.functional.softplus(said[..., 2:]).unbind(-1)
        apart = (cell_centres(h, w, at) / torch.tensor([w, h]).to(at) - at[:, :, None]) ** 2
        cells = apart.sum(-1) * (h * w)  # about squared cells
        logits = -share[..., None] * cells / (2 * (0.5 + spread[..., None]) ** 2)
        return logits.clamp_min(4 * _FLOOR).view_as(like)


def _line(place: Tensor, weight: Tensor, offset: Tensor) -> Tensor:
    """(B, J, 2) where the straight line through places (B, T, J, 2) of `weight` (B, T, J) is now.

    Least squares over the offsets (B, T) in frames, its slope held back a little: one place alone
    does not move.
    """
    weight = weight[..., None]
    time = offset.to(place)[..., None, None].masked_fill(weight == 0, 0.0)
    mean, when = (weight * place).sum(1, keepdim=True), (weight * time).sum(1, keepdim=True)
    slope = (weight * (time - when) * (place - mean)).sum(1)
    slope = slope / ((weight * (time - when) ** 2).sum(1) + 1.0)
    return (mean - slope[:, None] * when)[:, 0]


def _waves(offset: Tensor) -> Tensor:
    """(N, 2 * _WAVES) sines and cosines of offsets (N,), of periods from 2 to 256 frames."""
    period = 2.0 ** (1 + torch.arange(_WAVES).to(offset))
    angle = 2 * math.pi * offset[:, None] / period
    return torch.cat([angle.sin(), angle.cos()], 1)


def _spread(values: Tensor, there: Tensor) -> Tensor:
    """Values (N, ...) of the frames that are there as (B, T, ...), 0 elsewhere."""
    out = values.new_zeros((*there.shape, *values.shape[1:]))
    out[there] = values
    return out


def _rows(outputs: PoseOutputs, which: Tensor) -> PoseOutputs:
    """Outputs of the pictures (N,) that `which` names."""
    chosen = {
        field.name: value[which]
        for field in dataclasses.fields(outputs)
        if isinstance(value := getattr(outputs, field.name), Tensor)
    }
    attention = {k: v[which] for k, v in outputs.attention.items() if len(v) == len(which)}
    logits = tuple(each[which] for each in outputs.logits)
    return dataclasses.replace(outputs, **chosen, logits=logits, attention=attention)


def _check(frames: Tensor, flow_px: Tensor, offset: Tensor, there: Tensor) -> None:
    b, t = frames.shape[:2]
    wanted = {
        "frames": (frames, (b, t, 3, *frames.shape[-2:])),
        "flow_px": (flow_px, (b, t, 2, *frames.shape[-2:])),
        "offset": (offset, (b, t)),
        "there": (there, (b, t)),
    }
    for name, (value, shape) in wanted.items():
        if tuple(value.shape) != shape:
            raise ModelError(
                "the clip does not fit",
                where=f"VideoPoseNet, {name}",
                expected=str(shape),
                got=str(tuple(value.shape)),
            )
    current = (there & (offset == 0)).sum(1)
    if (current != 1).any():
        clip = int((current != 1).nonzero()[0, 0])
        raise ModelError(
            "a clip has one current frame",
            where=f"VideoPoseNet, clip {clip}",
            expected="one frame that is there, of offset 0",
            got=str(int(current[clip])),
        )
