"""Script for torchrun: runs by the same two processes in turn; errors are in NAME_RANK.error."""

import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
import small_backbones
import tiny

from synthstudio.core.errors import ModelError
from synthstudio.training import systems, trainer
from synthstudio.training.data import batches
from synthstudio.training.data.augment import BatchPart

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
BUSY = {"rotated": 0.5, "paste": 0.5, "noise": 0.3, "dropout": 0.3}
"""Augmentation that draws all kinds of random numbers."""
AS_ONE, LONG = {"augment": BUSY, "steps": 8}, {"augment": BUSY, "steps": 40}


def record(data, out, changes):
    update, make = trainer.Trainer.update, batches.make_batch
    losses, people = [], []

    def updated(state, step, found, made):
        losses.append(sum(found.values()))
        update(state, step, found, made)

    def made(crops, rows, spec, augment, **options):
        if "step" in options:  # validation has none
            own = rows.rows if isinstance(rows, BatchPart) else rows
            people.append([(int(crops.frame[r]), int(crops.instance[r])) for r in own])
        return make(crops, rows, spec, augment, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.Trainer, "update", updated)
        patch.setattr(systems.batches, "make_batch", made)
        tiny.run(tiny.config(data, **changes), out, resume=True)
    file = out.parent / f"{out.name}_{os.environ.get('RANK', '0')}.json"
    file.write_text(json.dumps({"losses": losses, "people": people}))


def read(out, rank=0):
    return json.loads((out.parent / f"{out.name}_{rank}.json").read_text())


def frozen(backbone, epochs):
    """Changes for a backbone that learns nothing for so many epochs (-1: ever)."""
    network = {"size": [48, 32], "backbone": f"transformers:{backbone}", "frozen_epochs": epochs}
    return {"steps": 4, "network": network}


def make(folder, pairs):
    """Do all runs, each in a folder of its name; the config of a frozen backbone is in resnet."""
    small_backbones.resnet(folder / "resnet")
    runs = {"long": LONG, "as-one": AS_ONE, "stopped": {}}
    runs |= {f"frozen-{epochs}": frozen(folder / "resnet", epochs) for epochs in (-1, 1)}
    (folder / "runs.json").write_text(json.dumps(runs))
    alone = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [*TORCHRUN, __file__, str(folder), str(pairs)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=alone)
    assert done.returncode == 0, done.stderr[-3000:]


def _stop(data, out):
    """One of two processes alone finds that nothing improves; both stop."""
    rank = int(os.environ["RANK"])
    with pytest.raises(ModelError, match="multiple of 2"):
        tiny.run(tiny.config(data, batch=9), out.parent / "refused")
    validate = trainer.Trainer.validate_and_checkpoint

    def validated(state):
        validate(state)
        if rank == 1 and state.progress.step == 4:
            state.stop.append("the validation did not improve, says 1")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.Trainer, "validate_and_checkpoint", validated)
        done = tiny.run(tiny.config(data), out, resume=True)
    assert (done.steps, done.finished) == (4, True), (rank, done)
    (out.parent / f"said_{rank}").write_text("stopped")


def _run(name, data, out, changes):
    if name == "stopped":
        _stop(data, out)
    elif name.startswith("frozen"):
        tiny.run(tiny.config(data, **changes), out, resume=True)
    else:
        record(data, out, changes)


def done_in(folder):
    """A function: the folder of a run by its name, none of whose processes failed."""

    def run(name):
        errors = [path.read_text() for path in sorted(folder.glob(f"{name}_*.error"))]
        assert not errors, "\n".join(errors)
        return folder / name

    return run


if __name__ == "__main__":
    folder, pairs = map(Path, sys.argv[1:])
    for name, changes in json.loads((folder / "runs.json").read_text()).items():
        try:
            _run(name, pairs, folder / name, changes)
        except Exception:
            told = folder / f"{name}_{os.environ['RANK']}.error"
            told.write_text(traceback.format_exc())
