"""Data sets of fake frames, written in this process or by `driver.py` in one of its own."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fake_frames
from waiting import PATIENCE_S

from synthstudio.core.labels import Frame
from synthstudio.core.places import Place
from synthstudio.dataset import shards
from synthstudio.dataset.manifest import Identity
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.shards import write_shard
from synthstudio.dataset.writer import Session, open_or_create

DRIVER = Path(__file__).with_name("driver.py")


def start(out: Place, **options: Any) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(DRIVER), str(out), json.dumps(options)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def drive(out: Place, **options: Any) -> tuple[int, str]:
    with start(out, **options) as process:
        _, errors = process.communicate(timeout=PATIENCE_S)
    return process.returncode, errors


def stored(out: Path, identity: Identity, frame_of: Callable[[int], Frame]) -> Dataset:
    """Write a finished data set of frames made by their number."""
    with open_or_create(out, identity) as session:
        for shard in session.todo:
            session.publish(write_shard(out, shard, map(frame_of, identity.frames_of(shard))))
        session.finish()
    return Dataset(out)


def make(out: Place, identity: Identity, **options: Any) -> Session:
    """Write a data set in this process."""
    with open_or_create(out, identity, **options) as session:
        for shard in session.todo:
            session.publish(write(session, shard))
        session.finish()
    return session


def write(session: Session, shard: int) -> shards.StagedShard:
    seed = session.identity.seed
    frames = (fake_frames.frame(i, seed=seed) for i in session.identity.frames_of(shard))
    return write_shard(session.folder, shard, frames)


def leftovers(out: Path) -> list[str]:
    return [p.name for p in out.rglob(".tmp-*")]
