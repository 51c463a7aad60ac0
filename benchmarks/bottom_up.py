"""How long bottom-up decoders take for a frame: `python -m benchmarks.bottom_up [--people 20]`.

Ideal maps of upright people in rows in a frame of 640 x 480 px at stride 8, with a little noise on
every number, as a network has; processor time on one thread of many calls. The number of people
found stands beside it. FCPose has no decoder apart from its network.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch  # noqa: TID253 - it times decoders of tensors

from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.models.bottom_up.contract import FoundPeople, FramePeople
from synthstudio.models.bottom_up.grouping import Grouping, group_people
from synthstudio.models.bottom_up.openpose import openpose_targets
from synthstudio.models.bottom_up.personlab import directed_limbs, personlab_targets
from synthstudio.models.bottom_up.voting import Voting, vote_people

SIZE, STRIDE, NOISE = (480, 640), 8, 0.01
_SIGMA, _RADIUS = 0.875, 4.0
# Shares of the height, from the crown: x to the person's left, y down.
_PLACES = {
    "nose": (0, 0.07), "eye": (0.022, 0.05), "ear": (0.045, 0.06), "shoulder": (0.12, 0.19),
    "elbow": (0.16, 0.36), "wrist": (0.18, 0.5), "hip": (0.07, 0.52), "knee": (0.08, 0.74),
    "ankle": (0.08, 0.96),
}  # fmt: skip


def standing(count: int) -> FramePeople:
    """`count` people in rows of ten, as tall as a row, their limbs a little out of place."""
    rng, names = stream(0, "bottom-up"), get_skeleton("coco17").joints
    sides = {"left": 1.0, "right": -1.0}
    shape = np.array(
        [
            (sides.get(name.split("_")[0], 0.0) * x, y)
            for name in names
            for x, y in [_PLACES[name.split("_")[-1]]]
        ]
    )
    rows = -(-count // 10)
    tall, wide = SIZE[0] / rows, SIZE[1] / min(count, 10)
    at = np.array([(wide * (k % 10 + 0.5), tall * (k // 10)) for k in range(count)])
    joints = at[:, None] + shape * [min(tall, 2.5 * wide), 0.95 * tall]
    joints += rng.uniform(-2, 2, joints.shape)
    low, high = joints.min(1), joints.max(1)
    masks = np.zeros((count, *SIZE), bool)
    for mask, (x0, y0), (x1, y1) in zip(masks, low.astype(int), high.astype(int), strict=True):
        mask[max(y0, 0) : y1 + 1, max(x0, 0) : x1 + 1] = True
    masks &= np.cumsum(masks, 0) == 1
    boxes = np.concatenate([low, high - low], 1)
    return FramePeople(size=SIZE, joints_px=joints, boxes_px=boxes, masks=masks)


def noisy(maps: torch.Tensor) -> torch.Tensor:
    noise = stream(1, "noise", maps.numel()).normal(0, NOISE, tuple(maps.shape))
    return maps + torch.from_numpy(noise.astype(np.float32))


def time_ms(call: Callable[[], Any], *, calls: int) -> list[float]:
    """Processor milliseconds of each call."""
    times = []
    for _ in range(calls):
        begun = time.process_time()
        call()
        times.append(1000 * (time.process_time() - begun))
    return times


def decoders(frame: FramePeople) -> dict[str, Callable[[], list[FoundPeople]]]:
    """Decoders of the frame's maps by name."""
    skeleton = get_skeleton("coco17")
    poses = openpose_targets(
        [frame], torch.tensor(skeleton.edges), stride=STRIDE, sigma=_SIGMA, width=1.0
    )
    maps, fields = noisy(poses.maps), noisy(poses.fields)
    grouping = Grouping(limbs=skeleton.edges, sigma=_SIGMA)
    limbs = directed_limbs(skeleton)
    lab = personlab_targets([frame], torch.tensor(limbs), stride=STRIDE, radius=_RADIUS)
    voting = Voting(limbs=limbs, radius=_RADIUS)
    said = {n: noisy(getattr(lab, n)) for n in ("discs", "short", "mid", "long", "body")}
    return {
        "OpenPose": lambda: group_people(maps, fields, grouping, stride=STRIDE),
        "PersonLab": lambda: vote_people(said, voting, stride=STRIDE, masks=False),
        "PersonLab with masks": lambda: vote_people(said, voting, stride=STRIDE),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--calls", type=int, default=200)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for name, decode in decoders(standing(options.people)).items():
        found = len(decode()[0])
        took = time_ms(decode, calls=options.calls)
        print(
            f"{name:22} median {statistics.median(took):5.1f} ms, fastest {min(took):5.1f} ms, "
            f"{found} of {options.people} people found"
        )


if __name__ == "__main__":
    main()
