"""Trainings killed with -9 at random moments and resumed, against one that nobody broke.

A child process kills itself at a random moment inside a phase: cutting people out, a step of the
optimiser, or the writing of the state that it will go on from. The last child is left alone. All
trainings run in children on one thread each: another number of threads adds up in another order.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch  # noqa: TID253 - it trains

from benchmarks import proofs
from synthstudio.core.rng import stream
from synthstudio.generation import pipeline
from synthstudio.training import checkpoint, crops, loop
from synthstudio.training import config as configs
from synthstudio.training.config import Config

CUTTING, STEP, SAVING = "cutting somebody out", "a step", "saving the state"
_POINTS: dict[str, tuple[Any, str]] = {
    CUTTING: (crops, "crop"),
    STEP: (loop, "_loss"),
    SAVING: (checkpoint, "save_state"),
}
"""What each phase begins with."""
FILES = ("last.safetensors", "best.safetensors", "log.csv", "config.yaml")


@dataclass(frozen=True, kw_only=True)
class Kill:
    """Die `after_s` seconds into the n-th time that a phase begins in this process."""

    phase: str
    nth: int
    after_s: float


def nano(dataset: Path, *, steps: int) -> Config:
    """Return scenes/training/nano.yaml on a small set, with pairs, for so many steps."""
    whole = configs.dump(configs.load(proofs.ROOT / "scenes" / "training" / "nano.yaml"))
    source = {"dataset": str(dataset), "splits": []}
    return configs.parse(
        {
            **whole,
            "train": [source],
            "validate_on": [source],
            "steps": steps,
            "batch": 16,
            "save_every": 5,
            "losses": {**whole["losses"], "agreement": 0.5},
        }
    )


def around(phase: str, began: Callable[[], None], ended: Callable[[], None]) -> None:
    """Have a phase's function tell when it begins and ends, in this process."""
    module, name = _POINTS[phase]
    real = getattr(module, name)

    @functools.wraps(real)
    def told(*words: Any, **named: Any) -> Any:
        began()
        try:
            return real(*words, **named)
        finally:
            ended()

    setattr(module, name, told)


def timed() -> Callable[[], dict[str, float]]:
    """Have this process time its phases; return what tells the mean of each in seconds."""
    took: dict[str, list[float]] = {phase: [] for phase in _POINTS}
    since: dict[str, float] = {}

    def begin(phase: str) -> None:
        now = time.monotonic()
        if phase == STEP and STEP in since:
            took[STEP].append(now - since[STEP])  # a step lasts until the next one
        since[phase] = now

    def end(phase: str) -> None:
        if phase != STEP:
            took[phase].append(time.monotonic() - since[phase])

    for phase in _POINTS:
        around(phase, functools.partial(begin, phase), functools.partial(end, phase))
    return lambda: {phase: sum(times) / max(len(times), 1) for phase, times in took.items()}


def plan(seed: int, took: dict[str, float], *, kills: int) -> list[Kill]:
    """Return kills at random moments: each phase once first, then any."""
    rng, phases = stream(seed, "killed training"), [CUTTING, STEP, SAVING]
    phases += [str(rng.choice([STEP, SAVING])) for _ in range(kills - len(phases))]
    most = {CUTTING: 30, STEP: 8, SAVING: 2}
    return [
        Kill(
            phase=phase,
            nth=int(rng.integers(1, most[phase] + 1)),
            after_s=float(rng.random() * took[phase]),
        )
        for phase in phases[:kills]
    ]


def die(kill: Kill, note: Path) -> None:
    """Arrange for this process's end; `note` then says whether the phase was still going on."""
    heard, inside = [0], [False]

    def now() -> None:
        note.write_text("inside" if inside[0] else "just after", encoding="utf-8")
        os.kill(os.getpid(), signal.SIGKILL)

    def begin() -> None:
        heard[0] += 1
        inside[0] = True
        if heard[0] == kill.nth:
            threading.Timer(kill.after_s, now).start()

    def end() -> None:
        inside[0] = kill.phase == STEP  # what follows the loss is the step's as well

    around(kill.phase, begin, end)


def run(config: Config, out: Path, kill: Kill | None) -> str:
    """Start or go on with a training in a child; return what it noted before its end.

    AssertionError when one to be killed lived, or another one failed.
    """
    told, note = out.with_suffix(".config.json"), out.with_suffix(".note")
    told.write_text(json.dumps(configs.dump(config)), encoding="utf-8")
    note.unlink(missing_ok=True)
    words = [str(told), str(out), str(note), json.dumps(kill and asdict(kill))]
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.killed_training", *words],
        cwd=proofs.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if child.returncode != (0 if kill is None else -signal.SIGKILL):
        raise AssertionError(f"{kill}: status {child.returncode}: {child.stderr[-2000:]}")
    return note.read_text(encoding="utf-8")


def killed(config: Config, out: Path, kill: Kill) -> str:
    """Start or resume a training that dies; return where it was hit and what was saved by then."""
    hit = run(config, out, kill)
    state, saved = out / "state.safetensors", "nothing saved"
    if state.is_file():
        place = json.loads(checkpoint.read(state)[1]["place"])
        saved = f"saved up to step {place['step']}"
    return f"{kill.phase}, time {kill.nth}, {kill.after_s * 1e3:.1f} ms in ({hit}); {saved}"


def check(
    folder: Path, *, kills: int = 5, frames: int = 28, steps: int = 40, seed: int = 1
) -> tuple[bool, str]:
    """Return whether a training killed so often ends as an unbroken one, and what was seen."""
    dataset, whole, out = folder / "people", folder / "unbroken", folder / "broken"
    scene = proofs.ROOT / "scenes" / "counterfactuals.yaml"
    settings = proofs.settings_for(scene, assets=scene.parent, frames=frames)
    pipeline.generate(settings, dataset, workers=2)
    config = nano(dataset, steps=steps)
    took = json.loads(run(config, whole, None))
    lines = [", ".join(f"{phase} {1e3 * s:.1f} ms" for phase, s in took.items())]
    lines += [killed(config, out, kill) for kill in plan(seed, took, kills=kills)]
    run(config, out, None)
    differing = [n for n in FILES if (out / n).read_bytes() != (whole / n).read_bytes()]
    lines.append(f"{steps} steps, then of {', '.join(FILES)} these differ: {differing or 'none'}")
    return not differing, "\n  ".join(lines)


def main(told: Path, out: Path, note: Path, kill: Kill | None) -> None:
    """Train in this process, which may not live to see the end."""
    torch.set_num_threads(1)
    config = configs.parse(json.loads(told.read_text(encoding="utf-8")))
    times = timed() if kill is None else None
    if kill is not None:
        die(kill, note)
    loop.train(config, out, resume=out.exists(), say=lambda text: None)
    if times is not None:
        note.write_text(json.dumps(times()), encoding="utf-8")


if __name__ == "__main__":
    arranged = json.loads(sys.argv[4])
    main(*map(Path, sys.argv[1:4]), kill=arranged and Kill(**arranged))
