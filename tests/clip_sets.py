"""A small data set of two clips of stick people, drawn in no time."""

import dataclasses

import numpy as np
from fake_frames import identity
from stick_people import make_frame
from written_sets import stored

from synthstudio.core.images import encode_jpeg
from synthstudio.core.spec import ClipSpec

TIMES = 8
"""Frames of a clip; frame k is time k % TIMES of clip k // TIMES. Two people in each."""


def make_clips(out, *, clips=2):
    told = identity(recipe={"name": "clips"}, frames=clips * TIMES, frames_per_shard=TIMES)
    return stored(out, told, _frame)


def _frame(index):
    frame = make_frame(index, people=2)
    clip, time = divmod(index, TIMES)
    grey = np.full((240, 320, 3), 60 + 10 * time, np.uint8)
    spec = ClipSpec(
        clip_id=f"1-{clip}", frame=time, frames=TIMES, time_s=time / 12, motions=("walk", "walk")
    )
    return dataclasses.replace(
        frame, jpeg=encode_jpeg(grey, 90), spec=dataclasses.replace(frame.spec, clip=spec)
    )
