"""Probability maps of joints: how labels become maps and maps become joints.

Letters: B people, J joints, h, w cells. A map has one value per cell. Coordinates in cells are
continuous, as pixels are (docs/conventions.md): cell (row i, column j) covers [j, j+1) x [i, i+1)
and its centre is (j + 0.5, i + 0.5); so a crop of W pixels and a map of w cells are related by the
factor w / W alone, without the half-pixel bias that UDP (Huang et al. 2020) is about.
"""

import functools
import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


def cell_centres(h: int, w: int, like: Tensor) -> Tensor:
    """Centres (h*w, 2) of the cells, x y, row by row."""
    y, x = torch.meshgrid(
        torch.arange(h, dtype=like.dtype, device=like.device) + 0.5,
        torch.arange(w, dtype=like.dtype, device=like.device) + 0.5,
        indexing="ij",
    )
    return torch.stack([x, y], -1).reshape(h * w, 2)


def gaussian_map(xy: Tensor, h: int, w: int, *, sigma: float = 1.0) -> Tensor:
    """Gaussians (B, J, h, w) about `xy` (B, J, 2) in cells, each summing to one: of a joint outside
    the inner part, which pulls towards the nearest border. Mask such joints to avoid that."""
    squared = _squared_distance(xy, h, w)
    return torch.softmax(-squared / (2 * sigma**2), -1).view(*xy.shape[:2], h, w)


def oks_map(xy: Tensor, sigmas: Tensor, area: Tensor, h: int, w: int) -> Tensor:
    """The OKS (B, J, h, w) that a prediction at each cell's centre would score.

    `sigmas` (J,) are the skeleton's; `area` (B,) is the person's in square cells.
    OKS of a joint: exp(-d^2 / (2 area (2 sigma)^2)) (cocodataset.org/#keypoints-eval). The scale
    is kept between 0.55 and 3 cells, as ProbPose (Purkrabek & Matas 2024) does: below it the map
    is a comb between cells, above it has no slope.
    """
    scale = (2 * sigmas[None] * area[:, None].sqrt()).clamp(0.55, 3.0)  # (B, J)
    squared = _squared_distance(xy, h, w)
    return torch.exp(-squared / (2 * scale[..., None] ** 2)).view(*xy.shape[:2], h, w)


def _squared_distance(xy: Tensor, h: int, w: int) -> Tensor:
    return ((xy[:, :, None, :] - cell_centres(h, w, xy)) ** 2).sum(-1)  # (B, J, h*w)


def probabilities(logits: Tensor) -> Tensor:
    """Softmax of logits (B, J, h, w) over the cells."""
    return torch.softmax(logits.flatten(2), -1).view_as(logits)


def log_probabilities(logits: Tensor) -> Tensor:
    """The logarithm of `probabilities`, finite wherever logits are."""
    return F.log_softmax(logits.flatten(2), -1).view_as(logits)


HIT_CELLS = 1.9
"""Radius of a hit in cells, for `expected_hits`."""


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """Joints read from maps: `xy` (B, J, 2) in cells, `score` (B, J) in [0, 1]."""

    xy: Tensor
    score: Tensor


def decode_peak(maps: Tensor, *, sigma: float | None = None) -> Decoded:
    """Decode the highest cell of each map (B, J, h, w), refined below the cell.

    Refinement: the vertex of the parabola through the logarithms of a cell and its two
    neighbours, along x and y (exact for a Gaussian; DARK, Zhang et al. 2020, to second order
    without the mixed term). In the border cells, which lack a neighbour, the place is where a
    Gaussian of `sigma` cells has the slope to the other one, or without it the cell's centre. The
    score is the map's value at the peak.
    """
    score, at = maps.flatten(2).max(-1)
    return Decoded(xy=_refined(maps, at[..., None], sigma).squeeze(-2), score=score)


def _refined(maps: Tensor, at: Tensor, sigma: float | None) -> Tensor:
    """Positions (B, J, K, 2) of the peaks in the cells `at` (B, J, K), numbered row by row."""
    w = maps.shape[-1]
    row, column = at // w, at % w
    x = column + 0.5 + _vertex(maps, row, column, (0, 1), sigma)
    return torch.stack([x, row + 0.5 + _vertex(maps, row, column, (1, 0), sigma)], -1)


def _vertex(
    maps: Tensor, row: Tensor, column: Tensor, step: tuple[int, int], sigma: float | None
) -> Tensor:
    """Offset (B, J, K) of the parabola's vertex from the peak's centre; at the border by `sigma`,
    0 without it."""
    h, w = maps.shape[-2:]
    flat = maps.flatten(2)

    def at(sign: int) -> tuple[Tensor, Tensor]:
        r, c = row + sign * step[0], column + sign * step[1]
        inside = (r >= 0) & (r < h) & (c >= 0) & (c < w)
        index = r.clamp(0, h - 1) * w + c.clamp(0, w - 1)
        return flat.gather(-1, index).clamp_min(1e-12).log(), inside

    (before, ok_before), (here, _), (after, ok_after) = at(-1), at(0), at(1)
    bend = before - 2 * here + after
    shift = 0.5 * (before - after) / torch.where(bend < -1e-9, bend, torch.ones_like(bend))
    usable = ok_before & ok_after & (bend < -1e-9)
    shift = torch.where(usable, shift, torch.zeros_like(shift))
    if sigma is not None:  # log g(0) - log g(1) = (1 - 2 shift) / (2 sigma^2)
        first, last = ok_after & ~ok_before, ok_before & ~ok_after
        shift = torch.where(first, 0.5 - sigma**2 * (here - after), shift)
        shift = torch.where(last, sigma**2 * (here - before) - 0.5, shift)
    return shift.clamp(-0.5, 0.5)


@functools.lru_cache(maxsize=64)
def _disc(
    size: tuple[int, int], radius: float, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Sums over a disc about each cell of maps of `size`, as two matrices.

    The disc has 1 inside, 0 outside and a soft edge. It is a sum of K products of a column and a
    row (its singular vectors), so it takes a matrix (w, K * w) of rows and one (h, K * h) of
    columns.
    """
    with torch.inference_mode(False), torch.no_grad():  # cached, so it must allow gradients
        reach = int(radius + 1.5)
        steps = torch.arange(-reach, reach + 1, dtype=torch.float64)
        distance = (steps[:, None] ** 2 + steps[None] ** 2).sqrt()
        left, strength, right = torch.linalg.svd((radius + 0.5 - distance).clamp(0, 1))
        count = int((strength > 1e-9).sum())

        def bands(profiles: Tensor, cells: int) -> Tensor:  # (K, cells, cells)
            at = torch.arange(cells)
            apart = at[:, None] - at[None]
            band = profiles[:, (apart + reach).clamp(0, 2 * reach)]
            return torch.where(apart.abs() <= reach, band, 0)

        rows = bands(right[:count], size[1])
        columns = bands((left * strength).t()[:count], size[0])
        joined = columns.transpose(0, 1).flatten(1), rows.transpose(0, 1).flatten(1)
        return joined[0].to(device, dtype), joined[1].to(device, dtype)


def expected_hits(maps: Tensor) -> Decoded:
    """Decode the position with the highest probability of a hit within HIT_CELLS cells.

    The map is summed over a disc about every cell, and the highest sum is refined as a peak is. Of
    two modes the heavier wins, not the sharper one, and never a point between them, as the mean
    would be. The score is that probability.
    """
    found = decode_peak(hits(maps))
    return Decoded(xy=found.xy, score=found.score.clamp(0, 1))


def hits(maps: Tensor) -> Tensor:
    """The sums of maps (B, J, h, w) over a disc of HIT_CELLS cells about every cell."""
    b, j, h, w = maps.shape
    columns, rows = _disc((h, w), HIT_CELLS, maps.dtype, maps.device)
    along = (maps @ rows).view(b, j, h, -1, w).transpose(2, 3).reshape(b, j, -1, w)  # (.., K*h, w)
    return columns @ along


def blur(maps: Tensor, sigma: float, *, mass: float = 1.0) -> Tensor:
    """Blur maps (B, J, h, w) by a Gaussian of `sigma` cells and sum `mass`; mass outside is lost.
    By banded matrices: single-channel convolutions are 40 times slower on CPUs."""
    (h, w), kind = maps.shape[-2:], (maps.dtype, maps.device)
    return mass * _band(h, sigma, *kind) @ maps @ _band(w, sigma, *kind)


@functools.lru_cache(maxsize=64)
def _band(size: int, sigma: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The symmetric blur matrix (size, size) of a row of cells."""
    with torch.inference_mode(False), torch.no_grad():  # cached, so it must allow gradients
        reach = max(1, round(3 * sigma))
        steps = torch.arange(-reach, reach + 1, dtype=dtype, device=device)
        total = torch.exp(-(steps**2) / (2 * sigma**2)).sum()
        at = torch.arange(size, dtype=dtype, device=device)
        apart = at[:, None] - at[None]
        band = torch.exp(-(apart**2) / (2 * sigma**2)) / total
        return band * (apart.abs() <= reach)


def find_peaks(
    maps: Tensor,
    *,
    count: int = 3,
    minimum: float = 0.0,
    reach: int = 1,
    sigma: float | None = None,
) -> Decoded:
    """The `count` highest local peaks of each map, `xy` (B, J, count, 2), best first: no cell
    within `reach` is higher, or equal and earlier in rows. Missing and too low peaks have score 0
    and NaN coordinates. `sigma` as in `decode_peak`."""
    h, w = maps.shape[-2:]
    highest, padded = maps > minimum, F.pad(maps, (reach,) * 4, value=-torch.inf)
    steps = range(-reach, reach + 1)
    for down, right in itertools.product(steps, steps):  # quicker than pooling with indices
        other = padded[..., reach + down : reach + down + h, reach + right : reach + right + w]
        if (down, right) != (0, 0):
            highest &= maps > other if (down, right) < (0, 0) else maps >= other
    kept = torch.where(highest, maps, torch.zeros_like(maps))
    score, at = kept.flatten(2).topk(min(count, h * w), dim=-1)
    xy = _refined(maps, at, sigma)
    return Decoded(xy=xy.masked_fill((score <= 0)[..., None], float("nan")), score=score)


def mirrored_maps(maps: Tensor, flip: Tensor) -> Tensor:
    """Maps (B, J, h, w) of a mirrored crop, mirrored back; `flip` (J,): the mirror joints."""
    return maps.flip(-1)[:, flip]
