"""Data sets of fake frames, written in this process or by `driver.py` in one of its own."""

import json
import subprocess
import sys
from pathlib import Path

import fake_frames
from waiting import PATIENCE_S

from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.shards import write_shard
from synthstudio.dataset.writer import open_or_create

DRIVER = Path(__file__).with_name("driver.py")


def start(out, **options):
    return subprocess.Popen(
        [sys.executable, str(DRIVER), str(out), json.dumps(options)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def drive(out, **options):
    with start(out, **options) as process:
        _, errors = process.communicate(timeout=PATIENCE_S)
    return process.returncode, errors


def stored(out, identity, frame_of):
    with open_or_create(out, identity) as session:
        for shard in session.todo:
            session.publish(write_shard(out, shard, map(frame_of, identity.frames_of(shard))))
        session.finish()
    return Dataset(out)


def make(out, identity, **options):
    with open_or_create(out, identity, **options) as session:
        for shard in session.todo:
            session.publish(write(session, shard))
        session.finish()
    return session


def write(session, shard):
    seed = session.identity.seed
    frames = (fake_frames.frame(i, seed=seed) for i in session.identity.frames_of(shard))
    return write_shard(session.folder, shard, frames)


def leftovers(out):
    return [p.name for p in out.rglob(".tmp-*")]
