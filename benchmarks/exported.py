"""How fast an exported network answers: `python -m benchmarks.exported RUN`.

Exports the run and asks it by ONNX Runtime and by PyTorch in turn, with one thread and with all
cores. Read the ratios.
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
from synthstudio.core.rng import stream
from synthstudio.inference.answers import Ask
from synthstudio.inference.onnx_model import OnnxModel

PEOPLE, ROUNDS, REPEATS, WARM = (1, 16, 64), 4, 20, 5


def milliseconds(
    asks: dict[str, Ask], people: int, size: tuple[int, int]
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="a run's folder or a .safetensors file")
    model = ss.Model.load(parser.parse_args().run, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(model.export(Path(folder) / "model.onnx")["out"]).read_bytes()
    print(f"{len(data) / 1e6:.1f} MB; ms a call: median, 95th percentile")
    for threads in sorted({1, os.cpu_count() or 1}):
        torch.set_num_threads(threads)
        exported = OnnxModel.parse(data, where="model.onnx", device="cpu", threads=threads)
        asks: dict[str, Ask] = {"ONNX Runtime": exported, "PyTorch": model.ask()}
        for people in PEOPLE:
            took = milliseconds(asks, people, model.size)
            medians = {name: float(np.median(ms)) for name, ms in took.items()}
            text = ", ".join(
                f"{name} {medians[name]:.2f}, {np.quantile(ms, 0.95):.2f}"
                for name, ms in took.items()
            )
            ratio = medians["ONNX Runtime"] / medians["PyTorch"]
            print(f"{threads} threads, {people} people: {text}; ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
