"""A training run small enough for tests; also a script that tests kill or start twice."""

import json
import sys
from pathlib import Path

import torch

from synthstudio.training import config as configs
from synthstudio.training.data.sources import load_data
from synthstudio.training.evaluation import EvaluationOptions
from synthstudio.training.loop import train
from synthstudio.training.run_evaluation import evaluate_run

STILL = {"flip": 0, "scale": 0, "rotation_deg": 0, "shift": 0, "colour": 0}
"""Augmentation that changes nothing."""


def config(data, **changes):
    network = {"size": [48, 36], "widths": [8, 12], "width": 16, "bank": 8, "bank_sharpness": 1.1}
    fields = {
        "train": [{"dataset": str(data), "variants": ["base"]}],
        "val": [{"dataset": str(data)}],
        "network": network | changes.pop("network", {}),
        "batch": 8,
        "epochs": 99,
        "steps": 12,
        "device": "cpu",
        "save_every": 2,
        "lr": 5e-3,
    }
    return configs.parse(fields | changes)


def run(settings, out, **options):
    torch.set_num_threads(1)
    return train(settings, out, cache=out.parent / "cache", log=lambda text: None, **options)


def loaded(settings, cache, log=lambda text: None):
    return load_data(settings, cache=cache, log=log)


def evaluated(weights, data, out, **options):
    return evaluate_run(
        weights,
        data,
        out,
        options=EvaluationOptions(**options),
        cache=out.parent / "cache",
        device="cpu",
        step=lambda title: lambda done, total, rate: None,
    )


if __name__ == "__main__":
    data, out, changes = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    run(config(data, **changes), out, resume=True)
