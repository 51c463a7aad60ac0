"""A training run that writes what each step lost and whom each batch was made of.

Beside the run's folder OUT: OUT_RANK.json of each process. Also a script for torchrun.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import tiny

from synthstudio.training import systems, trainer
from synthstudio.training.data import batches
from synthstudio.training.data.batches import as_part

BUSY = {"rotated": 0.5, "paste": 0.5, "noise": 0.3, "dropout": 0.3}
"""Augmentation that draws all kinds of random numbers."""


def record(data: Path, out: Path, changes: dict[str, Any]) -> None:
    """Train as `tiny.config` with `changes` says, and write what is recorded."""
    update, make = trainer.Trainer.update, batches.make_batch
    losses: list[float] = []
    people: list[list[tuple[int, int]]] = []

    def updated(state: Any, step: int, found: dict[str, float], made: Any) -> None:
        losses.append(sum(found.values()))
        update(state, step, found, made)

    def made(crops: Any, rows: Any, spec: Any, augment: Any, **options: Any) -> Any:
        if "step" in options:  # validation has none
            own = as_part(rows).rows
            people.append([(int(crops.frame[r]), int(crops.instance[r])) for r in own])
        return make(crops, rows, spec, augment, **options)

    trainer.Trainer.update = updated  # type: ignore[method-assign]
    systems.batches.make_batch = made  # type: ignore[attr-defined]
    try:
        tiny.run(tiny.config(data, **changes), out, resume=True)
    finally:
        trainer.Trainer.update = update  # type: ignore[method-assign]
        systems.batches.make_batch = make  # type: ignore[attr-defined]
    file = out.parent / f"{out.name}_{os.environ.get('RANK', '0')}.json"
    file.write_text(json.dumps({"losses": losses, "people": people}))


def read(out: Path, rank: int = 0) -> dict[str, Any]:
    """What a process recorded."""
    found: dict[str, Any] = json.loads((out.parent / f"{out.name}_{rank}.json").read_text())
    return found


if __name__ == "__main__":
    record(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
