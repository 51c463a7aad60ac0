import dataclasses
import hashlib
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stick_people import make_camera, make_frame, make_labels, make_posed, make_spec

from synthstudio.core.errors import DatasetError
from synthstudio.core.labels import Frame
from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.spec import ClipSpec, OcclusionTarget, from_json
from synthstudio.dataset.rows import (
    FRAME_SCHEMA,
    INSTANCE_SCHEMA,
    frame_row,
    instance_rows,
    pair_rows,
    people_from_table,
    write_parquet,
)


def hard_frame():
    camera, joints = make_camera(), get_skeleton("coco17")
    places = ({}, {"x_m": 0.2, "y_m": 0.3}, {"x_m": 9.0})
    people = tuple(make_posed(joints, instance=k, **at) for k, at in enumerate(places, 1))
    labels = make_labels(camera, joints, people)
    *others, behind = labels.people
    px = np.vstack([np.full((1, 2), np.nan), behind.joints_px[1:]])
    people = (*others, dataclasses.replace(behind, joints_px=px))
    objects = ((1002, "phone", 1), (1003, "tree", None))
    labels = dataclasses.replace(labels, people=people, objects=objects)
    layers = {"normals": b"n", "depth": b"d"}
    return Frame(spec=make_spec(camera, 3, index=5), jpeg=b"jpeg", labels=labels, layers=layers)


def frame_with_targets():
    frame = hard_frame()
    wrists, causes = ("left_wrist+right_wrist",), {"object": 0.25}
    much = OcclusionTarget(occluded_fraction=0.3, hidden=wrists, causes=causes, met=False)
    motions = ("walk", "run", "walk")
    spec = dataclasses.replace(
        frame.spec,
        variant="clean",
        differs=("objects", "cutouts"),
        camera_id=2,
        clip=ClipSpec(clip_id="1-0", frame=3, frames=48, time_s=0.125, motions=motions),
        crowd_target=0.4,
        targets=(much, OcclusionTarget(shown=("nose",)), OcclusionTarget()),
        shadow_box_m=((-1.0, -1.0, 0.0), (1.0, 1.0, 2.0)),
    )
    return dataclasses.replace(frame, spec=spec)


def stored(frame, folder):
    write_parquet(folder / "f", FRAME_SCHEMA, [frame_row(frame, "images/a.jpg")])
    write_parquet(folder / "i", INSTANCE_SCHEMA, instance_rows(frame))
    (row,) = pq.read_table(folder / "f").to_pylist()
    return row, pq.read_table(folder / "i").to_pylist()


def equal(a, b):
    """Compare values and arrays, types too; NaN is NaN."""
    if dataclasses.is_dataclass(a):
        pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a)]
        return type(a) is type(b) and all(equal(*pair) for pair in pairs)
    if isinstance(a, np.ndarray):
        same = a.dtype == b.dtype and a.shape == b.shape
        return same and np.array_equal(a, b, equal_nan=a.dtype == np.float64)
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


@pytest.mark.parametrize(
    "frame",
    [hard_frame(), frame_with_targets(), make_frame(2, people=0), make_frame(3, skeleton="coco23")],
)
def test_there_and_back_through_a_file(frame, tmp_path):
    row, people = stored(frame, tmp_path)
    table = pa.Table.from_pylist(people, INSTANCE_SCHEMA)
    read = people_from_table(table, get_skeleton(row["skeleton"]))
    assert equal(tuple(read), frame.labels.people)
    held_by = [held_by or None for held_by in row["object_held_by"]]
    objects = zip(row["object_instance"], row["object_kind"], held_by, strict=True)
    assert tuple(objects) == frame.labels.objects
    assert row["crowd_index"] == frame.labels.crowd_index
    assert from_json(row["spec"]) == frame.spec
    assert row["image_sha256"] == hashlib.sha256(frame.jpeg).hexdigest()
    camera = frame.spec.camera
    assert np.array_equal(np.reshape(row["K"], (3, 3)), camera.K)
    assert np.array_equal(np.reshape(row["world_to_camera"], (4, 4)), camera.world_to_camera)


def test_rows_are_plain_and_say_where_from():
    frame = hard_frame()
    row, people = frame_row(frame, "images/a.jpg"), instance_rows(frame)
    assert row["layers"] == ["depth", "normals"]
    assert row["object_held_by"] == [1, 0]
    assert [p["frame_index"] for p in people] == [5, 5, 5]
    assert people[0]["phenotype"] == [0.25, 0.6, 0.5, 0.4, 0.7, 0.5]
    assert people[0]["origin"] == ["rendered"] * 17
    assert np.isnan(people[2]["joints_px"][:2]).all()
    json.dumps([row, *people])  # nothing of NumPy inside


def test_the_same_rows_give_the_same_bytes(tmp_path):
    rows = [row for k in range(4) for row in instance_rows(make_frame(k))]
    for name in ("a", "b"):
        write_parquet(tmp_path / name, INSTANCE_SCHEMA, rows)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    write_parquet(tmp_path / "c", INSTANCE_SCHEMA, rows[:-1])
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()
    assert str(tmp_path).encode() not in (tmp_path / "a").read_bytes()


def test_a_row_that_does_not_fit_is_refused(tmp_path):
    (row, *_) = instance_rows(make_frame(0))
    for change, message in (
        ({"surplus": 1}, "surplus"),
        ({"depth_m": "far"}, "invalid value"),
        ({"visibility_fractions": None}, "visibility_fractions.*null"),
        ({"visibility_fractions": [None] * 85}, "visibility_fractions.*null"),
        ({"depth_rank": 2**40}, "invalid value"),
        ({"pose": ...}, "pose"),
    ):
        wrong = {k: v for k, v in (row | change).items() if v is not ...}
        with pytest.raises(DatasetError, match=message):
            write_parquet(tmp_path / "i", INSTANCE_SCHEMA, [wrong])
        assert not (tmp_path / "i").exists()

    (row, *_) = instance_rows(make_frame(0))
    table = pa.Table.from_pylist([{**row, "visibility_fractions": [1.0, 0.0]}], INSTANCE_SCHEMA)
    with pytest.raises(DatasetError, match=r"has the wrong length.*in each visibility_fractions"):
        people_from_table(table, get_skeleton("coco17"))


def test_pairs_of_frames_and_people():
    frames = [make_frame(k, people=n) for k, n in enumerate((2, 0, 1))]
    rows = [frame_row(f, "a.jpg") for f in frames]
    people = [row for f in frames for row in instance_rows(f)]
    paired = list(pair_rows(iter(rows), iter(people)))
    found = [(f["index"], [p["instance"] for p in ps]) for f, ps in paired]
    assert found == [(0, [1, 2]), (1, []), (2, [1])]
    with pytest.raises(DatasetError, match="person 1 of frame 2"):
        list(pair_rows(rows[:2], people))
    with pytest.raises(DatasetError, match="are inconsistent"):
        list(pair_rows(rows, people[::-1]))


def test_clips_and_asks_are_columns_and_null_where_there_are_none(tmp_path):
    row, people = stored(frame_with_targets(), tmp_path)
    assert (row["variant"], row["differs"]) == ("clean", ["objects", "cutouts"])
    assert (row["camera_id"], row["crowd_target"]) == (2, 0.4)
    of_clip = ("clip_id", "clip_frame", "clip_frames", "time_s")
    assert [row[n] for n in of_clip] == ["1-0", 3, 48, 0.125]
    assert [(p["track_id"], p["motion"]) for p in people] == [(1, "walk"), (2, "run"), (3, "walk")]
    first, second, third = people
    assert (first["target_fraction"], third["target_met"]) == (0.3, None)
    assert first["target_met"] is False and second["target_met"] is True
    assert first["target_hidden"] == ["left_wrist+right_wrist"]
    assert (second["target_shown"], second["target_causes"]) == (["nose"], None)
    assert first["target_causes"][3] == 0.25
    assert np.isnan([first["target_causes"][k] for k in (0, 1, 2, 4)]).all()
    row, (person, *_) = frame_row(hard_frame(), "a.jpg"), instance_rows(hard_frame())
    assert {row[n] for n in (*of_clip, "crowd_target")} == {None}
    assert {person[n] for n in ("track_id", "motion", "target_fraction", "target_met")} == {None}
    assert person["target_hidden"] == person["target_shown"] == row["differs"] == []
