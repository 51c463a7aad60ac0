import json

import pytest
from stick_people import Panel, make_camera, make_frame, make_labels, make_posed, make_spec

from synthstudio.core.labels import Frame
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.rows import frame_row, instance_rows
from synthstudio.quality.stats import EDGES, stats

COCO17 = get_skeleton("coco17")


def sample(frame: Frame):
    return frame_row(frame, "a.jpg"), instance_rows(frame)


def frame_of(people, panels=(), index=0) -> Frame:
    camera = make_camera()
    return Frame(
        spec=make_spec(camera, len(people), index=index),
        jpeg=b"",
        labels=make_labels(camera, COCO17, people, panels=panels),
    )


def test_counts_by_hand():
    wall = Panel(instance=1002, depth_m=1.0, box_px=(0, 0, 999, 999), kind="wall")
    one, far = make_posed(COCO17, instance=1), make_posed(COCO17, instance=1, x_m=9.0)
    frames = [frame_of((one,)), frame_of((one,), (wall,), 1), frame_of((far,), (), 2)]
    found = stats([sample(frame) for frame in (*frames, frame_of((), (), 3))], COCO17)
    assert (found["frames"], found["people"], found["joints_total"]) == (4, 3, 51)
    assert found["people_per_frame"] == {"0": 1, "1": 3}
    none = dict.fromkeys(("self", "person", "unknown", "unlabelled"), 0)
    assert found["causes"] == none | {"visible": 17, "object": 17, "truncated": 17}
    assert found["states"] == {"2": 17, "1": 17, "0": 17, "none": 0}
    assert found["joints"]["nose"]["object"] == 1
    assert found["joints"]["nose"]["states"] == {"2": 1, "1": 1, "0": 1, "none": 0}
    assert found["occluded_fraction"]["counts"] == [2, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert found["occluded_fraction"]["zero"] == 2
    assert found["occluded_fraction"]["mean"] == pytest.approx(1 / 3)
    assert found["truncated_fraction"]["counts"][-1] == 1
    assert found["hidden_by_kind"] == {"wall": 17}
    assert found["pose_families"] == {"standing": 3}
    assert (found["objects"], found["splits"], found["identities"]) == (
        {"wall": 1},
        {"train": 4},
        1,
    )
    json.dumps(found, allow_nan=False)


def test_imported_rows_count_as_unknown():
    row, people = sample(frame_of((make_posed(COCO17, instance=1),)))
    people[0] |= {"cause": ["unlabelled"] * 17, "state": [255] * 17}
    people[0] |= dict.fromkeys(
        ("occluded_fraction", "truncated_fraction", "pose_family", "identity")
    )
    found = stats([({**row, "crowd_index": None}, people)], COCO17)
    assert found["states"]["none"] == found["causes"]["unlabelled"] == 17
    assert found["occluded_fraction"]["unknown"] == found["crowd_index"]["unknown"] == 1
    assert found["pose_families"] == {"unknown": 1}
    nothing = stats([], COCO17)
    assert nothing["frames"] == 0 and nothing["crowd_index"]["mean"] is None


def test_sums_agree_and_input_is_streamed():
    found = stats((sample(make_frame(k, people=k % 4)) for k in range(6)), COCO17)
    assert sum(found["causes"].values()) == sum(found["states"].values()) == found["joints_total"]
    assert found["causes"]["visible"] == found["states"]["2"]
    assert found["causes"]["truncated"] == found["states"]["0"]
    assert sum(found["occluded_fraction"]["counts"]) == found["people"]
    assert sum(found["crowd_index"]["counts"]) == found["frames"]
    assert len(EDGES) == len(found["crowd_index"]["counts"]) + 1
