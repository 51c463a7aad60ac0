"""Batches of augmented people with their labels, a function of (seed, step), and their prefetching
in order.
"""

import dataclasses
import signal
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, Self, TypeVar

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from synthstudio.core.arrays import F32, F64, I64, U8, Bool
from synthstudio.core.errors import ModelError
from synthstudio.core.labels import STATE_HIDDEN, STATE_VISIBLE, VISIBILITY
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.visibility import is_visible
from synthstudio.models.losses import Labels
from synthstudio.training.config import STRIDE, Augment
from synthstudio.training.data import augment as aug
from synthstudio.training.data.augment import BatchPart, Draws, Photos
from synthstudio.training.data.crops import Crops
from synthstudio.transforms.pasting import (
    Cutouts,
    PasteDraws,
    draw_pastes,
    fractions_under_paste,
    paste,
)

_FACE = ("nose", "eye", "ear")
_BESIDE = 1 / 8
"""Margin around the hull of the joints, in heights of the input, outside which is no body."""


@dataclass(frozen=True, kw_only=True)
class Subset:
    """Which samples are used: `rows` (R,), and their sampling weights (R,)."""

    rows: I64
    weight: F64

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: I64) -> Self:
        """Fewer of the same samples; `index` counts within this subset."""
        return dataclasses.replace(self, rows=self.rows[index], weight=self.weight[index])

    def epoch_order(self, seed: int, epoch: int) -> I64:
        """The order of an epoch: each row once, or sampled by weight if weights differ."""
        rng = stream(seed, "order", epoch)
        if np.ptp(self.weight) == 0:
            return rng.permutation(self.rows)
        return rng.choice(self.rows, len(self.rows), p=self.weight / self.weight.sum())


@dataclass(frozen=True, kw_only=True)
class CropSubset(Subset):
    """Crops and which of them are used."""

    crops: Crops

    @classmethod
    def uniform(cls, crops: Crops) -> Self:
        """All crops, with equal weights."""
        return cls(crops=crops, rows=np.arange(len(crops)), weight=np.ones(len(crops)))


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """Target of batches: the network's input (H, W) and its skeleton."""

    size: tuple[int, int]
    skeleton: Skeleton

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns (h, w) of the network's maps."""
        return self.size[0] // STRIDE, self.size[1] // STRIDE


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Augmentation's external pictures: cut-outs to paste, and photos for style."""

    cutouts: Cutouts = field(default_factory=Cutouts)
    photos: Photos | None = None


NO_PICTURES = Pictures()


@dataclass(frozen=True, kw_only=True)
class Batch:
    """B people. `images` (B, 3, H, W) uint8; `rows` (B,) of the crops; `view` (B, 2, 3), and the
    same without `augment.rotated`: `unrotated`."""

    images: torch.Tensor
    labels: Labels
    rows: I64
    view: F64
    unrotated: F64


def make_batch(
    crops: Crops,
    rows: I64 | BatchPart,
    spec: InputSpec,
    augment: Augment,
    *,
    seed: int = 0,
    step: int = 0,
    pictures: Pictures = NO_PICTURES,
) -> Batch:
    """The batch of `rows`, or a process's part, augmented by the random streams of (seed, step)."""
    rng = stream(seed, "augment", step)
    part = rows if isinstance(rows, BatchPart) else BatchPart.of(rows)
    rows, count = part.rows, part.count
    draws = part.drawn(aug.draw(augment, rng, count=count, size=spec.size))
    unrotated = draws.view
    if augment.rotated:
        angle = aug.draw_rotations(augment.rotated, stream(seed, "turns", step), count=count)
        draws = aug.rotate(draws, crops, rows, angle[part.places], size=spec.size)
    cutouts, pastes = pictures.cutouts, None
    if augment.paste:
        drawn = stream(seed, "cutouts", step)
        pastes = part.drawn(draw_pastes(augment.pastes, drawn, count=count, cutouts=len(cutouts)))
    samples = [_sample(crops, part, spec, draws, b, cutouts, pastes) for b in range(len(rows))]
    photos = pictures.photos
    styles = aug.draw_styles(augment, part, seed=seed, step=step, photos=photos)
    return Batch(
        images=stack_images(
            [aug.restyle(s.image, styles, b, photos) for b, s in enumerate(samples)]
        ),
        labels=_labels(crops, rows, samples, draws, spec),
        rows=rows,
        view=draws.view,
        unrotated=unrotated,
    )


@dataclass(frozen=True, kw_only=True)
class _Sample:
    image: U8
    cover: F32  # (h, w) 0 to 1, NaN unknown
    xy: F64  # (J, 2) input pixels, joints in the order of the skeleton after a flip
    visibility_fractions: F32
    state: U8


def _sample(
    crops: Crops,
    part: BatchPart,
    spec: InputSpec,
    draws: Draws,
    b: int,
    cutouts: Cutouts,
    pastes: PasteDraws | None,
) -> _Sample:
    row, view = int(part.rows[b]), draws.view[b]
    image = aug.warp(crops.images[row], view, spec.size)
    cover = aug.warp(crops.cover[row], view, spec.size, fill=0)
    order = spec.skeleton.flip if draws.flipped[b] else slice(None)
    xy = aug.transform_points(crops.xy[row], view)[order]
    fractions, state = crops.visibility_fractions[row][order].copy(), crops.state[row][order].copy()
    # Photos have states only, without fractions and causes.
    visible = state == STATE_VISIBLE
    unknown_visible = np.isnan(fractions).any(-1) & visible
    fractions[unknown_visible] = np.eye(len(VISIBILITY), dtype=np.float32)[
        VISIBILITY.index("visible")
    ]
    radius = 2 * spec.skeleton.sigmas * np.sqrt(crops.area[row]) * _zoom(view)
    mask = None
    # Pieces are of the same batch, so never of another split, and of another moment: a piece of the
    # person's own moment would hide nothing.
    others = part.beside[crops.group[part.beside] != crops.group[row]]
    if pastes is not None and pastes.pasted[b]:
        other = crops.images[others[pastes.other[b] % len(others)]] if len(others) else None
        found = paste(image, xy, cutouts, pastes, b, other)
        image, mask = (image, None) if found is None else found
    if mask is not None:
        fractions = fractions_under_paste(fractions, xy, mask, radius)
        gone = visible & ~is_visible(fractions[:, VISIBILITY.index("visible")])
        state[gone] = STATE_HIDDEN
        cover = np.maximum(cover, mask)
    image = aug.recolour(image, draws, b)
    cells = cv2.resize(cover, spec.cells[::-1], interpolation=cv2.INTER_AREA)
    cells = cells.astype(np.float32) / np.float32(255)
    if np.isnan(crops.fraction[row]):  # occluders of this person are unknown
        uncovered = _discs(xy[visible], radius[visible], spec)
        if visible[_body(spec.skeleton)].all():
            uncovered |= _beside(xy[visible], spec)
        cells[(cells < 1) & ~uncovered] = np.nan
    return _Sample(image=image, cover=cells, xy=xy, visibility_fractions=fractions, state=state)


def _discs(xy: F64, radius_px: F64, spec: InputSpec) -> Bool:
    """The cells (h, w) about joints; visible ones can be covered by pastes only."""
    each = spec.size[0] / spec.cells[0]
    y, x = np.mgrid[: spec.cells[0], : spec.cells[1]]
    centres = (np.stack([x, y], -1) + 0.5) * each
    with np.errstate(invalid="ignore"):
        apart = np.linalg.norm(centres[None] - xy[:, None, None], axis=-1)
        return np.asarray((apart <= np.maximum(radius_px, each / 2)[:, None, None]).any(0))


def _beside(xy: F64, spec: InputSpec) -> Bool:
    """The cells (h, w) well outside the hull of the joints: of a fully visible person nothing
    there can be covered."""
    each = spec.size[0] / spec.cells[0]
    hull = cv2.convexHull(np.round((xy / each - 0.5) * 16).astype(np.int32))
    inside = np.zeros(spec.cells, np.uint8)
    cv2.fillConvexPoly(inside, hull, 1, shift=4)
    reach = 2 * round(_BESIDE * spec.cells[0]) + 1
    return np.asarray(cv2.dilate(inside, np.ones((reach, reach), np.uint8)) == 0)


def _body(skeleton: Skeleton) -> Bool:
    """Whether joints (J,) are not of the face, which is unlabelled from behind."""
    return np.array([name.split("_")[-1] not in _FACE for name in skeleton.joints])


def _zoom(view: F64) -> float:
    return float(1 / np.sqrt(abs(np.linalg.det(view[:, :2]))))


def stack_images(images: list[U8]) -> torch.Tensor:
    """Images (H, W, 3) as a batch (B, 3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2)))


def _labels(
    crops: Crops, rows: I64, samples: list[_Sample], draws: Draws, spec: InputSpec
) -> Labels:
    height, width = spec.size
    order = np.where(
        draws.flipped[:, None], spec.skeleton.flip, np.arange(len(spec.skeleton.joints))
    )
    xy = np.stack([s.xy for s in samples])
    state = np.stack([s.state for s in samples])
    inside = np.isfinite(xy).all(-1) & (xy >= 0).all(-1) & (xy < [width, height]).all(-1)
    fractions = np.stack([s.visibility_fractions for s in samples])[..., :4]  # without truncated
    total = fractions.sum(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        fractions = np.where(total > 0.05, fractions / total, np.nan)
    xyz = np.take_along_axis(crops.xyz_m[rows], order[..., None], 1)
    zoom = np.array([_zoom(v) for v in draws.view])
    return Labels(
        xy=torch.from_numpy((xy / [width, height]).astype(np.float32)),
        known=torch.from_numpy(np.isin(state, (1, 2)) & inside),
        present=torch.from_numpy(np.take_along_axis(crops.present[rows], order, 1)),
        visibility_fractions=torch.from_numpy(fractions.astype(np.float32)),
        state=torch.from_numpy(state.astype(np.int64)),
        area=torch.from_numpy((crops.area[rows] * zoom**2 / (width * height)).astype(np.float32)),
        occluder=torch.from_numpy(np.stack([s.cover for s in samples])[:, None]),
        xyz_m=torch.from_numpy(_rotate_3d(xyz, draws)),
    )


def _rotate_3d(xyz: F32, draws: Draws) -> F32:
    """Rotate 3D joints (B, J, 3) about the viewing axis, and mirror them, as the images are."""
    inverse = np.linalg.inv(draws.view[:, :, :2])
    inverse = inverse / np.sqrt(np.abs(np.linalg.det(inverse)))[:, None, None]
    out = xyz.copy()
    out[..., :2] = np.einsum("bij,bkj->bki", inverse, xyz[..., :2].astype(np.float64))
    return out


Made = TypeVar("Made")
_DEPTH = 3


def prefetch(
    make: Callable[[int], Made], numbers: range, *, depth: int = _DEPTH, processes: int = 0
) -> Generator[Made]:
    """Yield `make(number)` for each number, up to `depth` of them in advance. By a thread: OpenCV
    and NumPy release the interpreter lock. By `processes` of a DataLoader, twice as far ahead, if
    steps are mostly Python, as on a GPU; they are forked, so `make` may hold anything but device
    memory. Exceptions are raised here; ModelError if a process ended."""
    if processes and len(numbers):
        yield from _by_processes(make, numbers, depth=depth, processes=processes)
        return
    ahead: deque[Future[Made]] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
    try:
        for number in numbers:
            ahead.append(pool.submit(make, number))
            if len(ahead) > depth:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class _Numbered(Dataset[Made | Exception], Generic[Made]):
    """The result of `make` for each number, or its exception."""

    def __init__(self, make: Callable[[int], Made]) -> None:
        self.make = make

    def __getitem__(self, number: int) -> Made | Exception:
        try:
            return self.make(number)
        except Exception as error:
            return error


def _by_processes(
    make: Callable[[int], Made], numbers: range, *, depth: int, processes: int
) -> Generator[Made]:
    loader = DataLoader(
        _Numbered(make),
        batch_size=None,
        sampler=numbers,
        num_workers=processes,
        prefetch_factor=-(-2 * depth // processes),  # shared memory of containers is small
        collate_fn=lambda made: made,
        worker_init_fn=_begin,
        multiprocessing_context="fork",
    )
    made = iter(loader)
    for _ in numbers:
        try:
            item = next(made)
        except RuntimeError as error:
            raise ModelError(
                "a process that makes batches died",
                where="training",
                got=str(error)[:200],
                then="Provide more memory, also shared memory (docker's "
                "shm-size), or lower `batch`; continue with --resume.",
            ) from error
        if isinstance(item, Exception):
            raise item
        yield item


def _begin(worker: int) -> None:
    """Ignore Ctrl-C in workers, and disable OpenCV's threads, which do not survive a fork."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)
