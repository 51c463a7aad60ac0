"""The Ray engine: every job once, whoever dies; memory that runs short; errors as of the other."""

import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import local_clusters
import local_jobs
import pytest
from local_jobs import Task

from synthstudio.core.errors import DiskError, GeometryError, WorkerError
from synthstudio.generation.engines import ray as engine
from synthstudio.generation.engines.local import ONE_THREAD, Progress

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """Join a cluster with a node of two cores once for all runs: each leaves it as it was."""
    made = local_clusters.begin()
    local_clusters.node(made)
    ray.init(address=made.address, log_to_driver=False)
    yield
    ray.shutdown()
    made.shutdown()


def execute(tasks: Any, workers: int = 2, **options: Any) -> list[Any]:
    done: list[Any] = []
    values: dict[str, Any] = {"initializer": local_jobs.context, "initargs": (100,), **options}
    engine.run(local_jobs.work, tasks, workers=workers, **{"on_done": done.append, **values})
    return done


@pytest.mark.parametrize("workers", [1, 3])
def test_every_job_is_done_once_by_as_many_as_there_is_room_for(workers: int) -> None:
    assert sorted(execute([Task(i) for i in range(10)], workers)) == [
        (i, 100 + i * i) for i in range(10)
    ]


def test_jobs_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []
    ahead: list[int] = []

    def tasks() -> Iterator[Task]:
        for i in range(16):
            taken.append(i)
            yield Task(i)

    done: list[Any] = []

    def on_done(result: Any) -> None:
        done.append(result)
        ahead.append(len(taken) - len(done))

    execute(tasks(), on_done=on_done)
    assert len(done) == 16 and max(ahead) <= 4


def test_results_may_be_large() -> None:
    assert [len(r) for r in execute([Task(i, "big") for i in range(3)])] == [3_000_000] * 3


def test_one_context_a_worker_one_thread_a_library_and_a_clean_parent() -> None:
    before, handler = dict(os.environ), signal.getsignal(signal.SIGTERM)
    facts = execute([Task(i, "facts") for i in range(6)])
    assert dict(os.environ) == before and signal.getsignal(signal.SIGTERM) is handler
    pids = {pid for pid, _, _ in facts}
    assert len(pids) <= 2 and os.getpid() not in pids
    for pid in pids:
        calls = [calls for own, calls, _ in facts if own == pid]
        assert calls == list(range(1, len(calls) + 1))
    assert all(env[name] == "1" for _, _, env in facts for name in ONE_THREAD)


def test_progress_tells_of_many_units_at_once() -> None:
    seen: list[Progress] = []
    execute([Task(i, "count") for i in range(4)], on_progress=seen.append)
    assert seen[-1].units == 4000 and seen[-1].jobs == 4
    assert any(p.units % 1000 > 0 for p in seen)  # of jobs under way
    assert len(seen) < 60
    assert [p.jobs for p in seen] == sorted(p.jobs for p in seen)


def test_what_the_caller_raises_ends_the_run_as_it_is() -> None:
    def enough(now: Progress) -> None:
        raise LookupError("enough")

    def full(result: Any) -> None:
        raise DiskError("full")

    with pytest.raises(LookupError, match="enough"):
        execute([Task(i) for i in range(4)], on_progress=enough)
    with pytest.raises(DiskError, match="full"):
        execute([Task(i) for i in range(4)], on_done=full)


def test_errors_of_jobs_come_as_with_the_local_engine() -> None:
    with pytest.raises(GeometryError, match=r"^frame 7: too large\.$"):
        execute([Task(i, "own error") for i in range(4)])
    with pytest.raises(GeometryError, match="meshes"):
        execute([Task(0)], initializer=local_jobs.bad_context, initargs=())
    with pytest.raises(WorkerError, match="EOFError: short file") as caught:
        execute([Task(0, "other error")])
    assert "local_jobs.py" in str(caught.value)
    with pytest.raises(WorkerError, match="this cannot travel"):
        execute([Task(0, "unpicklable")])


def test_the_job_of_a_killed_worker_is_done_by_another(tmp_path: Path) -> None:
    done = execute([Task(i, "kill once", str(tmp_path)) for i in range(6)])
    assert (tmp_path / "tried-0").exists()
    assert sorted(number for number, _, _ in done) == list(range(6))


def test_a_job_that_is_lost_again_and_again_is_named() -> None:
    done: list[Any] = []
    with pytest.raises(WorkerError, match=r"lost 4 times: task 1; got .*died.*--resume"):
        execute([Task(0), Task(1, "kill"), Task(2)], on_done=done.append)
    assert set(done) <= {(0, 100), (2, 104)}


def test_workers_that_die_while_they_start() -> None:
    with pytest.raises(WorkerError, match="lost while they start"):
        execute([Task(0)], 1, initializer=local_jobs.dead_context, initargs=())


def test_a_job_that_ran_out_of_memory_is_done_again_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Here a killed worker counts as one that memory ran out for; the next test has real ones.
    monkeypatch.setattr(ray.exceptions, "OutOfMemoryError", ray.exceptions.ActorDiedError)
    done = execute([Task(i, "kill once", str(tmp_path)) for i in range(8)])
    assert sorted(number for number, _, _ in done) == list(range(8))
    spans = {number: (begun, ended) for number, begun, ended in done}
    begun, ended = spans.pop(0)
    assert all(other[1] <= begun or other[0] >= ended for other in spans.values())
    # One worker fewer: after the death no two jobs are done at once.
    late = sorted(span for span in spans.values() if span[0] >= ended)
    assert late and all(a[1] <= b[0] for a, b in itertools.pairwise(late))
