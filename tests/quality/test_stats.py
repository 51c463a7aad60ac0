import json

import pytest
from counted import stats
from stick_people import Panel, make_camera, make_labels, make_posed, make_spec

from synthstudio.core.labels import Frame
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.rows import frame_row, instance_rows
from synthstudio.quality.stats import EDGES

COCO17 = get_skeleton("coco17")


def sample(people, panels=(), index=0):
    camera = make_camera()
    labels = make_labels(camera, COCO17, people, panels=panels)
    made = Frame(spec=make_spec(camera, len(people), index=index), jpeg=b"", labels=labels)
    return frame_row(made, "a.jpg"), instance_rows(made)


def test_counts_by_hand():
    wall = Panel(instance=1002, depth_m=1.0, box_px=(0, 0, 999, 999), kind="wall")
    one, far = make_posed(COCO17, instance=1), make_posed(COCO17, instance=1, x_m=9.0)
    frames = [sample((one,)), sample((one,), (wall,), 1), sample((far,), (), 2), sample((), (), 3)]
    found = stats(iter(frames), COCO17)
    assert (found["frames"], found["people"], found["joints_total"]) == (4, 3, 51)
    assert found["people_per_frame"] == {"0": 1, "1": 3} and found["no_person_visible"] == 3
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
    assert (found["objects"], found["splits"]) == ({"wall": 1}, {"train": 4})
    assert found["identities"] == 1 and len(EDGES) == len(found["crowd_index"]["counts"]) + 1
    assert sum(found["crowd_index"]["counts"]) == 4
    json.dumps(found, allow_nan=False)


def test_imported_rows_count_as_unknown():
    row, people = sample((make_posed(COCO17, instance=1),))
    unknown = ("occluded_fraction", "truncated_fraction", "pose_family", "identity")
    people[0] |= dict.fromkeys(unknown) | {"cause": ["unlabelled"] * 17, "state": [255] * 17}
    found = stats([({**row, "crowd_index": None}, people)], COCO17)
    assert found["states"]["none"] == found["causes"]["unlabelled"] == 17
    assert found["occluded_fraction"]["unknown"] == found["crowd_index"]["unknown"] == 1
    assert found["pose_families"] == {"unknown": 1}
    nothing = stats([], COCO17)
    assert nothing["frames"] == 0 and nothing["crowd_index"]["mean"] is None
