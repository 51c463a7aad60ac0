"""The local engine: every job once, workers that die with their parent, errors that say which."""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import local_jobs
import pytest
from local_jobs import Task
from threadpoolctl import threadpool_info

from synthstudio.core.errors import DiskError, GeometryError, WorkerError
from synthstudio.generation.engines import local
from synthstudio.generation.engines.local import ONE_THREAD, Progress, run

PATIENCE_S = 20.0


def execute(tasks: Any, workers: int = 1, **options: Any) -> list[Any]:
    done: list[Any] = []
    values: dict[str, Any] = {"initializer": local_jobs.context, "initargs": (100,), **options}
    run(local_jobs.work, tasks, workers=workers, **{"on_done": done.append, **values})
    return done


def until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture(autouse=True)
def no_worker_is_left() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("workers", [1, 3])
def test_every_job_is_done_once(workers: int) -> None:
    done = execute([Task(i) for i in range(10)], workers)
    assert sorted(done) == [(i, 100 + i * i) for i in range(10)]


def test_no_jobs_start_no_workers() -> None:
    assert execute([], workers=4) == []


def test_jobs_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []
    ahead: list[int] = []

    def tasks() -> Iterator[Task]:
        for i in range(12):
            taken.append(i)
            yield Task(i)

    done: list[Any] = []

    def on_done(result: Any) -> None:
        done.append(result)
        ahead.append(len(taken) - len(done))

    execute(tasks(), workers=2, on_done=on_done)
    assert len(done) == 12 and max(ahead) <= 2


def test_results_may_be_larger_than_a_pipe() -> None:
    assert [len(r) for r in execute([Task(i, "big") for i in range(3)], 2)] == [3_000_000] * 3


def test_one_context_a_worker_one_thread_a_library_and_a_clean_parent() -> None:
    before = dict(os.environ)
    facts = execute([Task(i, "facts") for i in range(6)], 2)
    assert dict(os.environ) == before
    pids = {pid for pid, _, _ in facts}
    assert len(pids) <= 2 and os.getpid() not in pids
    for pid in pids:
        calls = [calls for own, calls, _ in facts if own == pid]
        assert calls == list(range(1, len(calls) + 1))
    assert all(env[name] == "1" for _, _, env in facts for name in ONE_THREAD)


def test_later_runs_have_the_variables_and_the_folder_of_their_own_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Though workers are forked from what the first run has started."""
    monkeypatch.setenv("SYNTHSTUDIO_OF_A_TEST", "first")
    execute([Task(0)], 2)
    monkeypatch.setenv("SYNTHSTUDIO_OF_A_TEST", "second")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    ((_, _, variables),) = execute([Task(0, "facts")], 2)
    assert variables["SYNTHSTUDIO_OF_A_TEST"] == "second" and "HOME" not in variables
    assert execute([Task(0, "folder")], 2) == [str(tmp_path)]


def test_one_worker_is_this_process_and_held_to_one_thread() -> None:
    before = threadpool_info()
    facts = execute([Task(i, "threads") for i in range(3)])
    assert [pid for pid, _, _ in facts] == [os.getpid()] * 3
    assert [calls for _, calls, _ in facts] == [1, 2, 3]
    assert all(pool["num_threads"] == 1 for _, _, pools in facts for pool in pools)
    assert threadpool_info() == before


def test_a_script_needs_no_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import local_jobs\n"
        "from synthstudio.generation.engines.local import run\n"
        "print('begun')\n"
        "done = []\n"
        "run(local_jobs.work, [local_jobs.Task(i) for i in range(4)], workers=2,\n"
        "    initializer=local_jobs.context, initargs=(0,), on_done=done.append)\n"
        "print(sorted(done))\n"
    )
    path = os.pathsep.join([str(Path(local_jobs.__file__).parent), *sys.path])
    made = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=True,
    )
    assert made.stdout.splitlines() == ["begun", "[(0, 0), (1, 1), (2, 4), (3, 9)]"]


def test_progress_counts_what_jobs_report() -> None:
    seen: list[Progress] = []
    execute([Task(i) for i in range(4)], on_progress=seen.append)
    assert [p.units for p in seen] == [2, 2, 4, 4, 6, 6, 8, 8]
    assert [p.jobs for p in seen] == [0, 1, 1, 2, 2, 3, 3, 4]
    assert seen[-1].per_second == pytest.approx(8 / seen[-1].seconds)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_progress_raises_ends_the_run_as_it_is(workers: int) -> None:
    def enough(now: Progress) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        execute([Task(i) for i in range(4)], workers, on_progress=enough)


def test_our_errors_keep_kind_and_message() -> None:
    with pytest.raises(GeometryError, match=r"^frame 7: too large\.$"):
        execute([Task(i, "own error") for i in range(4)], workers=2)
    with pytest.raises(GeometryError, match="meshes"):
        execute([Task(0)], initializer=local_jobs.bad_context, initargs=())


def test_other_errors_come_with_their_traceback() -> None:
    with pytest.raises(WorkerError, match="EOFError: short file") as caught:
        execute([Task(0, "other error")])
    assert "local_jobs.py" in str(caught.value)
    with pytest.raises(WorkerError, match="this cannot travel"):
        execute([Task(0, "unpicklable")], 2)


@pytest.mark.parametrize(("what", "how"), [("kill", "SIGKILL"), ("exit", "exit code 3")])
def test_a_dead_worker_is_named_with_its_job(what: str, how: str) -> None:
    done: list[Any] = []
    tasks = [Task(0), Task(1), Task(2, what), *[Task(i) for i in range(3, 9)]]
    with pytest.raises(WorkerError, match=f"died at job task 2.*{how}"):
        execute(tasks, 2, on_done=done.append)
    assert set(done) <= {(i, 100 + i * i) for i in (0, 1, *range(3, 9))}


def test_a_worker_that_dies_while_it_starts() -> None:
    with pytest.raises(WorkerError, match=r"while it started.*SIGKILL"):
        execute([Task(0)], 2, initializer=local_jobs.dead_context, initargs=())


def test_a_worker_that_dies_before_it_reads_what_it_starts_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local, "_worker_main", os._exit)  # called with what it cannot take
    with pytest.raises(WorkerError, match=r"while it started.*exit code 1"):
        execute([Task(0)], 2, initializer=local_jobs.context, initargs=(bytes(1_000_000),))


def test_what_workers_start_with_has_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc/1/nowhere")
    with pytest.raises(WorkerError, match="TMPDIR"):
        execute([Task(0)], 2)


def test_an_error_of_the_parent_stops_the_workers(tmp_path: Path) -> None:
    def on_done(result: Any) -> None:
        assert until(lambda: len(list(tmp_path.iterdir())) == 1)
        raise DiskError("full")

    begun = time.monotonic()
    with pytest.raises(DiskError, match="full"):
        execute([Task(0, "hang", str(tmp_path)), Task(1)], workers=2, on_done=on_done)
    assert time.monotonic() - begun < PATIENCE_S


def test_no_workers_is_an_error() -> None:
    with pytest.raises(WorkerError, match="1 or more; got 0"):
        execute([Task(0)], workers=0)


def _hanging(folder: Path) -> tuple["subprocess.Popen[str]", list[int]]:
    """Return a process whose two workers are busy, and their pids."""
    process = subprocess.Popen(
        [sys.executable, local_jobs.__file__, str(folder), "2"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell that runs the tests in the background has them ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert until(lambda: len(list(folder.iterdir())) == 2)
    pids = [int(path.name) for path in folder.iterdir()]
    assert all(alive(pid) for pid in pids)
    return process, pids


def test_workers_die_with_their_parent(tmp_path: Path) -> None:
    process, pids = _hanging(tmp_path)
    with process:
        process.kill()
        assert until(lambda: not any(alive(pid) for pid in pids))


def test_ctrl_c_ends_all_at_once_and_quietly(tmp_path: Path) -> None:
    process, pids = _hanging(tmp_path)
    with process:
        for pid in pids:
            os.kill(pid, signal.SIGINT)
        time.sleep(0.2)
        assert process.poll() is None and all(alive(pid) for pid in pids)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to everyone
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == -signal.SIGINT
    assert (tmp_path / "interrupted").exists()
    assert errors.count("Traceback") == 1 and errors.rstrip().endswith("KeyboardInterrupt")
    assert not any(alive(pid) for pid in pids)


def test_a_killed_worker_takes_the_run_with_it(tmp_path: Path) -> None:
    process, pids = _hanging(tmp_path)
    with process:
        os.kill(pids[0], signal.SIGKILL)
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1 and "WorkerError" in errors and "SIGKILL" in errors
    assert not any(alive(pid) for pid in pids)
