"""The local engine: every job once, workers that die with their parent, errors that say which."""

import multiprocessing
import os
import re
import signal
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import local_jobs
import pytest
from local_jobs import Task
from programs import here, python
from threadpoolctl import threadpool_info
from waiting import PATIENCE_S, wait_for

from synthstudio.core.errors import DiskError, GeometryError, WorkerError
from synthstudio.generation.engines import local
from synthstudio.generation.engines.local import ONE_THREAD


def execute(tasks, workers=1, **options):
    return local_jobs.execute(local.run, tasks, workers, **options)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture(autouse=True)
def no_worker_is_left():
    yield
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("workers", [1, 3])
def test_every_job_is_done_once(workers):
    done = execute([Task(i) for i in range(10)], workers)
    assert sorted(done) == [(i, 100 + i * i) for i in range(10)]
    assert execute([], workers) == []
    # Results may be larger than a pipe.
    assert [len(r) for r in execute([Task(i, "big") for i in range(3)], workers)] == [3_000_000] * 3


def test_jobs_are_taken_as_they_are_needed():
    taken = []
    ahead = []

    def tasks():
        for i in range(12):
            taken.append(i)
            yield Task(i)

    execute(tasks(), workers=2, on_done=lambda _: ahead.append(len(taken) - len(ahead) - 1))
    assert len(ahead) == 12 and max(ahead) <= 2


def test_one_context_a_worker_one_thread_a_library_and_a_clean_parent():
    before = dict(os.environ)
    facts = execute([Task(i, "facts") for i in range(6)], 2)
    assert dict(os.environ) == before
    pids = {pid for pid, _, _ in facts}
    assert len(pids) <= 2 and os.getpid() not in pids
    for pid in pids:
        calls = [calls for own, calls, _ in facts if own == pid]
        assert sorted(calls) == list(range(1, len(calls) + 1))  # results come as they are done
    assert all(env[name] == "1" for _, _, env in facts for name in ONE_THREAD)


def test_one_worker_is_this_process_and_held_to_one_thread():
    before = threadpool_info()
    facts = execute([Task(i, "threads") for i in range(3)])
    assert [pid for pid, _, _ in facts] == [os.getpid()] * 3
    assert [calls for _, calls, _ in facts] == [1, 2, 3]
    assert all(pool["num_threads"] == 1 for _, _, pools in facts for pool in pools)
    assert threadpool_info() == before


def test_a_script_needs_no_guard(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import local_jobs\n"
        "from synthstudio.generation.engines.local import run\n"
        "print('begun')\n"
        "print(sorted(local_jobs.execute(run, [local_jobs.Task(i) for i in range(4)])))\n"
    )
    made = python(script, env={**os.environ, "PYTHONPATH": here()})
    assert made.stdout.splitlines() == ["begun", "[(0, 100), (1, 101), (2, 104), (3, 109)]"]


def test_progress_counts_what_jobs_report_and_may_end_the_run():
    seen = []
    tasks = [Task(i) for i in range(4)]
    execute(tasks, units=range(3, 11), on_progress=lambda *now: seen.append(now))
    assert [now[:2] for now in seen] == [(5, 11), (7, 11), (9, 11), (11, 11)]
    assert all(rate > 0 for _, _, rate in seen)

    def enough(*now):
        raise LookupError("enough")

    for workers in (1, 2):
        with pytest.raises(LookupError, match="enough"):
            execute([Task(i) for i in range(4)], workers, on_progress=enough)


@pytest.mark.parametrize(
    ("task", "workers", "kind", "words"),
    [
        (Task(1, "own error"), 2, GeometryError, r"^frame 7: too large\.$"),
        (Task(1, "other error"), 1, WorkerError, r"local_jobs\.py.*EOFError: short file"),
        (Task(1, "unpicklable"), 2, WorkerError, "this cannot travel"),
        (Task(1, "kill"), 2, WorkerError, "died at job task 1.*SIGKILL"),
        (Task(1, "exit"), 2, WorkerError, "died at job task 1.*exit code 3"),
    ],
    ids=lambda value: value.what if isinstance(value, Task) else "",
)
def test_an_error_of_a_job_keeps_its_kind_or_names_it(task, workers, kind, words):
    done = []
    with pytest.raises(kind) as caught:
        execute([Task(0), task, Task(2), Task(3)], workers, on_done=done.append)
    assert re.search(words, str(caught.value), re.S), str(caught.value)
    assert set(done) <= {(i, 100 + i * i) for i in (0, 2, 3)}


def test_workers_that_fail_while_they_start():
    with pytest.raises(GeometryError, match="meshes"):
        execute([Task(0)], initializer=local_jobs.bad_context)
    with pytest.raises(WorkerError, match=r"while it started.*SIGKILL"):
        execute([Task(0)], 2, initializer=local_jobs.dead_context)


@pytest.mark.parametrize("registered", ["late", "never"])
def test_a_worker_that_starts_while_another_dies_is_ended_too(registered, monkeypatch, tmp_path):
    spawn = ProcessPoolExecutor._spawn_process

    def kill_first(pool):
        for process in [*pool._processes.values()]:
            process.kill()
            wait_for(lambda: pool._call_queue._closed, "the first worker's death is known")

    class Late(dict):
        def __setitem__(self, pid, process):
            kill_first(self.pool)
            super().__setitem__(pid, process)

    def start(pool):
        if not pool._processes:
            pool._processes = Late()
            pool._processes.pool = pool
        else:
            wait_for(lambda: [*tmp_path.iterdir()], "the first worker is at work")
            if registered == "never":
                kill_first(pool)
        spawn(pool)

    monkeypatch.setattr(ProcessPoolExecutor, "_spawn_process", start)
    with pytest.raises(WorkerError, match=r"died at job task 0.*SIGKILL"):
        execute([Task(0, "hang", str(tmp_path)), Task(1)], 2)


def test_an_error_of_the_parent_stops_the_workers(tmp_path):
    def on_done(result):
        wait_for(lambda: len(list(tmp_path.iterdir())) == 1, "the other job is at work")
        raise DiskError("full")

    with pytest.raises(DiskError, match="full"):
        execute([Task(0, "hang", str(tmp_path)), Task(1)], workers=2, on_done=on_done)


def begun(folder):
    process = local_jobs.hanging(folder, "local")
    wait_for(lambda: len(list(folder.iterdir())) == 2, "both workers are busy")
    pids = [int(path.name) for path in folder.iterdir()]
    assert all(alive(pid) for pid in pids)
    return process, pids


def test_ctrl_c_ends_all_at_once_and_quietly(tmp_path):
    process, pids = begun(tmp_path)
    with process:
        for pid in pids:  # of a terminal's group all get the signal, and workers ignore it
            ignored = re.search(r"SigIgn:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
            assert ignored and int(ignored[1], 16) >> (signal.SIGINT - 1) & 1
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == -signal.SIGINT
    assert (tmp_path / "interrupted").exists()
    assert errors.count("Traceback") == 1 and errors.rstrip().endswith("KeyboardInterrupt")
    assert not any(alive(pid) for pid in pids)


@pytest.mark.nightly("kills of processes; a worker that dies at its job is tried quickly")
def test_workers_die_with_their_parent_and_take_the_run_with_them(tmp_path):
    for name in ("parent", "worker"):
        (tmp_path / name).mkdir()
        process, pids = begun(tmp_path / name)
        with process:
            os.kill(process.pid if name == "parent" else pids[0], signal.SIGKILL)
            _, errors = process.communicate(timeout=PATIENCE_S)
        assert name == "parent" or ("WorkerError" in errors and "SIGKILL" in errors)
        wait_for(lambda: not any(alive(pid) for pid in pids), "all workers are gone")  # noqa: B023
