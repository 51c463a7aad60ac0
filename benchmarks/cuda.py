"""Does a GPU make the same labels, and how fast? `python -m benchmarks.cuda`, where there is one.

The same specs are made on the CPU and on the GPU, in turn. Every field of a frame but its picture
has to be equal: no label is decided by approximate arithmetic. Of the pictures it says how many
pixels differ, and by how much. Then the milliseconds of each stage; what draws and
poses people, labels and encodes runs on the CPU either way.
"""

import argparse
import dataclasses
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np

from benchmarks.proofs import ROOT
from synthstudio.core.images import decode_rgb
from synthstudio.core.labels import Frame
from synthstudio.generation import pipeline
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.recipe.schema.load import dump, load, parse
from synthstudio.render.runtime import device_model, resolve_device

SCENES = ("quickstart", "wild", "crowd", "rooms", "close_ups")


@dataclass(kw_only=True)
class Compared:
    """What was found of a scene's frames on two devices: `fields` that differ in how many frames,
    the share of each picture's `pixels` that does, the `worst` difference in levels of 255, and
    milliseconds by stage of each device."""

    fields: Counter[str] = field(default_factory=Counter)
    pixels: list[float] = field(default_factory=list)
    worst: int = 0
    took: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    def text(self) -> str:
        differ = ", ".join(f"{name} in {count}" for name, count in self.fields.items()) or "none"
        pixels = f"{100 * statistics.mean(self.pixels):.3f} % of pixels, by {self.worst} at most"
        lines = [f"{len(self.pixels)} frames; labels that differ: {differ}; pictures: {pixels}"]
        for device, took in self.took.items():
            warm = took[len(took) // 3 :]
            stages = {name: statistics.median(t[name] for t in warm) for name in warm[0]}
            shown = ", ".join(f"{name} {ms:.1f}" for name, ms in stages.items() if ms >= 0.05)
            lines.append(f"  {device:4} ms: {shown}")
        return "\n".join(lines)


def fields_of(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every array and plain value in dataclasses, dicts and sequences, by where it is."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for one in dataclasses.fields(value):
            yield from fields_of(getattr(value, one.name), f"{name}.{one.name}")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from fields_of(item, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from fields_of(item, f"{name}[{number}]")
    else:
        yield name.removeprefix("."), value


def compare(found: Compared, first: Frame, second: Frame) -> None:
    """Count what differs between two frames of the same spec."""
    plain = [dataclasses.replace(frame, jpeg=b"", timings_ms={}) for frame in (first, second)]
    first, second = (dict(fields_of(frame)) for frame in plain)
    for name in first.keys() | second.keys():
        a, b = np.asarray(first.get(name)), np.asarray(second.get(name))
        if a.dtype != b.dtype or not np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
            found.fields[name] += 1
    a, b = (decode_rgb(frame.jpeg, "picture").astype(np.int16) for frame in (first, second))
    found.pixels.append(float((a != b).any(-1).mean()))
    found.worst = max(found.worst, int(np.abs(a - b).max()))


def compared(scene: str, devices: tuple[str, str], frames: int) -> Compared:
    """Make frames of a scene on two devices, in turn."""
    path = ROOT / "scenes" / f"{scene}.yaml"
    recipe = parse({**dump(load(path)), "frames": frames}, str(path))
    stages = [
        FrameGenerator(prepare(recipe, assets=path.parent, device=device, renderer="raster"))
        for device in devices
    ]
    found = Compared(took={device: [] for device in devices})
    for index in range(frames):
        made = []
        for device, stage in zip(devices, stages, strict=True):
            begun = time.perf_counter()
            spec = pipeline.draw_spec(stage, index)
            drawn_ms = (time.perf_counter() - begun) * 1e3
            made.append(pipeline.make_frame(stage, spec))
            whole_ms = (time.perf_counter() - begun) * 1e3
            own = {"draw + pose": drawn_ms, **made[-1].timings_ms, "frame": whole_ms}
            found.took[device].append(own)
        compare(found, *made)
    return found


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("scene", nargs="*", default=SCENES, help="by name, as wild")
    options = parser.parse_args(words)
    device = resolve_device("cuda")
    print(device_model(device), flush=True)
    wrong = 0
    for scene in options.scene:
        found = compared(scene, ("cpu", "cuda"), options.frames)
        wrong += found.fields.total()
        print(f"{scene}: {found.text()}", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
