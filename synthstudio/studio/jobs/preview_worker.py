"""A process that draws previews, one request per line, until its input ends.

It keeps body, kernels and caches warm: a preview takes a second instead of ten. Only the
server's `preview.Previews` uses it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from synthstudio.core.errors import SynthStudioError

MAX_PIXELS = 640 * 480
QUALITY = 88


def main() -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
    sys.stdout = sys.stderr  # keeps library output out of the answers
    os.nice(5)
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any] = {"key": request["key"]}
        try:
            draw(request)
        except SynthStudioError as error:
            answer["error"] = str(error)
        answers.write(json.dumps(answer) + "\n")


def draw(request: dict[str, Any]) -> None:
    from synthstudio.core.images import decode_rgb, encode_jpeg
    from synthstudio.core.skeleton import get_skeleton
    from synthstudio.dataset.durable import write_file
    from synthstudio.generation.pipeline import draw_spec, make_frame
    from synthstudio.generation.stage import FrameGenerator, prepare
    from synthstudio.recipe.schema.load import parse
    from synthstudio.report.draw import draw_labels

    recipe = parse(bounded(request["recipe"]))
    stage = FrameGenerator(prepare(recipe, assets=Path(request["assets"]), device="auto"))
    frame = make_frame(stage, draw_spec(stage, int(request["index"])))
    rgb, skeleton = decode_rgb(frame.jpeg, "preview"), get_skeleton(recipe.skeleton)
    drawn = draw_labels(rgb, frame.labels, skeleton, rows_px=720, legend=False)
    write_file(Path(request["out"]), encode_jpeg(drawn, QUALITY))


def bounded(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe with pictures of the same shape, at most of preview size."""
    image = recipe["image"]
    shrink = min(1.0, (MAX_PIXELS / (image["width_px"] * image["height_px"])) ** 0.5)
    sides = {name: max(64, round(image[name] * shrink)) for name in ("width_px", "height_px")}
    return {
        **recipe,
        "image": {**image, **sides, "supersample": min(2, image["supersample"])},
        "layers": [],
    }


if __name__ == "__main__":
    main()
