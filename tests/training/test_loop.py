"""The loop: it learns, goes on exactly where it stood, survives kills, refuses what is wrong."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny
import torch

from synthstudio.core.errors import ModelError
from synthstudio.core.skeleton import skeleton
from synthstudio.training import checkpoint
from synthstudio.training import config as configs
from synthstudio.training.loop import prepare_folder

SCRIPT = Path(tiny.__file__)


def losses(out: Path) -> list[float]:
    with (out / "log.csv").open(newline="") as file:
        return [float(v) for _, what, v in list(csv.reader(file))[1:] if what == "loss/map"]


def weights(out: Path, name: str = "last") -> bytes:
    return (out / f"{name}.safetensors").read_bytes()


@pytest.fixture(scope="module")
def unbroken(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "unbroken"
    done = tiny.run(tiny.config(pairs), out)
    assert done.finished and done.steps == 12
    return out


def test_it_learns_and_writes_what_it_says(pairs: Path, tmp_path: Path) -> None:
    settings = tiny.config(pairs, steps=60, augment={"flip": 0, "scale": 0, "rotated": 0})
    done = tiny.run(settings, tmp_path / "run")
    fell = losses(tmp_path / "run")
    assert fell[-1] < 0.92 * fell[0]
    assert done.best > 0.2
    names = {p.name for p in (tmp_path / "run").iterdir()}
    assert {"config.yaml", "best.safetensors", "last.safetensors", "state.safetensors",
            "log.csv", "pictures"} <= names  # fmt: skip
    assert any(n.startswith("events.") for n in names)
    assert configs.load(tmp_path / "run" / "config.yaml") == settings
    net, told, bones = checkpoint.load_network(tmp_path / "run" / "best.safetensors")
    assert told == settings and bones.name == "coco23"
    assert net(torch.zeros(1, 3, 48, 36)).maps.shape == (1, 23, 12, 9)


def test_a_run_in_pieces_ends_as_an_unbroken_one(
    pairs: Path, unbroken: Path, tmp_path: Path
) -> None:
    out = tmp_path / "pieces"
    for steps in (3, 1, 5, 99):
        tiny.run(tiny.config(pairs), out, resume=True, steps=steps)
    assert weights(out) == weights(unbroken)
    assert weights(out, "best") == weights(unbroken, "best")
    assert (out / "log.csv").read_text() == (unbroken / "log.csv").read_text()
    other = tmp_path / "other"
    tiny.run(tiny.config(pairs, seed=1), other)
    assert weights(other) != weights(unbroken)


def test_a_run_killed_twice_ends_as_an_unbroken_one(
    pairs: Path, unbroken: Path, tmp_path: Path
) -> None:
    out, state = tmp_path / "killed", tmp_path / "killed" / "state.safetensors"
    for _ in range(2):
        before = state.stat().st_mtime_ns if state.is_file() else 0
        run = subprocess.Popen([sys.executable, str(SCRIPT), str(pairs), str(out), "{}"])
        for _ in range(3000):
            now = state.stat().st_mtime_ns if state.is_file() else 0
            if now > before or run.poll() is not None:
                break
            time.sleep(0.02)
        os.kill(run.pid, signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
    tiny.run(tiny.config(pairs), out, resume=True)
    assert weights(out) == weights(unbroken)


def test_two_processes_lose_as_much_as_one(pairs: Path, tmp_path: Path) -> None:
    still = {"flip": 0, "scale": 0, "rotated": 0, "shift": 0, "colour": 0}
    changes = json.dumps({"steps": 11, "losses": {"agreement": 0.0}, "augment": still})
    found = {}
    for count in (1, 2):
        out = tmp_path / f"of_{count}"
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command = [
            *torchrun,
            f"--nproc-per-node={count}",
            str(SCRIPT),
            str(pairs),
            str(out),
            changes,
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        found[count] = losses(out)
    assert len(found[1]) == 2
    assert found[2] == pytest.approx(found[1], rel=2e-3)


def test_no_number_stops_the_run_and_keeps_the_last_good_state(pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    tiny.run(tiny.config(pairs, rate=1e30), out, resume=True, steps=0)
    with pytest.raises(ModelError, match=r"no number.*last saved state"):
        tiny.run(tiny.config(pairs, rate=1e30), out, resume=True)


def test_changed_data_are_refused(pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    tiny.run(tiny.config(pairs), out, steps=2)
    state = out / "state.safetensors"
    told = state.read_bytes()
    key = json.loads(checkpoint.read(state)[1]["place"])["data"]
    assert told.count(key.encode()) == 1
    state.write_bytes(told.replace(key.encode(), b"0" * 64))
    with pytest.raises(ModelError, match="data changed"):
        tiny.run(tiny.config(pairs), out, resume=True)


def test_folders_of_other_runs_are_left_alone(pairs: Path, tmp_path: Path) -> None:
    settings = tiny.config(pairs)
    prepare_folder(tmp_path / "a", settings, resume=False)
    with pytest.raises(ModelError, match="run already"):
        prepare_folder(tmp_path / "a", settings, resume=False)
    with pytest.raises(ModelError, match=r"another config.*changed: rate"):
        prepare_folder(tmp_path / "a", tiny.config(pairs, rate=1e-3), resume=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.txt").write_text("x")
    with pytest.raises(ModelError, match="not empty"):
        prepare_folder(tmp_path / "b", settings, resume=False)


def test_damaged_and_foreign_checkpoints_are_refused(unbroken: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(weights(unbroken)[:-100])
    with pytest.raises(ModelError, match="cannot be read"):
        checkpoint.load_network(broken)
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ModelError, match="no pose network of ours"):
        checkpoint.load_network(tmp_path / "foreign.safetensors")


def test_a_checkpoint_of_another_size_says_what_matched(
    pairs: Path, unbroken: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    from synthstudio.training.loop import train

    settings = tiny.config(pairs, steps=1, start=str(unbroken / "last.safetensors"),
                           network={"bank": 4})  # fmt: skip
    train(settings, tmp_path / "run", cache=tmp_path / "cache", say=said.append)
    report = "\n".join(said)
    assert "tensors loaded" in report
    assert "of another shape: block.bank.poses" in report
    assert skeleton("coco17").name == "coco17"
