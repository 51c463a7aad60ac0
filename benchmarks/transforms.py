"""Milliseconds of `synthstudio.transforms` a person: python -m benchmarks.transforms [BANK].

BANK: a folder that `synthstudio objects` wrote. Processor time of one thread, median and 95th
percentile of 400 images each.
"""

import sys
import time
from collections.abc import Callable

import albumentations as A
import cv2
import numpy as np

from synthstudio.core.rng import stream
from synthstudio.transforms import Occlude, occlude_people

LABELS = A.KeypointParams("xy", label_fields=["visibility"], remove_invisible=False)


def spent_ms(call: Callable[[int], object]) -> str:
    call(0)
    spent = []
    for k in range(400):
        start = time.process_time()
        call(k)
        spent.append(1e3 * (time.process_time() - start))
    return f"{np.median(spent):.2f} ms ({np.quantile(spent, 0.95):.2f})"


def measure(high: int, wide: int, bank: str | None) -> None:
    rng = stream(0, "benchmark")
    image = rng.integers(0, 256, (high, wide, 3)).astype(np.uint8)
    xy = rng.normal([wide / 2, high / 2], [30 * high / 256, high / 5], (17, 2))
    points = np.concatenate([xy, np.full((17, 1), 2.0)], 1)
    transform = A.Compose([Occlude(bank, p=1)], keypoint_params=LABELS, seed=0)
    alone = spent_ms(lambda k: occlude_people(image, points, seed=k, cutouts=bank))
    composed = spent_ms(lambda k: transform(image=image, keypoints=xy, visibility=points[:, 2]))
    print(f"{high} x {wide}: occlude_people {alone}, Occlude in A.Compose {composed}")


if __name__ == "__main__":
    cv2.setNumThreads(1)
    for size in ((96, 72), (256, 192), (640, 640)):
        measure(*size, sys.argv[1] if len(sys.argv) > 1 else None)
