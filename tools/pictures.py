"""Make the pictures of docs/images: `python tools/pictures.py [labels scenes targets ...]`."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from synthstudio.body.clothes.garment_table import NAMED
from synthstudio.body.face import EXPRESSIONS
from synthstudio.body.pose_library import library
from synthstudio.body.touching import meetings
from synthstudio.core.arrays import F64, U8
from synthstudio.core.camera import Camera, look_at
from synthstudio.core.catalogue import GarmentKind
from synthstudio.core.images import decode_rgb, encode_jpeg, resample
from synthstudio.core.labels import STATE_VISIBLE, PersonLabel
from synthstudio.core.people import stack
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.core.spec import FrameSpec, GarmentSpec, LensSpec, LightSpec, PersonSpec
from synthstudio.core.whole_body import PARTS
from synthstudio.generation import pipeline
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.props.backgrounds import sky_picture
from synthstudio.recipe.draw import draw
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.sampling.context import SampleContext
from synthstudio.recipe.sampling.light import DESIGNS, sky_of
from synthstudio.recipe.sampling.outfits import design_of, dyed, recoloured
from synthstudio.recipe.sampling.people import aged
from synthstudio.recipe.schema.load import dump, load, parse
from synthstudio.report.draw import captioned, contact_sheet, draw_labels, person_colour
from synthstudio.training.data.frames import labelled_joints
from synthstudio.training.data.windows import Letterbox, crop_and_resize

if TYPE_CHECKING:
    from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
LABELS = (("quickstart.yaml", 1), ("rooms.yaml", 5), ("crowd.yaml", 0))
SCENES = (
    ("everyday.yaml", 4),
    ("everyday.yaml", 22),
    ("everyday.yaml", 37),
    ("wild.yaml", 16),
    ("wild.yaml", 1),
    ("everyday.yaml", 18),
)
TARGETS = (
    ("target_bell.yaml", 4),
    ("target_bell.yaml", 10),
    ("target_bell.yaml", 7),
    ("target_causes.yaml", 3),
    ("target_causes.yaml", 5),
    ("target_crowd.yaml", 2),
)
HOLDING = tuple(("holding.yaml", k) for k in (0, 2, 4, 8, 9, 11))
UMBRELLAS = tuple(("uses/umbrellas.yaml", k) for k in (0, 2, 3, 5, 6, 11))
IN_BED = tuple(("uses/in_bed.yaml", k) for k in range(6))
SHELVES = tuple(("uses/shelves.yaml", k) for k in range(6))
CARE = tuple(("uses/care.yaml", k) for k in (1, 5, 8, 10, 13, 15))
GYM = tuple(("uses/gym.yaml", k) for k in (1, 4, 6, 9, 12, 13))
CLOSE_BY = tuple(("uses/close_by.yaml", k) for k in (3, 4, 6, 9, 11, 13))
AT_WORK = (
    *(("uses/at_work.yaml", k) for k in (5, 7, 19, 22)),
    *(("uses/at_work_ward.yaml", k) for k in (1, 14)),
)
FIRST_PERSON = tuple(("uses/first_person.yaml", k) for k in (3, 9, 10, 11, 13, 17))
DRIVING = tuple(("uses/driving.yaml", k) for k in (1, 4, 5, 8, 9, 2))
_USES = ("in_bed", "weather", "care", "shelves", "umbrellas", "gym")
USES = tuple((f"uses/{name}.yaml", k) for name, k in zip(_USES, (1, 6, 13, 2, 3, 12), strict=True))
WEATHER = tuple(("uses/weather.yaml", k) for k in (6, 11, 13, 18, 20, 22))
WHOLE_BODY = (4, 9, 20)
GALLERY, SHEETS = ("wild", "everyday"), 5
MAX_BYTES = 290_000
WIDTH_PX = 1920
HEAD_PX = 180
SKY_PX = (360, 240)
CLOTHES_PX = (150, 250)
HAIR_OF_WOMEN = ("ponytail_hair", "plaits_hair", "bob_hair", "curly_hair")
HAIR_OF_MEN = ("parted_hair", "undercut_hair", "mohawk_hair", "balding_hair")
WORN_BY_MEN = (("full_beard",), ("goatee", "glasses"), ("moustache",), ("helmet", "sunglasses"))
WORN_BY_WOMEN = (("glasses",), ("medical_mask",), ("headband", "curly_hair"), ("headscarf",))
SHOWN = ("smile", "laugh", "surprise", "sadness", "anger", "shout", "blow", "closed_eyes")
DAY = LightSpec(
    sun_direction=(-0.48, -0.64, 0.6),
    sun_rgb=(0.62, 0.6, 0.56),
    sky_rgb=(0.36, 0.38, 0.42),
    ground_rgb=(0.22, 0.2, 0.18),
    occlusion=0.8,
)
YEARS = (2.0, 4.0, 7.0, 10.0, 13.0, 18.0, 50.0, 85.0)
DYE = {"patterned": 0.0, "saturated": 0.6}
MOVEMENTS = ("run", "walk", "jump", "throw", "kick", "dance", "sprint", "swing")


def frame(scene: str, index: int, *, labels: bool) -> U8:
    """Return a frame (480, 640, 3) of a scene, with its labels drawn in or without."""
    text = dump(load(ROOT / "scenes" / scene))
    text["image"] |= {"width_px": 640, "height_px": 480}
    stage = FrameGenerator(prepare(parse(text), assets=ROOT / "scenes", device="cpu"))
    made = pipeline.make_frame(stage, pipeline.draw_spec(stage, index))
    rgb = decode_rgb(made.jpeg, scene)
    if not labels:
        return rgb
    return draw_labels(rgb, made.labels, get_skeleton(stage.skeleton.name), rows_px=960)


def pose(stage: FrameGenerator, name: str, number: int) -> U8:
    """Return somebody in a pose of the library as it stands there, three quarters from in front."""
    poses = {"names": {name: 1}, "mirror": 0, "mix": 0, "jitter_deg": 0, "hands": 0}
    stage.settings = prepare(
        parse(
            {
                "name": "poses",
                "seed": 5,
                "image": {"width_px": 320, "height_px": 320},
                "camera": {
                    "distance_m": 3.6,
                    "height_m": 1.35,
                    "vertical_fov_deg": 36,
                    "aim_height_m": 0.9,
                    "off_centre": 0,
                },
                "people": {
                    "count": 1,
                    "facing_deg": 35,
                    "poses": poses,
                    "arrangement": {"kind": "group", "spread_m": 0},
                },
                "objects": [],
                "backdrop": {"kind": "plain"},
            }
        ),
        assets=ROOT / "scenes",
        device="cpu",
    )
    spec = dataclasses.replace(draw(stage.settings.recipe, number, stage), lens=LensSpec())
    return decode_rgb(pipeline.make_frame(stage, spec).jpeg, name)


def pose_sheet(out: Path) -> None:
    """Write one picture of each pose that holds nothing, the families side by side."""
    stage = FrameGenerator(prepare(parse({"name": "poses"}), assets=ROOT / "scenes", device="cpu"))
    free = [key for key in library() if not (key.holds or key.leans)]
    free.sort(key=lambda key: (key.family, key.name))
    write([pose(stage, key.name, k) for k, key in enumerate(free)], out, columns=16)


def sheet(wanted: tuple[tuple[str, int], ...], out: Path, *, labels: bool) -> None:
    """Write frames side by side as a JPEG of at most `MAX_BYTES`."""
    write([frame(s, i, labels=labels) for s, i in wanted], out, columns=3)


def together(out: Path) -> None:
    """Write one picture of each interaction, the first that shows it."""
    made = []
    for number, meeting in enumerate(meetings()):
        facing = [-30, 30] if meeting.turn_rad < 1 and meeting.stand == "pair" else [50, 110]
        recipe = parse(
            {
                "name": "together",
                "seed": number,
                "image": {"width_px": 384, "height_px": 320},
                "camera": {
                    "distance_m": 3.4,
                    "height_m": 1.5,
                    "vertical_fov_deg": 36,
                    "aim_height_m": 0.9,
                    "off_centre": 0,
                },
                "people": {
                    "count": min(meeting.maximum, 3),
                    "facing_deg": facing,
                    "arrangement": {"kind": "group", "spread_m": 0},
                    "wardrobe": {"prints": 0.4, "patterned": 0.4, "wrinkles": 0.7},
                    "interactions": {"share": 1, "kinds": {meeting.name: 1}},
                },
                "backdrop": {"kind": "room", "walls": 1, "ceilings": 1},
                "lens": {"contrast": 0.6},
            }
        )
        stage = FrameGenerator(prepare(recipe, assets=ROOT / "scenes", device="cpu"))
        specs = (pipeline.draw_spec(stage, k) for k in range(20))
        spec = next(s for s in specs if all(p.pose.family == meeting.name for p in s.people))
        made.append(decode_rgb(pipeline.make_frame(stage, spec).jpeg, meeting.name))
    write(made, out, columns=5, maximum=200_000)


def gallery(out: Path) -> None:
    """Write random frames of the training recipes as they are, six to a sheet."""
    for name in GALLERY:
        recipe = load(ROOT / "scenes" / f"{name}.yaml")
        stage = FrameGenerator(prepare(recipe, assets=ROOT / "scenes", device="cpu"))
        chosen = stream(0, "gallery").choice(recipe.frames, SHEETS * 6, replace=False)
        made = [pipeline.make_frame(stage, pipeline.draw_spec(stage, int(k))) for k in chosen]
        pictures = [decode_rgb(frame.jpeg, name) for frame in made]
        for k in range(SHEETS):
            sheet = out.with_name(f"gallery_{name}_{k + 1}.jpg")
            write_jpeg(contact_sheet(pictures[6 * k : 6 * k + 6], columns=3), sheet)


def moving(out: Path) -> None:
    """Write people in poses of a movement, exposed for 1/60 s."""
    poses = {"families": dict.fromkeys(MOVEMENTS, 1), "random": 0, "mix": 0}
    fields = {
        "name": "moving", "frames": 400, "seed": 5,
        "image": {"width_px": 400, "height_px": 400},
        "camera": {"distance_m": [2.6, 4], "height_m": [0.8, 1.8], "vertical_fov_deg": [40, 50]},
        "people": {"count": 1, "poses": poses},
        "backdrop": {"kind": "room", "walls": 0.7, "furnished": 0.8, "skies": 1},
        "lens": {"blur": 0, "noise": 0, "motion": 0, "exposure_s": 1 / 60},
    }  # fmt: skip
    stage = FrameGenerator(prepare(parse(fields, "moving"), assets=ROOT / "scenes", device="cpu"))
    specs = (pipeline.draw_spec(stage, k) for k in range(400))
    chosen = itertools.islice((spec for spec in specs if spec.moving), 12)
    made = [decode_rgb(pipeline.make_frame(stage, spec).jpeg, "moving") for spec in chosen]
    write(made, out, columns=4, maximum=200_000)


def skies(out: Path) -> None:
    """Write the twenty skies, the sun behind the camera or before it as they like it."""
    made = []
    for number, (name, design) in enumerate(DESIGNS.items()):
        up, bearing = np.radians(9 if design.sun == 0 else 38), np.radians(205)
        flat = np.cos(up)
        sun = (float(flat * np.sin(bearing)), float(-flat * np.cos(bearing)), float(np.sin(up)))
        eye = Camera(
            width_px=SKY_PX[0], height_px=SKY_PX[1], focal_px=0.8 * SKY_PX[0],
            position_m=(0, 0, 1.6), yaw_rad=0, pitch_rad=float(np.radians(19)), roll_rad=0,
        )  # fmt: skip
        sky = sky_of(design, stream(number, "skies"))
        picture = sky_picture(sky, sun, eye, np.ones(SKY_PX[::-1], np.bool_), exposure=0.9)
        made.append(captioned(picture, name.replace("_", " ")))
    write(made, out, columns=5)


def heads(out: Path) -> None:
    """Write heads from near by: hair, what is worn, expressions, two people from 2 to 85 years."""
    recipe = {
        "name": "heads",
        "seed": 12,
        "image": {"width_px": HEAD_PX, "height_px": HEAD_PX},
        "people": {"count": 1, "identities": 400, "poses": {"names": {"stand_relaxed": 1}}},
        "objects": [],
        "backdrop": {"kind": "plain"},
    }
    stage = FrameGenerator(prepare(parse(recipe), assets=ROOT / "scenes", device="cpu"))
    specs = [draw(stage.settings.recipe, index, stage) for index in range(80)]
    women, men = (
        [spec for spec in specs if (spec.people[0].phenotype.gender > 0.5) == woman]
        for woman in (True, False)
    )
    cast = [(women[k], (kind,), None, {}) for k, kind in enumerate(HAIR_OF_WOMEN)]
    cast += [(men[k], (kind,), None, {}) for k, kind in enumerate(HAIR_OF_MEN)]
    cast += [(men[8 + k], kinds, None, {}) for k, kinds in enumerate(WORN_BY_MEN)]
    cast += [(women[8 + k], kinds, None, {}) for k, kinds in enumerate(WORN_BY_WOMEN)]
    cast += [
        ((men, women)[k % 2][14 + k], (), None, EXPRESSIONS[name]) for k, name in enumerate(SHOWN)
    ]
    for who in (_dark_haired(women), _dark_haired(men)):
        cast += [(who, (), years, {}) for years in YEARS]
    pictures = [
        head(stage, spec, kinds, years=years, face=face) for spec, kinds, years, face in cast
    ]
    write_jpeg(contact_sheet(pictures, columns=8), out, maximum=190_000)


def _dark_haired(specs: list[FrameSpec]) -> FrameSpec:
    return next(spec for spec in specs if max(spec.people[0].look.hair_rgb) < 0.04)


def head(
    stage: FrameGenerator,
    spec: FrameSpec,
    kinds: tuple[str, ...],
    *,
    years: float | None,
    face: dict[str, float],
) -> U8:
    """Return the head of the frame's one person, who wears these kinds of objects on it as well."""
    (person,) = spec.people
    known = {kind.kind: kind for kind in stage.catalogue.garments}
    slots = {known[kind].slot for kind in kinds} | {"hat"}
    kept = [garment for garment in person.outfit if known[garment.kind].slot not in slots]
    rng = stream(0, "heads", person.identity)
    worn = []
    for kind in kinds:
        shape = design_of(known[kind], stage.settings.recipe, rng)
        new = GarmentSpec(kind=kind, shape=shape, material=palette.cloth(("plain",), rng, **DYE))
        own = known[kind].slot in ("top", "bottom", "shoes", "hat")
        worn.append(new if own else recoloured(new, known[kind].slot, person.look, rng))
    body, look = person.phenotype, person.look
    if years is not None:
        body = aged(body, years, stream(0, "stature", int(years)))
        look = dataclasses.replace(look, stubble=look.stubble if years >= 18 else 0.0)
    person = dataclasses.replace(
        person,
        phenotype=body,
        look=look,
        years=years,
        outfit=(*kept, *worn),
        pose=dataclasses.replace(person.pose, face=face),
        position_m=(0.0, 0.0, 0.0),
        yaw_rad=float(rng.uniform(-1, 1)) * (1.6 if kinds == ("ponytail_hair",) else 0.7),
    )
    person = dataclasses.replace(person, position_m=(0.0, 0.0, stage.drop_m(person)))
    names = get_skeleton(stage.skeleton.name).joints
    ears = [names.index("left_ear"), names.index("right_ear")]
    x, y, z = (float(v) for v in stage.joints_m(person)[ears].mean(axis=0))
    eye = (x, y - 0.66, z + 0.03)
    yaw, pitch = look_at(eye, (x, y, z - 0.015))
    camera = dataclasses.replace(
        spec.camera,
        position_m=eye,
        yaw_rad=yaw,
        pitch_rad=pitch,
        roll_rad=0.0,
        focal_px=HEAD_PX * 1.55,
        centre_px=None,
    )
    spec = dataclasses.replace(
        spec, people=(person,), camera=camera, light=DAY, lens=LensSpec(), shadow_box_m=None
    )
    return decode_rgb(pipeline.make_frame(stage, spec).jpeg, person.identity)


def clothes(out: Path) -> None:
    """Write one picture of each garment and hat that recipes have to name."""
    width, height = CLOTHES_PX
    recipe = {
        "name": "clothes",
        "seed": 5,
        "image": {"width_px": width, "height_px": height},
        "people": {
            "count": 1,
            "identities": 200,
            "poses": {"names": {"stand_relaxed": 1}},
            "wardrobe": {"hat": 0, "kinds": {"coat": 0, "boots": 0}, "patterned": 0.2},
        },
        "objects": [],
        "backdrop": {"kind": "plain"},
    }
    stage = FrameGenerator(prepare(parse(recipe), assets=ROOT / "scenes", device="cpu"))
    known = {kind.kind: kind for kind in stage.catalogue.garments}
    specs = [draw(stage.settings.recipe, index, stage) for index in range(60)]
    made = []
    for number, kind in enumerate(known[name] for name in NAMED):
        fits = [spec for spec in specs if _goes_with(known, spec.people[0], kind)]
        made.append(worn_by(stage, fits[number % len(fits)], kind))
    write_jpeg(contact_sheet(made, columns=12), out)


def _goes_with(known: dict[str, GarmentKind], person: PersonSpec, kind: GarmentKind) -> bool:
    """Whether such a body wears that kind, and the rest of the outfit goes with it."""
    rest = [known[garment.kind] for garment in person.outfit]
    others = any(kind.slot in garment.goes_with for garment in rest)
    others = others or kind.slot in ("top", "bottom", "shoes", "hat", "glasses")
    alone = kind.slot == "bottom" and any(garment.whole for garment in rest)
    needs = kind.slot == "top" and not kind.whole and any(garment.whole for garment in rest)
    low, high = kind.gender
    return others and not alone and not needs and low <= person.phenotype.gender <= high


def worn_by(stage: FrameGenerator, spec: FrameSpec, kind: GarmentKind) -> U8:
    """Return the frame's one person in that kind instead of what it takes the place of."""
    (person,) = spec.people
    slots = {garment.kind: garment.slot for garment in stage.catalogue.garments}
    gone = {kind.slot, "bottom"} if kind.whole else {kind.slot}
    kept = [garment for garment in person.outfit if slots[garment.kind] not in gone]
    rng = stream(0, "clothes", kind.kind)
    chosen = SampleContext(recipe=stage.settings.recipe, index=0, split="train", geometry=stage)
    shape = design_of(kind, stage.settings.recipe, rng)
    new = dyed(chosen, kind, shape, person.look.skin_rgb, rng)
    person = dataclasses.replace(
        person, outfit=(*kept, new), position_m=(0.0, 0.0, 0.0), yaw_rad=0.45, detail="fine"
    )
    person = dataclasses.replace(person, position_m=(0.0, 0.0, stage.drop_m(person)))
    nose = stage.joints_m(person)[0]
    near = kind.slot in ("hat", "glasses")
    x, y, z = (float(v) for v in nose) if near else (0.0, 0.0, 0.5 * float(nose[2]) + 0.03)
    eye = (x, y - 1.0, z + 0.12) if near else (0.0, -3.4, 1.25)
    yaw, pitch = look_at(eye, (x, y, z))
    camera = dataclasses.replace(
        spec.camera,
        position_m=eye,
        yaw_rad=yaw,
        pitch_rad=pitch,
        roll_rad=0.0,
        focal_px=CLOTHES_PX[1] * (1.1 if near else 1.62),
        centre_px=None,
    )
    spec = dataclasses.replace(
        spec, people=(person,), camera=camera, light=DAY, lens=LensSpec(), shadow_box_m=None
    )
    return decode_rgb(pipeline.make_frame(stage, spec).jpeg, kind.kind)


def bottom_up(out: Path) -> None:
    """Write what bottom-up systems learn of one frame."""
    import torch

    from synthstudio.models.bottom_up import openpose, personlab
    from synthstudio.models.contract import FramePeople, is_inside
    from synthstudio.models.heatmaps import gaussian_map

    text = dump(load(ROOT / "scenes" / "crowd.yaml"))
    text["image"] |= {"width_px": 640, "height_px": 480}
    stage = FrameGenerator(prepare(parse(text), assets=ROOT / "scenes", device="cpu"))
    made = pipeline.make_frame(stage, pipeline.draw_spec(stage, 0))
    skeleton, size = get_skeleton(stage.skeleton.name), (480, 640)
    part = Letterbox(scale=1.5, corner=np.array([170.0, 150.0]))
    rgb = crop_and_resize(decode_rgb(made.jpeg, "crowd"), part.corner, part.scale, size)
    labels = stack(made.labels.people, skeleton)
    people = FramePeople(
        size=size,
        joints_px=labelled_joints(part.to_frame(labels.joints_px), labels.state),
        boxes_px=part.boxes_to_frame(labels.amodal_boxes_px),
    )
    limbs, both = torch.tensor(skeleton.edges), personlab.directed_limbs(skeleton)
    maps = openpose.openpose_targets([people], limbs, stride=4, sigma=1.75, width=1.5)
    lab = personlab.personlab_targets([people], torch.tensor(both), stride=4, radius=3.0)
    colours = np.array([person_colour(k + 1) for k in range(len(people.joints_px))])
    joints = torch.tensor(people.joints_px)
    joints[~is_inside(joints, *size)] = torch.nan
    own = gaussian_map(joints / 2, 240, 320, sigma=3.0).nan_to_num().amax(1)
    own = (own / own.amax()).numpy()
    shoulder, hip = (skeleton.joints.index(f"left_{name}") for name in ("shoulder", "hip"))
    panels = {
        "a part of a frame": rgb,
        "OpenPose: maps of all joints": laid_over(
            rgb, maps.maps[0, :-1].amax(0).numpy(), np.array([255, 235, 120])
        ),
        "OpenPose: fields of all limbs": laid_over(rgb, *directions(maps.fields[0].sum(0))),
        "FCPose: everybody's own maps": laid_over(rgb, own.max(0), colours[own.argmax(0)]),
        "PersonLab: left shoulder, short offsets": laid_over(
            rgb, *directions(lab.short[0, shoulder])
        ),
        "PersonLab: from there to the left hip": laid_over(
            rgb, *directions(lab.mid[0, both.index((shoulder, hip))])
        ),
    }
    write(
        [captioned(picture, name) for name, picture in panels.items()],
        out,
        columns=3,
        wide=1600,
        maximum=148_000,
    )


def whole_body(out: Path) -> None:
    """Write people of scenes/systems/whole_body.yaml with what is labelled of face and hands."""
    text = dump(load(ROOT / "scenes" / "systems" / "whole_body.yaml"))
    text["image"] |= {"width_px": 1152, "height_px": 1152}
    stage = FrameGenerator(prepare(parse(text), assets=ROOT / "scenes", device="cpu"))
    panels = []
    for index in WHOLE_BODY:
        made = pipeline.make_frame(stage, pipeline.draw_spec(stage, index))
        person, rgb = made.labels.people[0], decode_rgb(made.jpeg, "whole body")
        marked = with_points(rgb, person, stage.skeleton)
        panels.append(resample(marked, (0.0, 0.0, 1152.0, 1152.0), (360, 360)))
        for part in ("face", "left_hand", "right_hand"):
            own = person.joints_px[PARTS[part]]
            side = float(1.3 * np.ptp(own, axis=0).max())
            x, y = (own.min(axis=0) + own.max(axis=0)) / 2 - side / 2
            cut = crop_and_resize(rgb, np.array([x, y]), 360 / side, (360, 360))
            moved = dataclasses.replace(
                person, joints_px=(person.joints_px - [x, y]) * (360 / side)
            )
            panels.append(with_points(cut, moved, stage.skeleton))
    write(panels, out, columns=4, wide=1440, maximum=200_000)


def with_points(rgb: U8, person: PersonLabel, skeleton: Skeleton) -> U8:
    """Draw face and hands: lines, seen points in green, hidden ones in red."""
    picture = Image.fromarray(rgb)
    pen, px = ImageDraw.Draw(picture), person.joints_px
    for a, b in skeleton.edges:
        if b >= PARTS["face"].start:
            pen.line([tuple(px[a]), tuple(px[b])], fill=(255, 235, 120))
    for (x, y), state in zip(px[PARTS["face"].start :], person.state[23:], strict=True):
        colour = (60, 220, 90) if state == STATE_VISIBLE else (240, 60, 60)
        pen.ellipse([x - 2.5, y - 2.5, x + 2.5, y + 2.5], fill=colour)
    return np.asarray(picture)


def directions(offsets: Tensor) -> tuple[F64, F64]:
    """How far vectors (2, h, w) reach, 1 where one does at all, and their direction as a colour."""
    x, y = offsets.numpy()
    hue = np.arctan2(y, x)[..., None] + np.array([0, 2, 4]) * np.pi / 3
    return (np.hypot(x, y) > 0) * 1.0, 255 * (0.5 + 0.5 * np.cos(hue))


def laid_over(rgb: U8, share: F64, colour: F64) -> U8:
    """Lay `colour` (3,) or (h, w, 3) over a darkened, grey picture by a `share` (h, w)."""
    factor = rgb.shape[0] // len(share)
    share = np.kron(share, np.ones((factor, factor)))[..., None]
    if colour.ndim == 3:
        colour = colour.repeat(factor, 0).repeat(factor, 1)
    grey = 0.45 * rgb.mean(-1, keepdims=True)
    return (grey * (1 - 0.8 * share) + 0.8 * share * colour).astype(np.uint8)


def write(
    pictures: list[U8], out: Path, *, columns: int, wide: int = WIDTH_PX, maximum: int = MAX_BYTES
) -> None:
    """Write pictures side by side as a JPEG `wide` pixels wide, of at most `maximum` bytes."""
    picture = contact_sheet(pictures, columns=columns)
    height, width = picture.shape[:2]
    whole = (0.0, 0.0, float(width), float(height))
    write_jpeg(resample(picture, whole, (wide, round(wide * height / width))), out, maximum)


def write_jpeg(picture: U8, out: Path, maximum: int = MAX_BYTES) -> None:
    for quality in range(88, 40, -4):
        data = encode_jpeg(picture, quality)
        if len(data) <= maximum:
            break
    out.write_bytes(data)
    sys.stderr.write(f"{out.relative_to(ROOT)}: {len(data)} bytes\n")


PICTURES: dict[str, Callable[[Path], None]] = {
    "labels": lambda out: sheet(LABELS, out, labels=True),
    "scenes": lambda out: sheet(SCENES, out, labels=False),
    "targets": lambda out: sheet(TARGETS, out, labels=False),
    "holding": lambda out: sheet(HOLDING, out, labels=False),
    "umbrellas": lambda out: sheet(UMBRELLAS, out, labels=False),
    "in_bed": lambda out: sheet(IN_BED, out, labels=False),
    "shelves": lambda out: sheet(SHELVES, out, labels=False),
    "care": lambda out: sheet(CARE, out, labels=False),
    "at_work": lambda out: sheet(AT_WORK, out, labels=False),
    "first_person": lambda out: sheet(FIRST_PERSON, out, labels=False),
    "close_by": lambda out: sheet(CLOSE_BY, out, labels=False),
    "driving": lambda out: sheet(DRIVING, out, labels=False),
    "gym": lambda out: sheet(GYM, out, labels=False),
    "uses": lambda out: sheet(USES, out, labels=False),
    "weather": lambda out: sheet(WEATHER, out, labels=False),
    "poses": pose_sheet,
    "together": together,
    "gallery": gallery,
    "moving": moving,
    "skies": skies,
    "heads": heads,
    "clothes": clothes,
    "bottom_up": bottom_up,
    "whole_body": whole_body,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or PICTURES:
        PICTURES[name](ROOT / "docs/images" / f"{name}.jpg")
