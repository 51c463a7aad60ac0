import numpy as np
import pytest
from own_skeleton_sets import VIEWER
from stick_people import make_camera, make_labels, make_posed, make_spec

from synthstudio.core.errors import FormatError
from synthstudio.core.labels import VISIBILITY, Frame
from synthstudio.core.skeleton import FOREIGN, SKELETONS, get_skeleton, own_skeleton
from synthstudio.dataset.rows import NO_STATE, frame_row, instance_rows
from synthstudio.formats import checked, joints

COCO23 = get_skeleton("coco23")
HIPS = [COCO23.joints.index(f"{side}_hip") for side in ("left", "right")]


@pytest.fixture
def sample():
    camera = make_camera()
    labels = make_labels(camera, COCO23, (make_posed(COCO23, instance=1),))
    frame = Frame(spec=make_spec(camera, 1, skeleton="coco23"), jpeg=b"", labels=labels)
    return frame_row(frame, "images/000000.jpg"), instance_rows(frame)[0]


@pytest.mark.parametrize("name", joints.TARGETS)
def test_every_joint_of_every_target_has_a_rule(name, sample):
    frame, row = sample
    target = get_skeleton(name)
    table = joints.rules(COCO23, target)
    assert list(table) == list(target.joints)
    new = joints.convert_row(row, frame, target)
    checked.check_person(new, frame, len(target.joints))
    for j, joint in enumerate(target.joints):
        rule = table[joint]
        assert rule.deviation or rule.kind == "same"
        parts = [COCO23.joints.index(p) for p in rule.parts]
        if rule.kind == "missing":
            assert new["state"][j] == 255
        else:
            places = np.reshape(row["joints_px"], (-1, 2))[parts]
            assert np.allclose(new["joints_px"][2 * j : 2 * j + 2], places.mean(axis=0))
            fractions = np.reshape(row["visibility_fractions"], (-1, 5))[parts]
            found = new["visibility_fractions"][5 * j : 5 * j + 5]
            assert np.allclose(found, fractions.mean(axis=0))


def test_faces_that_their_own_head_hides_may_be_left_out(sample):
    _, row = sample
    nose, ear, wrist = (COCO23.joints.index(n) for n in ("nose", "left_ear", "left_wrist"))
    for j, cause in ((nose, "self"), (ear, "object"), (wrist, "self")):
        row["state"][j], row["cause"][j] = 1, cause
    new = joints.without_hidden_faces(row, COCO23)
    assert new["state"][nose] == NO_STATE
    assert np.isnan(new["joints_px"][2 * nose : 2 * nose + 2]).all()
    others = [j for j in range(len(COCO23.joints)) if j != nose]
    for name in ("state", "cause", "occluder_id"):
        assert [new[name][j] for j in others] == [row[name][j] for j in others]
    assert row["state"][nose] == 1  # the data set's own row stays


AVERAGED = [  # both hips: state, cause, ambiguous, occluder, origin; what is asked of the pelvis
    ("22", "visible visible", "01", (0, 0), "rendered rendered", (2, "visible", 1, 0, "rendered")),
    ("21", "visible object", "01", (0, 1002), "human rendered", (1, "object", 1, 1002, "human")),
    ("10", "object truncated", "00", (0, 0), "rendered rendered", (1, "unknown")),
    ("2.", "visible unlabelled", "00", (0, 0), "human human", (255,)),
    ("00", "truncated truncated", "00", (0, 0), "rendered rendered", (0, "truncated")),
]


@pytest.mark.parametrize("case", AVERAGED, ids=lambda case: case[1])
def test_what_an_averaged_joint_is(case, sample):
    frame, row = sample
    states, causes, ambiguous, occluders, origins, wanted = case
    for k, j in enumerate(HIPS):
        row["state"][j] = 255 if states[k] == "." else int(states[k])
        row["cause"][j], row["origin"][j] = causes.split()[k], origins.split()[k]
        row["ambiguous"][j], row["occluder_id"][j] = ambiguous[k] == "1", occluders[k]
        if states == "00":
            row["joints_px"][2 * j] = -20.0
    target = get_skeleton("mpii16")
    new, j = joints.convert_row(row, frame, target), target.joints.index("pelvis")
    names = ("state", "cause", "ambiguous", "occluder_id", "origin")
    found = [new[name][j] for name in names]
    assert tuple(found[: len(wanted)]) == wanted


def test_hiders_are_added_up(sample):
    frame, row = sample
    row |= {"hidden_joint": HIPS + HIPS[:1], "hidden_instance": [1002, 1002, 7]}
    row |= {"hidden_share": [0.6, 0.2, 0.3]}
    target = get_skeleton("h36m17")
    new = joints.convert_row(row, frame, target)
    columns = (new[f"hidden_{name}"] for name in ("joint", "instance", "share"))
    mine = [(i, s) for j, i, s in zip(*columns, strict=True) if j == 0]
    assert [i for i, _ in mine] == [1002, 7]
    assert np.allclose([s for _, s in mine], [0.4, 0.15])


@pytest.mark.parametrize("hidden", [["left_wrist", "nose"], ["nose", "left_wrist+nose"]])
def test_targets_of_joints_are_renamed_or_dropped(hidden, sample):
    frame, row = sample
    shown = ["left_wrist+right_wrist"] if "left_wrist" in hidden else []
    row |= {"target_hidden": hidden, "target_shown": shown}
    new = joints.convert_row(row | {"target_causes": [0.5] * 5, "target_met": True}, frame, VIEWER)
    assert new["target_hidden"] == ["right_wrist"] * len(shown)
    assert new["target_shown"] == ["right_wrist+left_wrist"] * len(shown)
    assert (new["target_causes"], new["target_met"]) == (None, True if shown else None)


def test_there_and_back_keeps_what_is_the_same(sample):
    frame, row = sample
    target = get_skeleton("crowdpose14")
    there = joints.convert_row(row, frame, target)
    back = joints.convert_row(there, {**frame, "skeleton": target.name}, COCO23)
    for j, joint in enumerate(COCO23.joints):
        if joint in target.joints:
            assert back["state"][j] == row["state"][j]
            assert back["joints_px"][2 * j : 2 * j + 2] == row["joints_px"][2 * j : 2 * j + 2]
        else:
            assert back["state"][j] == 255
    assert joints.lost_joints(COCO23, target)[0] == "nose"


def test_skeletons_without_a_common_joint_are_refused(sample):
    frame, row = sample
    odd = own_skeleton({"name": "odd", "joints": ["tail"]})
    with pytest.raises(FormatError, match="no common joint"):
        joints.convert_row(row, frame, odd)


def test_skeletons_are_whole():
    for skeleton in (*SKELETONS.values(), *FOREIGN.values()):
        count = len(skeleton.joints)
        assert len(set(skeleton.joints)) == count == len(skeleton.sigmas) == len(skeleton.places)
        assert (skeleton.flip[skeleton.flip] == np.arange(count)).all()
        assert sum(p is None for p in skeleton.parents) == 1
        assert (skeleton.sigmas > 0).all()
    assert len(VISIBILITY) == 5
