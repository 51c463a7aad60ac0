"""Training by Ray Train: what torchrun learns, one message for what goes wrong, going on."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import recorded
import tiny
from test_parallel import together

from synthstudio.api import networks
from synthstudio.core.errors import ArgumentError, ModelError, WorkerError
from synthstudio.training import ray_train

ray = pytest.importorskip("ray")
pytest.importorskip("ray.train.torch")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray's, of its own settings
CHANGES: dict[str, Any] = {"steps": 11, "losses": {"agreement": 0.0}, "augment": recorded.BUSY}


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A cluster of this machine, which all tests of this file share."""
    paths = str(Path(tiny.__file__).parents[2])
    environment = {"env_vars": {"PYTHONPATH": paths}}
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env=environment,
    )
    yield
    ray.shutdown()


def losses(run: Path) -> list[float]:
    """The losses of the steps that a run logged, as TensorBoard has them (float32)."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run))
    events.Reload()
    return [event.value for event in events.Scalars("loss/all")]


def test_two_workers_learn_what_one_process_and_torchrun_learn(
    cluster: None, pairs: Path, tmp_path: Path, tensors: Callable[[Path], dict[str, bytes]]
) -> None:
    said: list[str] = []
    seen: list[tuple[int, int]] = []
    done = ray_train.train(
        tiny.config(pairs, **CHANGES),
        tmp_path / "ray",
        processes=2,
        cache=tmp_path / "cache",
        say=said.append,
        progress=lambda step, total, text: seen.append((step, total)),
    )
    assert (done.steps, done.finished, done.folder) == (11, True, tmp_path / "ray")
    assert any("people to train on" in line for line in said)
    assert len([line for line in said if "people to train on" in line]) == 1
    assert seen[-1] == (11, 11)
    recorded.record(pairs, tmp_path / "one", CHANGES)
    told = together(recorded.__file__, pairs, tmp_path / "torchrun", json.dumps(CHANGES))
    assert told.returncode == 0, told.stderr[-3000:]
    first, tenth = zip(losses(tmp_path / "ray"), losses(tmp_path / "one"), strict=True)
    assert first[0] == pytest.approx(first[1], rel=1e-6)
    assert tenth[0] == pytest.approx(tenth[1], rel=1e-4)  # rounding has grown by AdamW
    assert losses(tmp_path / "ray") == losses(tmp_path / "torchrun")
    assert tensors(tmp_path / "ray") == tensors(tmp_path / "torchrun")
    assert not list(tmp_path.glob(".ray-ray-*"))


def test_what_telling_raises_is_raised() -> None:
    """Without a cluster: a list stands for its queue."""

    class Queue(list[tuple[Any, ...]]):
        def empty(self) -> bool:
            return not self

        def qsize(self) -> int:
            return len(self)

        def get_nowait_batch(self, count: int) -> list[tuple[Any, ...]]:
            return [self.pop(0) for _ in range(count)]

    def say(text: str) -> None:
        raise OSError(text)

    waiting = Queue([("say", "the pipe is closed")])
    with (
        pytest.raises(OSError, match="the pipe is closed"),
        ray_train._reported(waiting, say, lambda done, total, text: None),
    ):
        pass
    assert "reports" not in [t.name for t in threading.enumerate()]


def test_a_worker_that_dies_is_one_message_and_the_run_is_resumed(
    cluster: None, pairs: Path, tmp_path: Path
) -> None:
    config = tiny.config(pairs, **(CHANGES | {"steps": 40}))
    state = tmp_path / "run" / "state.safetensors"

    def kill() -> None:
        for _ in range(3000):
            if state.is_file():
                break
            time.sleep(0.05)
        workers = [p for p in psutil.process_iter(["cmdline"]) if _is_worker(p)]
        workers[0].kill()

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(WorkerError, match=r"training process died.*--resume"):
        ray_train.train(config, tmp_path / "run", processes=2, say=lambda text: None)
    thread.join()
    done = ray_train.train(
        config, tmp_path / "run", processes=2, resume=True, say=lambda text: None
    )
    assert (done.steps, done.finished) == (40, True)


def _is_worker(process: psutil.Process) -> bool:
    """Whether a process is one of Ray Train's, of this session's cluster."""
    ours = {child.pid for child in psutil.Process().children(recursive=True)}
    words = process.info["cmdline"] or [""]
    return process.pid in ours and "RayTrainWorker" in words[0]


def test_what_a_worker_finds_wrong_is_said_as_it_says_it(
    cluster: None, pairs: Path, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("{train: [{dataset: other}]}")
    config = tiny.config(pairs, **CHANGES)
    with pytest.raises(ModelError, match="there is a run already"):
        ray_train.train(config, tmp_path / "run", processes=2, say=lambda text: None)
    with pytest.raises(WorkerError, match=r"cluster is too small.*its 2 CPUs.*got 4"):
        ray_train.train(config, tmp_path / "new", processes=4, say=lambda text: None)


def test_a_batch_that_cannot_be_dealt_out_is_refused_before_a_cluster_is_joined(
    pairs: Path, tmp_path: Path
) -> None:
    config = tiny.config(pairs, batch=9)
    with pytest.raises(ModelError, match="multiple of 2"):
        ray_train.train(config, tmp_path / "run", processes=2)
    assert not (tmp_path / "run").exists()


def test_without_ray_it_is_said_how_to_install_it(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        WorkerError, match=r'ray is not installed.*pip install "synthstudio\[ray\]"'
    ):
        ray_train.train(tiny.config(pairs), tmp_path / "run", processes=2)


def test_a_cluster_that_is_not_there_is_one_message(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(**options: Any) -> None:
        raise ConnectionError("nobody answers")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", nowhere)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.9:6379")
    with pytest.raises(WorkerError, match=r"RAY_ADDRESS=10.0.0.9:6379.*nobody answers"):
        ray_train.train(tiny.config(pairs), tmp_path / "run", processes=2)


def test_the_api_refuses_what_does_not_go_together(pairs: Path, tmp_path: Path) -> None:
    config = tiny.config(pairs)
    with pytest.raises(ArgumentError, match="started by torchrun"):
        networks.train(config, tmp_path / "run", processes=2)
    with pytest.raises(ArgumentError, match="engine"):
        networks.train(config, tmp_path / "run", engine="slurm")
    with pytest.raises(ArgumentError, match="by heart by one process"):
        networks.train(config, tmp_path / "run", engine="ray", overfit=4)
