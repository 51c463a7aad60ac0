"""The Ray engine in processes of its own, on a cluster it begins: quiet, and gone at the end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import local_jobs
import psutil
import pytest
from local_clusters import importable

pytest.importorskip("ray")

PATIENCE_S = 60.0
ALONE = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"} | {"PYTHONPATH": importable()}


def until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_a_script_needs_no_guard_and_ray_says_nothing(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, local_jobs\n"
        "from synthstudio.generation.engines import ray\n"
        "print('begun')\n"
        "done = []\n"
        "tasks = [local_jobs.Task(i, 'kill once', sys.argv[1]) for i in range(4)]\n"
        "ray.run(local_jobs.work, tasks, workers=2, initializer=local_jobs.context,\n"
        "        initargs=(0,), on_done=done.append)\n"
        "print(sorted(number for number, _, _ in done))\n"
    )
    made = subprocess.run(
        [sys.executable, "-W", "error", script, tmp_path],
        capture_output=True,
        text=True,
        env=ALONE,
        check=True,
    )
    assert (tmp_path / "tried-0").exists()  # a worker died, which Ray would tell of on stdout
    assert made.stdout.splitlines() == ["begun", "[0, 1, 2, 3]"]
    assert made.stderr == ""


def test_who_had_joined_stays_joined(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import local_jobs, ray\n"
        "from synthstudio.generation.engines.ray import run\n"
        "ray.init(address='local', num_cpus=1, include_dashboard=False)\n"
        "run(local_jobs.work, [local_jobs.Task(3)], workers=1, initializer=local_jobs.context,\n"
        "    initargs=(0,), on_done=print)\n"
        "print(ray.is_initialized())\n"
    )
    made = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, env=ALONE, check=True
    )
    assert made.stdout.splitlines()[-2:] == ["(3, 9)", "True"]


def _hanging(folder: Path) -> tuple["subprocess.Popen[str]", list[psutil.Process]]:
    """Return a process whose two workers are busy, and all that belong to it."""
    process = subprocess.Popen(
        [sys.executable, local_jobs.__file__, str(folder), "2", "ray"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=ALONE,
        # A shell that runs the tests in the background has them ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert until(lambda: len(list(folder.iterdir())) == 2)
    others = psutil.Process(process.pid).children(recursive=True)
    workers = {int(path.name) for path in folder.iterdir()}
    assert workers <= {other.pid for other in others}
    return process, others


def runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two questions
        return False


def gone(processes: list[psutil.Process]) -> bool:
    return until(lambda: not any(map(runs, processes)))


def test_ctrl_c_ends_all_quietly(tmp_path: Path) -> None:
    process, others = _hanging(tmp_path)
    with process:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to everyone
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == -signal.SIGINT
    assert (tmp_path / "interrupted").exists()
    assert errors.count("Traceback") == 1 and errors.rstrip().endswith("KeyboardInterrupt")
    assert not any(other.is_running() for other in others)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_all_die_with_the_run(tmp_path: Path, how: signal.Signals) -> None:
    process, others = _hanging(tmp_path)
    # Ray's two agents look for their raylet seldom, and leave a minute or two after it.
    others = [other for other in others if "Agent" not in other.name()]
    # The cluster's five processes and two workers, and those that Ray began for who may come.
    assert len(others) >= 7
    with process:
        process.send_signal(how)
        assert gone(others)
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == -how
