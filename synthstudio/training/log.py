"""What a run tells while it goes on: bars, CSV for people, TensorBoard for curves, pictures."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from synthstudio.core.skeleton import Skeleton
from synthstudio.training.batches import Batch
from synthstudio.training.pictures import batch_picture

CUTTING = "cutting people out"
_EVERY = 10


def bars(
    step: Callable[[str], Callable[[int, int, float], None]],
) -> Callable[[int, int, str], None]:
    """Return what `train` tells its progress to: a bar for CUTTING, one for the steps.

    `step(title)` begins a bar.
    """
    begun: dict[bool, tuple[Callable[[int, int, float], None], float, int]] = {}

    def report(done: int, total: int, text: str) -> None:
        cutting = text == CUTTING
        if cutting not in begun:
            begun[cutting] = (step(CUTTING if cutting else "training"), time.monotonic(), done)
        show, since, first = begun[cutting]
        show(done, total, (done - first) / max(1e-6, time.monotonic() - since))

    return report


class Log:
    """log.csv (one row every 10 steps and every validation) and TensorBoard's files of a run.

    `keep_before`: rows from this step on are of a run that was cut off; they are written anew.
    """

    def __init__(self, folder: Path, *, keep_before: int) -> None:
        """Open both; rows that the run will write again are taken out."""
        from torch.utils.tensorboard import SummaryWriter

        self.path = folder / "log.csv"
        self.pictures_folder = folder / "pictures"
        kept = self._kept(keep_before)
        self.file = self.path.open("w", newline="", encoding="utf-8")
        self.rows = csv.writer(self.file)
        self.rows.writerows(kept or [["step", "what", "value"]])
        purge: dict[str, Any] = {"purge_step": keep_before} if keep_before else {}
        self.board = SummaryWriter(str(folder), **purge)

    def _kept(self, before: int) -> list[list[str]]:
        if not self.path.is_file():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            head, *rows = list(csv.reader(file)) or [[]]
        return [head, *(row for row in rows if len(row) == 3 and int(row[0]) < before)]

    def step(self, step: int, terms: dict[str, float], *, rate: float, norm: float) -> None:
        """Note a step's loss terms, rate and gradient."""
        if step % _EVERY == 0:
            self._write(step, {f"loss/{k}": v for k, v in terms.items()})
            self._write(step, {"loss/all": sum(terms.values()), "rate": rate, "gradient": norm})
            self.file.flush()  # a kill after the next saved state would lose the row for good

    def validation(self, step: int, found: dict[str, float]) -> None:
        """Note what a validation found after `step` steps."""
        self._write(step - 1, {f"validation/{k}": v for k, v in found.items()})
        self.file.flush()

    def pictures(self, step: int, batch: Batch, net: nn.Module, skeleton: Skeleton) -> None:
        """Draw a batch with its targets and the network's answers."""
        self.pictures_folder.mkdir(exist_ok=True)
        rgb = batch_picture(batch, net, skeleton)
        (self.pictures_folder / f"batch_{step:06d}.png").write_bytes(rgb[1])
        self.board.add_image("batch", rgb[0], step, dataformats="HWC")

    def _write(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.rows.writerow([step, name, f"{value:.6g}"])
            self.board.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is left."""
        self.file.close()
        self.board.close()
