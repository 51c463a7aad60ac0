"""The networks that benchmarks/systems_table.py trains, and what it measures of each."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch  # noqa: TID253 - it trains
from torch.utils.flop_counter import FlopCounterMode  # noqa: TID253

from benchmarks.proof_arms import matched_width
from benchmarks.ready import PRECISION, trained
from benchmarks.systems_text import BACKBONES, BOTTOM_UP, CROWD, pck_of_subset
from synthstudio.dataset.reader import Dataset
from synthstudio.evaluation import storage
from synthstudio.evaluation.latency import latency
from synthstudio.models.contract import PoseNet
from synthstudio.models.heatmaps import expected_hits
from synthstudio.training import checkpoint, frame_answers, networks
from synthstudio.training import config as configs
from synthstudio.training.config import Config, Source
from synthstudio.training.config_network import Network
from synthstudio.training.crop_trainer import build_for_training
from synthstudio.training.data.batches import InputSpec
from synthstudio.training.data.sources import load_data, load_subset
from synthstudio.training.predictions import clip_windows, predict_subset

BLOCKS = ("own", "kpe", "orn")
SYSTEMS = (*BACKBONES, *BOTTOM_UP)
CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is trained. `steps` of `batch` people, `frame_steps` of `frame_batch` frames."""

    frames: int
    image: tuple[int, int]  # width, height of a picture
    crop: tuple[int, int]  # (H, W) of a person's
    frame: tuple[int, int]  # (H, W) at which systems of whole frames see it
    steps: int
    batch: int
    frame_steps: int
    frame_batch: int
    bank: int
    rounds: int  # of latency


FULL = Size(
    frames=2500, image=(320, 240), crop=(96, 72), frame=(192, 256), steps=1200, batch=64,
    frame_steps=3000, frame_batch=8, bank=1000, rounds=100,
)  # fmt: skip
QUICK = Size(
    frames=1000, image=(320, 240), crop=(96, 72), frame=(128, 160), steps=500, batch=32,
    frame_steps=1000, frame_batch=8, bank=1000, rounds=50,
)  # fmt: skip
SMALL = Size(
    frames=24, image=(160, 120), crop=(48, 40), frame=(64, 96), steps=3, batch=4, frame_steps=3,
    frame_batch=2, bank=8, rounds=2,
)  # fmt: skip
SIZES = {"full": FULL, "quick": QUICK, "small": SMALL}


@dataclass(frozen=True, kw_only=True)
class Job:
    """A network to train: `system` with `block` (topdown) and a seed."""

    system: str
    block: str
    seed: int

    @property
    def row(self) -> str:
        return self.system + (f" {self.block}" if self.block else "")

    @property
    def name(self) -> str:
        return f"{self.row.replace(' ', '-')}-{self.seed}"


def jobs(systems: tuple[str, ...], seeds: int) -> list[Job]:
    """What is trained: top-down networks with every seed, systems of whole frames with one."""
    found = [
        Job(system=backbone, block=block, seed=seed)
        for backbone in BACKBONES
        for block in BLOCKS
        for seed in range(seeds)
        if backbone in systems
    ]
    return found + [Job(system=s, block="", seed=0) for s in BOTTOM_UP if s in systems]


def config(job: Job, size: Size, data: Path) -> Config:
    """The config of a job: what all share, and the little in which systems differ.

    KPE is as wide as makes its steps cost what ORN's do.
    """
    network: dict[str, Any]
    if job.block:
        network = {"backbone": job.system, "block": job.block, "size": list(size.crop)}
        network |= {"bank": size.bank}
        if job.block == "kpe":
            network["width"] = matched_width(Network(**network | {"block": "orn"}))
        fields = {"steps": size.steps, "batch": size.batch, "lr": _TOPDOWN_LR[job.system]}
    else:
        network = {"system": job.system, "size": list(size.frame), "stride": 4}
        fields = {"steps": size.frame_steps, "batch": size.frame_batch, "lr": _LR[job.system]}
    augment = {"shift": 0.05, "rotation_deg": 20, "rotated": 0.5, "scale": 0.25}
    return configs.parse(
        fields
        | {
            "name": job.name,
            "seed": job.seed,
            "train": [{"dataset": str(data), "splits": ["train"]}],
            "network": network,
            "augment": augment,
            "epochs": 10_000,
            "ema": 0.99,
            "precision": PRECISION,
            "device": "cpu",
            "save_every": 100,
        }
    )


_TOPDOWN_LR = {"pyramid": 3e-3, "hrnet": 3e-3, "hourglass": 3e-3, "vit": 2e-3}
_LR = {"openpose": 3e-3, "personlab": 3e-3, "fcpose": 3e-3}


def run_job(
    job: Job, size: Size, data: Path, folder: Path, *, say: Callable[[str], None]
) -> storage.Evaluation:
    """Train a network, or go on with it, and keep what it says of the test people.

    In `folder`: runs/, crops/ and answers/ by the job's name.
    """
    torch.set_num_threads(1)
    kept = folder / "answers" / job.name
    if kept.is_dir():
        return storage.read(kept)
    settings, crops = config(job, size, data), folder / "crops"
    say(f"{job.name}: {settings.steps} steps of {settings.batch}")
    out = folder / "runs" / job.name
    stopped = f"{job.name} was stopped; run it again to go on"
    done = trained(settings, out, crops=crops, stopped=stopped)
    weights = out / "last.safetensors"
    made = answers(weights, data, crops)
    before = untrained(job, settings, data, crops)
    about = made.about | {
        "untrained": pck_of_subset([before], "visible").value,
        "samples_per_second": done.people_per_second,
        "waited": done.wait_share,
    }
    made = storage.Evaluation(
        about=about, metrics={}, predictions=made.predictions, found=made.found
    )
    page = b"<!doctype html><title>systems</title>made by make systems\n"
    storage.write(kept, made, page)
    return storage.read(kept)


def answers(weights: Path, data: Path, crops: Path) -> storage.Evaluation:
    """What the network of a file says of the test people."""
    net, settings, skeleton = checkpoint.load_any(weights)
    return answers_of(net, settings, InputSpec.of(settings.network, skeleton), data, crops)


def answers_of(
    net: networks.PersonNet | networks.BottomUpNet,
    settings: Config,
    spec: InputSpec,
    data: Path,
    crops: Path,
) -> storage.Evaluation:
    """What a network says of the test people of a data set."""
    test = Source(dataset=str(data), splits=("test",))
    people, _ = load_subset((test,), frame_answers.truth_config(settings), crops)
    dataset, found = Dataset(data), None
    net.eval()
    if isinstance(net, networks.PersonNet):
        predicted = predict_subset(net, people, spec, device=CPU)
        sizes = {r["index"]: (r["width_px"], r["height_px"]) for r in dataset.iter_frames()}
        predicted = clip_windows(
            predicted, np.array([sizes[int(f)] for f in predicted.frame], np.float64)
        )
    else:
        predicted, found = frame_answers.find_in_dataset(
            net, dataset, people, spec, splits=("test",)
        )
    about = {"name": settings.name, "skeleton": spec.skeleton.name, "seed": settings.seed}
    return storage.Evaluation(about=about, metrics={}, predictions=predicted, found=found)


def untrained(job: Job, settings: Config, data: Path, crops: Path) -> storage.Evaluation:
    """What the network says of the test people before its first step."""
    spec: InputSpec
    if job.block:
        loaded = load_data(settings, cache=crops, say=lambda text: None)
        net: Any = build_for_training(settings, loaded, say=lambda text: None)
        spec = loaded.spec
    else:
        torch.manual_seed(settings.seed)
        _, skeleton = load_subset(settings.train, frame_answers.truth_config(settings), crops)
        net = networks.build_system(settings.network, skeleton)
        spec = InputSpec.of(settings.network, skeleton)
    return answers_of(net, settings, spec, data, crops)


def run_jobs(
    wanted: Sequence[Job], size: Size, data: Path, folder: Path, *, processes: int
) -> Iterator[Job]:
    """Run jobs in processes of one thread each; yield each that is ready, as they become so.

    The longest begin first, the others seed by seed.
    """
    wanted = sorted(wanted, key=lambda job: (bool(job.block), job.seed))
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(processes, mp_context=context) as pool:
        running = {pool.submit(run_job, job, size, data, folder, say=_say): job for job in wanted}
        try:
            for future in concurrent.futures.as_completed(running):
                future.result()
                yield running[future]
        finally:
            pool.shutdown(cancel_futures=True)


def _say(text: str) -> None:
    print(text, flush=True)


def cost(weights: Path, data: Path, size: Size) -> dict[str, Any]:
    """Parameters; operations, time and memory of a frame with CROWD people, decoding included."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_cost, weights, data, size.rounds).result()


def _cost(weights: Path, data: Path, rounds: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    before = _most_memory_mb()
    net, settings, _ = checkpoint.load_any(weights)
    high, wide = settings.network.size
    rgb = frame_answers.image_of(Dataset(data), next(iter(Dataset(data).iter_frames())))
    if isinstance(net, PoseNet):
        people = torch.full((CROWD, 3, high, wide), 114, dtype=torch.uint8)

        def call() -> object:
            with torch.inference_mode():
                return expected_hits(net(people).maps).xy.numpy()
    else:
        people = torch.full((1, 3, high, wide), 114, dtype=torch.uint8)
        size = (high, wide)

        def call() -> object:
            return frame_answers.find_in_images(net, [rgb], size)

    time = latency(call, rounds=rounds)
    after = _most_memory_mb()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(people)
    return {
        "parameters": sum(p.numel() for p in net.parameters()),
        "operations": int(counter.get_total_flops()),
        "p50_ms": time.p50_ms,
        "p95_ms": time.p95_ms,
        "memory_mb": after - before,
    }


def _most_memory_mb() -> float:
    """The most memory that this process had so far; ru_maxrss would begin with its parent's."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line) / 1024
