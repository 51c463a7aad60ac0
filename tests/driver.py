"""A whole run as its own process, so that it can be killed: driver.py OUT JSON-OPTIONS.

Options: frames, workers, part, resume, seed; `kill`: {"at": event, "nth": n, "who": "self" or
"group" or "parent"} sends SIGKILL when the event is heard for the nth time; `kill_shard`
limits the events of workers to one shard. OUT may be a URL.
"""

import json
import multiprocessing
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import fake_frames

from synthstudio.core.errors import SynthStudioError
from synthstudio.core.places import parse_place
from synthstudio.dataset.shards import OnEvent, no_event, write_shard
from synthstudio.dataset.writer import open_or_create
from synthstudio.generation.engines import local


@dataclass
class Killer:
    at: str = ""
    nth: int = 1
    who: str = "self"
    group: int = 0
    parent: int = 0
    heard: int = 0

    def __call__(self, name):
        if name != self.at:
            return
        self.heard += 1
        if self.heard == self.nth:
            if self.who == "group":
                os.killpg(self.group, signal.SIGKILL)
            os.kill(self.parent if self.who == "parent" else os.getpid(), signal.SIGKILL)
            time.sleep(30)


@dataclass(frozen=True)
class Job:
    folder: Path
    shard: int
    indices: range
    seed: int
    pause_s: float
    on_event: OnEvent

    def __str__(self):
        return f"shard {self.shard}"


def context():
    return os.environ.get("OMP_NUM_THREADS", "")


def work(threads, job, report):
    assert threads == "1" or multiprocessing.parent_process() is None  # one worker runs here

    def frames():
        for index in job.indices:
            time.sleep(job.pause_s)
            yield fake_frames.frame(index, seed=job.seed)
            report(1)

    return write_shard(job.folder, job.shard, frames(), on_event=job.on_event)


def generate(out, options):
    killer = Killer(**options.get("kill", {}), group=os.getpgrp(), parent=os.getpid())
    seed = options.get("seed", 1)
    identity = fake_frames.identity(frames=options.get("frames", 10), seed=seed)
    part = options.get("part")
    with open_or_create(
        out,
        identity,
        resume=options.get("resume", False),
        part=None if part is None else (part[0], part[1]),
        on_event=killer,
    ) as session:
        pause = options.get("pause_s", 0.0)
        jobs = (
            Job(
                session.folder,
                shard,
                session.identity.frames_of(shard),
                seed,
                pause,
                killer if shard == options.get("kill_shard", shard) else no_event,
            )
            for shard in session.todo
        )
        local.run(
            work,
            jobs,
            workers=options.get("workers", 1),
            initializer=context,
            on_done=session.publish,
        )
        session.finish()


if __name__ == "__main__":
    import driver  # workers find jobs by the name of a module that they can import

    try:
        driver.generate(parse_place(sys.argv[1]), json.loads(sys.argv[2]))
    except SynthStudioError as error:
        sys.exit(f"{type(error).__name__}: {error}")
