"""The walk of scenes/motions, made of textbook curves: its text, and as it is read."""

import functools
from pathlib import Path

from synthstudio.body.bvh import parse_bvh

FRAMES = 91
LINES = (Path(__file__).parents[2] / "scenes/motions/stroll.bvh").read_text().splitlines()


def walk_bvh(*, frames=FRAMES):
    head = [line.replace(f"Frames: {FRAMES}", f"Frames: {frames}") for line in LINES[:-FRAMES]]
    return "\n".join([*head, *LINES[-FRAMES:][:frames]]) + "\n"


@functools.cache
def stroll():
    return parse_bvh(walk_bvh(), where="stroll")
