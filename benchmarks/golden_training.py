"""The training check: weights of an unbroken run and of one that was killed and resumed."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.golden_digest import Facts, digest, tensors
from benchmarks.golden_inputs import training_config
from benchmarks.golden_sides import ONE_THREAD, Context, Side, environment

RENAMED_TENSORS: dict[str, str] = {}
"""Tensors whose names changed: the base's name -> the new one."""
RENAMED_FIGURES: dict[str, str] = {}
"""Names in log.csv that changed: the base's -> the new one."""
STEPS = 40
WEIGHTS = ("last.safetensors", "best.safetensors")
TRIES = 5


def training(side: Side, context: Context) -> Facts:
    """Train twice, once through a kill -9, and compare every tensor with names as the base has."""
    work = side.work / "training"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    found: Facts = {}
    for block, extra in {"orn": {"bank": 8}, "kpe": {}}.items():
        network = {"block": block, "size": [48, 36], "widths": [8, 12], "width": 16, **extra}
        losses = {"agreement": 0.5 if block == "orn" else 0.0}
        config = training_config("../inputs/pairs", steps=STEPS, network=network, losses=losses)
        if side.name != "base":
            # What the base, which lacks these fields, learns and learns by.
            config |= {"joints_3d": "regressed", "optimizer": "adamw"}
            network |= {"smooth": True, "layers": 2}  # as all of its networks are
        path = work / f"{block}.yaml"
        path.write_text(json.dumps(config), encoding="utf-8")
        found |= _weights(side, block, "unbroken", _train(side, path, work / block))
    broken = work / "broken"
    found["training/broken:killed"] = _killed(side, work / "orn.yaml", broken)
    done = _train(side, work / "orn.yaml", broken, "--resume")
    found |= _weights(side, "broken", "resumed", done)
    for name in WEIGHTS:
        pair = [(work / run / name) for run in ("orn", "broken")]
        same = all(p.is_file() for p in pair) and tensors(pair[0]) == tensors(pair[1])
        found[f"training/broken:{name} as unbroken"] = same
    return found


def _command(side: Side, config: Path, out: Path, *more: str) -> list[str]:
    words = ["train", str(config.relative_to(side.work)), "--out", str(out.relative_to(side.work))]
    return [sys.executable, "-P", "-m", "synthstudio", *words, "--json", *more]


def _train(side: Side, config: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(side, config, out, *more),
        cwd=side.work,
        env=environment(side, **ONE_THREAD),
        capture_output=True,
        text=True,
        check=False,
    )


def _killed(side: Side, config: Path, out: Path) -> bool:
    """Start a training and kill it after its first checkpoint; return whether that came in time."""
    for _ in range(TRIES):
        shutil.rmtree(out, ignore_errors=True)
        child = subprocess.Popen(
            _command(side, config, out),
            cwd=side.work,
            env=environment(side, **ONE_THREAD),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while child.poll() is None and not list(out.glob("*.safetensors")):
            time.sleep(0.002)
        if child.poll() is None:
            os.kill(child.pid, signal.SIGKILL)
        child.wait()
        if child.returncode == -signal.SIGKILL and not (out / WEIGHTS[0]).is_file():
            return True
    return False


def _weights(side: Side, run: str, name: str, done: subprocess.CompletedProcess[str]) -> Facts:
    out = side.work / "training" / run
    key = f"training/{run}-{name}"
    found: Facts = {f"{key}:status": done.returncode}
    if done.returncode:
        found[f"{key}:error"] = done.stderr.strip()[-300:]
    back = {new: old for old, new in RENAMED_TENSORS.items()}
    for file in WEIGHTS:
        if (out / file).is_file():
            held = tensors(out / file).items()
            found |= {f"{key}/{file}:{back.get(tensor, tensor)}": value for tensor, value in held}
    figures = {new: old for old, new in RENAMED_FIGURES.items()}
    if (out / "log.csv").is_file():
        held_rows: dict[str, list[str]] = {}
        with (out / "log.csv").open(encoding="utf-8", newline="") as file:
            for row in list(csv.reader(file))[1:]:
                held_rows.setdefault(figures.get(row[1], row[1]), []).append(",".join(row))
        for figure, rows in held_rows.items():
            values = [",".join(row.split(",")[:1] + row.split(",")[2:]) for row in rows]
            found[f"{key}/log.csv:{figure}"] = digest("\n".join(values))
    return found
