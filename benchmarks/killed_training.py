"""Trainings killed with -9 at random moments and resumed, against an uninterrupted one.

A child process kills itself at a random moment inside a phase: cropping people, an optimizer step,
or writing the state to resume from. The last child is left alone. All trainings run in children on
one thread each: another number of threads sums in another order.
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
from synthstudio.training import checkpoint, loop, trainer
from synthstudio.training import config as configs
from synthstudio.training.config import Config
from synthstudio.training.data import crops

CROPPING, STEP, SAVING = "cropping a person", "a step", "saving the state"
_POINTS: dict[str, tuple[Any, str]] = {
    CROPPING: (crops, "label_person"),
    STEP: (trainer, "pose_losses"),
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
    """scenes/training/nano.yaml on a small set, with pairs, for `steps` steps."""
    full = configs.dump(configs.load(proofs.ROOT / "scenes" / "training" / "nano.yaml"))
    source = {"dataset": str(dataset), "splits": []}
    return configs.parse(
        {
            **full,
            "train": [source],
            "val": [source],
            "steps": steps,
            "batch": 16,
            "save_every": 5,
            "losses": {**full["losses"], "agreement": 0.5},
        }
    )


def around(phase: str, began: Callable[[], None], ended: Callable[[], None]) -> None:
    """Call `began` and `ended` around a phase's function in this process."""
    module, name = _POINTS[phase]
    real = getattr(module, name)

    @functools.wraps(real)
    def observed(*args: Any, **kwargs: Any) -> Any:
        began()
        try:
            return real(*args, **kwargs)
        finally:
            ended()

    setattr(module, name, observed)


def time_phases() -> Callable[[], dict[str, float]]:
    """Time this process's phases; the result returns the mean of each in seconds."""
    durations: dict[str, list[float]] = {phase: [] for phase in _POINTS}
    since: dict[str, float] = {}

    def begin(phase: str) -> None:
        now = time.monotonic()
        if phase == STEP and STEP in since:
            durations[STEP].append(now - since[STEP])  # a step lasts until the next one
        since[phase] = now

    def end(phase: str) -> None:
        if phase != STEP:
            durations[phase].append(time.monotonic() - since[phase])

    for phase in _POINTS:
        around(phase, functools.partial(begin, phase), functools.partial(end, phase))
    return lambda: {phase: sum(times) / max(len(times), 1) for phase, times in durations.items()}


def plan(seed: int, durations: dict[str, float], *, kills: int) -> list[Kill]:
    """Kills at random moments: each phase once first, then any."""
    rng, phases = stream(seed, "killed training"), [CROPPING, STEP, SAVING]
    phases += [str(rng.choice([STEP, SAVING])) for _ in range(kills - len(phases))]
    most = {CROPPING: 30, STEP: 8, SAVING: 2}
    return [
        Kill(
            phase=phase,
            nth=int(rng.integers(1, most[phase] + 1)),
            after_s=float(rng.random() * durations[phase]),
        )
        for phase in phases[:kills]
    ]


def die(kill: Kill, note: Path) -> None:
    """Schedule this process's death; `note` then says whether the phase was still running."""
    count, inside = [0], [False]

    def now() -> None:
        note.write_text("inside" if inside[0] else "just after", encoding="utf-8")
        os.kill(os.getpid(), signal.SIGKILL)

    def begin() -> None:
        count[0] += 1
        inside[0] = True
        if count[0] == kill.nth:
            threading.Timer(kill.after_s, now).start()

    def end() -> None:
        inside[0] = kill.phase == STEP  # what follows the loss is the step's as well

    around(kill.phase, begin, end)


def run(config: Config, out: Path, kill: Kill | None) -> str:
    """Start or resume a training in a child; return what it noted before its end.

    AssertionError when one to be killed lived, or another one failed.
    """
    config_file, note = out.with_suffix(".config.json"), out.with_suffix(".note")
    config_file.write_text(json.dumps(configs.dump(config)), encoding="utf-8")
    note.unlink(missing_ok=True)
    args = [str(config_file), str(out), str(note), json.dumps(kill and asdict(kill))]
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.killed_training", *args],
        cwd=proofs.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if child.returncode != (0 if kill is None else -signal.SIGKILL):
        raise AssertionError(f"{kill}: status {child.returncode}: {child.stderr[-2000:]}")
    return note.read_text(encoding="utf-8")


def killed(config: Config, out: Path, kill: Kill) -> str:
    """Start or resume a training that dies; return where it was hit and what it had saved."""
    hit = run(config, out, kill)
    state, saved = out / "state.safetensors", "nothing saved"
    if state.is_file():
        progress = json.loads(checkpoint.read(state)[1]["place"])
        saved = f"saved up to step {progress['step']}"
    return f"{kill.phase}, time {kill.nth}, {kill.after_s * 1e3:.1f} ms in ({hit}); {saved}"


def check(
    folder: Path, *, kills: int = 5, frames: int = 28, steps: int = 40, seed: int = 1
) -> tuple[bool, str]:
    """Whether a killed training ends as an uninterrupted one, and a report."""
    dataset, full, out = folder / "people", folder / "unbroken", folder / "broken"
    scene = proofs.ROOT / "scenes" / "counterfactuals.yaml"
    settings = proofs.settings_for(scene, assets=scene.parent, frames=frames)
    pipeline.generate(settings, dataset, workers=2)
    config = nano(dataset, steps=steps)
    durations = json.loads(run(config, full, None))
    lines = [", ".join(f"{phase} {1e3 * s:.1f} ms" for phase, s in durations.items())]
    lines += [killed(config, out, kill) for kill in plan(seed, durations, kills=kills)]
    run(config, out, None)
    differing = [n for n in FILES if (out / n).read_bytes() != (full / n).read_bytes()]
    lines.append(f"{steps} steps, then of {', '.join(FILES)} these differ: {differing or 'none'}")
    return not differing, "\n  ".join(lines)


def main(config_file: Path, out: Path, note: Path, kill: Kill | None) -> None:
    """Train in this process, which may be killed."""
    torch.set_num_threads(1)
    config = configs.parse(json.loads(config_file.read_text(encoding="utf-8")))
    times = time_phases() if kill is None else None
    if kill is not None:
        die(kill, note)
    loop.train(config, out, resume=out.exists(), say=lambda text: None)
    if times is not None:
        note.write_text(json.dumps(times()), encoding="utf-8")


if __name__ == "__main__":
    arranged = json.loads(sys.argv[4])
    main(*map(Path, sys.argv[1:4]), kill=arranged and Kill(**arranged))
