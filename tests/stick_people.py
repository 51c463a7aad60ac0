"""People of round-ended sticks, flat in depth: masks by analytic geometry at pixel centres and
blockers at the points themselves, as a renderer would give."""

from dataclasses import dataclass

import numpy as np

from synthstudio.core import spec as specs
from synthstudio.core import whole_body
from synthstudio.core.camera import Camera
from synthstudio.core.labels import Frame
from synthstudio.core.rng import stream
from synthstudio.core.scene import JointPatches, PosedPerson
from synthstudio.core.skeleton import get_skeleton
from synthstudio.label.frame import PersonEvidence, label_frame
from synthstudio.label.visibility import patch_query

# Metres from the floor under the body: x to the person's left, z up.
_PLACES = {
    "nose": (0, 1.55), "eye": (0.03, 1.6), "ear": (0.07, 1.58), "shoulder": (0.19, 1.4),
    "elbow": (0.3, 1.13), "wrist": (0.33, 0.88), "hip": (0.1, 0.92), "knee": (0.12, 0.5),
    "ankle": (0.12, 0.09), "big_toe": (0.16, 0.02), "small_toe": (0.2, 0.03), "heel": (0.11, 0.04),
}  # fmt: skip
_HANDS = {name.removeprefix("left_"): k for k, name in enumerate(whole_body.LEFT_HAND)}
_PLACES |= {  # a face and a hand, each kind of point a little apart from the last
    kind: (0.3 + 0.005 * _HANDS[kind], 0.87 - 0.006 * _HANDS[kind])
    if kind in _HANDS
    else (0.005 + 0.002 * k, 1.45 + 0.005 * k)
    for k, kind in enumerate(whole_body.places())
}
_LIMB_M = 0.075
_N = 24


@dataclass(frozen=True, kw_only=True)
class Panel:
    """An upright rectangle at one depth, edges in continuous pixels: an object."""

    instance: int
    depth_m: float
    box_px: tuple[float, float, float, float]  # x0, y0, x1, y1
    kind: str = "panel"


def make_camera(width=320, height=240, **changes):
    values = {
        "width_px": width,
        "height_px": height,
        "focal_px": 1.1 * height,
        "position_m": (0.0, -4.0, 1.0),
        "yaw_rad": 0.0,
        "pitch_rad": 0.0,
    }
    return Camera(**{**values, **changes})


def make_posed(skeleton, *, instance, x_m=0.0, y_m=0.0, sway=0.0):
    """Stand a person at (x_m, y_m) facing -y; its arms and knees `sway` to its left, metres."""
    joints = np.array([_joint(name, sway) for name in skeleton.joints])
    joints = joints + np.array([x_m, y_m, 0.0])
    k = np.arange(_N) + 0.5
    polar, turn = np.arccos(1 - 2 * k / _N), np.pi * (1 + 5**0.5) * k
    ball = np.stack(
        [np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)], axis=1
    )
    count = len(joints)
    return PosedPerson(
        instance=instance,
        surfaces=(),
        joints_m=joints,
        kinematic_joints_m=joints * 1.02,
        patches=JointPatches(
            points_m=joints[:, None] + 0.04 * ball,
            normals=np.broadcast_to(ball, (count, _N, 3)).copy(),
            weights=np.full((count, _N), 1 / _N),
            part=np.zeros((count, _N), np.uint8),
        ),
        stature_m=1.72,
    )


def _joint(name, sway):
    side = 1.0 if name.startswith("left_") else -1.0 if name.startswith("right_") else 0.0
    kind = name.removeprefix("left_").removeprefix("right_")
    x, z = _PLACES[kind]
    moves = {"elbow": 0.4, "wrist": 1.0, "knee": 0.3, "ankle": 0.2}
    return side * x + sway * moves.get(kind, 0.0), 0.0, z


def make_person_spec(name="p0", pose="stand"):
    rgb = (0.25, 0.5, 0.75)
    return specs.PersonSpec(
        identity=name,
        phenotype=specs.Phenotype(
            gender=0.25, age=0.6, muscle=0.5, weight=0.4, height=0.7, proportions=0.5
        ),
        look=specs.Look(skin_rgb=rgb, hair_rgb=rgb, iris_rgb=rgb),
        pose=specs.PoseSpec(name=pose, family="standing", angles_rad={}),
        outfit=(),
    )


def make_spec(camera, people, *, index=0, skeleton="coco17"):
    rgb = (0.25, 0.5, 0.75)
    return specs.FrameSpec(
        seed=1,
        index=index,
        camera=camera,
        people=tuple(make_person_spec(f"p{i}") for i in range(people)),
        backdrop=specs.PlainBackdrop(top_rgb=rgb, bottom_rgb=rgb),
        light=specs.LightSpec(
            sun_direction=(0.0, 0.0, 1.0), sun_rgb=rgb, sky_rgb=rgb, ground_rgb=rgb
        ),
        lens=specs.LensSpec(),
        skeleton=skeleton,
        group_id=f"g{index}",
    )


def make_labels(camera, skeleton, people, *, panels=(), cutouts=()):
    rows, columns = np.mgrid[: camera.height_px, : camera.width_px]
    centres = np.stack([columns + 0.5, rows + 0.5], axis=-1)
    shapes = [(p.instance, _depth(camera, p), _cover(camera, skeleton, p)) for p in people]
    shapes += [(p.instance, p.depth_m, _panel_cover(p)) for p in panels]
    shapes.sort(key=lambda s: -s[1])
    image = np.zeros(centres.shape[:2], np.int32)
    for instance, _, cover in shapes:
        image[cover(centres)] = instance
    for cutout in cutouts:
        h, w = cutout.alpha.shape
        part = image[cutout.top_px : cutout.top_px + h, cutout.left_px : cutout.left_px + w]
        part[cutout.alpha >= 0.5] = cutout.instance
    evidence = tuple(_evidence(camera, skeleton, p, shapes) for p in people)
    objects = tuple((p.instance, p.kind, None) for p in panels)
    objects += tuple((c.instance, "leaf", None) for c in cutouts)
    return label_frame(
        camera, skeleton, people=evidence, instance_map=image, cutouts=cutouts, objects=objects
    )


def make_frame(index=0, *, people=2, skeleton="coco17", **place):
    camera, joints, rng = make_camera(**place), get_skeleton(skeleton), stream(7, "sticks", index)
    posed = tuple(
        make_posed(
            joints,
            instance=i + 1,
            x_m=float(rng.uniform(-1.6, 1.6)),
            y_m=0.15 * i,
            sway=float(rng.uniform(-0.2, 0.2)),
        )
        for i in range(people)
    )
    x = float(rng.uniform(0.2, 0.7)) * camera.width_px
    panel = Panel(instance=1002, depth_m=2.5, box_px=(x, 0.4 * camera.height_px, x + 40.0, 1e4))
    return Frame(
        spec=make_spec(camera, people, index=index, skeleton=skeleton),
        jpeg=rng.bytes(50),
        labels=make_labels(camera, joints, posed, panels=(panel,)),
    )


def _depth(camera, person):
    return float(camera.to_camera(person.joints_m)[:, 2].mean())


def _panel_cover(panel):
    x0, y0, x1, y1 = panel.box_px
    return lambda px: (
        (px[..., 0] >= x0) & (px[..., 0] < x1) & (px[..., 1] >= y0) & (px[..., 1] < y1)
    )


def _cover(camera, skeleton, person):
    joints = camera.project(camera.to_camera(person.joints_m))
    radius = camera.focal_px * _LIMB_M / _depth(camera, person)
    names = skeleton.joints
    pairs = [
        *skeleton.edges,
        *(
            (names.index(a), names.index(b))
            for a, b in (("left_shoulder", "right_hip"), ("right_shoulder", "left_hip"))
        ),
    ]

    (left, top), (right, low) = joints.min(axis=0) - radius, joints.max(axis=0) + radius

    def cover(px):
        x, y = px[..., 0], px[..., 1]
        inside = (x >= left) & (x <= right) & (y >= top) & (y <= low)
        x, y = x[inside], y[inside]
        hit = np.zeros(len(x), bool)
        for a, b in pairs:
            (dx, dy), from_x, from_y = joints[b] - joints[a], x - joints[a, 0], y - joints[a, 1]
            t = np.clip((from_x * dx + from_y * dy) / max(dx * dx + dy * dy, 1e-12), 0, 1)
            hit |= (from_x - t * dx) ** 2 + (from_y - t * dy) ** 2 <= radius**2
        inside[inside] = hit
        return inside

    return cover


def _evidence(camera, skeleton, person, shapes):
    query = patch_query(camera, person)
    instance = np.zeros(query.weights.shape, np.int32)
    depth = np.zeros(query.weights.shape, np.float32)
    mine = _depth(camera, person)
    for other, z, cover in shapes:  # the nearest comes last and stays
        if other != person.instance and z < mine:
            hit = cover(query.px)
            instance[hit], depth[hit] = other, z
    cover = _cover(camera, skeleton, person)
    # An endless canvas, cut to what the person can reach.
    joints = camera.project(camera.to_camera(person.joints_m))
    reach = camera.focal_px * _LIMB_M / mine + 2
    left, top = (min(0, int(v)) for v in joints.min(axis=0) - reach)
    right, low = (int(v) for v in joints.max(axis=0) + reach)
    rows, columns = np.mgrid[top : max(low, camera.height_px), left : max(right, camera.width_px)]
    wide = cover(np.stack([columns + 0.5, rows + 0.5], axis=-1))
    i, j = np.nonzero(wide)
    amodal = wide[-top : -top + camera.height_px, -left : -left + camera.width_px]
    extent = (j.min() + left, i.min() + top, j.max() + left + 1, i.max() + top + 1)
    return PersonEvidence(
        spec=make_person_spec(f"p{person.instance - 1}"),
        posed=person,
        query=query,
        blocker_instance=instance,
        blocker_depth_m=depth,
        amodal=amodal,
        amodal_extent_px=tuple(map(float, extent)),
        outside_share=1 - amodal.sum() / wide.sum(),
        depth_m=mine,
    )
