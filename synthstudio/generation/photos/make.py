"""One occluded photo: resources of a process, input of a draw, pixels and rows of a frame."""

import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from synthstudio.compose import blend
from synthstudio.core import masks
from synthstudio.core.arrays import U8, Bool
from synthstudio.core.images import encode_jpeg, read_rgb
from synthstudio.core.labels import STATE_OUTSIDE, STATE_VISIBLE, VISIBILITY, target_row
from synthstudio.core.people import hidden_columns
from synthstudio.core.photo import Outline, PhotoPerson, PhotoSpec, PhotoView, Window
from synthstudio.core.scene import CutoutLayer
from synthstudio.core.skeleton import SKELETONS, Skeleton, get_skeleton
from synthstudio.core.spec import OBJECT_BASE, PERSON_BASE, AssetRef, OcclusionTarget, to_json
from synthstudio.core.visibility import is_labelled, occluded_fraction
from synthstudio.dataset import rows
from synthstudio.dataset.rows import Row
from synthstudio.formats.joints import convert_row
from synthstudio.generation import pipeline
from synthstudio.generation.photos import measure
from synthstudio.generation.photos.album import Album, Sample
from synthstudio.generation.photos.layers import PasteLayer, paste_layers
from synthstudio.generation.stage import FrameGenerator, Settings
from synthstudio.label.photo import Annotated, Relabelled, radii_px, relabel
from synthstudio.props.assets import AssetTable
from synthstudio.props.cutouts import crop_to_alpha
from synthstudio.props.photos import blur_sigma_px, noise_sigma, place_light, tone
from synthstudio.recipe.draw_photo import draw_photo

_OUTLINE_PX = 128
_SHADE_EDGE_PX = 1.5


@dataclass(frozen=True, kw_only=True, eq=False)
class PhotoFrame:
    """A finished frame: its image and its rows without the file name."""

    spec: PhotoSpec
    jpeg: bytes
    row: Row
    people: list[Row]
    layers: dict[str, bytes] = field(default_factory=dict)


class PhotoStage(FrameGenerator):
    """Resources of a process for occluded photos, and the geometry of a draw."""

    def __init__(self, settings: Settings, photos: Path, album: Path, skeleton: str) -> None:
        super().__init__(settings)
        self.annotated_skeleton = get_skeleton(skeleton)  # people are rendered in self.skeleton
        table = AssetTable(root=photos)
        self.pixels = functools.lru_cache(4)(lambda ref: read_rgb(table.resolve(ref)))
        self.outline = functools.lru_cache(512)(lambda asset: outline(self.cutout(asset)))
        self.sample = functools.lru_cache(4)(Album(album).sample)
        self.people = functools.lru_cache(4)(
            lambda sample: [annotated(row, self.annotated_skeleton) for row in sample.people]
        )
        self.specs = functools.lru_cache(4)(self._specs)

    def _specs(self, place: int) -> tuple[PhotoSpec, ...]:
        sample = self.sample(place)
        rgb = self.pixels(ref_of(sample))
        known = self.settings.recipe.photo_options.ground == "known"
        people = self.people(sample)
        skeleton = self.annotated_skeleton
        view = view_of(sample, people, rgb, skeleton, outline=self.outline, known=known)
        return draw_photo(self.settings.recipe, view, place, self)


def ref_of(sample: Sample) -> AssetRef:
    return AssetRef(sha256=sample.sha256, name=sample.name)


def outline(rgba: U8) -> Outline:
    """The trimmed outline of a cut-out picture (h, w, 4)."""
    part = np.ascontiguousarray(crop_to_alpha(rgba)[..., 3])
    height, width = part.shape
    scale = min(1.0, _OUTLINE_PX / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    return Outline(
        alpha=np.asarray(small, np.float32) / np.float32(255), width_px=width, height_px=height
    )


# Input of a draw --------------------------------------------------------------------------


def annotated(row: Mapping[str, Any], skeleton: Skeleton) -> Annotated:
    """A person's row as input of the labels. J joints."""
    h, w = row["mask_size"]
    joints = len(skeleton.joints)
    x, y, bw, bh = row["modal_box_px"]
    if row["modal_counts"] is not None:
        whole = masks.decode({"size": [h, w], "counts": row["modal_counts"]})
        left, top, right, bottom = masks.mask_edges(whole)
        mask = whole[top:bottom, left:right]
    else:
        left, top = max(0, math.floor(x + 0.5)), max(0, math.floor(y + 0.5))
        right, bottom = min(w, math.floor(x + bw + 0.5)), min(h, math.floor(y + bh + 0.5))
        mask = np.ones((max(0, bottom - top), max(0, right - left)), np.bool_)
    area = float(row["modal_area_px"]) or bw * bh
    return Annotated(
        instance=row["instance"],
        joints_px=np.array(row["joints_px"], np.float64).reshape(joints, 2),
        visibility_fractions=np.array(row["visibility_fractions"], np.float64).reshape(
            joints, len(VISIBILITY)
        ),
        state=np.array(row["state"], np.uint8),
        cause=tuple(row["cause"]),
        ambiguous=np.array(row["ambiguous"], np.bool_),
        occluder_id=np.array(row["occluder_id"], np.int32),
        hidden_by=rows.hidden_by(row),
        radius_px=radii_px(skeleton.sigmas, area),
        mask=mask,
        left_px=left,
        top_px=top,
        has_mask=row["modal_counts"] is not None and bool(mask.any()),
    )


def view_of(
    sample: Sample,
    found: list[Annotated],
    rgb: U8,
    skeleton: Skeleton,
    *,
    outline: Callable[[AssetRef], Outline],
    known: bool = False,
) -> PhotoView:
    """A photo and its people as input of a draw; `known`: measured for `ground: known`."""
    height, width = rgb.shape[:2]
    boxes = [tuple(row["modal_box_px"]) for row in sample.people]
    stands = []
    for person, box in zip(found, boxes, strict=True):
        labelled = is_labelled(person.state)
        joints = measure.joints_by_name(skeleton.joints, person.joints_px, labelled)
        stands.append(measure.stand(joints, box, height))
        if known:
            stands[-1] = measure.refined(stands[-1], joints, box)
    floor = measure.floor(stands, height)
    stands = [
        measure.grounded(found_at, floor, box[1] + box[3])
        for found_at, box in zip(stands, boxes, strict=True)
    ]
    cells = measure.ground_cells(rgb, found, stands, floor) if known else None
    people = tuple(
        PhotoPerson(
            instance=person.instance,
            box_px=box,
            joints_px=person.joints_px,
            seen=person.state == STATE_VISIBLE,
            radius_px=person.radius_px,
            mask=person.mask if person.mask.size else np.zeros((1, 1), np.bool_),
            has_mask=person.has_mask,
            left_px=person.left_px,
            top_px=person.top_px,
            px_per_m=round(where.px_per_m, 3),
            foot_px=round(where.foot_px, 2),
            feet_seen=where.confidence >= measure.FEET_SEEN,
            upright=where.upright,
            light=place_light(rgb, box),
        )
        for person, box, where in zip(found, boxes, stands, strict=True)
    )
    largest = max(boxes, key=lambda box: box[2] * box[3])
    objects = [i for i in sample.frame["object_instance"] if i >= OBJECT_BASE]
    return PhotoView(
        photo=ref_of(sample),
        width_px=width,
        height_px=height,
        joints=skeleton.joints,
        people=people,
        first_object=max([OBJECT_BASE - 1, *objects]) + 1,
        focal_px=measure.focal_px(width, height),
        horizon_px=round(floor.horizon_px, 2),
        blur_sigma_px=blur_sigma_px(rgb, largest),
        noise_sigma=noise_sigma(rgb),
        tone=tone(rgb),
        outline=outline,
        ground=cells,
    )


# Pixels and labels -------------------------------------------------------------------------


def make_frame(stage: PhotoStage, sample: Sample, spec: PhotoSpec) -> PhotoFrame:
    """Replay a spec over its photo: the same spec and annotations give the same bytes."""
    photo = stage.pixels(spec.photo)
    people = stage.people(sample)
    pastes = paste_layers(stage, spec, people)
    left, top, width, height = spec.crop or (0, 0, spec.width_px, spec.height_px)
    rgb = composed(photo, pastes, people)[top : top + height, left : left + width]
    jpeg = encode_jpeg(np.ascontiguousarray(rgb), spec.lens.jpeg_quality)
    layers = tuple(one.layer for one in pastes)
    size = (spec.width_px, spec.height_px)
    out = []
    targets = spec.targets or tuple(OcclusionTarget() for _ in people)
    for row, person, target in zip(sample.people, people, targets, strict=True):
        after = relabel(person, layers, frame_px=size)
        out.append(_person_row(row, person, after, target, spec))
    pasted = [
        _pasted_row(stage, spec, one, before, rank=rank)
        for rank, (one, before) in enumerate(pasted_people(pastes))
    ]
    out += sorted(pasted, key=lambda row: int(row["instance"]))
    if spec.crop is not None:
        out = [row for row in (cropped(row, spec.crop) for row in out) if row is not None]
    return PhotoFrame(spec=spec, jpeg=jpeg, row=_frame_row(sample, spec, pastes, jpeg), people=out)


def composed(photo: U8, pastes: tuple[PasteLayer, ...], people: list[Annotated]) -> U8:
    """The photo with all pastes, the farthest first.

    Shadows fall on the floor only: not on people, nor on earlier pastes.
    """
    rgb = photo.copy()
    upright = np.zeros(photo.shape[:2], np.float32)
    masked = [person for person in people if person.has_mask]
    if masked and any(one.shadow is not None for one in pastes):
        for person in masked:
            part = upright[blend.window(person.left_px, person.top_px, person.mask)]
            np.maximum(part, person.mask, out=part)
        upright = np.asarray(cv2.GaussianBlur(upright, (0, 0), _SHADE_EDGE_PX), np.float32)
    for one in reversed(pastes):
        if one.shadow is not None:
            box = blend.window(one.shadow.left_px, one.shadow.top_px, one.shadow.light)
            below, kept = rgb[box], 1 - (1 - one.shadow.light) * (1 - upright[box])
            blend.darken(below, kept)
        box = blend.window(one.layer.left_px, one.layer.top_px, one.layer.alpha)
        blend.mix(rgb[box], one.layer.rgb, one.layer.alpha)
        np.maximum(upright[box], one.layer.alpha, out=upright[box])
    return rgb


def _person_row(
    row: Row, person: Annotated, after: Relabelled, target: OcclusionTarget, spec: PhotoSpec
) -> Row:
    amodal = row["amodal_counts"] is not None or row["amodal_area_px"] is not None
    fraction = occluded_fraction(int(after.mask.sum()), int(person.mask.sum()))
    area = int(person.mask.sum()) if person.has_mask else row["modal_area_px"]
    out = {
        **row,
        "frame_index": spec.index,
        "modal_area_px": area,  # of a mask by its pixels, as everywhere; a file has a polygon's
        "visibility_fractions": after.visibility_fractions.ravel().tolist(),
        "state": after.state.tolist(),
        "cause": list(after.cause),
        "ambiguous": after.ambiguous.tolist(),
        "occluder_id": after.occluder_id.tolist(),
        **hidden_columns(after.hidden_by),
        "amodal_counts": row["amodal_counts"] if amodal else row["modal_counts"],
        "amodal_box_px": row["amodal_box_px"] if amodal else list(row["modal_box_px"]),
        "amodal_area_px": row["amodal_area_px"] if amodal else area,
        "occluded_fraction": fraction,
        **target_row(target),
    }
    return out if fraction == 0 else out | _modal(row, person, after, fraction)


def _modal(row: Row, person: Annotated, after: Relabelled, fraction: float) -> Row:
    x, y, w, h = masks.mask_box(after.mask)
    box = [x + person.left_px, y + person.top_px, w, h] if w else [0.0] * 4
    if not person.has_mask:
        return {"modal_box_px": box, "modal_area_px": round(row["modal_area_px"] * (1 - fraction))}
    height, width = row["mask_size"]
    whole: Bool = np.zeros((height, width), np.bool_)
    whole[blend.window(person.left_px, person.top_px, after.mask)] = after.mask
    return {
        "modal_counts": masks.encode(whole)["counts"],
        "modal_box_px": box,
        "modal_area_px": int(after.mask.sum()),
    }


def cropped(row: Row, window: Window) -> Row | None:
    """A person's row in a window of the photo; None without a pixel or joint in it.

    Joints outside are truncated, as those of rendered frames are; the others keep their labels.
    """
    left, top, width, height = window
    px = np.array(row["joints_px"], np.float64).reshape(-1, 2) - (left, top)
    inside = ((px >= 0) & (px < (width, height))).all(axis=1)
    cut = is_labelled(np.array(row["state"])) & ~inside
    fractions = np.array(row["visibility_fractions"], np.float64).reshape(-1, len(VISIBILITY))
    fractions[cut] = [name == "truncated" for name in VISIBILITY]
    own = zip(rows.hidden_by(row), cut, strict=True)
    out = {
        **row,
        "joints_px": px.ravel().tolist(),
        "visibility_fractions": fractions.ravel().tolist(),
        "state": np.where(cut, STATE_OUTSIDE, row["state"]).tolist(),
        "cause": np.where(cut, "truncated", row["cause"]).tolist(),
        "ambiguous": np.where(cut, False, row["ambiguous"]).tolist(),
        "occluder_id": np.where(cut, 0, row["occluder_id"]).tolist(),
        **hidden_columns(() if lost else pairs for pairs, lost in own),
        "mask_size": [height, width],
    }
    part = 0.0
    for name in ("modal", "amodal"):
        x, y, w, h = row[f"{name}_box_px"]
        low = np.maximum((x - left, y - top), 0.0)
        size = np.maximum(np.minimum((x - left + w, y - top + h), (width, height)) - low, 0.0)
        part = float(size.prod()) / max(w * h, 1e-9)
        area, box = round(row[f"{name}_area_px"] * part), [*low.tolist(), *size.tolist()]
        counts = row[f"{name}_counts"]
        if counts is not None:
            whole = masks.decode({"size": row["mask_size"], "counts": counts})
            mask = np.ascontiguousarray(whole[top : top + height, left : left + width])
            area, box = int(mask.sum()), [float(v) for v in masks.mask_box(mask)]
            part = area / max(int(whole.sum()), 1)
            out[f"{name}_counts"] = masks.encode(mask)["counts"]
        out |= {f"{name}_area_px": area, f"{name}_box_px": box if min(box[2:]) > 0 else [0.0] * 4}
    out["amodal_box_px"] = np.subtract(row["amodal_box_px"], (left, top, 0, 0)).tolist()
    out["occluded_fraction"] = occluded_fraction(out["modal_area_px"], out["amodal_area_px"])
    out["truncated_fraction"] = 1 - part * (1 - (row["truncated_fraction"] or 0.0))
    return out if out["amodal_area_px"] or inside.any() else None


def pasted_people(
    pastes: tuple[PasteLayer, ...],
) -> list[tuple[PasteLayer, tuple[CutoutLayer, ...]]]:
    """Each pasted person with all layers in front of it, the nearest person first."""
    return [
        (one, (*one.nearer, *(other.layer for other in reversed(pastes[:place]))))  # later: on top
        for place, one in enumerate(pastes)
        if one.paste.person is not None and one.rendered is not None
    ]


def _pasted_row(
    stage: PhotoStage,
    spec: PhotoSpec,
    one: PasteLayer,
    before: tuple[CutoutLayer, ...],
    *,
    rank: int,
) -> Row:
    made, person = one.rendered, one.paste.person
    assert made is not None and person is not None
    before, swap = renumbered(before)
    swap[PERSON_BASE] = one.paste.instance
    labels = pipeline.decide_labels(
        stage,
        made.spec,
        dataclasses.replace(made.built, cutouts=before),
        made.packed,
        blend.over(made.rendering, before),
    )
    own = rows.person_row(labels.people[0])
    row: Row = {
        **own,
        "frame_index": spec.index,
        "instance": one.paste.instance,
        "occluder_id": [swap.get(i, i) for i in own["occluder_id"]],
        "hidden_instance": [swap.get(i, i) for i in own["hidden_instance"]],
        "joints_world_m": None,  # each paste has its own floor
        rows.KINEMATIC: None,
        "phenotype": [float(v) for v in dataclasses.astuple(person.phenotype)],
        "depth_rank": rank,
        "track_id": None,
        "motion": None,
        **target_row(OcclusionTarget()),
    }
    if stage.skeleton.name == stage.annotated_skeleton.name:
        return row
    frame = {
        "skeleton": stage.skeleton.name,
        "width_px": spec.width_px,
        "height_px": spec.height_px,
    }
    return convert_row(row, frame, stage.annotated_skeleton)


def renumbered(layers: tuple[CutoutLayer, ...]) -> tuple[tuple[CutoutLayer, ...], dict[int, int]]:
    """Layers whose people are numbered from 2, and the mapping to their instance ids.

    Where a pasted person is drawn alone it is person 1, regardless of its id in the photo.
    """
    back: dict[int, int] = {}
    out = []
    for layer in layers:
        if layer.instance < OBJECT_BASE:
            number = PERSON_BASE + 1 + len(back)
            back[number] = layer.instance
            layer = dataclasses.replace(layer, instance=number)
        out.append(layer)
    return tuple(out), back


def _frame_row(sample: Sample, spec: PhotoSpec, pastes: tuple[PasteLayer, ...], jpeg: bytes) -> Row:
    photo = sample.frame
    objects = [(one.paste.instance, _kind(one)) for one in pastes if one.paste.person is None]
    drawn = next((one.paste.camera for one in pastes if one.paste.person is not None), None)
    shown = {}
    if spec.crop is not None:
        left, top, width, height = spec.crop
        shift = np.array([[0, 0, left], [0, 0, top], [0, 0, 0]])
        K = photo["K"] and (np.reshape(photo["K"], (3, 3)) - shift).ravel().tolist()
        shown = {"width_px": width, "height_px": height, "K": K, "crowd_index": None}
    return {
        **photo,
        "index": spec.index,
        "seed": spec.seed,
        "image_sha256": hashlib.sha256(jpeg).hexdigest(),
        "split": spec.split,
        "group_id": spec.group_id,
        "variant": spec.variant,
        "differs": list(spec.differs),
        # The guessed camera, of the pasted people's joints_camera_m.
        "K": photo["K"] if photo["K"] or drawn is None else drawn.K.ravel().tolist(),
        "object_instance": [*photo["object_instance"], *(i for i, _ in objects)],
        "object_kind": [*photo["object_kind"], *(k for _, k in objects)],
        "object_held_by": [*photo["object_held_by"], *(0 for _ in objects)],
        "layers": [],
        "spec": to_json(spec),
        **shown,
    }


def _kind(one: PasteLayer) -> str:
    paste = one.paste
    if paste.cutout is not None:
        return paste.cutout.kind
    assert paste.object is not None
    return paste.object.kind if paste.object.asset is None else paste.object.asset.name


def rows_of(frame: PhotoFrame, file_name: str) -> tuple[Row, list[Row]]:
    return {**frame.row, "file_name": file_name}, frame.people


def body_skeleton(skeleton: Skeleton) -> str:
    """The skeleton in which people are rendered for annotations in `skeleton`."""
    return skeleton.name if skeleton.name in SKELETONS else "coco23"
