"""A small stored data set of stick people whose images can be read, to count coverage in."""

import dataclasses

import fake_frames
import numpy as np
from stick_people import make_frame
from written_sets import stored

from synthstudio.core.images import encode_jpeg
from synthstudio.core.rng import stream
from synthstudio.recipe.schema.load import dump, parse

FAMILIES = ("crouch", "lie", "stand")


def frame(index, people=2):
    made, rng = make_frame(index, people=people), stream(3, "covered", index)
    grey = np.full((240, 320, 3), 90 + 10 * (index % 8), np.uint8)
    family = [FAMILIES[int(rng.integers(3))] for _ in made.labels.people]
    axes = rng.random((people, 3))
    everybody = []
    for person, (g, w, h) in zip(made.spec.people, axes.tolist(), strict=True):
        body = dataclasses.replace(person.phenotype, gender=g, weight=w, height=h)
        everybody.append(dataclasses.replace(person, phenotype=body))
    pairs = zip(made.labels.people, family, strict=True)
    named = tuple(dataclasses.replace(label, pose_family=name) for label, name in pairs)
    spec = dataclasses.replace(made.spec, people=tuple(everybody))
    labels = dataclasses.replace(made.labels, people=named)
    return dataclasses.replace(made, jpeg=encode_jpeg(grey, 90), spec=spec, labels=labels)


def recipe(**changes):
    wanted = {"name": "sticks", "seed": 1, "objects": [{"kind": "procedural"}], **changes}
    written = dump(parse(wanted))
    del written["frames"]
    return written


def store(out, frames=12, **changes):
    identity = fake_frames.identity(frames=frames, recipe=recipe(**changes))
    return stored(out, identity, lambda i: frame(i, people=i % 3 + 1)).folder
