"""The Ray engine and its nodes: lost, of another kind, too small, none at all."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import local_jobs
import pytest
from local_clusters import begin, importable, node
from local_jobs import Task

from synthstudio.core.errors import WorkerError
from synthstudio.generation.engines import ray as engine

ray = pytest.importorskip("ray")


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Any]]:
    """Return a function that begins a cluster of the test's own, which runs join."""
    begun: list[Any] = []

    def make() -> Any:
        begun.append(begin())
        monkeypatch.setenv("RAY_ADDRESS", begun[-1].address)
        return begun[-1]

    yield make
    for one in begun:
        one.shutdown()


@pytest.fixture(autouse=True)
def nobody_is_joined_afterwards() -> Iterator[None]:
    yield
    assert not ray.is_initialized()


def execute(tasks: Any, workers: int = 2, **options: Any) -> list[Any]:
    done: list[Any] = []
    values: dict[str, Any] = {"initializer": local_jobs.context, "initargs": (100,), **options}
    engine.run(local_jobs.work, tasks, workers=workers, **{"on_done": done.append, **values})
    return done


def test_no_jobs_join_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    assert execute([]) == []


def test_a_job_for_which_memory_never_suffices(own: Callable[[], Any], tmp_path: Path) -> None:
    node(own(), RAY_memory_usage_threshold="0.001", RAY_memory_monitor_refresh_ms="100")
    with pytest.raises(WorkerError, match="memory"):
        execute([Task(i, "hang", str(tmp_path)) for i in range(2)])


def test_the_jobs_of_a_lost_node_are_done_by_others(own: Callable[[], Any], tmp_path: Path) -> None:
    cluster = own()
    lost = node(cluster)
    seen: list[Any] = []

    def on_done(result: Any) -> None:
        seen.append(result)
        if len(seen) == 1:
            cluster.remove_node(lost, allow_graceful=False)
            node(cluster)

    execute([Task(i, "count") for i in range(6)], on_done=on_done)
    assert sorted(seen) == list(range(6))


def test_a_cluster_that_shrinks_to_nothing(
    own: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = own()
    last = node(cluster)
    done: list[Any] = []

    def on_done(result: Any) -> None:
        done.append(result)
        if len(done) == 1:
            monkeypatch.setattr(engine, "NOBODY_S", 2.0)
            cluster.remove_node(last, allow_graceful=False)

    with pytest.raises(
        WorkerError, match=r"no worker was there for 2 s.*room for 2 workers.*--resume"
    ):
        execute([Task(i, "count") for i in range(6)], on_done=on_done)
    assert 1 <= len(done) < 6


def test_a_node_with_another_version_is_refused(own: Callable[[], Any], tmp_path: Path) -> None:
    about = tmp_path / "synthstudio-9.9.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: synthstudio\nVersion: 9.9\n")
    node(own(), PYTHONPATH=os.pathsep.join([str(tmp_path), importable()]))
    done: list[Any] = []
    with pytest.raises(WorkerError, match=r"node \S+: .*another kind.*synthstudio 9\.9"):
        execute([Task(0)], on_done=done.append)
    assert done == []


def test_a_node_without_the_package_is_refused(
    own: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # whose modules a run's workers find
    (tmp_path / "synthstudio.py").write_text("raise ImportError('nothing of it is here')")
    node(own(), PYTHONPATH=os.pathsep.join([str(tmp_path), importable()]))
    with pytest.raises(WorkerError, match=r"node \S+: .*synthstudio absent \(nothing of it"):
        execute([Task(0)])


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("ray://127.0.0.1:10001", "not a client from outside"),
        ("nonsense", "no cluster can be joined"),
        ("127.0.0.1:1", "RAY_ADDRESS=127.0.0.1:1: no cluster can be joined.*refused"),
    ],
)
def test_addresses_of_no_cluster(address: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(WorkerError, match=why):
        execute([Task(0)])


def test_without_ray_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        WorkerError, match=r'ray is not installed.*pip install "synthstudio\[ray\]"'
    ):
        execute([Task(0)])
    with monkeypatch.context() as other, pytest.raises(WorkerError, match="1 or more; got 0"):
        other.setitem(sys.modules, "ray", ray)
        execute([Task(0)], 0)
