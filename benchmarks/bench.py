"""Speed, in one run: `make bench`. Machines are noisy: read ratios, not milliseconds.

Prints milliseconds a frame by stage; frames a second with one and two workers; the raster path
against the pyrender path for the same fully labelled frame; the share of body posing and JPEG
encoding, which no renderer can save; the start of the command line.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from synthstudio import pipeline
from synthstudio.core.errors import DeviceError
from synthstudio.recipe.load import dump, load, parse
from synthstudio.stage import Settings, Stage, prepare

SCENES = Path(__file__).resolve().parents[1] / "scenes"


def settings_for(scene: str, *, frames: int, renderer: str = "raster") -> Settings:
    """Return the settings of a scene with another number of frames, on the CPU."""
    path = SCENES / scene
    recipe = parse({**dump(load(path)), "frames": frames}, str(path))
    return prepare(recipe, assets=SCENES, device="cpu", renderer=renderer)


def by_stage(*, frames: int = 160) -> dict[str, float]:
    """Return median milliseconds of each stage over frames of scenes/bench.yaml."""
    stage = Stage(settings_for("bench.yaml", frames=frames))
    took: list[dict[str, float]] = []
    for index in range(frames):
        start = time.perf_counter()
        spec = pipeline.draw_spec(stage, index)
        drawn = (time.perf_counter() - start) * 1e3
        start = time.perf_counter()
        frame = pipeline.make_frame(stage, spec)
        whole = (time.perf_counter() - start) * 1e3
        took.append({"draw + pose": drawn, **frame.timings_ms, "frame": drawn + whole})
    warm = took[len(took) // 2 :]  # the first meet designs of clothes that nobody wore yet
    return {name: statistics.median(t[name] for t in warm) for name in warm[0]}


def rates(*, frames: int = 384) -> dict[str, float]:
    """Return frames a second with one and two workers, start-up apart, and their ratio."""
    found: dict[str, float] = {}
    for workers in (1, 2):
        last = [0.0]

        def watch(done: int, total: int, per_second: float, last: list[float] = last) -> None:
            last[0] = per_second

        with tempfile.TemporaryDirectory() as folder:
            pipeline.generate(
                settings_for("bench.yaml", frames=frames),
                Path(folder) / "out",
                workers=workers,
                frames_per_shard=32,
                on_progress=watch,
            )
        found[f"frames/s, {workers} workers"] = last[0]
    found["ratio"] = found["frames/s, 2 workers"] / found["frames/s, 1 workers"]
    return found


def against_pyrender(*, frames: int = 12) -> dict[str, float]:
    """Return milliseconds of the same labelled frames drawn by both renderers, taking turns."""
    stages = {
        name: Stage(settings_for("bench.yaml", frames=frames, renderer=name))
        for name in ("raster", "pyrender")
    }
    took: dict[str, list[float]] = {name: [] for name in stages}
    for index in range(frames):
        for name, stage in stages.items():
            spec = pipeline.draw_spec(stage, index)
            start = time.perf_counter()
            pipeline.make_frame(stage, spec)
            took[name].append((time.perf_counter() - start) * 1e3)
    found = {f"{name}, ms": statistics.median(times[2:]) for name, times in took.items()}
    found["ratio"] = found["pyrender, ms"] / found["raster, ms"]
    return found


def cli_start(*, repeats: int = 7) -> float:
    """Return the best of some timings of `import synthstudio.cli`, in seconds."""
    code = "import time as t; a=t.perf_counter(); import synthstudio.cli; print(t.perf_counter()-a)"
    command = [sys.executable, "-c", code]
    return min(
        float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        for _ in range(repeats)
    )


def main() -> None:
    """Measure and print everything; the last line is the same as JSON."""
    found: dict[str, Any] = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    }
    found["ms by stage (640x480, two dressed people, one occluder, one sun)"] = by_stage()
    stages = found["ms by stage (640x480, two dressed people, one occluder, one sun)"]
    found["frames/s on one core"] = 1e3 / stages["frame"]
    found["share of posing and JPEG"] = (stages["draw + pose"] + stages["jpeg"]) / stages["frame"]
    found["workers"] = rates()
    try:
        found["raster against pyrender"] = against_pyrender()
    except DeviceError as error:
        found["raster against pyrender"] = f"not measured: {error}"
    found["import synthstudio.cli, s"] = cli_start()
    for name, value in found.items():
        if isinstance(value, dict):
            print(name)
            for key, number in value.items():
                print(f"  {key:<28} {number:10.2f}")
        else:
            print(f"{name:<30} {value:.3f}" if isinstance(value, float) else f"{name}: {value}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
