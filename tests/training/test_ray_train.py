"""Training by Ray Train: what torchrun learns, one message for what goes wrong, going on."""

import contextlib
import threading
from pathlib import Path

import psutil
import pytest
import tiny
import two_processes
from waiting import wait_for

from synthstudio.core.errors import ModelError, WorkerError
from synthstudio.training import loop

ray = pytest.importorskip("ray")
pytest.importorskip("ray.train.torch")
pytestmark = [
    pytest.mark.nightly("Ray starts a cluster"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Ray's, of its own settings
]


@pytest.fixture(scope="module")
def cluster():
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


def test_two_workers_learn_what_torchrun_does_though_one_dies(
    cluster, by_two, pairs, tmp_path, tensors
):
    """That torchrun learns what one process does is asked in test_parallel."""
    said = []
    seen = []
    config, run, cache = (
        tiny.config(pairs, **two_processes.LONG),
        tmp_path / "ray",
        tmp_path / "cache",
    )
    thread = threading.Thread(target=_kill_a_worker, args=(run / "state.safetensors",))
    thread.start()
    with pytest.raises(WorkerError, match=r"training process died.*`resume`"):
        loop.train_by_ray(config, run, processes=2, cache=cache, log=lambda text: None)
    thread.join()
    with pytest.raises(ModelError, match="a run already exists"):  # as a worker says it
        loop.train_by_ray(config, run, processes=1, cache=cache, log=lambda text: None)
    done = loop.train_by_ray(
        config,
        run,
        processes=2,
        resume=True,
        cache=cache,
        log=said.append,
        progress=lambda step, total, text: seen.append((step, total)),
    )
    assert (done.steps, done.finished, done.folder) == (40, True, run)
    assert len([line for line in said if "people to train on," in line]) == 1
    assert seen[-1] == (40, 40)
    assert tensors(run) == tensors(by_two("long"))
    assert not list(tmp_path.glob(".ray-ray-*"))


def _kill_a_worker(state):
    """Kill one of Ray Train's processes, of this session's cluster, once a state is saved."""
    found = []

    def ready():
        found[:] = found or _workers()  # sought before: looking takes as long as many steps
        return bool(found) and state.is_file()

    wait_for(ready, "a worker and a saved state")
    found[0].kill()


def _workers():
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it ended meanwhile
            if "RayTrainWorker" in (process.cmdline() or [""])[0]:
                found.append(process)
    return found


def test_a_cluster_that_is_too_small_is_said(cluster, pairs, tmp_path):
    config = tiny.config(pairs, **two_processes.LONG)
    with pytest.raises(WorkerError, match=r"cluster is too small.*its 2 CPUs.*got 4"):
        loop.train_by_ray(config, tmp_path / "new", processes=4, log=lambda text: None)


def test_a_cluster_that_is_not_there_is_one_message(pairs, tmp_path, monkeypatch):
    def nowhere(**options):
        raise ConnectionError("nobody answers")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", nowhere)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.9:6379")
    with pytest.raises(WorkerError, match=r"RAY_ADDRESS=10.0.0.9:6379.*nobody answers"):
        loop.train_by_ray(tiny.config(pairs), tmp_path / "run", processes=2)
