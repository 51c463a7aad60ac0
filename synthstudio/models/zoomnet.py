"""ZoomNet (Jin et al. 2020): whole-body pose by one network with zoomed windows of face and hands.

    image ─► backbone (stride 4) ─► maps of body and feet, of three points of each part's box
      └────► FeatureNet (strides 1, 2) ──┐                               │
             the backbone's features ────┴─► zoomed to each part's box ◄─┘─► a head for the face,
                                             one for hands ─► joints, put back into the image

FeatureNet keeps full resolution by two convolutions on the image. A part's window is
square, a quarter larger than its box, and sampled with `cells` x `cells` points; the right hand is
mirrored, so one head serves left hands only. Differences from the paper: the backbone has its own
stem, so that any of backbones.py can be used; maps are probabilities under cross-entropy, as
everywhere in the package, not squared errors; the presence of a part is a separate output,
since a probability map cannot express it.

Letters: B images of H x W pixels, P = 3 parts, K joints, h, w cells. Pixels and cells are
continuous (docs/conventions.md).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthstudio.core.whole_body import PARTS
from synthstudio.models import heatmaps
from synthstudio.models.contract import PictureNet, System, not_finite
from synthstudio.models.layers import Residual, conv, require_multiple, resize
from synthstudio.models.losses import gaussian_cross_entropy, masked_mean

ZOOMED = ("face", "left_hand", "right_hand")
"""The parts with a box, in the order of axis P."""
BODY = PARTS["foot"].stop
"""Joints of body and feet, which come first."""
MIN_JOINTS = 4
"""Minimum joints of a part in the image; otherwise it is trained as absent."""
_MARGIN = 1.25
_MIN_SIDE_PX = 8.0
_SIGMA = 1.0  # of targets, in cells
_WAYS = (1.0, 1.0, -1.0)  # of x in each part's window: right hands are mirrored


@dataclass(frozen=True, kw_only=True)
class Zoom:
    """Windows of parts: `origin` (B, P, 2) offset of cell 0 in pixels, `step` (B, P, 2) pixels
    a cell; a negative one is a mirrored window."""

    origin: Tensor
    step: Tensor

    def to_px(self, cells: Tensor) -> Tensor:
        """Positions (B, P, K, 2) from window cells to image pixels."""
        return self.origin[:, :, None] + cells * self.step[:, :, None]

    def to_cells(self, px: Tensor) -> Tensor:
        """Undo `to_px`."""
        return (px - self.origin[:, :, None]) / self.step[:, :, None]


def zoom_to(boxes: Tensor, cells: int) -> Zoom:
    """The windows of boxes (B, P, 4: x0 y0 x1 y1) in pixels; NaN: the image's first corner."""
    boxes = boxes.nan_to_num(0.0)
    centre, size = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
    side = (_MARGIN * size.amax(-1, keepdim=True)).clamp_min(_MIN_SIDE_PX)
    way = torch.tensor([(x, 1.0) for x in _WAYS]).to(boxes)
    return Zoom(origin=centre - way * side / 2, step=way * side / cells)


def sample_windows(features: Tensor, zoom: Zoom, cells: int, size: tuple[int, int]) -> Tensor:
    """Features (B, C, h, w) of an image of `size` (H, W) at the windows' cells: (B*P, C, n, n).

    Bilinear, in the precision of the windows; outside the image they are 0.
    """
    features = features.to(zoom.origin.dtype)
    b, parts = zoom.origin.shape[:2]
    at = heatmaps.cell_centres(cells, cells, features).expand(b, parts, -1, -1)
    px = zoom.to_px(at) / torch.tensor([size[1], size[0]]).to(features)
    grid = (2 * px - 1).reshape(b, parts * cells, cells, 2)
    found = F.grid_sample(features, grid, mode="bilinear", align_corners=False)
    channels = features.shape[1]
    return (
        found.view(b, channels, parts, cells, cells)
        .transpose(1, 2)
        .reshape(b * parts, channels, cells, cells)
    )


@dataclass(frozen=True, kw_only=True)
class ZoomOutputs:
    """Logits: `body` (B, 23, h, w), `boxes` (B, 3 P, h, w: first corner, last corner and centre of
    each part), `present` (B, P); `face` (B, 68, n, n) and `hands` (B, 2, 21, n, n) in `zoom`'s
    windows. `size`: the images' (H, W)."""

    body: Tensor
    boxes: Tensor
    present: Tensor
    face: Tensor
    hands: Tensor
    zoom: Zoom
    size: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class ZoomTargets:
    """`joints_px` (B, 133, 2), `known` (B, 133): labelled and inside the image; `boxes` (B, P, 4)
    x0 y0 x1 y1 round the known joints of a part, NaN where `present` (B, P) is False."""

    joints_px: Tensor
    known: Tensor
    boxes: Tensor
    present: Tensor

    def shifted(self, drawn: Tensor) -> Tensor:
        """The boxes, corners moved by up to a tenth of the size; `drawn` (B, P, 4) in -1 to 1."""
        size = (self.boxes[..., 2:] - self.boxes[..., :2]).amax(-1, keepdim=True)
        return self.boxes + 0.1 * size * drawn.to(self.boxes)


@dataclass(frozen=True, kw_only=True)
class FoundWholeBody:
    """`joints_px` (B, 133, 2) continuous pixels, NaN for absent parts; `scores` (B, 133), 0 there;
    `present` (B, 133): the probability that a joint's part is in the image, NaN for body and
    feet."""

    joints_px: Tensor
    scores: Tensor
    present: Tensor


class ZoomNet(System, PictureNet):
    """`net(images, boxes)` gives ZoomOutputs; without boxes it uses predicted ones."""

    def __init__(
        self,
        backbone: nn.Module,
        *,
        channels: int,
        early: tuple[int, int] = (16, 32),
        width: int = 48,
        cells: int = 48,
    ) -> None:
        """`backbone` maps images (B, 3, H, W) to (B, channels, H/4, W/4). `early`: channels of
        FeatureNet; `width` of the heads; `cells`: a window's side, a multiple of 4."""
        super().__init__()
        self.features, self.cells = backbone, cells
        self.first = conv(3, early[0])
        self.second = conv(early[0], early[1], stride=2)
        self.body = nn.Sequential(conv(channels, channels), nn.Conv2d(channels, BODY, 1))
        self.corners = nn.Sequential(
            conv(channels, channels), nn.Conv2d(channels, 3 * len(ZOOMED), 1)
        )
        self.present = nn.Linear(2 * channels, len(ZOOMED))
        inputs = sum(early) + channels
        self.face = PartHead(inputs, width, PARTS["face"].stop - PARTS["face"].start)
        self.hand = PartHead(inputs, width, PARTS["left_hand"].stop - PARTS["left_hand"].start)
        self.normalize_by()

    def forward(self, images: Tensor, boxes: Tensor | None = None) -> ZoomOutputs:
        """Run on images (B, 3, H, W), uint8 or from 0 to 1; `boxes` (B, P, 4) to zoom to."""
        require_multiple(images, 4, where="ZoomNet")
        size = (int(images.shape[-2]), int(images.shape[-1]))
        levels = self.normalized(images)
        features = self.features(levels)
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)
        corners, present = self.corners(features), self.present(pooled)
        if boxes is None:
            boxes = found_boxes(corners.detach(), size)
        zoom = zoom_to(boxes, self.cells)
        first = self.first(levels)
        seen = torch.cat(
            [
                sample_windows(each, zoom, self.cells, size)
                for each in (first, self.second(first), features)
            ],
            1,
        )
        seen = seen.view(len(images), len(ZOOMED), -1, self.cells, self.cells)
        hands = self.hand(seen[:, 1:].flatten(0, 1))
        return ZoomOutputs(
            body=self.body(features),
            boxes=corners,
            present=present,
            face=self.face(seen[:, 0]),
            hands=hands.view(len(images), 2, -1, self.cells, self.cells),
            zoom=zoom,
            size=size,
        )

    def targets(self, joints_px: Tensor, size: tuple[int, int]) -> ZoomTargets:
        """Targets of joints (B, 133, 2) in pixels of images of `size` (H, W), NaN: unlabelled. A
        part with fewer than MIN_JOINTS in the image is trained as absent."""
        edge = torch.tensor([size[1], size[0]]).to(joints_px)
        known = ((joints_px >= 0) & (joints_px < edge)).all(-1)  # NaN is not
        boxes, present = [], []
        for part in ZOOMED:
            own, inside = joints_px[:, PARTS[part]], known[:, PARTS[part], None]
            low = own.masked_fill(~inside, torch.inf).amin(1)
            high = own.masked_fill(~inside, -torch.inf).amax(1)
            enough = inside.sum(1) >= MIN_JOINTS
            boxes.append(torch.cat([low, high], -1).masked_fill(~enough, torch.nan))
            present.append(enough[:, 0])
        return ZoomTargets(
            joints_px=joints_px,
            known=known,
            boxes=torch.stack(boxes, 1),
            present=torch.stack(present, 1),
        )

    def losses(self, outputs: ZoomOutputs, targets: ZoomTargets) -> dict[str, Tensor]:
        """`body`, `boxes`, `present`, `face` and `hands`: mean cross-entropies."""
        stride = outputs.size[0] / outputs.body.shape[-2]
        joints, known = targets.joints_px, targets.known
        low, high = targets.boxes[..., :2], targets.boxes[..., 2:]
        points = torch.stack([low, high, (low + high) / 2], 2).flatten(1, 2)  # (B, 3 P, 2)
        out = {
            "body": _cross_entropy(outputs.body, joints[:, :BODY] / stride, known[:, :BODY]),
            "boxes": _cross_entropy(
                outputs.boxes, points / stride, targets.present.repeat_interleave(3, 1)
            ),
            "present": F.binary_cross_entropy_with_logits(
                outputs.present, targets.present.to(outputs.present)
            ),
        }
        zoomed = outputs.zoom.to_cells(joints[:, None].expand(-1, len(ZOOMED), -1, -1))
        inside = ((zoomed >= 0) & (zoomed < self.cells)).all(-1)
        counted = inside & known[:, None] & targets.present[..., None]
        parts = [(zoomed[:, p, PARTS[k]], counted[:, p, PARTS[k]]) for p, k in enumerate(ZOOMED)]
        out["face"] = _cross_entropy(outputs.face, *parts[0])
        out["hands"] = _cross_entropy(
            outputs.hands.flatten(1, 2),
            torch.cat([at for at, _ in parts[1:]], 1),
            torch.cat([which for _, which in parts[1:]], 1),
        )
        return out

    def find(self, images: Tensor, *, hits: bool = True) -> FoundWholeBody:
        """Joints of images as in `forward`; ModelError when the maps are not finite."""
        outputs = self(images)
        maps = (outputs.body, outputs.boxes, outputs.present, outputs.face, outputs.hands)
        if not all(bool(each.isfinite().all()) for each in maps):
            raise not_finite()
        return self.decode(outputs, hits=hits)

    @torch.no_grad()
    def decode(self, outputs: ZoomOutputs, *, hits: bool = False) -> FoundWholeBody:
        """Joints in pixels of the images, at expected hits (`hits`) or peaks; absent: none."""
        found = _read(outputs.body, hits=hits)
        stride = outputs.size[0] / outputs.body.shape[-2]
        joints, scores = [found.xy * stride], [found.score]
        maps = (outputs.face[:, None], outputs.hands[:, :1], outputs.hands[:, 1:])
        there = outputs.present > 0
        for p, own in enumerate(maps):
            part = _read(own[:, 0], hits=hits)
            window = Zoom(
                origin=outputs.zoom.origin[:, p : p + 1], step=outputs.zoom.step[:, p : p + 1]
            )
            px = window.to_px(part.xy[:, None])[:, 0]
            joints.append(px.masked_fill(~there[:, p, None, None], torch.nan))
            scores.append(part.score * there[:, p, None])
        present = torch.full_like(joints[0][..., 0], torch.nan)
        chance = outputs.present.sigmoid().to(present)
        each = [chance[:, p, None].expand(-1, px.shape[1]) for p, px in enumerate(joints[1:])]
        return FoundWholeBody(
            joints_px=torch.cat(joints, 1),
            scores=torch.cat(scores, 1),
            present=torch.cat([present, *each], 1),
        )


class PartHead(nn.Module):
    """Maps of a part from its window: down twice, for the whole, and up again, for each pixel."""

    def __init__(self, inputs: int, width: int, joints: int) -> None:
        super().__init__()
        self.near = conv(inputs, width)
        self.down = nn.ModuleList(
            nn.Sequential(conv(width, width, stride=2), Residual(width)) for _ in range(2)
        )
        self.up = nn.ModuleList(conv(width, width) for _ in range(2))
        self.out = nn.Conv2d(width, joints, 1)

    def forward(self, x: Tensor) -> Tensor:
        levels = [self.near(x)]
        for step in self.down:
            levels.append(step(levels[-1]))
        top = levels.pop()
        for step, level in zip(self.up, reversed(levels), strict=True):
            top = step(level + resize(top, (int(level.shape[-2]), int(level.shape[-1]))))
        maps: Tensor = self.out(top)
        return maps


def found_boxes(corners: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes (B, P, 4) in pixels of the maps of their points (B, 3 P, h, w), images of `size`.

    Position by the centre's map, size by the corners: a corner that slid along the border
    of a hand moves the window by half as much.
    """
    found = heatmaps.decode_peak(heatmaps.probabilities(corners), sigma=_SIGMA)
    points = found.xy * (size[0] / corners.shape[-2])
    low, high, centre = points.view(len(corners), -1, 3, 2).unbind(2)
    middle = (centre + (low + high) / 2) / 2
    half = (high - low).clamp_min(0.0) / 2
    return torch.cat([middle - half, middle + half], -1)


def _read(logits: Tensor, *, hits: bool) -> heatmaps.Decoded:
    maps = heatmaps.probabilities(logits)
    return heatmaps.expected_hits(maps) if hits else heatmaps.decode_peak(maps, sigma=_SIGMA)


def _cross_entropy(logits: Tensor, xy: Tensor, counted: Tensor) -> Tensor:
    """Mean cross-entropy of maps (B, K, h, w) with Gaussians about `xy` (B, K, 2) in cells, of the
    joints `counted` (B, K); 0 without one."""
    each = gaussian_cross_entropy(logits, xy.masked_fill(~counted[..., None], 0.0), sigma=_SIGMA)
    return masked_mean(each, counted)
