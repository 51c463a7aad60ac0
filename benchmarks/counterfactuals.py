"""Clean against occluded: what removing the occluders changed, pixel by pixel, joint by joint.

A pixel may differ before the lens only where a removed object covers one of its samples (or a
removed cut-out is not wholly transparent), or where its shadow value differs: the shares of sun
and sky that reach it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from synthstudio.compose import blend
from synthstudio.core.arrays import F32, I32, U8
from synthstudio.core.labels import FrameLabels, PersonLabel
from synthstudio.core.scene import CutoutLayer
from synthstudio.core.spec import FrameSpec
from synthstudio.core.visibility import AMBIGUOUS_FROM
from synthstudio.generation import pipeline
from synthstudio.generation.stage import FIRST_OBJECT, FrameGenerator
from synthstudio.render import raster, shade
from synthstudio.render.pack import pack

Bool = NDArray[np.bool_]
SEEN_FROM = 0.8
HIDDEN_TO = AMBIGUOUS_FROM


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A frame before lens effects, with what comparing it needs."""

    spec: FrameSpec
    rgb: U8  # (H, W, 3)
    shadow: F32  # (H, W, 2)
    samples: I32  # (H, W, n) the instance under each sample that paints a pixel
    cutouts: tuple[CutoutLayer, ...]
    labels: FrameLabels


@dataclass
class Tally:
    """What was compared, and every rule that did not hold."""

    pairs: int = 0
    with_objects: int = 0
    with_cutouts: int = 0
    pixels: int = 0
    covered: int = 0
    shadowed: int = 0  # beyond those that are covered
    differing: int = 0
    joints: int = 0
    hidden: int = 0  # joints seen in clean and hidden in occluded
    flips: int = 0
    faults: list[str] = field(default_factory=list)

    def report(self) -> str:
        counts = {name: value for name, value in vars(self).items() if name != "faults"}
        return f"{counts}; faults: {self.faults[:10]}"


def shot(stage: FrameGenerator, spec: FrameSpec) -> Shot:
    """Draw a spec as `pipeline.make_frame` does, without lens and encoder."""
    built = pipeline.build(stage, spec)
    packed = pack(built.scene, device=stage.settings.device)
    rendering = shade.render(packed, built.scene, want=frozenset({"shadow"}))
    scale, camera = spec.supersample, spec.camera
    fine = raster.instance_map(packed, raster.rasterise(packed, scale=scale))
    blocks = fine.reshape(camera.height_px, scale, camera.width_px, scale).swapaxes(1, 2)
    rendering = blend.over(rendering, built.cutouts)
    assert rendering.shadow is not None  # asked for
    return Shot(
        spec=spec,
        rgb=rendering.rgb,
        shadow=rendering.shadow,
        samples=blocks.reshape(camera.height_px, camera.width_px, -1),
        cutouts=built.cutouts,
        labels=pipeline.decide_labels(stage, spec, built, packed, rendering),
    )


def removed(clean: FrameSpec, occluded: FrameSpec) -> range:
    """Return the instances of `occluded` that `clean` lacks: kept objects come first in both."""
    first = FIRST_OBJECT + len(clean.objects)
    return range(first, FIRST_OBJECT + len(occluded.objects) + len(occluded.cutouts))


def covered(occluded: Shot, gone: range) -> Bool:
    """Return (H, W) where a sample shows something removed, or a cut-out is not transparent."""
    gone_here = (occluded.samples >= gone.start) & (occluded.samples < gone.stop)
    out: Bool = np.asarray(gone_here.any(axis=-1))
    for layer in occluded.cutouts:
        h, w = layer.alpha.shape
        out[layer.top_px : layer.top_px + h, layer.left_px : layer.left_px + w] |= layer.alpha > 0
    return out


def compare(clean: Shot, occluded: Shot, tally: Tally) -> None:
    """Add a pair to the tally."""
    name = f"frames {clean.spec.index} and {occluded.spec.index}"
    gone = removed(clean.spec, occluded.spec)
    objects = len(occluded.spec.objects) > len(clean.spec.objects)
    tally.pairs += 1
    tally.with_objects += objects
    tally.with_cutouts += bool(occluded.cutouts)
    under = covered(occluded, gone)
    shade_differs = (clean.shadow != occluded.shadow).any(axis=-1)
    differs = (clean.rgb != occluded.rgb).any(axis=-1)
    tally.pixels += differs.size
    tally.covered += int(under.sum())
    tally.shadowed += int((shade_differs & ~under).sum())
    tally.differing += int(differs.sum())
    stray = int((differs & ~under & ~shade_differs).sum())
    if stray:
        tally.faults.append(f"{name}: {stray} pixels differ without cause")
    same = ("seed", "camera", "people", "backdrop", "light", "lens", "group_id", "shadow_box_m")
    unlike = [f for f in same if getattr(clean.spec, f) != getattr(occluded.spec, f)]
    if clean.spec.objects != occluded.spec.objects[: len(clean.spec.objects)]:
        unlike.append("kept objects")
    if unlike:
        tally.faults.append(f"{name}: {unlike} are not shared")
    for before, after in zip(clean.labels.people, occluded.labels.people, strict=True):
        _compare_joints(f"{name}, person {before.instance}", before, after, gone, tally)


def _compare_joints(
    name: str, before: PersonLabel, after: PersonLabel, gone: range, tally: Tally
) -> None:
    for field_ in ("joints_px", "joints_camera_m", "joints_world_m"):
        if getattr(before, field_).tobytes() != getattr(after, field_).tobytes():
            tally.faults.append(f"{name}: {field_} differ")
    if before.amodal != after.amodal:
        tally.faults.append(f"{name}: amodal masks differ")
    for joint in range(len(before.state)):
        tally.joints += 1
        was, now = before.visibility_fractions[joint, 0], after.visibility_fractions[joint, 0]
        by = {instance for instance, share in after.hidden_by[joint] if share > 0}
        if was >= SEEN_FROM and now <= HIDDEN_TO:
            tally.hidden += 1
            if int(after.occluder_id[joint]) not in gone or not by & set(gone):
                tally.faults.append(f"{name}, joint {joint}: hidden by {after.hidden_by[joint]}")
        if before.state[joint] != after.state[joint]:
            tally.flips += 1
            if not by & set(gone):
                tally.faults.append(f"{name}, joint {joint}: flips without the removed")


def pairs(stage: FrameGenerator, moments: Iterable[int]) -> Iterator[tuple[Shot, Shot]]:
    """Yield (clean, occluded) of each moment: its base and its `occluder` variants."""
    per = stage.settings.recipe.variants.per_moment
    for moment in moments:
        specs = [pipeline.draw_spec(stage, moment * per + k) for k in range(per)]
        clean = next(spec for spec in specs if spec.variant == "clean")
        first = shot(stage, clean)
        for spec in specs:
            if spec.variant in ("base", "occluder"):
                yield first, shot(stage, spec)


def counterfactuals(
    stage: FrameGenerator, moments: Iterable[int], tally: Tally | None = None
) -> Tally:
    """Compare clean and occluded frames of moments; see `Tally.faults`."""
    tally = tally or Tally()
    for clean, occluded in pairs(stage, moments):
        compare(clean, occluded, tally)
    return tally
