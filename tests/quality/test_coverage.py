"""Coverage is held against counts by hand; the sheet against what it says."""

import itertools
import json
from collections import Counter

import covered_set
import numpy as np
import pyarrow as pa
import pytest
from scipy.spatial.transform import Rotation
from stick_people import make_posed

from synthstudio.core.people import (
    BODIES,
    FRACTIONS,
    VIEWS,
    body_of,
    camera_azimuth_rad,
    fraction_of,
    view_azimuth_rad,
    view_of,
)
from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.spec import from_json
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import INSTANCE_SCHEMA, instance_rows
from synthstudio.quality.coverage import AXES, Coverage, coverage, gaps, thin_pairs
from synthstudio.report.coverage import CELL_PX, sections, sheet, text

COCO17 = get_skeleton("coco17")
TRUNK = [
    COCO17.joints.index(n) for n in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
]


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    return Dataset(covered_set.store(tmp_path_factory.mktemp("cover") / "set"))


@pytest.fixture(scope="module")
def found(stored):
    return coverage(stored)


def rotated(points, axis, degrees):
    return Rotation.from_euler(axis, degrees, degrees=True).apply(points)


def side_seen(trunk, eye):
    return VIEWS[int(view_of(camera_azimuth_rad(trunk[None], np.array([eye])))[0])]


def test_the_side_that_is_seen_follows_the_yaw():
    trunk = make_posed(COCO17, instance=1).joints_m[TRUNK]
    for view in VIEWS:
        seen = rotated(trunk, "z", -np.degrees(view_azimuth_rad(view)))
        for off in (-20, 0, 20):
            assert side_seen(rotated(seen, "z", off), (0.0, -4.0, 1.0)) == view
        assert side_seen(rotated(seen, "z", 25), (0.0, -4.0, 1.0)) != view
    # A left shoulder towards the camera is the left side: left is world +x at yaw 0.
    assert side_seen(trunk, (4.0, 0.0, 1.0)) == "left"
    assert side_seen(trunk[[1, 0, 3, 2]], (4.0, 0.0, 1.0)) == "right"  # mirrored


def test_people_who_lie_have_a_side_too_and_bins_have_edges():
    trunk = make_posed(COCO17, instance=1).joints_m[TRUNK]
    on_back = rotated(trunk, "x", -90)  # face up: what was ahead is above
    assert side_seen(on_back, (4.0, 0.0, 1.0)) == "left"
    on_side = rotated(trunk, "y", 90)
    assert side_seen(on_side, (float(on_side[0, 0]) / 2, -4.0, 1.0)) == "front"
    assert np.isnan(camera_azimuth_rad(np.zeros((1, 4, 3)), np.array([[0.0, -4, 1]])))[0]
    values = np.array([0, 1e-9, 0.1, 0.11, 0.3, 0.5, 0.7, 0.9, 0.91, 1.0])
    assert fraction_of(values).tolist() == [0, 1, 1, 2, 2, 3, 4, 5, 6, 6]
    assert view_of(np.array([-0.1, 2 * np.pi - 0.1, np.pi, -np.pi])).tolist() == [0, 0, 4, 4]
    assert len(BODIES) == 18


def by_hand(data):
    counts: Counter = Counter()
    for index in range(data.identity.frames):
        frame, spec = data.frame(index), from_json(data.frame(index)["spec"])
        matrix = np.reshape(frame["world_to_camera"], (4, 4))
        eye = -matrix[:3, :3].T @ matrix[:3, 3]
        for row in data.instances(index):
            trunk = np.reshape(row["joints_world_m"], (17, 3))[TRUNK]
            fraction = FRACTIONS[int(fraction_of(np.array(row["occluded_fraction"])))]
            body = body_of(spec.people[row["instance"] - 1].phenotype)
            rest = (fraction, side_seen(trunk, tuple(eye)), row["pose_family"], body)
            counts.update(
                (*joint, *rest) for joint in zip(COCO17.joints, row["cause"], strict=True)
            )
    return counts


def test_counts_are_those_by_hand(stored, found):
    reported = found.as_json()
    columns, labels = reported["cells"], reported["labels"]
    named = [[labels[axis][k] for k in columns[axis]] for axis in AXES]
    cells = dict(zip(zip(*named, strict=True), columns["count"], strict=True))
    assert cells == by_hand(stored)
    assert found.people == stored.people == 24
    assert found.frames == 12
    assert sum(columns["count"]) == 24 * 17
    assert sum(reported["marginals"]["view"].values()) == 24
    json.dumps(reported, allow_nan=False)


def test_imported_rows_are_unknown():
    (row,) = instance_rows(covered_set.frame(0, people=1))
    row |= dict.fromkeys(("pose_family", "phenotype", "joints_world_m", "occluded_fraction"))
    row |= {"cause": ["unknown"] * 17, "truncated_fraction": None}
    found = Coverage(COCO17)
    found.add(pa.RecordBatch.from_pylist([row], schema=INSTANCE_SCHEMA), np.full((1, 3), np.nan))
    marginals = found.as_json()["marginals"]
    for axis in ("view", "body", "fraction", "family"):
        assert {k: n for k, n in marginals[axis].items() if n} == {"unknown": 1}
    assert marginals["cause"]["unknown"] == 17
    assert "unknown" in text(found)


def test_thin_bins_are_those_below_half_of_an_even_share(found):
    counts = found.of_people("family", "view")[:, :8]
    thin = {(a, b): n for a, b, n in thin_pairs(found, ("family", "view"))}
    minimum = 0.5 * counts.sum() / counts.size
    families = found.labels["family"]
    for (f, family), (v, view) in itertools.product(enumerate(families), enumerate(VIEWS)):
        assert ((family, view) in thin) == (counts[f, v] < minimum)
    assert [n for *_, n in thin_pairs(found, ("family", "view"))] == sorted(thin.values())
    assert thin_pairs(found, ("joint", "cause"), at_least=0) == []
    assert len(thin_pairs(found, ("joint", "cause"), at_least=10**6)) == 17 * 5
    across = found.of_joints("cause", "joint")
    assert np.array_equal(across, found.of_joints("joint", "cause").T)


def filled(counts):
    """Counts of people by family and view alone: everybody's joints are all seen."""
    found = Coverage(COCO17)
    found.families = sorted({family for family, _ in counts})
    found._counts = np.zeros((len(found.families), *found._shape), np.int32)
    for (family, view), n in counts.items():
        at, seen = found._counts[found.families.index(family)], VIEWS.index(view)
        for body in range(len(BODIES)):
            people = n // len(BODIES) + (body < n % len(BODIES))
            at[:, 0, body % len(FRACTIONS), seen, body] += people
    return found


def test_a_gap_is_what_chance_does_not_explain():
    even = {(f, v): 90 for f in ("sit", "walk", "lie") for v in VIEWS}
    assert [g for g in gaps(filled(even)) if g.axes in (("family",), ("view",))] == []
    assert [g for g in gaps(filled(even)) if g.axes == ("family", "view")] == []
    # In few people bins are empty by luck: that is no gap.
    few = {(f, v): (k + len(f)) % 3 for f in ("sit", "walk", "lie") for k, v in enumerate(VIEWS)}
    assert thin_pairs(filled(few), ("family", "view"))
    assert [g for g in gaps(filled(few)) if g.axes[0] != "cause"] == []
    # Nobody who lies is seen from behind; whoever is seen from the left is rare everywhere.
    holes = {**even, ("lie", "back"): 0, **{(f, "left"): 2 for f in ("sit", "walk", "lie")}}
    found = [g for g in gaps(filled(holes)) if "cause" not in g.axes and g.axes != ("body",)]
    assert [(g.axes, g.names) for g in found if "fraction" not in g.axes] == [
        (("view",), ("left",)),
        (("family", "view"), ("lie", "back")),
    ]
    left, lie = (g for g in found if "fraction" not in g.axes)
    people = 3 * 8 * 90 - 90 - 3 * 88
    assert left.count == 6 and left.expected == pytest.approx(people / 8)
    assert lie.expected == pytest.approx((6 * 90 + 2) * 180 / people)


def test_the_sheet_has_a_picture_for_each_bin_that_holds_somebody(stored, found):
    blocks = sections(found)
    reported = found.of_people("fraction", "view")
    for f, v in np.ndindex(7, 8):
        example = blocks[0].cells[f][v].example
        assert (0 if example is None else example.count) == reported[f, v]
    seen = [c.example for b in blocks for row in b.cells for c in row]
    assert None in seen
    page = sheet(stored, found)
    wide, high = CELL_PX
    assert page.dtype == np.uint8 and page.shape[1] > 8 * wide and page.shape[0] > 14 * high
    assert page.std() > 15
