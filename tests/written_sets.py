"""Data sets of fake frames, written in this process or by `driver.py` in one of its own."""

import json
import subprocess
import sys
from functools import partial
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
    make(out, identity, frame_of)
    return Dataset(out)


def make(out, identity, frame_of=None, **options):
    with open_or_create(out, identity, **options) as session:
        for shard in session.todo:
            session.publish(write(session, shard, frame_of))
        session.finish()
    return session


def write(session, shard, frame_of=None):
    frame_of = frame_of or partial(fake_frames.frame, seed=session.identity.seed)
    return write_shard(session.folder, shard, map(frame_of, session.identity.frames_of(shard)))


def leftovers(out):
    return [p.name for p in out.rglob(".tmp-*")]
