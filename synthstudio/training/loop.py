"""The training loop: `train`.

All randomness comes from (seed, step) or (seed, epoch), so an interrupted run resumed from
its saved state ends with the same weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from synthstudio.core.progress import stop_on_signals
from synthstudio.training import checkpoint, devices
from synthstudio.training.config import Config
from synthstudio.training.data.prefetch import prefetch
from synthstudio.training.data.sources import load_data
from synthstudio.training.log import CROPPING, import_tensorboard
from synthstudio.training.systems import CropTrainer, FrameTrainer, ZoomTrainer
from synthstudio.training.trainer import Trained, Trainer, check_finite, seeded

_TRAINERS: dict[str, type[CropTrainer | ZoomTrainer | FrameTrainer]] = {
    "topdown": CropTrainer,
    "zoomnet": ZoomTrainer,
}
"""Shared by bottom-up systems."""


def train(
    config: Config,
    out: Path,
    *,
    resume: bool = False,
    cache: Path | None = None,
    steps: int | None = None,
    log: Callable[[str], None] = print,
    progress: Callable[[int, int, str], None] = lambda done, total, text: None,
    select: Callable[[Any], Any] = lambda data: data,
) -> Trained:
    """Train a network into the folder `out`; Ctrl-C stops after the step and saves.

    `resume`: continue from the saved state there. `steps`: at most this many in this call (for a
    dry run, or a part of a long run). `progress` gets (done, total, text): CROPPING before the
    first step, then the losses. `select` reduces the samples. ModelError for incompatible settings.
    """
    started = time.monotonic()
    trainer = _TRAINERS.get(config.network.system, FrameTrainer)
    device = devices.get_device(config.device)
    world = devices.join_world(device)
    devices.check_batch_divides(config.batch, world)
    import_tensorboard()
    if not world.is_main:
        log, progress = (lambda text: None), (lambda done, total, text: None)
    got = f"{config.batch // world.size} {trainer.unit}"
    memory = devices.memory_guard(device, got, devices.SMALLER_BATCH)
    with ExitStack() as held:
        held.enter_context(seeded(config))
        with ExitStack() as before:
            with devices.main_process_first(world):
                before.enter_context(
                    checkpoint.prepared_folder(out, config, resume=resume or not world.is_main)
                )
                data = load_data(
                    config,
                    cache=cache or out / "cache",
                    log=log,
                    progress=lambda done, total: progress(done, total, CROPPING),
                )
                data = select(data)
            held.enter_context(closing(data))
            held.enter_context(memory)
            if note := devices.slow_precision(device, config.precision):
                log(note)
            run: Trainer[Any, Any] = trainer(
                config, out, data, device, world, log=log, resume=resume
            )
        first = run.progress.step
        end = min(run.total, first + steps if steps is not None else run.total)
        seconds_before, waited = run.progress.seconds, 0.0
        stopped = devices.agreed_stop_reason(run.stop)
        numbers = range(first * config.accumulate, end * config.accumulate)
        batch_stream = prefetch(run.make_batches, numbers, processes=run.loaders)
        with stop_on_signals(run.stop), closing(run), closing(batch_stream):
            while run.progress.step < end and not stopped:
                step = run.progress.step
                run.prepare_step(step)
                losses: dict[str, float] = {}
                for _ in range(config.accumulate):
                    waiting = time.monotonic()
                    made = next(batch_stream)
                    waited += time.monotonic() - waiting
                    for name, value in run.backward(made).items():
                        losses[name] = losses.get(name, 0.0) + value / config.accumulate
                losses = devices.mean(losses)
                check_finite(losses, what="loss", where=f"{out}, step {step}")
                run.update(step, losses, made)

                run.progress.step = step + 1
                run.progress.seconds = seconds_before + time.monotonic() - started
                text = " ".join(f"{name} {value:.3f}" for name, value in losses.items())
                progress(step + 1, run.total, text)
                if run.at_epoch_end:
                    run.validate_and_checkpoint()
                stopped = devices.agreed_stop_reason(run.stop)
                due = run.progress.step % config.save_every == 0 or run.at_epoch_end
                if due or stopped or run.progress.step == end:
                    run.save_state()
        if stopped:
            log(f"stopped after step {run.progress.step} of {run.total}: {stopped}")
        elapsed = max(run.progress.seconds - seconds_before, 1e-9)
        people = (run.progress.step - first) * config.batch * config.accumulate
        validated = data.val is not None and run.progress.best_epoch >= 0
        return Trained(
            folder=out,
            steps=run.progress.step,
            epochs=run.progress.epoch,
            best=run.progress.best if validated else None,
            unit=run.unit,
            finished=run.progress.step >= run.total or "improve" in stopped,
            wait_share=waited / elapsed,
            people_per_second=people / elapsed,
        )
