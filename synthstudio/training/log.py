"""Reports of a run: progress bars, log.csv, TensorBoard curves, images of batches."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch import Tensor

from synthstudio.core.arrays import F64, U8, Bool
from synthstudio.core.errors import import_extra
from synthstudio.core.images import encode_png
from synthstudio.core.skeleton import COLOURS, Skeleton

CROPPING = "cropping people"
_EVERY = 10


def progress_bars(
    step: Callable[[str], Callable[[int, int, float], None]],
) -> Callable[[int, int, str], None]:
    """A `progress` for `train`: a bar for CROPPING, one for training. `step(title)` starts one."""
    stages: dict[bool, Callable[[int, int], None]] = {}

    def report(done: int, total: int, text: str) -> None:
        cropping = text == CROPPING
        if cropping not in stages:
            stages[cropping] = with_rate(step(CROPPING if cropping else "training"))
        stages[cropping](done, total)

    return report


def with_rate(report: Callable[[int, int, float], None]) -> Callable[[int, int], None]:
    """Progress (done, total) passed on with the rate since the first call."""
    first: list[tuple[int, float]] = []

    def progress(done: int, total: int) -> None:
        if not first:
            first.append((done, time.monotonic()))
        count, since = first[0]
        report(done, total, (done - count) / max(1e-6, time.monotonic() - since))

    return progress


class Log:
    """log.csv (a row every 10 steps and every validation) and TensorBoard's files of a run; rows
    from step `keep_before` on are dropped."""

    def __init__(self, folder: Path, *, keep_before: int) -> None:
        tensorboard = import_tensorboard()
        self.path = folder / "log.csv"
        self.image_folder = folder / "pictures"
        kept = self._rows_before(keep_before)
        self.file = self.path.open("w", newline="", encoding="utf-8")
        self.rows = csv.writer(self.file)
        self.rows.writerows(kept or [["step", "what", "value"]])
        purge: dict[str, Any] = {"purge_step": keep_before} if keep_before else {}
        self.board = tensorboard.SummaryWriter(str(folder), **purge)

    def _rows_before(self, step: int) -> list[list[str]]:
        if not self.path.is_file():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            head, *rows = list(csv.reader(file)) or [[]]
        return [head, *(row for row in rows if len(row) == 3 and int(row[0]) < step)]

    def step(self, step: int, losses: dict[str, float], *, lr: float, grad_norm: float) -> None:
        if step % _EVERY == 0:
            self._write(step, {f"loss/{k}": v for k, v in losses.items()})
            total = sum(losses.values())
            self._write(step, {"loss/all": total, "rate": lr, "gradient": grad_norm})
            self.file.flush()  # else a kill after the next saved state loses the row

    def validation(self, step: int, metrics: dict[str, float]) -> None:
        self._write(step - 1, {f"validation/{k}": v for k, v in metrics.items()})
        self.file.flush()

    def images(self, step: int, rgb: U8) -> None:
        """Keep a picture (H, W, 3) of a batch with its labels and predictions."""
        self.image_folder.mkdir(exist_ok=True)
        (self.image_folder / f"batch_{step:06d}.png").write_bytes(encode_png(rgb))
        self.board.add_image("batch", rgb, step, dataformats="HWC")

    def _write(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.rows.writerow([step, name, f"{value:.6g}"])
            self.board.add_scalar(name, value, step)

    def close(self) -> None:
        self.file.close()
        self.board.close()


def import_tensorboard() -> Any:
    """torch's TensorBoard writers; ModelError names the extra when TensorBoard is missing."""
    import_extra("tensorboard", extra="train")
    return import_extra("torch.utils.tensorboard", extra="train")


def draw_samples(
    images: Tensor,
    labelled: Sequence[F64],
    predicted: Sequence[F64],
    skeleton: Skeleton,
    hidden: Sequence[Bool] | None = None,
) -> U8:
    """Image (H, W, 3): samples with their labels in the upper row, predictions below.

    `images` (B, 3, h, w) uint8; of each the joints (P, J, 2) of its people in pixels, NaN unknown.
    Joints that are `hidden` (P, J) are rings.
    """
    zoom = max(1, 192 // images.shape[-2])
    rows = []
    for row_of_people in (labelled, predicted):
        tiles = []
        for b, people in enumerate(row_of_people):
            image = images[b].numpy().transpose(1, 2, 0)
            tile = np.repeat(np.repeat(image, zoom, 0), zoom, 1).copy()
            rings = np.zeros(people.shape[:2], bool) if hidden is None else hidden[b]
            for xy, ring in zip(people * zoom, rings, strict=True):
                _draw_person(tile, xy, ring, skeleton)
            tiles.append(tile)
        rows.append(np.concatenate(tiles, 1))
    return np.concatenate(rows, 0)


def _draw_person(tile: U8, xy: F64, hidden: Bool, skeleton: Skeleton) -> None:
    known: Bool = np.asarray(np.isfinite(xy).all(-1))
    at = np.round(np.nan_to_num(xy, nan=-99)).astype(int).clip(-9999, 9999).tolist()
    for a, b in skeleton.edges:
        if known[a] and known[b]:
            cv2.line(tile, tuple(at[a]), tuple(at[b]), (90, 90, 90), 1, cv2.LINE_AA)
    for j, side in enumerate(skeleton.sides):
        if known[j]:
            fill = 1 if hidden[j] else -1
            cv2.circle(tile, tuple(at[j]), 3, COLOURS[side], fill, cv2.LINE_AA)
