"""Batches of augmented people with their labels, decided by (seed, step) alone."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from synthstudio.core.rng import stream
from synthstudio.core.skeleton import Skeleton
from synthstudio.models.losses import Labels
from synthstudio.training import augment as aug
from synthstudio.training.augment import Augment, Draws
from synthstudio.training.crops import Crops

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """B people. `images` (B, 3, H, W) uint8; `clean`: the same views of the same moments without
    occluders, of the rows `paired` (B,), else None. `rows` (B,) of the crops; `view` (B, 2, 3)."""

    images: torch.Tensor
    labels: Labels
    rows: I64
    view: F64
    clean: torch.Tensor | None = None
    paired: torch.Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What batches are made for: the network's input (H, W), its maps' (h, w), its skeleton."""

    size: tuple[int, int]
    cells: tuple[int, int]
    skeleton: Skeleton


def make(
    crops: Crops,
    rows: I64,
    frame: Frame,
    augment: Augment,
    *,
    seed: int,
    step: int,
    paired: bool = False,
) -> Batch:
    """Return the batch of `rows`, augmented by the numbers of (seed, step)."""
    rng = stream(seed, "augment", step)
    draws = aug.draw(augment, rng, count=len(rows), size=frame.size, others=len(rows))
    if augment.half_body:
        draws = aug.half_body(
            draws,
            crops,
            rows,
            names=frame.skeleton.joints,
            size=frame.size,
            rng=rng,
            chance=augment.half_body,
        )
    parts = [_sample(crops, rows, frame, draws, b) for b in range(len(rows))]
    clean, has = None, None
    if paired:
        other = crops.clean[rows]
        has = (other >= 0) & (other != rows)
        colour = aug.draw(augment, rng, count=len(rows), size=frame.size, others=len(rows))
        pictures = [
            aug.coloured(
                aug.look(crops.images[k if k >= 0 else row], draws.view[b], frame.size),
                colour.gain[b],
                float(colour.lift[b]),
            )
            for b, (row, k) in enumerate(zip(rows, other, strict=True))
        ]
        clean = _stacked(pictures)
    return Batch(
        images=_stacked([p.image for p in parts]),
        labels=_labels(crops, rows, parts, draws, frame),
        rows=rows,
        view=draws.view,
        clean=clean,
        paired=None if has is None else torch.from_numpy(has),
    )


@dataclass(frozen=True, kw_only=True)
class _Sample:
    image: U8
    cover: NDArray[np.float32]  # (h, w) 0 to 1, NaN where nobody knows
    xy: F64  # (J, 2) input pixels, joints in the order of the skeleton after a flip
    shares: NDArray[np.float32]


def _sample(crops: Crops, rows: I64, frame: Frame, draws: Draws, b: int) -> _Sample:
    row, view = int(rows[b]), draws.view[b]
    image = aug.look(crops.images[row], view, frame.size)
    cover = aug.look(crops.cover[row], view, frame.size, fill=0)
    turn = frame.skeleton.flip if draws.flipped[b] else slice(None)
    xy = aug.moved(crops.xy[row], view)[turn]
    shares = crops.shares[row][turn].copy()
    giver = _stranger(crops, rows, b, int(draws.paste_from[b]))
    if draws.paste[b, 2] and giver is not None:
        mask = aug.piece(draws.paste[b], draws.paste_shape[b], frame.size)
        texture = aug.look(crops.images[giver], view, frame.size)
        alpha = (mask / np.float32(255))[..., None]
        image = (image * (1 - alpha) + texture * alpha).astype(np.uint8)
        radius = 2 * frame.skeleton.sigmas * np.sqrt(crops.area[row]) * _zoom(view)
        shares = aug.hidden_shares(shares, xy, mask, radius)
        cover = np.maximum(cover, mask)
    image = aug.coloured(image, draws.gain[b], float(draws.lift[b]))
    if draws.hole[b, 2]:
        x, y, w, h = (draws.hole[b].reshape(2, 2) * [frame.size[1], frame.size[0]]).ravel()
        image[int(y) : int(y + h), int(x) : int(x + w)] = 114
    small = cv2.resize(cover, frame.cells[::-1], interpolation=cv2.INTER_AREA)
    small = small.astype(np.float32) / np.float32(255)
    if np.isnan(crops.fraction[row]):  # nobody knows what covers this person, but for the paste
        small[small < 1] = np.nan
    return _Sample(image=image, cover=small, xy=xy, shares=shares)


def _stranger(crops: Crops, rows: I64, b: int, wanted: int) -> int | None:
    """Return a crop of the batch to paste from, of another moment: its own would hide nothing.

    Of the batch: whoever is in another split is never in it.
    """
    strangers = rows[crops.group[rows] != crops.group[rows[b]]]
    return int(strangers[wanted % len(strangers)]) if len(strangers) else None


def _zoom(view: F64) -> float:
    """Return how much larger the input shows things than the canvas."""
    return float(1 / np.sqrt(abs(np.linalg.det(view[:, :2]))))


def _stacked(pictures: list[U8]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2)))


def _labels(crops: Crops, rows: I64, parts: list[_Sample], draws: Draws, frame: Frame) -> Labels:
    high, wide = frame.size
    turns = np.where(
        draws.flipped[:, None], frame.skeleton.flip, np.arange(len(frame.skeleton.joints))
    )
    xy = np.stack([p.xy for p in parts])
    state = np.take_along_axis(crops.state[rows], turns, 1)
    inside = np.isfinite(xy).all(-1) & (xy >= 0).all(-1) & (xy < [wide, high]).all(-1)
    shares = np.stack([p.shares for p in parts])[..., :4]  # without truncated
    total = shares.sum(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(total > 0.05, shares / total, np.nan)
    xyz = np.take_along_axis(crops.xyz_m[rows], turns[..., None], 1)
    zoom = np.array([_zoom(v) for v in draws.view])
    return Labels(
        xy=torch.from_numpy((xy / [wide, high]).astype(np.float32)),
        known=torch.from_numpy(np.isin(state, (1, 2)) & inside),
        present=torch.from_numpy(np.take_along_axis(crops.present[rows], turns, 1)),
        shares=torch.from_numpy(shares.astype(np.float32)),
        state=torch.from_numpy(state.astype(np.int64)),
        area=torch.from_numpy((crops.area[rows] * zoom**2 / (wide * high)).astype(np.float32)),
        occluder=torch.from_numpy(np.stack([p.cover for p in parts])[:, None]),
        xyz_m=torch.from_numpy(_turned(xyz, draws)),
    )


def _turned(xyz: NDArray[np.float32], draws: Draws) -> NDArray[np.float32]:
    """Return (B, J, 3) places turned about the viewing axis, and mirrored, as the pictures are."""
    back = np.linalg.inv(draws.view[:, :, :2])
    back = back / np.sqrt(np.abs(np.linalg.det(back)))[:, None, None]
    out = xyz.copy()
    out[..., :2] = np.einsum("bij,bkj->bki", back, xyz[..., :2].astype(np.float64))
    return out


def ahead(make_next: Callable[[int], Batch], steps: range, *, depth: int = 3) -> Generator[Batch]:
    """Yield `make_next(step)` for each step; a thread works up to `depth` batches ahead.

    OpenCV and NumPy let go of the interpreter, so the trainer does not wait. What the thread
    raises is raised here.
    """
    ready: queue.Queue[Batch | BaseException | None] = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def put(item: Batch | BaseException | None) -> None:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.2)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            for step in steps:
                if stop.is_set():
                    return
                put(make_next(step))
            put(None)
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=work, name="batches", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join(timeout=5)
