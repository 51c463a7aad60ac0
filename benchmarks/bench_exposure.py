"""What blur by true motion costs: `python -m benchmarks.bench_exposure [--scene wild]`.

Frames of a scene with `lens.exposure_s` at 0 and at a value, in turn, by processor time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

from synthstudio.body import anny
from synthstudio.generation import pipeline
from synthstudio.generation.stage import Stage, prepare
from synthstudio.recipe.schema.load import dump, load, parse

SCENES = Path(__file__).resolve().parents[1] / "scenes"
WARM = 3
"""Frames that are not counted, while kernels are loaded."""


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scene", default="wild", help="a file in scenes/, without .yaml")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--exposure", type=float, default=1 / 60, help="seconds")
    options = parser.parse_args(words)
    stages = [_stage(options.scene, options.frames, seconds) for seconds in (0.0, options.exposure)]
    took: list[list[float]] = [[], []]
    blurred = []
    for index in range(WARM + options.frames):
        for which in (0, 1) if index % 2 else (1, 0):
            seconds, exposing_ms = _one(stages[which], index)
            if index >= WARM:
                took[which].append(seconds)
                blurred += [exposing_ms > 1] if which else []
    still, moving = (1000 * statistics.mean(each) for each in took)
    print(f"{options.scene}, {options.frames} frames, exposed for {options.exposure:.4f} s")
    print(f"without {still:.0f} ms a frame, with {moving:.0f}: {moving / still:.2f} times")
    print(f"{sum(blurred)} of them have somebody who moves visibly")
    return 0


def _stage(scene: str, frames: int, exposure_s: float) -> Stage:
    path = SCENES / f"{scene}.yaml"
    fields = dump(load(path))
    lens = {**fields.get("lens", {}), "exposure_s": exposure_s}
    recipe = parse({**fields, "frames": WARM + frames, "lens": lens}, str(path))
    return Stage(prepare(recipe, assets=SCENES, device="cpu"))


def _one(stage: Stage, index: int) -> tuple[float, float]:
    """Return the processor seconds of a frame, and the milliseconds of its exposure."""
    anny.forget()  # each pays for its own bodies
    began = time.process_time()
    frame = pipeline.make_frame(stage, pipeline.draw_spec(stage, index))
    return time.process_time() - began, frame.timings_ms["exposure"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
