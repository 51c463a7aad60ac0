"""Small frames that hold something in every column, decided by (seed, index) as real ones are."""

import dataclasses

import numpy as np
from stick_people import make_camera, make_person_spec, make_spec

from synthstudio.core.labels import VISIBILITY, Frame, FrameLabels, PersonLabel
from synthstudio.core.rng import stream
from synthstudio.core.spec import ClipSpec, GarmentSpec, Material, OcclusionTarget
from synthstudio.dataset.manifest import AssetRow, Identity

J = 17  # coco17
PER_SHARD = 4


def identity(*, frames=10, seed=1, **changes):
    values = {
        "recipe": {"people": {"low": 1, "high": 3}, "occluders": []},
        "assets": (AssetRow(sha256="ab" * 32, name="a.png", licence="CC0", source="drawn"),),
        "seed": seed,
        "skeleton": "coco17",
        "frames": frames,
        "frames_per_shard": PER_SHARD,
        "versions": {"synthstudio": "0.1.0", "numpy": "2.0"},
        "machine": {"cpu": "a cpu", "flags": "avx2", "device": "cpu"},
    }
    return Identity(**{**values, **changes})


def frame(index, *, seed=1, layers=True):
    rng = stream(seed, "fake", index)
    count = index % 3
    return Frame(
        spec=_spec(index, seed, count),
        jpeg=rng.bytes(200 + index),
        labels=FrameLabels(
            people=tuple(_person(i + 1, rng) for i in range(count)),
            crowd_index=float(rng.random()),
            objects=((1002, "crate", None), (1003, "phone", 1)),
        ),
        layers={"depth": rng.bytes(90)} if layers else {},
        timings_ms={"render": float(index)},
    )


def _spec(index, seed, count):
    person = dataclasses.replace(
        make_person_spec(),
        outfit=(GarmentSpec(kind="shirt", shape={"length": 1.0}, material=Material()),),
    )
    clip = ClipSpec(
        clip_id=f"{seed}-{index // 4}",
        frame=index % 4,
        frames=4,
        time_s=index % 4 / 8,
        motions=("walk",) * count,
    )
    target = OcclusionTarget(
        occluded_fraction=0.25, hidden=("nose",), causes=dict.fromkeys(VISIBILITY, 0.2)
    )
    return dataclasses.replace(
        make_spec(make_camera(32, 24), 0, index=index),
        seed=seed,
        people=(person,) * count,
        variant="view" if index % 2 else "base",
        differs=("camera",) if index % 2 else (),
        camera_id=index % 2,
        clip=clip,
        targets=(target,) * count,
        crowd_target=0.25,
    )


def _person(instance, rng):
    mask = {"size": [24, 32], "counts": "0e0"}
    return PersonLabel(
        instance=instance,
        identity="p0",
        pose="stand",
        pose_family="standing",
        joints_px=rng.random((J, 2)),
        joints_camera_m=rng.random((J, 3)),
        joints_world_m=rng.random((J, 3)),
        kinematic_joints_world_m=rng.random((J, 3)),
        visibility_fractions=rng.dirichlet(np.ones(5), J),
        state=np.full(J, 1, np.uint8),
        cause=("self",) * J,
        ambiguous=np.zeros(J, np.bool_),
        occluder_id=np.zeros(J, np.int32),
        hidden_by=(((1002, 0.25),),) * J,
        modal=mask,
        amodal=mask,
        modal_box_px=(1.0, 2.0, 3.0, 4.0),
        amodal_box_px=(1.0, 2.0, 3.0, 4.0),
        modal_area_px=12,
        amodal_area_px=12,
        occluded_fraction=0.0,
        truncated_fraction=0.0,
        depth_m=3.0,
        depth_rank=0,
        stature_m=1.7,
    )
