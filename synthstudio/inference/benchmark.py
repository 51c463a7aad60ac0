"""Benchmark of networks on this machine: latency, people per second, memory, load time."""

import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from synthstudio.core.errors import import_extra
from synthstudio.core.rng import stream
from synthstudio.evaluation.diagnostics import Latency, latency
from synthstudio.inference.model_files import SUFFIX, OnnxModel
from synthstudio.inference.predict import Predictor

NOTE = "other programs on this machine affect the times: compare rows of one table only"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network to time: a weights file or an .onnx file."""

    name: str
    path: Path

    @property
    def runtime(self) -> str:
        return "onnx" if self.path.suffix == SUFFIX else "torch"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One setting; `load_ms` from the file to the first output, `memory_mb` its memory."""

    name: str
    runtime: str
    threads: int
    batch: int
    time: Latency
    load_ms: float
    memory_mb: float
    file_mb: float

    @property
    def people_per_second(self) -> float:
        return 1000 * self.batch / self.time.p50_ms

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"people_per_second": self.people_per_second}


def opened(subject: Subject, threads: int) -> tuple[Predictor, tuple[int, int]]:
    """The CPU predictor with that number of threads, and the size (H, W) of its crops."""
    if subject.runtime == "onnx":
        model = OnnxModel.load(subject.path, device="cpu", threads=threads)
        return model, model.size
    import torch

    from synthstudio.inference.networks import network_predictor
    from synthstudio.training import checkpoint

    torch.set_num_threads(threads)
    net, config, skeleton = checkpoint.load_network(subject.path)
    return network_predictor(net, skeleton), config.network.size


def measure(
    subjects: Sequence[Subject],
    *,
    batches: Sequence[int],
    threads: Sequence[int],
    rounds: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Row]:
    """Time every network with every number of threads and people, on synthetic crops."""
    total, done = len(subjects) * len(threads) * len(batches), 0
    for count in threads:
        for subject in subjects:
            before, began = psutil.Process().memory_info().rss, time.perf_counter()
            predict, size = opened(subject, count)
            crops = stream(0, "crops").integers(0, 255, (max(batches), *size, 3), dtype=np.uint8)
            predict(crops[:1])
            load_ms = 1000 * (time.perf_counter() - began)
            taken = psutil.Process().memory_info().rss - before
            for batch in batches:
                yield Row(
                    name=subject.name,
                    runtime=subject.runtime,
                    threads=count,
                    batch=batch,
                    time=latency(lambda: predict(crops[:batch]), rounds=rounds, warm_up=5),  # noqa: B023
                    load_ms=load_ms,
                    memory_mb=max(taken, 0) / 1e6,
                    file_mb=subject.path.stat().st_size / 1e6,
                )
                done += 1
                progress(done, total)


def machine() -> dict[str, Any]:
    """The machine: processor, its features, load, providers."""
    flags: set[str] = set()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [x for x in info.read_text().splitlines() if x.startswith(("flags", "Features"))]
        flags = set(lines[0].split()) if lines else set()
    try:
        providers = import_extra("onnxruntime", extra="onnx").get_available_providers()
    except Exception:  # not installed: PyTorch alone is timed
        providers = []
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 1,
        "load": round(os.getloadavg()[0], 1),
        "vnni": bool(flags & {"avx512_vnni", "avx_vnni", "asimddp"}),
        "bfloat16": bool(flags & {"avx512_bf16", "amx_bf16", "bf16"}),
        "providers": list(providers),
        "note": NOTE,
    }
