"""What training waits for: part of `make bench`, or `python -m benchmarks.bench_training`.

Does a network of nano's size wait for its batches on this machine? Beside the share of time it
waits stands what no loader can beat: both use the same cores, so a step with a loader takes at
least the processor time of both over the number of cores; and what ORN costs beside KPE, a step and
predictions. The aims: 5 % waiting, 1.3 times a training step, 1.25 times a prediction.
"""

import functools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch  # noqa: TID253 - it times networks
from torch import nn  # noqa: TID253

from benchmarks import proofs
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.threads import one_thread
from synthstudio.generation import pipeline
from synthstudio.inference.export import Info, export_onnx
from synthstudio.inference.model_files import OnnxModel
from synthstudio.models.external_backbones import RANDOM
from synthstudio.models.losses import pose_losses
from synthstudio.models.pose_bank import PoseBank
from synthstudio.training import config as configs
from synthstudio.training.config import Config, Network
from synthstudio.training.data import batches
from synthstudio.training.data.batches import Batch, InputSpec, prefetch
from synthstudio.training.data.crops import crop_kind
from synthstudio.training.data.samples import load_dataset
from synthstudio.training.networks import build
from synthstudio.training.optimization import CLIP_NORM
from synthstudio.training.poses import bank_sample
from synthstudio.training.predictions import predict_images

SCENES = proofs.ROOT / "scenes"
WAITING, STEP, PREDICTION = 0.05, 1.3, 1.25
_WARM_UP = 5


def nano(file: str = "nano.yaml") -> Config:
    return configs.load(SCENES / "training" / file)


def trainer(config: Config, spec: InputSpec) -> Callable[[Batch], None]:
    """A function that takes a whole training step: forward, backward, AdamW."""
    skeleton = spec.skeleton
    torch.manual_seed(0)
    bank = _bank(config.network, len(skeleton.joints))
    net = build(config.network, skeleton, bank=bank, weights=RANDOM).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=config.lr)
    sigmas, balance = torch.from_numpy(skeleton.sigmas).float(), torch.ones(4)

    def step(batch: Batch) -> None:
        outputs = net(batch.images, bank_sample(net, batch, config, step=0))
        terms = pose_losses(outputs, batch.labels, sigmas=sigmas, balance=balance)
        torch.autograd.backward(torch.stack(list(terms.values())).sum())
        nn.utils.clip_grad_norm_(net.parameters(), CLIP_NORM)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def _bank(network: Network, joints: int) -> PoseBank | None:
    if network.head != "orn" or not network.bank:
        return None
    return PoseBank(torch.rand(network.bank, joints, 2), torch.rand(network.bank, joints, 3))


def _time_steps(
    step: Callable[[Batch], None], stream: Iterator[Batch]
) -> tuple[float, float, float]:
    """Seconds and processor seconds per batch, and the share of waiting, after a warm-up."""
    waited, count, began, cpu = 0.0, -_WARM_UP, 0.0, 0.0
    while True:
        if count == 0:
            waited, began, cpu = 0.0, time.perf_counter(), time.process_time()
        waiting = time.perf_counter()
        batch = next(stream, None)
        waited += time.perf_counter() - waiting
        if batch is None:
            break
        step(batch)
        count += 1
    elapsed = time.perf_counter() - began
    return elapsed / count, (time.process_time() - cpu) / count, waited / elapsed


def loader(config: Config, *, frames: int = 48, steps: int = 60) -> dict[str, float]:
    """People per second of the loader alone, of steps alone and of both, and the waiting.

    `possible`: the highest share of the steps' own rate that both together can reach here.
    """
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "people"
        settings = proofs.settings_for(SCENES / "bench.yaml", assets=SCENES, frames=frames)
        pipeline.generate(settings, data, workers=2)
        kind = crop_kind(size=config.network.size)
        source = load_dataset(data, kind, cache=Path(folder))
        spec = InputSpec(size=config.network.size, skeleton=source.skeleton)
        step = trainer(config, spec)
        rows = np.resize(np.arange(len(source.samples)), config.batch)

        def make(number: int) -> Batch:
            return batches.make_batch(source.samples, rows, spec, config.augment, step=number)

        numbers = range(steps + _WARM_UP)
        alone, cpu_step, _ = _time_steps(step, iter([make(0)] * len(numbers)))
        loading, cpu_load, _ = _time_steps(lambda batch: None, (make(k) for k in numbers))
        both, _, waiting = _time_steps(step, prefetch(make, numbers))
        again, _, _ = _time_steps(step, iter([make(0)] * len(numbers)))
        plain = config.model_copy(
            update={"network": config.network.model_copy(update={"head": "kpe"})}
        )
        kpe, _, _ = _time_steps(trainer(plain, spec), iter([make(0)] * len(numbers)))
    raw = min(alone, again)
    cores = os.cpu_count() or 1
    minimum = max((cpu_step + cpu_load) / cores, raw)
    return {
        "loader alone, people/s": config.batch / loading,
        "steps alone, people/s": config.batch / raw,
        "both, people/s": config.batch / both,
        "the trainer waits, %": 100 * waiting,
        "aim, %": 100 * WAITING,
        "both / steps alone": raw / both,
        "possible": raw / minimum,
        "ORN's step / KPE's": raw / kpe,
        "aim, ORN's step / KPE's": STEP,
    }


def predictions(network: Network, *, repeats: int = 60) -> dict[str, float]:
    """ORN's processor time of a prediction over KPE's, on one thread, the two taking turns: of the
    network alone, with the decoder of `predict`, and of the ONNX file, which has one."""
    skeleton, found = get_skeleton("coco23"), {}
    ways: dict[str, list[Callable[[Any], Any]]] = {}
    with one_thread(), tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        for head in ("orn", "kpe"):
            own = network.model_copy(update={"head": head})
            bank = _bank(own, len(skeleton.joints))
            net: Any = build(own, skeleton, bank=bank, weights=RANDOM).eval()
            file = Path(folder) / f"{head}.onnx"
            with torch.inference_mode(False):
                export_onnx(net, skeleton, file, Info(size=own.size, name=head, version=""))
            onnx = OnnxModel.load(file, device="cpu", threads=1)
            ways.setdefault("network", []).append(net)
            decoded = functools.partial(predict_images, net, skeleton=skeleton)
            ways.setdefault("with its decoder", []).append(decoded)
            ways.setdefault("ONNX", []).append(onnx)
        for count in (1, 16):
            shape = (count, *network.size, 3)
            crops = stream(0, "crops").integers(256, size=shape, dtype=np.uint8)
            images = torch.from_numpy(np.ascontiguousarray(crops.transpose(0, 3, 1, 2)))
            for name, runs in ways.items():
                given = crops if name == "ONNX" else images
                took: list[list[float]] = [[], []]
                for k in range(2 * repeats):
                    began = time.process_time()
                    runs[k % 2](given)
                    took[k % 2].append(time.process_time() - began)
                orn, kpe = map(statistics.median, took)
                found[f"{name}, batches of {count}"] = orn / kpe
    return found | {"aim": PREDICTION}


def main() -> None:
    """Measure and print everything; the last line is the same as JSON."""
    torch.set_num_threads(os.cpu_count() or 1)
    found: dict[str, Any] = {
        "the loader of nano": loader(nano()),
        "the loader of photos, which pastes and adds noise": loader(nano("photos.yaml")),
        "ORN's prediction / KPE's, nano": predictions(nano().network),
        "ORN's prediction / KPE's, photos_large": predictions(nano("photos_large.yaml").network),
    }
    for name, values in found.items():
        print(name)
        for key, number in values.items():
            print(f"  {key:<40} {number:10.2f}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
