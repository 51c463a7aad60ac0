"""People of any origin as what `draw_labels` draws: rendered, annotated, imported, predicted."""

from __future__ import annotations

import dataclasses

import numpy as np

from synthstudio.core.labels import FrameLabels, PersonLabel
from synthstudio.core.people import People
from synthstudio.dataset.rows import NO_STATE

_NO_RANK = 1_000_000
"""People of unknown depth come after those whose depth is known: pasted ones are in front."""


def drawable(people: People) -> FrameLabels:
    """What `draw_labels` draws of the people of one frame.

    Annotated and imported people have no 3D, pose or amodal mask: they are drawn by what they
    have, the larger before the smaller, with NaN for what is unknown.
    """
    found = [_drawable(person) for person in people]
    order = sorted(
        range(len(found)),
        key=lambda k: (found[k].depth_rank, -found[k].modal_area_px, found[k].instance),
    )
    rank = {k: place for place, k in enumerate(order)}
    ranked = [dataclasses.replace(p, depth_rank=rank[k]) for k, p in enumerate(found)]
    return FrameLabels(people=tuple(ranked), crowd_index=0.0, things=())


def _drawable(person: PersonLabel) -> PersonLabel:
    known = np.isfinite(person.amodal_box_px).all()
    return dataclasses.replace(
        person,
        joints_px=np.where((person.state == NO_STATE)[:, None], np.nan, person.joints_px),
        amodal_box_px=person.amodal_box_px if known else person.modal_box_px,
        depth_rank=_NO_RANK if person.depth_rank < 0 else person.depth_rank,
    )
