"""A bank of rendered objects as RGBA pictures, for pastes (docs/transforms.md)."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from synthstudio.core.arrays import U8
from synthstudio.core.camera import Camera, look_at
from synthstudio.core.catalogue import ObjectKind
from synthstudio.core.images import encode_png, srgb_to_linear
from synthstudio.core.progress import OnProgress, counter
from synthstudio.dataset.durable import canonical_json, whole_folder
from synthstudio.generation.photos.layers import render_alone, unmultiplied
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.props.assets import MANIFEST
from synthstudio.recipe.layout.objects import design, kinds_left
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.sampling.context import SampleContext
from synthstudio.recipe.sampling.light import draw_light
from synthstudio.recipe.sampling.view import Behind
from synthstudio.recipe.schema.distributions import pick
from synthstudio.recipe.schema.load import parse

LICENCE = "Apache-2.0"
_RAISED_DEG = (-5, 35)
"""Elevation of the camera above the object's centre."""
_DISTANCE = 3.0
"""From the camera to the object's middle, in radii of the object."""
_FILLED = 0.96


def render_objects(
    out: Path,
    *,
    count: int,
    seed: int,
    kinds: Sequence[str] | None,
    size_px: int,
    device: str,
    on_progress: OnProgress,
) -> Counter[str]:
    """Write `count` objects into the new folder `out`; return the count of each kind.

    Each picture is a function of (seed, number). RecipeError for an unknown kind.
    """
    objects = {"kind": "procedural", "kinds": None if kinds is None else dict.fromkeys(kinds, 1)}
    recipe = parse({"name": "objects", "seed": seed, "objects": [objects]})
    stage = FrameGenerator(prepare(recipe, assets=Path(), device=device))
    found: Counter[str] = Counter()
    ledger, done = [], counter(on_progress, count)
    with whole_folder(out) as unfinished:
        for number in range(count):
            kind, rgba = render_object(stage, number, size_px=size_px)
            name = f"{number:05d}_{kind}.png"
            (unfinished / name).write_bytes(encode_png(rgba))
            credit = {"license": LICENCE, "source": f"synthstudio objects --seed {seed}"}
            ledger.append({"file": name, "category": kind, **credit})
            found[kind] += 1
            done(number + 1)
        (unfinished / MANIFEST).write_bytes(canonical_json(ledger))
    return found


def render_object(stage: FrameGenerator, number: int, *, size_px: int) -> tuple[str, U8]:
    """The kind of object `number` of a stage's recipe, and its picture (h, w, 4), cropped."""
    ctx = SampleContext(recipe=stage.settings.recipe, index=number, split="val", geometry=stage)
    rng = ctx.rng("object")
    entry = ctx.recipe.objects[0]
    kind = pick(kinds_left(ctx, entry, rng), rng)
    assert isinstance(kind, ObjectKind)
    obj = design(entry, kind, palette.materials(kind, rng), rng, shrink=0.0)
    box = stage.box_m(obj)
    radius, middle = float(np.linalg.norm(box[1] - box[0])) / 2, box.mean(0)
    raised = math.radians(rng.uniform(*_RAISED_DEG))
    away = np.array([0.0, -math.cos(raised), math.sin(raised)]) * _DISTANCE * radius
    eye, target = (tuple(at.tolist()) for at in (middle + away, middle))
    yaw, pitch = look_at(eye, target)
    camera = Camera(
        width_px=size_px,
        height_px=size_px,
        focal_px=_FILLED * size_px / 2 * math.sqrt(_DISTANCE**2 - 1),
        position_m=eye,
        yaw_rad=yaw,
        pitch_rad=pitch,
    )
    light = draw_light(ctx, Behind(options=ctx.recipe.backdrops[0].backdrop), camera)
    drawn, alpha = render_alone(
        stage,
        seed=ctx.recipe.seed,
        index=number,
        camera=camera,
        people=(),
        objects=(obj,),
        light=light,
    )
    layer = unmultiplied(0, srgb_to_linear(drawn.rendering.rgb), alpha)
    return kind.kind, np.dstack([layer.rgb, np.rint(layer.alpha * 255).astype(np.uint8)])
