"""Several processes: which device and backend, one stop for all, frozen backbones, shares."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import recorded
import tiny
import torch
import torch.distributed as dist
import transformers

from synthstudio.core.errors import DeviceError, ModelError
from synthstudio.models import losses
from synthstudio.training import devices

CPU = torch.device("cpu")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


def together(*words: object) -> subprocess.CompletedProcess[str]:
    """Start a script as two processes of torchrun."""
    command = [*TORCHRUN, *map(str, words)]
    reported = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=reported, check=False
    )


@pytest.mark.parametrize(("kind", "backend"), [("cpu", "gloo"), ("cuda", "nccl")])
def test_the_backend_is_that_of_the_runs_device(
    kind: str, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Any] = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: kind == "cpu")  # it has no say
    monkeypatch.setattr(
        dist, "init_process_group", lambda name, *, timeout: found.extend((name, timeout))
    )
    monkeypatch.setattr(dist, "get_rank", lambda: 1)
    world = devices.join_world(torch.device(kind))
    assert (world.rank, world.size) == (1, 2)
    assert found[0] == backend
    assert found[1] > timedelta(hours=2)  # the first one cuts people out meanwhile


def test_a_gpu_is_the_one_that_is_named_or_that_torchrun_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert devices.get_device("cuda:1") == torch.device("cuda", 1)
    assert devices.get_device("cuda") == devices.get_device("auto") == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert devices.get_device("cuda:1") == torch.device("cuda", 3)
    assert [place.index for place in chosen] == [1, 0, 0, 3]


@pytest.mark.skipif(
    platform.machine() != "x86_64" or not Path("/proc/cpuinfo").is_file(), reason="x86 and Linux"
)
def test_bfloat16_is_what_the_kernel_says_of_the_cpu() -> None:
    """oneDNN says yes on every AVX-512 machine, also where it takes four times as long."""
    text = Path("/proc/cpuinfo").read_text()
    flags = {
        word for line in text.splitlines() if line.startswith("flags") for word in line.split()
    }
    cpu = torch.device("cpu")
    assert devices.has_bfloat16(cpu) == bool(flags & {"avx512_bf16", "amx_bf16", "amx_tile"})
    assert bool(devices.slow_precision(cpu, "bfloat16")) == (not devices.has_bfloat16(cpu))


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "meta", ""])
def test_devices_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(DeviceError, match=r"device: .*expected auto, cpu, cuda"):
        devices.get_device(name)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacks(place: object) -> None:
        raise RuntimeError("CUDA error: invalid device ordinal")

    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lacks)
    with pytest.raises(DeviceError, match=r"cuda:99 .*invalid device ordinal"):
        devices.get_device("cuda:99")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="CUDA is not available"):
        devices.get_device("cuda:0")


def test_one_process_stops_for_its_first_reason() -> None:
    assert devices.agreed_stop_reason([]) == ""
    assert devices.agreed_stop_reason(["a", "b"]) == "a"


def test_a_batch_that_cannot_be_dealt_out_is_refused() -> None:
    devices.check_batch_divides(8, devices.World(size=2))
    for batch, size in ((9, 2), (2, 4)):
        with pytest.raises(ModelError, match=rf"batch: .*multiple of {size}.*got {batch}"):
            devices.check_batch_divides(batch, devices.World(size=size))


STOP = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, {here!r})
import tiny
from synthstudio.core.errors import ModelError
from synthstudio.training import trainer, devices

rank = int(os.environ["RANK"])
data, out = Path({data!r}), Path({out!r})
try:
    tiny.run(tiny.config(data, batch=9), out.parent / "refused")
except ModelError as error:
    assert "multiple of 2" in str(error)
else:
    raise AssertionError("9 people of two processes")

validate = trainer.Trainer.validate_and_checkpoint
def validated(state):
    validate(state)
    if rank == 1 and state.progress.step == 4:  # one alone finds that nothing improves
        state.stop.append("the validation did not improve, says 1")
trainer.Trainer.validate_and_checkpoint = validated
done = tiny.run(tiny.config(data), out, resume=True)
assert (done.steps, done.finished) == (4, True), (rank, done)
(out.parent / f"said_{{rank}}").write_text("stopped")
"""


def test_all_processes_stop_when_one_does(pairs: Path, tmp_path: Path) -> None:
    script = tmp_path / "stop.py"
    script.write_text(
        STOP.format(
            here=str(Path(tiny.__file__).parent), data=str(pairs), out=str(tmp_path / "run")
        )
    )
    done = together(script)
    assert done.returncode == 0, done.stderr[-3000:]
    assert {p.name for p in tmp_path.glob("said_*")} == {"said_0", "said_1"}
    assert not (tmp_path / "refused").exists()


@pytest.mark.parametrize("epochs", [-1, 1])
def test_two_processes_train_behind_a_frozen_backbone(
    pairs: Path, tmp_path: Path, epochs: int
) -> None:
    resnet = transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 12],
        depths=[1, 1],
        layer_type="basic",
        out_features=["stage1", "stage2"],
    )
    transformers.AutoBackbone.from_config(resnet).save_pretrained(tmp_path / "resnet")
    network = {"size": [48, 32], "pretrained": str(tmp_path / "resnet"), "frozen_epochs": epochs}
    changes = {"steps": 4, "network": network, "losses": {"agreement": 0.0}}
    done = together(tiny.__file__, pairs, tmp_path / "run", json.dumps(changes))
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "run" / "last.safetensors").is_file()


def test_the_variance_over_all_processes_is_never_below_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch.distributed.nn.functional as shared

    monkeypatch.setattr(dist, "get_world_size", lambda: 1)
    monkeypatch.setattr(shared, "all_reduce", lambda sums: sums)
    values = torch.full((2, 1, 7, 7), 1319.1)
    assert values.square().mean() - values.mean() ** 2 < 0  # what rounding makes of them
    norm = devices._SyncBatchNorm(1, momentum=1.0)
    output = norm(values)
    assert norm.running_var is not None and float(norm.running_var) == 0
    assert output.isfinite().all()


def test_two_processes_of_torchrun_learn_what_one_does(pairs: Path, tmp_path: Path) -> None:
    """The loss of every step, with all that augmentation draws; each person once an epoch."""
    changes: dict[str, Any] = {"steps": 8, "losses": {"agreement": 0.0}, "augment": recorded.BUSY}
    recorded.record(pairs, tmp_path / "one", changes)
    done = together(recorded.__file__, pairs, tmp_path / "two", json.dumps(changes))
    assert done.returncode == 0, done.stderr[-3000:]
    one = recorded.read(tmp_path / "one")
    two = [recorded.read(tmp_path / "two", rank) for rank in (0, 1)]
    assert len(one["losses"]) == 8
    for process in two:
        assert process["losses"] == pytest.approx(one["losses"], rel=1e-6)
    for step, people in enumerate(one["people"]):
        first, second = (process["people"][step] for process in two)
        assert len(first) == len(second) == 4
        assert sorted(first + second) == sorted(people)
    for epoch in range(4):
        batches = [b for p in two for b in p["people"][2 * epoch : 2 * epoch + 2]]
        seen = [tuple(person) for batch in batches for person in batch]
        assert len(seen) == len(set(seen)) == 16  # everybody in the frames with an occluder


def test_a_teacher_says_to_two_processes_what_it_says_to_one(pairs: Path, tmp_path: Path) -> None:
    """In the first step: later ones differ by what AdamW makes of the rounding of gradients that
    are 0 otherwise."""
    changes: dict[str, Any] = {"steps": 1, "augment": recorded.BUSY}
    recorded.record(pairs, tmp_path / "one", changes)
    done = together(recorded.__file__, pairs, tmp_path / "two", json.dumps(changes))
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (recorded.read(tmp_path / name)["losses"] for name in ("one", "two"))
    assert two == pytest.approx(one, rel=1e-6)


def test_processes_share_the_count_of_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """One joint of two processes' four: averaged, their gradients are those of one process."""
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "all_reduce", lambda count: count.fill_(1.0))
    each, known = torch.tensor([3.0, 5.0]), torch.tensor([True, False])
    shares = [float(losses.masked_mean(each, mask)) for mask in (known, known & ~known)]
    assert sum(shares) / 2 == 3.0
