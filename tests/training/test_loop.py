"""The loop: it learns, goes on exactly where it stood, survives kills, refuses what is wrong."""

import csv
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import tiny
import torch
from safetensors.torch import save_file
from waiting import wait_for

from synthstudio.core.errors import DiskError, ModelError
from synthstudio.models import external_backbones as external
from synthstudio.models.contract import PoseNet
from synthstudio.training import checkpoint, devices, systems
from synthstudio.training import config as configs
from synthstudio.training.checkpoint import prepared_folder

SCRIPT = Path(tiny.__file__)


def losses(out):
    with (out / "log.csv").open(newline="") as file:
        return [float(v) for _, what, v in list(csv.reader(file))[1:] if what == "loss/map"]


def weights(out, name="last"):
    return (out / f"{name}.safetensors").read_bytes()


@pytest.fixture(scope="module")
def unbroken(pairs, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "unbroken"
    before = torch.get_rng_state()
    done = tiny.run(tiny.config(pairs), out)
    assert done.finished and done.steps == 12
    assert torch.equal(torch.get_rng_state(), before)  # a notebook's own, as is the next
    assert not torch.are_deterministic_algorithms_enabled()
    return out


def test_it_learns_and_writes_what_it_says(learnt, pairs):
    run, fell = learnt / "orn", losses(learnt / "orn")
    assert fell[-1] < 0.92 * fell[0]
    names = {path.name for path in run.iterdir()}
    files = {"config.yaml", "best.safetensors", "last.safetensors", "state.safetensors", "log.csv"}
    assert files | {"pictures"} <= names and any(name.startswith("events.") for name in names)
    settings = configs.load(run / "config.yaml")
    assert settings.steps == 60 and settings.train[0].dataset == str(pairs)
    net, reported, skeleton = checkpoint.load_network(run / "best.safetensors")
    assert reported == settings and skeleton.name == "coco23"
    assert net(torch.zeros(1, 3, 48, 36)).maps.shape == (1, 23, 12, 9)
    assert net.block.balance.min() < 1 < net.block.balance.max()  # what the loss weighed causes by


@pytest.mark.gpu
def test_the_same_seed_ends_with_the_same_weights_on_a_gpu(pairs, unbroken, tmp_path):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    runs = [tmp_path / "one", tmp_path / "two"]
    for out in runs:
        assert tiny.run(tiny.config(pairs, device="cuda"), out).finished
    assert weights(runs[0]) == weights(runs[1])
    assert np.allclose(losses(runs[0]), losses(unbroken), rtol=0.02)


def test_a_run_whose_batches_come_from_processes_ends_as_one_whose_thread_makes_them(
    pairs, unbroken, tmp_path, monkeypatch
):
    """As a run on a GPU: in two pieces, with new processes in each, and none of them left."""
    monkeypatch.setattr(devices, "batch_makers", lambda device, world: 2)
    out, before = tmp_path / "processes", psutil.Process().children()
    for steps in (4, 99):
        tiny.run(tiny.config(pairs), out, resume=True, steps=steps)
    assert weights(out) == weights(unbroken)
    assert psutil.Process().children() == before


@pytest.mark.parametrize(("local", "makers"), [("1", 4), ("2", 3), ("8", 0), ("99", 0)])
def test_processes_of_one_machine_share_its_cores_to_make_batches(monkeypatch, local, makers):
    monkeypatch.setattr(devices.os, "sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", local)
    assert devices.batch_makers(torch.device("cuda"), devices.ALONE) == makers
    assert devices.batch_makers(torch.device("cpu"), devices.ALONE) == 0


def test_a_killed_run_ends_as_an_unbroken_one(pairs, unbroken, tmp_path):
    out, state = tmp_path / "killed", tmp_path / "killed" / "state.safetensors"
    run = subprocess.Popen([sys.executable, str(SCRIPT), str(pairs), str(out), "{}"])
    wait_for(lambda: state.is_file() or run.poll() is not None, "a saved state")
    run.kill()
    assert run.wait() == -signal.SIGKILL
    tiny.run(tiny.config(pairs), out, resume=True)
    assert weights(out) == weights(unbroken)


def test_a_finished_run_is_resumed_without_a_step(pairs, unbroken, tmp_path):
    shutil.copytree(unbroken, tmp_path / "run")
    done = tiny.run(tiny.config(pairs), tmp_path / "run", resume=True)
    assert done.finished and done.steps == 12
    for name in ("last.safetensors", "best.safetensors", "log.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (unbroken / name).read_bytes()


@pytest.mark.parametrize(
    ("every", "says"),
    [(2, r"not finite.*last saved state"), (1, "weights are not finite")],
)
def test_no_number_stops_the_run_and_is_never_saved(every, says, pairs, tmp_path):
    settings = tiny.config(pairs, lr=1e30, save_every=every)
    tiny.run(settings, tmp_path, resume=True, steps=0)
    with pytest.raises(ModelError, match=says):
        tiny.run(settings, tmp_path, resume=True)
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_gradient_that_is_no_number_changes_nothing(pairs, tmp_path, monkeypatch):
    before = []
    cut = torch.nn.utils.clip_grad_norm_

    def broken(parameters, maximum):
        before.extend(parameters)
        before[0].grad.fill_(torch.inf)
        return cut(before, maximum)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", broken)
    with pytest.raises(ModelError, match="gradient is not finite"):
        tiny.run(tiny.config(pairs), tmp_path / "run")
    assert all(p.isfinite().all() for p in before)


def test_patience_that_is_used_up_is_not_had_again(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(systems, "validate", lambda *args, **options: {"pck": 0.5})
    settings = tiny.config(pairs, patience=1, steps=0)
    first = tiny.run(settings, tmp_path / "run")
    assert first.finished and first.epochs == 2
    again = tiny.run(settings, tmp_path / "run", resume=True)
    assert (again.finished, again.steps, again.epochs) == (True, first.steps, first.epochs)


@pytest.mark.parametrize("where", ["training", "validation"])
def test_memory_that_runs_out_is_one_message(pairs, tmp_path, monkeypatch, where):
    forward = PoseNet.forward

    def full(net, images, sample=None):
        if net.training == (where == "training"):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(net, images, sample)

    monkeypatch.setattr(PoseNet, "forward", full)
    settings = tiny.config(pairs, steps=2, ema=0.0)
    says = {
        "training": r"8 people.*Halve `batch` and double `accumulate`",
        "validation": "128 people.*another `device`",
    }
    monkeypatch.setattr(systems.CropTrainer, "draw", lambda *given: np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ModelError, match="out of memory.*" + says[where]):
        tiny.run(settings, tmp_path / "run")


def test_changed_data_are_refused(pairs, tmp_path):
    out = tmp_path / "run"
    tiny.run(tiny.config(pairs), out, steps=2)
    state = out / "state.safetensors"
    reported = state.read_bytes()
    key = json.loads(checkpoint.read(state)[1]["place"])["data"]
    assert reported.count(key.encode()) == 1
    state.write_bytes(reported.replace(key.encode(), b"0" * 64))
    with pytest.raises(ModelError, match="data changed"):
        tiny.run(tiny.config(pairs), out, resume=True)


def test_folders_of_other_runs_are_left_alone(pairs, tmp_path):
    settings = tiny.config(pairs)

    def prepare(name, chosen, *, resume):
        with prepared_folder(tmp_path / name, chosen, resume=resume):
            pass

    prepare("a", settings, resume=False)
    with pytest.raises(ModelError, match=r"another config.*changed: lr"):
        prepare("a", tiny.config(pairs, lr=1e-3), resume=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.txt").write_text("x")
    with pytest.raises(DiskError, match="invalid output folder"):
        prepare("b", settings, resume=False)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / ".tmp-config.yaml-7").write_text("na")  # killed while it was written
    prepare("c", settings, resume=True)
    assert configs.load(tmp_path / "c" / "config.yaml") == settings


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (None, "not a synthstudio pose network"),
        ({"format": "synthstudio-pose-0"}, "expected synthstudio-pose-2; got synthstudio-pose-0"),
        ({"skeleton": None}, "expected the name of a skeleton"),
        ({"config": "{"}, "expected a config"),
        ({"config": None}, "not a training config"),
        ({"rate": 1e-3}, r"synthstudio [0-9.]+ does not read .*rate: unknown field"),
        ({"network": {"backbone": "transformers:a/repo"}}, "description of its backbone.*a/repo"),
    ],
)
def test_foreign_checkpoints_are_refused(changes, says, tmp_path, monkeypatch):
    monkeypatch.setattr(external, "build", lambda *given, **named: pytest.fail("it asks the hub"))
    asked, metadata = changes or {}, {}
    of_config = {k: v for k, v in asked.items() if k in ("network", "rate")}
    reported = {"format": checkpoint.FORMAT, "skeleton": "coco17"}
    reported["config"] = json.dumps({"train": [{"dataset": "x"}]} | of_config)
    reported = {k: v for k, v in (reported | asked).items() if v is not None}
    if changes is not None:
        metadata = {"synthstudio": json.dumps(reported)}
    save_file({"a": torch.zeros(1)}, tmp_path / "x.safetensors", metadata=metadata)
    with pytest.raises(ModelError, match=says):
        checkpoint.load_network(tmp_path / "x.safetensors")


def test_the_test_split_for_validation_is_noted(pairs, tmp_path):
    said, val = [], [{"dataset": str(pairs), "splits": ["test"]}]
    tiny.loaded(tiny.config(pairs, val=val), tmp_path, said.append).close()
    assert any("the test split chooses the best weights" in line for line in said)
