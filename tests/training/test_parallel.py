"""Several processes: which device and backend, one stop for all, frozen backbones, shares."""

import sys
from datetime import timedelta

import pytest
import tiny
import torch
import torch.distributed as dist
import two_processes

from synthstudio.api import networks
from synthstudio.core.errors import ArgumentError, DeviceError, ModelError, WorkerError
from synthstudio.models import losses
from synthstudio.training import devices, loop


@pytest.mark.parametrize(("kind", "backend"), [("cpu", "gloo"), ("cuda", "nccl")])
def test_the_backend_is_that_of_the_runs_device(kind, backend, monkeypatch):
    found = []
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


def test_a_gpu_is_the_one_that_is_named_or_that_torchrun_gives(monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert devices.get_device("cuda:1") == torch.device("cuda", 1)
    assert devices.get_device("cuda") == devices.get_device("auto") == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert devices.get_device("cuda:1") == torch.device("cuda", 3)
    assert [place.index for place in chosen] == [1, 0, 0, 3]


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "meta", ""])
def test_devices_that_are_none_are_refused(name):
    with pytest.raises(DeviceError, match=r"device: .*expected auto, cpu, cuda"):
        devices.get_device(name)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    def lacks(place):
        raise RuntimeError("CUDA error: invalid device ordinal")

    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lacks)
    with pytest.raises(DeviceError, match=r"cuda:99 .*invalid device ordinal"):
        devices.get_device("cuda:99")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="CUDA is not available"):
        devices.get_device("cuda:0")


@pytest.mark.nightly("two processes of torchrun")
def test_all_processes_stop_when_one_does(by_two):
    folder = by_two("stopped").parent
    assert {p.name for p in folder.glob("said_*")} == {"said_0", "said_1"}
    assert not (folder / "refused").exists()


@pytest.mark.nightly("two processes of torchrun")
@pytest.mark.parametrize("epochs", [-1, 1])
def test_two_processes_train_behind_a_frozen_backbone(by_two, epochs):
    assert (by_two(f"frozen-{epochs}") / "last.safetensors").is_file()


def test_the_variance_over_all_processes_is_never_below_nothing(monkeypatch):
    import torch.distributed.nn.functional as shared

    monkeypatch.setattr(dist, "get_world_size", lambda: 1)
    monkeypatch.setattr(shared, "all_reduce", lambda sums: sums)
    values = torch.full((2, 1, 7, 7), 1319.1)
    assert values.square().mean() - values.mean() ** 2 < 0  # what rounding makes of them
    norm = devices._SyncBatchNorm(1, momentum=1.0)
    output = norm(values)
    assert float(norm.running_var) == 0
    assert output.isfinite().all()


@pytest.mark.nightly("two processes of torchrun")
def test_two_processes_of_torchrun_learn_what_one_does(by_two, pairs, tmp_path):
    """The loss of every step, with all that augmentation draws; each person once an epoch."""
    two_processes.record(pairs, tmp_path / "one", two_processes.AS_ONE)
    one = two_processes.read(tmp_path / "one")
    two = [two_processes.read(by_two("as-one"), rank) for rank in (0, 1)]
    assert len(one["losses"]) == 8
    for process in two:
        assert process["losses"][:3] == pytest.approx(one["losses"][:3], rel=1e-5)
        # Rounding grows: where a gradient is near 0, Adam's first steps are its sign.
        assert process["losses"] == pytest.approx(one["losses"], rel=1e-3)
    for step, people in enumerate(one["people"]):
        first, second = (process["people"][step] for process in two)
        assert len(first) == len(second) == 4
        assert sorted(first + second) == sorted(people)
    for epoch in range(4):
        batches = [b for p in two for b in p["people"][2 * epoch : 2 * epoch + 2]]
        seen = [tuple(person) for batch in batches for person in batch]
        assert len(seen) == len(set(seen)) == 16  # everybody in the frames with an occluder


def test_processes_share_the_count_of_what_is_known(monkeypatch):
    """One joint of two processes' four: averaged, their gradients are those of one process."""
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "all_reduce", lambda count: count.fill_(1.0))
    each, known = torch.tensor([3.0, 5.0]), torch.tensor([True, False])
    fractions = [float(losses.masked_mean(each, mask)) for mask in (known, known & ~known)]
    assert sum(fractions) / 2 == 3.0


def test_what_several_processes_cannot_do(pairs, tmp_path, monkeypatch):
    config = tiny.config(pairs)
    with pytest.raises(ModelError, match="multiple of 2"):  # before a cluster is joined
        loop.train_by_ray(tiny.config(pairs, batch=9), tmp_path / "run", processes=2)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        WorkerError, match=r'ray is not installed.*pip install "synthstudio\[ray\]"'
    ):
        loop.train_by_ray(config, tmp_path / "run", processes=2)
    assert not (tmp_path / "run").exists()
    with pytest.raises(ArgumentError, match="need torchrun"):
        networks.train(config, tmp_path / "run", processes=2)
    with pytest.raises(ArgumentError, match="engine"):
        networks.train(config, tmp_path / "run", engine="slurm")
    with pytest.raises(ArgumentError, match="overfit and fast_dev_run take one process"):
        networks.train(config, tmp_path / "run", engine="ray", overfit=4)
