"""Quotas as a plan: the bins of each person of a run, computed from its number alone.

People are numbered through the run: frame x greatest count + place in the frame. Each axis has
its own stratified stream (context.py), so every hundred numbers hold every bin by its share
and nothing depends on what other frames hold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

from synthstudio.core.bins import BODIES, view_azimuth_rad
from synthstudio.core.catalogue import KeyPose
from synthstudio.core.scene import I32
from synthstudio.recipe.sampling.context import SampleContext, pose_held, stratified
from synthstudio.recipe.schema.distributions import at_share, support
from synthstudio.recipe.schema.people import bodies_in
from synthstudio.recipe.schema.recipe import Recipe

Axis = Literal["view", "family", "body"]

VIEW_SPREAD_RAD = math.radians(17)
"""Maximum deviation of a view from its sector's middle: the other 5.5 degrees are for placing,
which turns people to the camera in steps of 10 degrees."""


def bin_of(recipe: Recipe, axis: Axis, number: int) -> str | None:
    """The bin of person `number` of the run; None without such a quota."""
    shares: dict[str, float] | None = getattr(recipe.quotas, axis, None)
    if shares is None:
        return None
    u = stratified(recipe.stream_seed, f"quota {axis}", number=number)
    # In the order of names: a stored recipe has its keys sorted.
    return at_share(dict(sorted(shares.items())), u)


def has_body_quotas(recipe: Recipe) -> bool:
    return recipe.quotas is not None and recipe.quotas.body is not None


def person_number(recipe: Recipe, index: int, place: int) -> int:
    """The number in the run of the person at a place (from 0) of frame or moment `index`."""
    return index * int(support(recipe.people.count)[1]) + place


def facing_rad(view: str, u: float) -> float:
    """The turn away from the camera, + to the left, that shows a view; u in [0, 1)."""
    return -view_azimuth_rad(view) + (2 * u - 1) * VIEW_SPREAD_RAD


def of_family(
    ctx: SampleContext, family: str, drawn: list[KeyPose], every: list[KeyPose]
) -> list[KeyPose]:
    """The family's poses of `drawn`, which may hold none, else of `every` allowed in the split."""
    held = pose_held(ctx.recipe)
    own = [pose for pose in drawn if pose.family == family]
    return own or [
        pose
        for pose in every
        if pose.family == family and not (ctx.split == "train" and held(pose))
    ]


def identities_of(name: str, by_body: Mapping[str, I32]) -> I32:
    """The sorted numbers of the identities in a body quota's bin."""
    parts = [by_body[body] for body in BODIES if body in bodies_in(name) and body in by_body]
    return np.asarray(np.sort(np.concatenate([np.zeros(0, np.int32), *parts])))
