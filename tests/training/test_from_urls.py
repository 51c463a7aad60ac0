"""Training from a data set in an object store: the weights of one on disk, to the byte."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import recorded
import tiny
from s3_server import S3
from s3_server import s3 as s3
from s3_server import s3_endpoint as s3_endpoint
from two_processes import together
from waiting import wait_for

from synthstudio.core.errors import DatasetError
from synthstudio.dataset.shards import pack
from synthstudio.training.config import Config


def fields(data: str, **more: Any) -> dict[str, Any]:
    source = {"dataset": data, "variants": ["base"], "stream": True}
    val = {"dataset": data, "variants": ["clean"], "stream": True}
    settings = {"train": [source], "val": [val], "window": 2, "steps": 8, "save_every": 2}
    return settings | {"augment": recorded.BUSY} | more


def streaming(data: str, **more: Any) -> Config:
    return tiny.config(Path("unused"), **fields(data, **more))


@pytest.fixture
def url(s3: S3, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The data set in a bucket, each shard one object; shards are cached in `fetched`."""
    monkeypatch.setenv("SYNTHSTUDIO_CACHE", str(tmp_path / "fetched"))
    for path in shards.glob("*.json"):
        s3.put(f"set/{path.name}", path.read_bytes())
    for folder in sorted((shards / "shards").iterdir()):
        s3.put(f"set/shards/{folder.name}.tar", pack(folder))
    return s3.url()


def test_a_run_from_a_url_has_the_weights_of_one_from_disk(
    url: str, shards: Path, tmp_path: Path, tensors: Callable[[Path], dict[str, bytes]]
) -> None:
    for name, data in (("disk", str(shards)), ("store", url)):
        tiny.run(streaming(data, steps=3, val=[]), tmp_path / name)
    assert tensors(tmp_path / "store") == tensors(tmp_path / "disk")


@pytest.mark.nightly("a process is killed; resumes and URLs are tested apart each time")
def test_a_run_from_a_url_goes_on_at_a_step_with_the_weights_of_one_from_disk(
    url: str, shards: Path, tmp_path: Path, tensors: Callable[[Path], dict[str, bytes]]
) -> None:
    tiny.run(streaming(str(shards)), tmp_path / "disk")
    out, state = tmp_path / "store", tmp_path / "store" / "state.safetensors"
    command = [sys.executable, tiny.__file__, "unused", str(out), json.dumps(fields(url))]
    killed = subprocess.Popen(command)
    wait_for(lambda: state.is_file() or killed.poll() is not None, "a saved state")
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    shutil.rmtree(tmp_path / "cache")  # nothing of before is at hand
    shutil.rmtree(tmp_path / "fetched")
    tiny.run(streaming(url), out, resume=True, steps=3)
    tiny.run(streaming(url), out, resume=True)
    assert tensors(out) == tensors(tmp_path / "disk")


@pytest.mark.nightly("two processes of torchrun")
def test_two_processes_read_each_person_of_a_url_once(url: str, tmp_path: Path) -> None:
    changes = fields(url, steps=6, workers=2)
    done = together(recorded.__file__, "unused", tmp_path / "two", json.dumps(changes))
    assert done.returncode == 0, done.stderr[-3000:]
    both = [recorded.read(tmp_path / "two", rank)["people"] for rank in (0, 1)]
    for epoch in (0, 1):
        part = slice(3 * epoch, 3 * epoch + 3)
        seen = [tuple(person) for process in both for batch in process[part] for person in batch]
        assert len(seen) == len(set(seen)) == 24


def test_a_url_that_is_gone_is_a_note_of_an_evaluation(
    s3: S3, url: str, pairs: Path, tmp_path: Path
) -> None:
    tiny.run(streaming(url, val=[], steps=1), tmp_path / "run")
    for name in s3.objects():
        s3.delete(f"set/{name}")
    shutil.rmtree(tmp_path / "fetched")
    weights = tmp_path / "run" / "last.safetensors"
    found = tiny.evaluated(weights, pairs, tmp_path / "evaluation")
    (note,) = found.about["notes"]
    assert note == (
        f"set, which the network was trained on, cannot be read: whether it shares people with "
        f"{pairs.name} is not known."
    )


def test_a_damaged_shard_of_a_store_is_one_message(s3: S3, url: str, tmp_path: Path) -> None:
    data = s3.objects()["shards/00003.tar"]
    s3.put("set/shards/00003.tar", data.replace(b"JFIF", b"JFIX"))
    with pytest.raises(DatasetError, match=r"shards/00003.tar.*not what the data set says"):
        tiny.run(streaming(url), tmp_path / "run")
