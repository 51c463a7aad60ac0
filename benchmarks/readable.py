"""How readable people of a recipe are: `python -m benchmarks.readable scenes/everyday.yaml`.

Of people with at least MIN_PX pixels in sight: median luma by percentiles, and how many are too
dark (under DARK). Of frames: pixels that are white, and those that show nobody.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from synthstudio.core.images import decode_rgb
from synthstudio.generation import pipeline
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.recipe.schema.load import load

MIN_PX, DARK, WHITE = 400, 30, 250


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--frames", type=int, default=120)
    asked = parser.parse_args()
    stage = FrameGenerator(prepare(load(asked.recipe), assets=asked.recipe.parent, device="cpu"))
    medians, white, nobody = [], [], 0
    for index in range(asked.frames):
        spec = pipeline.draw_spec(stage, index)
        made = pipeline.make_frame(stage, spec, layers=("instance",))
        luma = cv2.cvtColor(decode_rgb(made.jpeg, f"frame {index}"), cv2.COLOR_RGB2GRAY)
        layer = np.frombuffer(made.layers["instance"], np.uint8)
        instances = cv2.imdecode(layer, cv2.IMREAD_UNCHANGED)
        people = [luma[instances == k + 1] for k in range(len(spec.people))]
        seen = [pixels for pixels in people if len(pixels) >= MIN_PX]
        medians += [float(np.median(pixels)) for pixels in seen]
        white.append(float((luma >= WHITE).mean()))
        nobody += not seen
    dark = sum(m < DARK for m in medians)
    levels = ", ".join(f"{v:.0f}" for v in np.percentile(medians, (5, 25, 50, 75, 95)))
    print(
        f"{asked.recipe.stem}: {len(medians)} people in {asked.frames} frames; {dark} too dark "
        f"({dark / len(medians):.1%}); median luma at 5, 25, 50, 75, 95 %: {levels}; white pixels "
        f"{np.mean(white):.1%} (95 % of frames: {np.percentile(white, 95):.0%}); {nobody} frames "
        "show nobody"
    )


if __name__ == "__main__":
    main()
