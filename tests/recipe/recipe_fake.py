"""A geometry that needs no body: people are boxes, so is every object."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from synthstudio.body import poses, wardrobe
from synthstudio.core.arrays import F32, F64
from synthstudio.core.camera import Camera
from synthstudio.core.catalogue import (
    Catalogue,
    ImageAsset,
    KeyPose,
    MeshAsset,
    MotionAsset,
    ObjectKind,
    PatchesSeen,
    PlaceLight,
    Step,
)
from synthstudio.core.photo import Ground
from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.spec import AssetRef, BoneTurn, GreySpec, ObjectSpec, PersonSpec, Phenotype
from synthstudio.recipe.contacts.supports import PRESSED_M

LIMITS_RAD = {k: v for k, v in poses.LIMITS_RAD.items() if not k.startswith("gaze")}
"""No jitter of eyes: what turns them is `people.face.eyes` alone."""


def pose(name: str, family: str, needs: str = "floor", **degrees: float) -> KeyPose:
    angles = {key: math.radians(value) for key, value in degrees.items()}
    return KeyPose(name=name, family=family, angles_rad=angles, needs=needs)  # type: ignore[arg-type]


POSES = (
    dataclasses.replace(
        pose("hold_cup", "drink", right_elbow_flexion=90), holds={"right_hand": ("cup",)}
    ),
    dataclasses.replace(pose("lean_table", "lean", spine_flexion=20), leans=("table",)),
    pose("lie_back", "lie", root_pitch=-90),
    pose("reach_up", "reach", left_shoulder_flexion=150, neck_turn=20),
    pose("run", "walk", left_hip_flexion=50, left_knee_flexion=70, right_hip_flexion=-20),
    pose("sit", "sit", "seat", left_hip_flexion=90, right_hip_flexion=90, left_knee_flexion=85),
    pose("stand", "stand"),
    pose("stand_bent", "stand", left_elbow_flexion=80, spine_turn=10),
    pose("walk", "walk", right_hip_flexion=25, left_shoulder_flexion=20),
)
WORN = ("cap", "jeans", "long_hair", "short_hair", "skirt", "sneakers", "t_shirt")
GARMENTS = tuple(kind for kind in wardrobe.garments() if kind.kind in WORN)


def _object(kind, low_m, high_m, materials, patterns=("plain",), **more):
    size = {"size_low_m": low_m, "size_high_m": high_m}
    return ObjectKind(kind=kind, materials=materials, patterns=patterns, **size, **more)


WOOD = ("wood", "plain")
SEAT = {"roles": ("occluder", "seat"), "shape": ("seat_height_m",)}
OBJECTS = (
    _object("bookcase", (0.6, 0.25, 1.4), (1.2, 0.4, 2.1), 3, WOOD),
    _object("chair", (0.4, 0.4, 0.8), (0.5, 0.5, 1.0), 2, WOOD, **SEAT),
    _object("crate", (0.4, 0.4, 0.3), (0.9, 0.8, 0.9), 1, ("wood",)),
    _object("cup", (0.08, 0.08, 0.1), (0.09, 0.09, 0.15), 3, roles=("held",), grip="cup"),
    _object("lamp_post", (0.2, 0.2, 2.5), (0.3, 0.3, 4.0), 1),
    _object("table", (0.8, 0.6, 0.7), (1.8, 0.9, 0.8), 2, WOOD),
)


def ref(name: str) -> AssetRef:
    return AssetRef(sha256=name.encode().hex().ljust(64, "0")[:64], name=name)


GROUND = Ground(camera_height_m=1.5, pitch_rad=-0.1, vertical_fov_rad=0.9)
"""Of every photo of the catalogue."""


def images(folder, count, *, size, category=""):
    return tuple(
        ImageAsset(
            asset=ref(f"{folder}/{folder}_{i:02d}.jpg"), width_px=size[0], height_px=size[1],
            category=f"{category}{i % 3}" if category else "",
            ground=GROUND if folder == "backgrounds" else None,
            height_m=0.9 if category else None,
        )
        for i in range(count)
    )  # fmt: skip


CATALOGUE = Catalogue(
    poses=POSES,
    limits_rad=LIMITS_RAD,
    garments=GARMENTS,
    objects=OBJECTS,
    backgrounds=images("backgrounds", 6, size=(640, 427)),
    hdris=images("hdri", 3, size=(1024, 512)),
    cutouts=images("occluders", 9, size=(300, 420), category="kind"),
    meshes=(
        MeshAsset(asset=ref("meshes/drum.glb"), size_m=(0.6, 0.6, 0.9)),
        MeshAsset(asset=ref("meshes/sign.obj"), size_m=(0.7, 0.1, 2.0)),
    ),
    motions=(
        MotionAsset(asset=ref("motions/short.bvh"), frames=61, fps=60.0),
        MotionAsset(asset=ref("motions/stroll.bvh"), frames=91, fps=30.0),
        MotionAsset(asset=ref("motions/turn.bvh"), frames=481, fps=120.0),
    ),
)
_JOINTS = get_skeleton("coco23").joints
_HEIGHTS = {
    "nose": 0.92, "eye": 0.94, "ear": 0.93, "shoulder": 0.82, "elbow": 0.62, "wrist": 0.48,
    "hip": 0.52, "knee": 0.28, "ankle": 0.05, "toe": 0.01, "heel": 0.02,
}  # fmt: skip


@dataclass
class FakeSolve:
    """Boxes for bodies; answers are exact for what they stand for."""

    catalogue: Catalogue = CATALOGUE
    width_m: float = 0.5
    depth_m: float = 0.35
    joints: tuple[str, ...] = _JOINTS  # the recipe's

    def stature_m(self, person: PersonSpec) -> float:
        body = person.phenotype
        return 1.36 + 1.09 * body.height - 0.14 * body.gender

    def drop_m(self, person: PersonSpec) -> float:
        return 0.5 * self.stature_m(person)

    def joints_m(self, person: PersonSpec) -> F64:
        tall, (x, y, z) = self.stature_m(person), person.position_m
        out = []
        for name in self.joints:
            side = 0.16 if name.startswith("left") else -0.16 if name.startswith("right") else 0.0
            height = next((v for k, v in _HEIGHTS.items() if k in name), 0.9)  # faces, hands
            c, s = math.cos(person.yaw_rad), math.sin(person.yaw_rad)
            out.append([x + c * side, y + s * side, z - 0.5 * tall + height * tall])
        return np.array(out)

    def meet(self, people, touches):
        return people  # boxes have no arms to bend

    def palms_m(self, person: PersonSpec) -> F64:
        wrists = self.joints_m(person)[[self.joints.index(f"{s}_wrist") for s in ("left", "right")]]
        palms = np.tile(np.eye(4), (2, 1, 1))
        palms[:, :3, :3] = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]])
        palms[:, :3, 3] = wrists
        return palms

    def skin_m(self, person: PersonSpec, parts: tuple[str, ...]) -> F64:
        low, high = self.box_m(person)
        sat_on = float(self.joints_m(person)[self.joints.index("left_hip"), 2]) - 0.1 - PRESSED_M
        # The middle half of the box.
        points = low + (high - low) * (0.25 + 0.5 * np.array(list(np.ndindex(2, 2, 2))))
        return np.concatenate([points[:, :2], np.full((8, 1), sat_on)], axis=1)

    def skin_penetration_m(self, person: PersonSpec) -> float:
        return 0.0

    def resolve_self_intersection(self, phenotype, angles_rad, *, both_hands=False):
        return angles_rad, 0.0

    def self_penetrations_m(self, phenotype: Phenotype, poses: list, like: tuple = ()) -> list:
        return [0.0] * len(poses)

    def box_m(self, item: PersonSpec | ObjectSpec) -> F64:
        if isinstance(item, ObjectSpec):
            width, depth, height = item.size_m
            floor = item.position_m[2]
        else:
            width, depth, height = self.width_m, self.depth_m, self.stature_m(item)
            floor = item.position_m[2] - height / 2
        c, s = abs(math.cos(item.yaw_rad)), abs(math.sin(item.yaw_rad))
        hx, hy = (c * width + s * depth) / 2, (s * width + c * depth) / 2
        x, y, _ = item.position_m
        return np.array([[x - hx, y - hy, floor], [x + hx, y + hy, floor + height]])

    def depths_m(self, items: tuple[PersonSpec | ObjectSpec, ...], camera: Camera) -> F32:
        """Paint the upright rectangle of each box's middle, farthest first."""
        out = np.full((camera.height_px, camera.width_px), np.inf, np.float32)
        for low, high in map(self.box_m, items):
            y = float(low[1] + high[1]) / 2
            seen = camera.to_camera(np.array([(low[0], y, low[2]), (high[0], y, high[2])]))
            if seen[:, 2].min() >= 0.1:
                corners = np.sort(camera.project(seen), axis=0).round().clip(0).astype(int)
                (x0, y0), (x1, y1) = corners
                out[y0:y1, x0:x1] = np.minimum(out[y0:y1, x0:x1], seen[:, 2].mean())
        return out

    def patches_seen(self, people, objects, camera):
        out = []
        for person in people:
            seen = camera.to_camera(self.joints_m(person))[:, None]
            px = camera.project(seen)
            inside = ((px >= 0) & (px < (camera.width_px, camera.height_px))).all(axis=-1)
            out.append(
                PatchesSeen(
                    px=px, depth_m=seen[..., 2], weights=inside.astype(np.float64),
                    inside=inside[:, 0], blocker=np.zeros(inside.shape, np.int32),
                    blocker_depth_m=np.full(inside.shape, np.inf, np.float32),
                )
            )  # fmt: skip
        return tuple(out)

    def photo_light(self, asset: AssetRef, box_px: tuple[float, float, float, float]) -> PlaceLight:
        grey = GreySpec(mean=100.0, spread=50.0)
        return PlaceLight(white=0.5, tint=(1.1, 1.0, 0.8), contrast=0.75, grey=grey)

    def gap_m(self, a: PersonSpec | ObjectSpec, b: PersonSpec | ObjectSpec) -> float:
        return _apart(self.box_m(a), self.box_m(b))

    def sweep_gap_m(self, a, b):
        def swept(way):
            boxes = [self.box_m(item) for item in way]
            pairs = zip(boxes, boxes[1:] or boxes, strict=False)
            return [(np.minimum(p, q)[0], np.maximum(p, q)[1]) for p, q in pairs]

        return min(_apart(p, q) for p in swept(a) for q in swept(b))

    def steps(self, person, motion, *, times_s, mirrored=False):
        tall, side = self.stature_m(person), "R" if mirrored else "L"
        return tuple(
            Step(
                turns=(BoneTurn(bone=f"upperarm01.{side}", turn_rad=(round(t, 6), 0.0, 0.0)),),
                root_m=(0.0, -1.2 * (t - times_s[0]), 0.5 * tall),
            )
            for t in times_s
        )


def _apart(a, b):
    return float(np.maximum(a[0] - b[1], b[0] - a[1]).max())


def without(solve: FakeSolve, **fields: object) -> FakeSolve:
    return dataclasses.replace(solve, catalogue=dataclasses.replace(solve.catalogue, **fields))  # type: ignore[arg-type]


def mix_of(*backdrops: dict[str, object]) -> dict[str, object]:
    return {"kind": "mix", "choices": [{"weight": 1, "backdrop": one} for one in backdrops]}


def ahead(person):
    """Which way somebody faces on the floor, a unit vector."""
    return np.array([math.sin(person.yaw_rad), -math.cos(person.yaw_rad)])
