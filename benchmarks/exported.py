"""How fast an exported network answers: `python -m benchmarks.exported [RUN]`.

Exports the run, or the package's own network, and asks it by ONNX Runtime, with convolutions in 8
bits too, and by PyTorch in turn, with one thread and with all cores. Read the ratios.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch  # noqa: TID253 - what it is measured against

import synthstudio as ss
from benchmarks.proofs import ROOT
from synthstudio.core.rng import stream
from synthstudio.inference.compress import quantized
from synthstudio.inference.export import About, onnx_program
from synthstudio.inference.onnx_model import OnnxModel
from synthstudio.inference.predict import Predictor
from synthstudio.inference.scoring import Hits
from synthstudio.models.contract import PoseNet

OWN = ROOT / "synthstudio" / "inference" / "weights" / "photos.safetensors"
PEOPLE, ROUNDS, REPEATS, WARM = (1, 16, 64), 4, 20, 5


def milliseconds(
    asks: dict[str, Predictor], people: int, size: tuple[int, int]
) -> dict[str, list[float]]:
    """What each call took."""
    crops = stream(0, "crops").integers(0, 255, (people, *size, 3), dtype=np.uint8)
    took: dict[str, list[float]] = {name: [] for name in asks}
    for _ in range(ROUNDS):  # several in a row: threads that wait for work keep a core from others
        for name, ask in asks.items():
            for number in range(WARM + REPEATS):
                start = time.perf_counter()
                ask(crops)
                if number >= WARM:
                    took[name].append((time.perf_counter() - start) * 1e3)
    return took


def in_8_bits(model: ss.Model) -> bytes:
    """The ONNX file with convolutions in 8 bits, calibrated on noise: for its speed alone."""
    about = About(size=model.size, name="bench", version=ss.__version__)
    assert isinstance(model.net, PoseNet)
    _, crops, program = onnx_program(model.net, model.skeleton, about)
    alike = {name: np.ones(1) for name in ("all", "visible", "hidden")}
    hits = Hits(found=alike, asked=alike)
    seen = np.ascontiguousarray(crops.numpy().transpose(0, 2, 3, 1))
    return quantized(program, seen, lambda asked: hits, hits).data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "run", nargs="?", default=str(OWN), help="a run's folder or a .safetensors file"
    )
    model = ss.Model.load(parser.parse_args().run, device="cpu")
    small = in_8_bits(model)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(model.export(Path(folder) / "model.onnx")["out"]).read_bytes()
    print(f"{len(data) / 1e6:.1f} MB, int8 {len(small) / 1e6:.1f}; ms a call: median, 95 %")
    for threads in sorted({1, os.cpu_count() or 1}):
        torch.set_num_threads(threads)
        asks: dict[str, Predictor] = {
            name: OnnxModel.load(file, where=name, device="cpu", threads=threads)
            for name, file in (("ONNX Runtime", data), ("int8", small))
        }
        asks["PyTorch"] = model.ask()
        for people in PEOPLE:
            took = milliseconds(asks, people, model.size)
            medians = {name: float(np.median(ms)) for name, ms in took.items()}
            text = ", ".join(
                f"{name} {medians[name]:.2f}, {np.quantile(ms, 0.95):.2f}"
                for name, ms in took.items()
            )
            first = medians["ONNX Runtime"]
            ratios = f"ONNX / PyTorch {first / medians['PyTorch']:.2f}"
            ratios += f", int8 / float32 {medians['int8'] / first:.2f}"
            print(f"{threads} threads, {people} people: {text}; {ratios}")


if __name__ == "__main__":
    main()
