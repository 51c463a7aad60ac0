"""The training loop: `train`, and the same by Ray Train: `train_by_ray`.

All randomness comes from (seed, step) or (seed, epoch), so an interrupted run resumed from
its saved state ends with the same weights. Ray Train starts processes as torchrun does, on any
nodes of a cluster, joins them into one process group and ends all when one dies; they run `train`,
so the result equals that of torchrun.
"""

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from synthstudio.core.errors import SynthStudioError, WorkerError, import_extra
from synthstudio.core.places import disk_errors
from synthstudio.core.progress import stop_on_signals
from synthstudio.generation.engines.ray import connected
from synthstudio.training import checkpoint, devices
from synthstudio.training.config import Config
from synthstudio.training.data.batches import prefetch
from synthstudio.training.data.sources import load_data
from synthstudio.training.systems import CropTrainer, FrameTrainer, ZoomTrainer
from synthstudio.training.trainer import (
    Trained,
    Trainer,
    check_finite,
    import_tensorboard,
    seeded,
)

CROPPING = "cropping people"
_TRAINERS: dict[str, type[CropTrainer | ZoomTrainer | FrameTrainer]] = {
    "topdown": CropTrainer,
    "zoomnet": ZoomTrainer,
}
"""Shared by bottom-up systems."""
_PROGRESS_S = 0.5
_POLL_S = 0.2


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


def train_by_ray(
    config: Config,
    out: Path,
    *,
    processes: int,
    resume: bool = False,
    cache: Path | None = None,
    steps: int | None = None,
    log: Callable[[str], None] = print,
    progress: Callable[[int, int, str], None] = lambda done, total, text: None,
) -> Trained:
    """As `train`, by `processes` of the Ray cluster at RAY_ADDRESS, or of a local one
    here without it.

    `out`, `cache`, the working directory and files of the config are on a disk that all nodes
    share. WorkerError without Ray, for too small a cluster and for a process that died.
    """
    ray = import_extra("ray", extra="ray", error=WorkerError)
    import_extra("ray.train.torch", extra="ray", error=WorkerError)
    devices.check_batch_divides(config.batch, devices.World(size=processes))
    out = out.absolute()
    with disk_errors(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
    with (
        connected(processes) as connection,
        tempfile.TemporaryDirectory(prefix=f".{out.name}-ray-", dir=out.parent) as kept,
    ):
        messages = ray.util.queue.Queue(actor_options={"num_cpus": 0})
        run: dict[str, Any] = {"config": config, "out": out, "resume": resume, "steps": steps}
        run["cache"] = (cache or out / "cache").absolute()
        given = {"run": run, "folder": Path.cwd(), "messages": messages}
        with _reported(messages, log, progress):
            return _fit(ray, given, processes, Path(kept), connection.environment)


def _fit(
    ray: Any, given: dict[str, Any], processes: int, kept: Path, environment: dict[str, str]
) -> Trained:
    """Run Ray Train, which stores a marker in `kept`; `environment`: variables of its processes."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer

    use_gpu = given["run"]["config"].device != "cpu" and ray.cluster_resources().get("GPU", 0) > 0
    kind = "GPU" if use_gpu else "CPU"
    held = ray.cluster_resources().get(kind, 0)
    if held < processes:
        raise WorkerError(
            "the cluster is too small",
            where="processes",
            expected=f"at most one for each of its {held:g} {kind}s",
            got=str(processes),
        )
    work: Any = _work  # Ray's types know neither a training that returns something
    own: dict[str, Any] = {"worker_runtime_env": {"env_vars": environment}}  # nor this
    trainer = TorchTrainer(
        work,
        train_loop_config=given,
        torch_config=TorchConfig(
            backend="nccl" if use_gpu else "gloo",
            timeout_s=int(devices.TIMEOUT / timedelta(seconds=1)),
        ),
        scaling_config=ScalingConfig(num_workers=processes, use_gpu=use_gpu),
        run_config=RunConfig(
            name="training",
            storage_path=str(kept),
            failure_config=FailureConfig(max_failures=0),
            **own,
        ),
    )
    try:
        result: Any = trainer.fit()
    except TrainingFailedError as error:
        raise _run_error(error, given["run"]["out"]) from error
    trained: Trained = result.return_value
    return trained


def _work(given: dict[str, Any]) -> Trained:
    """One process of a training, in Ray Train's process group. `run`: arguments of `train`;
    `messages`: a queue of the first process's reports."""
    folder, messages = given["folder"], given["messages"]
    if not folder.is_dir():
        raise WorkerError(
            "a node of the cluster lacks the working directory",
            where=str(folder),
            expected="a disk that all nodes share",
        )
    os.chdir(folder)
    last = 0.0

    def progress(done: int, total: int, text: str) -> None:
        nonlocal last
        if time.monotonic() - last > _PROGRESS_S or done == total:
            last = time.monotonic()
            messages.put(("progress", done, total, text))

    return train(**given["run"], log=lambda text: messages.put(("log", text)), progress=progress)


def _run_error(error: Exception, out: Path) -> SynthStudioError:
    """The error of a process as one message, or that one of them died."""
    failures = list(getattr(error, "worker_failures", {}).values())
    for failure in failures:
        if isinstance(failure, SynthStudioError):
            return failure
    lines = [line.strip() for line in str(failures[0] if failures else error).splitlines()]
    return WorkerError(
        "a training process died or lost its peers",
        where=str(out),
        got=next((line for line in reversed(lines) if line), type(error).__name__)[:300],
        then="Continue it with --resume: it continues from the last saved state.",
    )


@contextmanager
def _reported(
    messages: Any, log: Callable[[str], None], progress: Callable[[int, int, str], None]
) -> Iterator[None]:
    """Pass on the first process's reports while the body runs; their errors are raised after it."""
    ended = threading.Event()
    errors: list[BaseException] = []

    def listen() -> None:
        try:
            while not ended.is_set() or not messages.empty():
                for kind, *words in messages.get_nowait_batch(messages.qsize()):
                    (log if kind == "log" else progress)(*words)
                ended.wait(_POLL_S)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=listen, name="reports", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if errors:
        raise errors[0]
