"""Small frames that hold something in every column, decided by (seed, index) as real ones are."""

import numpy as np

from synthstudio.core.camera import Camera
from synthstudio.core.labels import SHARES, Frame, FrameLabels, PersonLabel
from synthstudio.core.rng import stream
from synthstudio.core.spec import (
    ClipSpec,
    FrameSpec,
    GarmentSpec,
    LensSpec,
    LightSpec,
    Look,
    Material,
    OcclusionTarget,
    PersonSpec,
    Phenotype,
    PlainBackdrop,
    PoseSpec,
)
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
    rgb = (0.25, 0.5, 0.75)
    person = PersonSpec(
        identity="p0",
        phenotype=Phenotype(
            gender=0.5, age=0.6, muscle=0.5, weight=0.5, height=0.5, proportions=0.5
        ),
        look=Look(skin_rgb=rgb, hair_rgb=rgb, iris_rgb=rgb),
        pose=PoseSpec(name="stand", family="standing", angles_rad={"knee": 0.1}),
        outfit=(GarmentSpec(kind="shirt", shape={"length": 1.0}, material=Material()),),
    )
    return FrameSpec(
        seed=seed,
        index=index,
        camera=Camera(
            width_px=32,
            height_px=24,
            focal_px=30.0,
            position_m=(0.0, -3.0, 1.0),
            yaw_rad=0.0,
            pitch_rad=0.0,
        ),
        people=(person,) * count,
        backdrop=PlainBackdrop(top_rgb=rgb, bottom_rgb=rgb),
        light=LightSpec(sun_direction=(0.0, 0.0, 1.0), sun_rgb=rgb, sky_rgb=rgb, ground_rgb=rgb),
        lens=LensSpec(),
        variant="view" if index % 2 else "base",
        differs=("camera",) if index % 2 else (),
        camera_id=index % 2,
        clip=ClipSpec(
            clip_id=f"{seed}-{index // 4}",
            frame=index % 4,
            frames=4,
            time_s=index % 4 / 8,
            motions=("walk",) * count,
        ),
        asks=(
            OcclusionTarget(
                occluded_fraction=0.25, hidden=("nose",), causes=dict.fromkeys(SHARES, 0.2)
            ),
        )
        * count,
        crowd_ask=0.25,
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
        shares=rng.dirichlet(np.ones(5), J),
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
