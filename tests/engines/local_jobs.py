"""Jobs for test_local.py and test_ray.py: what worker processes import."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from threadpoolctl import threadpool_info

from synthstudio.core.errors import GeometryError
from synthstudio.generation.engines import local, ray


@dataclass(frozen=True)
class Task:
    number: int
    what: str = "square"
    folder: str = ""

    def __str__(self):
        return f"task {self.number}"


class Unpicklable:
    def __reduce__(self):
        raise TypeError("this cannot travel")


def context(start):
    return {"start": start, "pid": os.getpid(), "calls": 0}


def bad_context():
    raise GeometryError("the meshes are not there")


def dead_context():
    os.kill(os.getpid(), signal.SIGKILL)


def work(ctx, task, report):
    ctx["calls"] += 1
    if task.what == "count":
        for _ in range(1000):
            report(1)
            time.sleep(0.002)
        return task.number
    report(2)
    return ACTS[task.what](ctx, task)


def _pid(ctx, task):
    Path(task.folder, str(os.getpid())).touch()
    while True:
        signal.pause()


def _raise(error):
    raise error


ACTS = {
    "square": lambda ctx, task: (task.number, ctx["start"] + task.number**2),
    "folder": lambda ctx, task: str(Path.cwd()),
    "facts": lambda ctx, task: (ctx["pid"], ctx["calls"], dict(os.environ)),
    "threads": lambda ctx, task: (ctx["pid"], ctx["calls"], threadpool_info()),
    "own error": lambda ctx, task: _raise(GeometryError("frame 7: too large.")),
    "other error": lambda ctx, task: _raise(EOFError("short file")),
    "exit": lambda ctx, task: os._exit(3),
    "kill": lambda ctx, task: os.kill(os.getpid(), signal.SIGKILL),
    "unpicklable": lambda ctx, task: Unpicklable(),
    "hang": _pid,
    "big": lambda ctx, task: bytes(3_000_000),
}


def execute(run, tasks, workers=2, **options):
    done = []
    values = {"initializer": partial(context, 100), **options}
    run(work, tasks, workers=workers, **{"on_done": done.append, **values})
    return done


def hanging(folder, engine, **options):
    """A process whose two workers say their pids in `folder` and never end."""
    return subprocess.Popen(
        [sys.executable, __file__, str(folder), engine],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell that runs the tests in the background has them ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,
    )


def hang(folder, engine):
    tasks = [Task(number=i, what="hang", folder=folder) for i in range(2)]
    try:
        execute({"local": local.run, "ray": ray.run}[engine], tasks)
    except KeyboardInterrupt:
        Path(folder, "interrupted").touch()
        raise


if __name__ == "__main__":
    import local_jobs  # workers import this module by its name, not the caller's __main__

    local_jobs.hang(*sys.argv[1:])
