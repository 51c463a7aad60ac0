"""Stick people painted in their own masks: small frames whose pictures fit their labels."""

import dataclasses

import cv2
import numpy as np
from fake_frames import identity
from stick_people import make_frame
from written_sets import stored

from synthstudio.core.masks import decode

COLOURS = ((200, 60, 40), (40, 150, 70), (60, 70, 190), (190, 170, 40))


def painted(
    index,
    *,
    people=2,
    seed=7,
    variant="base",
    split="train",
    group_id="",
    skeleton="coco17",
    **place,
):
    """A frame of stick people; `seed` changes the row alone; `place`: as in `make_camera`."""
    made = make_frame(index, people=people, skeleton=skeleton, **place)
    rows, columns = np.mgrid[:240, :320]
    tint = 37 * index % 64  # no two frames have the same picture
    rgb = np.stack([90 + tint + columns / 8, 150 + rows / 8, 170 - columns / 9], axis=-1)
    for person in made.labels.people:
        rgb[decode(person.modal)] = COLOURS[person.instance % len(COLOURS)]
    done, jpeg = cv2.imencode(".jpg", rgb.astype(np.uint8)[..., ::-1])
    assert done
    spec = dataclasses.replace(
        made.spec, seed=seed, variant=variant, split=split, group_id=group_id or f"{seed}-{index}"
    )
    return dataclasses.replace(made, spec=spec, jpeg=jpeg.tobytes())


def write_set(out, frames, *, recipe="sticks", seed=7):
    kept = identity(
        frames=len(frames), seed=seed, skeleton=frames[0].spec.skeleton, recipe={"name": recipe}
    )
    return stored(out, kept, frames.__getitem__)
