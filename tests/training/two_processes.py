"""Runs of two processes, one after the other by the same two: also the script for torchrun.

Each start of torchrun costs as much as ten such runs. What went wrong in a run is in its
NAME_RANK.error, and the next one is done.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import recorded
import tiny

from synthstudio.core.errors import ModelError
from synthstudio.training import trainer

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
BUSY: dict[str, Any] = {"augment": recorded.BUSY}
"""All that augmentation draws."""
AS_ONE, LONG = BUSY | {"steps": 8}, BUSY | {"steps": 40}


def streamed(data: Path) -> dict[str, Any]:
    """Changes that stream people, without pasted pieces."""
    source = {"dataset": str(data), "variants": ["base"], "stream": True}
    still = {"rotated": 0.5, "noise": 0.3, "dropout": 0.3}
    return {"train": [source], "window": 2, "steps": 6, "augment": still, "seed": 1}


def frozen(backbone: Path, epochs: int) -> dict[str, Any]:
    """Changes for a backbone that learns nothing for so many epochs (-1: ever)."""
    network = {"size": [48, 32], "backbone": f"transformers:{backbone}", "frozen_epochs": epochs}
    return {"steps": 4, "network": network}


def together(*words: object) -> subprocess.CompletedProcess[str]:
    """Start a script as two processes of torchrun."""
    command = [*TORCHRUN, *map(str, words)]
    reported = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=reported, check=False
    )


def make(folder: Path, pairs: Path, shards: Path) -> None:
    """Do all runs, each in a folder of its name; the config of a frozen backbone is in resnet."""
    import transformers

    resnet = transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 12],
        depths=[1, 1],
        layer_type="basic",
        out_features=["stage1", "stage2"],
    )
    transformers.AutoBackbone.from_config(resnet).save_pretrained(folder / "resnet")
    runs = {
        "long": (pairs, LONG),
        "as-one": (pairs, AS_ONE),
        "streamed": (shards, streamed(shards)),
        "frozen--1": (pairs, frozen(folder / "resnet", -1)),
        "frozen-1": (pairs, frozen(folder / "resnet", 1)),
        "stopped": (pairs, {}),
    }
    written = {name: [str(data), changes] for name, (data, changes) in runs.items()}
    (folder / "runs.json").write_text(json.dumps(written))
    done = together(__file__, folder)
    assert done.returncode == 0, done.stderr[-3000:]


def _stop(data: Path, out: Path) -> None:
    """One of two processes alone finds that nothing improves; both stop."""
    rank = int(os.environ["RANK"])
    try:
        tiny.run(tiny.config(data, batch=9), out.parent / "refused")
    except ModelError as error:
        assert "multiple of 2" in str(error)
    else:
        raise AssertionError("9 people of two processes")
    validate = trainer.Trainer.validate_and_checkpoint

    def validated(state: Any) -> None:
        validate(state)
        if rank == 1 and state.progress.step == 4:
            state.stop.append("the validation did not improve, says 1")

    trainer.Trainer.validate_and_checkpoint = validated  # type: ignore[method-assign]
    try:
        done = tiny.run(tiny.config(data), out, resume=True)
    finally:
        trainer.Trainer.validate_and_checkpoint = validate  # type: ignore[method-assign]
    assert (done.steps, done.finished) == (4, True), (rank, done)
    (out.parent / f"said_{rank}").write_text("stopped")


def _run(name: str, data: Path, out: Path, changes: dict[str, Any]) -> None:
    if name == "stopped":
        _stop(data, out)
    elif name.startswith("frozen"):
        tiny.run(tiny.config(data, **changes), out, resume=True)
    else:
        recorded.record(data, out, changes)


def done_in(folder: Path) -> Callable[[str], Path]:
    """A function: the folder of a run by its name, none of whose processes failed."""

    def run(name: str) -> Path:
        errors = [path.read_text() for path in sorted(folder.glob(f"{name}_*.error"))]
        assert not errors, "\n".join(errors)
        return folder / name

    return run


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for name, (data, changes) in json.loads((folder / "runs.json").read_text()).items():
        try:
            _run(name, Path(data), folder / name, changes)
        except Exception:
            told = folder / f"{name}_{os.environ['RANK']}.error"
            told.write_text(traceback.format_exc())
