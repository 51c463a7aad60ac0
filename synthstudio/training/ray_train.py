"""Training by Ray Train: processes as of torchrun, on any nodes of a cluster.

Ray Train starts them, joins them into one process group and ends all when one dies; they run
the loop's `train`, so the result equals that of torchrun.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from synthstudio.core.errors import SynthStudioError, WorkerError, import_extra
from synthstudio.core.places import disk_errors
from synthstudio.generation.engines.ray import connected
from synthstudio.training import devices, loop
from synthstudio.training.config import Config
from synthstudio.training.trainer import Trained

_PROGRESS_S = 0.5
_POLL_S = 0.2
_AGAIN = "Continue it with --resume: it continues from the last saved state."


def train(
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
    """As `loop.train`, by `processes` of the Ray cluster at RAY_ADDRESS, or of a local one
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
    """One process of a training, in Ray Train's process group. `run`: arguments of `loop.train`;
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

    return loop.train(
        **given["run"], log=lambda text: messages.put(("log", text)), progress=progress
    )


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
        then=_AGAIN,
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
