"""Speed, in one run: `make bench`. Machines are noisy: read ratios, not milliseconds.

Prints milliseconds a frame by stage; frames a second with one and two workers; the share of body
posing and JPEG encoding, which no renderer can save; what a variant costs beside a new moment and
a search for targets beside a frame; what hiding people in a photo costs beside decoding and
encoding it (bench_occlude.py); what training waits for its batches and what a step and
a prediction of ORN cost beside KPE's (bench_training.py); the start of the command line.
"""

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import dataclasses
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.bench_occlude import of_generated
from synthstudio.body import anny
from synthstudio.generation import pipeline
from synthstudio.generation.stage import FrameGenerator, Settings, prepare
from synthstudio.recipe.schema.load import dump, load, parse
from synthstudio.recipe.schema.recipe import KINDS

SCENES = Path(__file__).resolve().parents[1] / "scenes"


def settings_for(scene: str, *, frames: int, renderer: str = "raster") -> Settings:
    """Return the settings of a scene with another number of frames, on the CPU."""
    path = SCENES / scene
    recipe = parse({**dump(load(path)), "frames": frames}, str(path))
    return prepare(recipe, assets=SCENES, device="cpu", renderer=renderer)


def by_stage(*, frames: int = 160) -> dict[str, float]:
    """Return median milliseconds of each stage over frames of scenes/bench.yaml."""
    stage = FrameGenerator(settings_for("bench.yaml", frames=frames))
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


def variants(*, moments: int = 40) -> dict[str, float]:
    """Return what one variant of each kind adds to a moment, over what a new moment costs.

    Moments of scenes/bench.yaml with one variant and without any, taking turns; draws included.
    Everything is drawn once before, so that nobody pays for cutting designs of clothes.
    """
    plain = settings_for("bench.yaml", frames=moments)
    wishes: dict[str, dict[str, int]] = {"none": {}, **{kind: {kind: 1} for kind in KINDS}}
    stages = {}
    for name, wish in wishes.items():
        recipe = parse({**dump(plain.recipe), "variants": wish})
        stages[name] = FrameGenerator(dataclasses.replace(plain, recipe=recipe))
    took: dict[str, list[float]] = {name: [] for name in stages}
    for measured in (False, True):
        for moment in range(moments):
            for name, stage in stages.items():
                start = time.perf_counter()
                per = stage.settings.recipe.variants.per_moment
                for k in range(per):
                    spec = pipeline.draw_spec(stage, moment * per + k)
                    if measured:
                        pipeline.make_frame(stage, spec)
                if measured:
                    took[name].append((time.perf_counter() - start) * 1e3)
                anny.forget()  # the next one in turn has the same people
    new = statistics.median(took["none"])
    found = {"a new moment, ms": new}
    for kind in KINDS:
        added = statistics.median(took[kind]) - new
        found |= {f"{kind}, ms": added, f"{kind} / new": added / new}
    return found


TARGETS: dict[str, dict[str, Any]] = {
    "fraction": {"occluded_fraction": [0, 0.7]},
    "fraction and wrists": {
        "occluded_fraction": [0.1, 0.7],
        "joints": {"left_wrist+right_wrist": 0.4},
    },
    "crowd index": {"crowd_index": [0.1, 0.8]},
}


def search(*, moments: int = 60) -> dict[str, float]:
    """Return what searching for targets costs, as a share of a whole frame with the search.

    The same frames of scenes/bench.yaml with the search and with `search: false`, taking turns.
    Everything is drawn once before, so that nobody pays for cutting designs of clothes. Processor
    time, which others on the machine disturb least.
    """
    plain = settings_for("bench.yaml", frames=moments)
    found: dict[str, float] = {}
    for name, targets in TARGETS.items():
        stages = {
            way: FrameGenerator(
                dataclasses.replace(
                    plain,
                    recipe=parse({**dump(plain.recipe), "targets": {**targets, "search": way}}),
                )
            )
            for way in (True, False)
        }
        drawn: dict[bool, list[float]] = {True: [], False: []}
        whole: list[float] = []
        for measured in (False, True):
            for moment in range(moments):
                for way, stage in stages.items():
                    start = time.process_time()
                    spec = pipeline.draw_spec(stage, moment)
                    took = time.process_time() - start
                    if measured:
                        drawn[way].append(took * 1e3)
                    if measured and way:
                        pipeline.make_frame(stage, spec)
                        whole.append((time.process_time() - start) * 1e3)
                    anny.forget()  # the next one in turn has the same people
        more = statistics.mean(drawn[True]) - statistics.mean(drawn[False])
        found |= {
            f"{name}: frame, ms": statistics.mean(whole),
            f"{name}: search, ms": more,
            f"{name}: search / frame": more / statistics.mean(whole),
        }
    return found


def training() -> dict[str, Any]:
    """Return what benchmarks/bench_training.py finds, in a process that may use all cores."""
    free = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    reported = subprocess.run(
        [sys.executable, "-m", "benchmarks.bench_training"],
        cwd=SCENES.parent,
        env=free,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(reported.stdout.splitlines()[-1])
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
    found["variants"] = variants()
    found["search for targets"] = search()
    found["occlude: 640x480, two people, cut-outs"] = of_generated()
    found |= training()
    found["import synthstudio.cli, s"] = cli_start()
    for name, value in found.items():
        if isinstance(value, dict):
            print(name)
            for key, number in value.items():
                print(f"  {key:<40} {number:10.2f}")
        else:
            print(f"{name:<30} {value:.3f}" if isinstance(value, float) else f"{name}: {value}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
