"""Rows of people with arms and legs, seen from all sides, whose fields all fit each other."""

import math
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

from synthstudio.core.labels import VISIBILITY
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.manifest import Identity
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import FRAME_SCHEMA, INSTANCE_SCHEMA, NO_STATE, Row
from synthstudio.dataset.shards import write_shard
from synthstudio.dataset.writer import open_or_create
from synthstudio.review.values import Person

JOINTS = get_skeleton("coco17").joints
WIDTH, HEIGHT, FOCAL = 640, 480, 800.0
TO_CAMERA = np.array([[1.0, 0, 0, 0], [0, 0, -1, 1.4], [0, 1, 0, 0], [0, 0, 0, 1]])
K = np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]])
_TRUNK = {  # metres to the left, ahead and up, of a body 1.75 m tall
    "nose": (0, 0.11, 1.58), "eye": (0.032, 0.09, 1.62), "ear": (0.075, 0, 1.6),
    "shoulder": (0.18, 0, 1.42), "hip": (0.1, 0, 0.92),
}  # fmt: skip
_LIMBS = (("shoulder", "elbow", 0.29, 1.6), ("elbow", "wrist", 0.25, 1.6),
          ("hip", "knee", 0.42, 0.6), ("knee", "ankle", 0.42, 0.5))  # fmt: skip


@dataclass
class Rows:
    """Rows of frames and people that can be changed before they are written."""

    frames: list[Row] = field(default_factory=list)
    people: list[Row] = field(default_factory=list)


def make_rows(frames, *, each=4, seed=1, photos=False):
    rng, out = stream(seed, "people rows"), Rows()
    for index in range(frames):
        out.frames.append(_frame(index, photos))
        for instance in range(1, each + 1):
            out.people.append(_person(index, instance, rng, photos))
    return out


def write_rows(rows, out, *, skeleton="coco17"):
    made = {"recipe": {"name": out.name}, "versions": {"synthstudio": "0"}, "seed": 1}
    of = {"skeleton": skeleton, "frames": len(rows.frames), "frames_per_shard": 50}
    identity = Identity(**made, **of, machine={"cpu": "any"})

    def rows_of(frame, name):
        index = frame.spec.index
        people = [row for row in rows.people if row["frame_index"] == index]
        return {**rows.frames[index], "file_name": name}, people

    with open_or_create(out, identity) as session:
        for shard in session.todo:
            specs = (SimpleNamespace(index=index) for index in identity.frames_of(shard))
            mine = [SimpleNamespace(spec=s, jpeg=b"no picture", layers={}) for s in specs]
            session.publish(write_shard(out, shard, mine, rows_of=rows_of))
        session.finish()
    return Dataset(out)


def _frame(index, photos):
    row: Row = dict.fromkeys(FRAME_SCHEMA.names)
    row |= {
        "index": index, "seed": 1, "image_sha256": "0" * 64, "width_px": WIDTH,
        "height_px": HEIGHT, "split": ("train", "val", "test")[index % 3],
        "group_id": f"g{index // 2}", "variant": "base", "skeleton": "coco17", "differs": [],
        "camera_id": 0, "clip_id": f"clip {index // 4}" if index % 2 else None,
        "object_instance": [1002], "object_kind": ["crate"], "object_held_by": [0],
        "layers": [] if index % 2 else ["depth"],
    }  # fmt: skip
    if not photos:
        row["K"], row["world_to_camera"] = K.ravel().tolist(), TO_CAMERA.ravel().tolist()
        row["crowd_index"] = 0.1 * (index % 5)
    return row


def _world(rng):
    yaw, scale = rng.uniform(-math.pi, math.pi), rng.normal(1, 0.06)
    left = np.array([math.cos(yaw), math.sin(yaw), 0])
    ahead = np.array([math.sin(yaw), -math.cos(yaw), 0])
    depth = rng.uniform(3.5, 8)
    feet = np.array([rng.uniform(-0.25, 0.25) * depth, depth, 0])
    at: dict[str, np.ndarray] = {}
    for name, (x, y, z) in _TRUNK.items():
        for side, sign in (("left_", 1), ("right_", -1)) if x else (("", 0),):
            at[side + name] = sign * x * left + y * ahead + np.array([0, 0, z])
    for upper, lower, length, swing in _LIMBS:
        for side, sign in (("left_", 1), ("right_", -1)):
            forward, out = rng.uniform(-0.3, swing), sign * rng.uniform(-0.1, 0.35 * swing)
            down = np.array([0, 0, max(0.05, math.cos(forward) * math.cos(out))])
            way = math.sin(forward) * ahead + math.sin(out) * left - down
            at[side + lower] = at[side + upper] + length * way / np.linalg.norm(way)
    return np.array([feet + scale * at[name] for name in JOINTS])


def _shares(name, facing, rng):
    if name in ("nose", "left_eye", "right_eye") and not facing:
        return [0.0, 1.0, 0.0, 0.0, 0.0]
    chance = rng.random()
    if chance < 0.8:
        return [1.0, 0.0, 0.0, 0.0, 0.0]
    hidden = float(rng.uniform(0.7, 1.0)) if chance < 0.97 else float(rng.uniform(0.4, 0.6))
    return [1 - hidden, 0.0, 0.0, hidden, 0.0]


def _person(index, instance, rng, photos):
    world = _world(rng)
    camera = world @ TO_CAMERA[:3, :3].T + TO_CAMERA[:3, 3]
    px = (camera @ K.T)[:, :2] / camera[:, 2:]
    nose, ears = camera[0], (camera[3] + camera[4]) / 2
    facing = float((nose - ears) @ nose) < 0
    fractions = [_shares(name, facing, rng) for name in JOINTS]
    inside = ((px >= 0) & (px < (WIDTH, HEIGHT))).all(axis=1)
    fractions = [s if i else [0, 0, 0, 0, 1.0] for s, i in zip(fractions, inside, strict=True)]
    state = [2 if s[0] >= 0.5 else 0 if s[4] else 1 for s in fractions]
    cause = [
        VISIBILITY[0] if s[0] >= 0.5 else VISIBILITY[1 + int(np.argmax(s[1:]))] for s in fractions
    ]
    low, high = px.min(axis=0) - 8, px.max(axis=0) + 8
    whole = [*low.tolist(), *(high - low).tolist()]
    low, high = np.maximum(low, 0), np.minimum(high, (WIDTH, HEIGHT))
    seen = [*low.tolist(), *np.maximum(high - low, 0).tolist()]
    area = int(0.4 * seen[2] * seen[3])
    occluders = [(j, s[3]) for j, s in enumerate(fractions) if s[3]]
    row: Row = dict.fromkeys(INSTANCE_SCHEMA.names)
    row |= {
        "frame_index": index, "instance": instance, "identity": f"p{index % 7}",
        "pose": "standing at ease", "pose_family": ("stand", "walk")[index % 2],
        "phenotype": rng.random(6).tolist(), "joints_px": px.ravel().tolist(),
        "joints_camera_m": camera.ravel().tolist(), "joints_world_m": world.ravel().tolist(),
        "kinematic_joints_world_m": (world + 0.01).ravel().tolist(),
        "visibility_fractions": np.ravel(fractions).tolist(), "state": state, "cause": cause,
        "ambiguous": [0.2 <= s[0] < 0.5 for s in fractions],
        "occluder_id": [1002 if c == "object" else 0 for c in cause],
        "origin": ["rendered"] * len(JOINTS), "hidden_joint": [j for j, _ in occluders],
        "hidden_instance": [1002 for _ in occluders], "hidden_share": [s for _, s in occluders],
        "mask_size": [HEIGHT, WIDTH], "modal_box_px": seen, "amodal_box_px": whole,
        "modal_area_px": area, "amodal_area_px": area + 10, "occluded_fraction": 10 / (area + 10),
        "truncated_fraction": float(1 - inside.mean()), "depth_m": float(camera[:, 2].mean()),
        "depth_rank": instance - 1, "stature_m": 1.75, "target_hidden": [], "target_shown": [],
    }  # fmt: skip
    return _photographed(row, rng) if photos else row


def _photographed(row, rng):
    unknown = "identity pose pose_family phenotype joints_camera_m joints_world_m"
    unknown += " kinematic_joints_world_m amodal_box_px amodal_area_px occluded_fraction"
    unknown += " truncated_fraction depth_m depth_rank stature_m"
    row |= dict.fromkeys(unknown.split())
    joints = len(JOINTS)
    row |= {name: [] for name in ("hidden_joint", "hidden_instance", "hidden_share")}
    row |= {"visibility_fractions": [math.nan] * (5 * joints), "origin": ["human"] * joints}
    row["ambiguous"] = [False] * joints
    for j in range(joints):
        if row["state"][j] == 0 or rng.random() < 0.08:
            row["state"][j], row["cause"][j] = NO_STATE, "unlabelled"
            row["joints_px"][2 * j : 2 * j + 2] = [math.nan, math.nan]
        elif row["state"][j] == 1:
            row["cause"][j] = "unknown"
    return row


def by_signal(risk, row):
    """Name of each check -> weight x score, those above 0."""
    found = {one.name: one.weight * float(one.score[row]) for one in risk.signals}
    return {name: value for name, value in found.items() if value > 0}


def persons(table, rows):
    return [Person(dataset=table.key, frame=f, instance=i) for f, i in table.ids(np.array(rows))]
