"""Definitions of own skeletons: what they make, and the one message that each fault gets."""

import json

import numpy as np
import pytest

from synthstudio.core.errors import FormatError, RecipeError
from synthstudio.core.skeleton import (
    COCO_SIGMAS,
    FOREIGN,
    MAX_CHARS,
    SKELETONS,
    definition,
    get_skeleton,
    known_joints,
    lacks_pairs,
    mirror_pairs,
    own_skeleton,
    query_name,
)
from synthstudio.dataset.query import FieldTest, JointTest, parse
from synthstudio.formats.joints import lost_joints, rules
from synthstudio.formats.skeleton_file import read_skeleton, write_skeleton

HAND = {
    "name": "hand",
    "joints": ["wrist", "thumb", "left_tip", "right_tip"],
    "limbs": [["wrist", "thumb"], ["thumb", "left_tip"], ["thumb", "right_tip"]],
    "pairs": [["left_tip", "right_tip"]],
    "sigmas": {"thumb": 0.05},
    "same_as": {"wrist": "left_wrist"},
}
FAULTS = {
    "no mapping": [],
    "unknown field": HAND | {"bones": []},
    "invalid skeleton name": HAND | {"name": "../x"},
    "invalid list of joints": HAND | {"joints": []},
    "invalid joint name": HAND | {"joints": ["<script>"]},
    "duplicate joint name": HAND | {"joints": ["a", "a"]},
    "duplicate joint name in queries": HAND | {"joints": ["a b", "A_b"]},
    "reserved word of queries": HAND | {"joints": ["any"]},
    "reserved word of JavaScript": HAND | {"joints": ["toString"]},
    "unknown joint": HAND | {"limbs": [["wrist", "tail"]]},
    "repeats a joint": HAND | {"limbs": [["wrist", "wrist"]]},
    "duplicate entry": HAND | {"limbs": [["wrist", "thumb"], ["thumb", "wrist"]]},
    "an entry must have two": HAND | {"limbs": [["wrist"]]},
    "is in two pairs": HAND | {"pairs": [["wrist", "thumb"], ["thumb", "left_tip"]]},
    "invalid OKS constant": HAND | {"sigmas": {"thumb": float("nan")}},
    "invalid OKS constant; 0": HAND | {"sigmas": {"thumb": 0}},
    "invalid OKS constant; huge": HAND | {"sigmas": {"thumb": 10**400}},
    "unknown joint; hoof": HAND | {"same_as": {"wrist": "hoof"}},
    "two joints are the same joint": HAND | {"same_as": {"wrist": "nose", "thumb": "nose"}},
    "invalid position": HAND | {"figure": {"wrist": [0, 2]}},
    "invalid text": HAND | {"category": "a\nb"},
}


def test_a_definition_makes_a_skeleton_that_its_name_gives_again():
    skeleton = own_skeleton(HAND)
    assert (skeleton.title, skeleton.own) == ("hand", True)
    assert skeleton.flip.tolist() == [0, 1, 3, 2]
    assert skeleton.sides == ("middle", "middle", "left", "right")
    assert skeleton.parents == (None, 0, 1, 1)
    # a wrist has COCO's sigma, the thumb its own, what nobody measured the median of COCO's
    assert skeleton.sigmas.tolist() == [0.062, 0.05, 0.072, 0.072]
    assert np.median(COCO_SIGMAS) == 0.072
    again = get_skeleton(skeleton.name)
    assert again.name == skeleton.name and again.edges == skeleton.edges
    assert own_skeleton(definition(skeleton)).name == skeleton.name
    assert all(not s.own for s in (SKELETONS | FOREIGN).values())


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_have_one_message_each(fault):
    with pytest.raises(RecipeError) as caught:
        own_skeleton(FAULTS[fault], "hand.yaml")
    wanted = "a skeleton must be a mapping" if fault == "no mapping" else fault.partition(";")[0]
    assert wanted in str(caught.value) and str(caught.value).startswith("hand.yaml")


@pytest.mark.parametrize("text", ["{", "{" * 5000, '{"name":1}', '{"' + "x" * MAX_CHARS + '":1}'])
def test_names_that_are_no_definition_are_refused(text):
    with pytest.raises(RecipeError):
        get_skeleton(text)


def test_files_there_and_back(tmp_path):
    skeleton = own_skeleton(HAND)
    write_skeleton(tmp_path / "hand.yaml", skeleton)
    (tmp_path / "hand.json").write_text(json.dumps(HAND), "utf-8")
    for name in ("hand.yaml", "hand.json"):
        assert read_skeleton(tmp_path / name).name == skeleton.name
    (tmp_path / "bad.yaml").write_text("name: &a x\njoints: *a\n", "utf-8")
    with pytest.raises(RecipeError, match="not a skeleton in YAML"):
        read_skeleton(tmp_path / "bad.yaml")


def test_a_coco_file_of_several_categories_asks_which(tmp_path):
    some = [{"id": k, "name": n, "keypoints": ["a", "b"]} for k, n in enumerate(["cat", "person"])]
    file = tmp_path / "file.json"
    file.write_text(json.dumps({"images": [], "annotations": [], "categories": some}), "utf-8")
    with pytest.raises(FormatError, match="`category`"):
        read_skeleton(file)
    assert read_skeleton(file, category="cat").title == "cat"
    with pytest.raises(FormatError, match="cat, person"):
        read_skeleton(file, category="dog")


def test_joints_are_the_same_only_where_it_was_stated():
    hand, coco = own_skeleton(HAND), get_skeleton("coco17")
    found = rules(coco, hand)
    assert found["wrist"].parts == ("left_wrist",)
    assert {found[j].kind for j in hand.joints[1:]} == {"missing"}
    assert lost_joints(hand, coco) == ["thumb", "left_tip", "right_tip"]
    assert rules(hand, coco)["left_wrist"].parts == ("wrist",)


def test_names_of_other_tools_pair_and_can_be_asked_for():
    names = ["L_Eye", "R_Eye", "front-left paw", "front-right paw", "Tail", "left"]
    assert mirror_pairs(names) == [names[:2], names[2:4]]
    assert query_name("Root of tail") == "root_of_tail" and query_name("1") == "_1"
    asked = parse("root_of_tail hidden and _1 visible", ("Root of tail", "1"))
    assert [test.joints for test in asked.tree.items] == [(0,), (1,)]


def test_labels_mean_the_same_where_joints_mirror_and_same_as_do():
    value = {"name": "a", "joints": ["x", "y", "z"], "pairs": [["x", "y"]]}
    ours = own_skeleton(value)
    same = own_skeleton(value | {"name": "b", "pairs": [["y", "x"]], "figure": {"x": [0, 0]}})
    assert ours.same_labels(same) and ours.numbers_in(same) == (0, 1, 2)
    for change, what in (({"pairs": []}, "pairs"), ({"same_as": {"x": "nose"}}, "same_as")):
        other = own_skeleton(value | change)
        assert not ours.same_labels(other) and not other.same_labels(ours)
        assert ours.numbers_in(other) == (None, None, None)
        assert ours.described(other) == f"a with other {what}"


def test_a_joint_called_like_a_field_leaves_the_field_its_comparisons():
    for text in ("depth > 3", "depth in (1, 2)", "depth not in (1, 2)"):
        assert isinstance(parse(text, ("Depth", "a")).tree, FieldTest)
    for text in ("depth hidden", "depth cause = self", "depth visible share > 0.5"):
        assert isinstance(parse(text, ("Depth", "a")).tree, JointTest)


COCO = list(get_skeleton("coco17").joints)
KNOWN = [*SKELETONS.values(), *FOREIGN.values()]


def _parts(name):
    side, _, part = name.partition("_")
    return (side, part) if side in ("left", "right") else ("", name)


SPELLINGS = {
    "left_eye": lambda side, part: f"{side}_{part}" if side else part,
    "left eye": lambda side, part: f"{side} {part}".strip(),
    "Left-Eye": lambda side, part: "-".join(w.title() for w in (side, part) if w),
    "LeftEye": lambda side, part: side.title() + part.title(),
    "leftEye": lambda side, part: side + (part.title() if side else part),
    "lefteye": lambda side, part: side + part,
    "LEFT_EYE": lambda side, part: f"{side}_{part}".strip("_").upper(),
    "LEye": lambda side, part: side[:1].upper() + part.title(),
    "L_Eye": lambda side, part: f"{side[:1].upper()}_{part.title()}".strip("_"),
    "leye": lambda side, part: side[:1] + part,
    "l.eye": lambda side, part: f"{side[:1]}.{part}".strip("."),
    "eye.L": lambda side, part: f"{part}.{side[:1].upper()}".strip("."),
    "eye_left": lambda side, part: f"{part}_{side}".strip("_"),
    "EyeLeft": lambda side, part: part.title() + side.title(),
    "eyeleft": lambda side, part: part + side,
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_pairs_and_joints_are_found_in_every_spelling(spelling):
    names = [SPELLINGS[spelling](*_parts(joint)) for joint in COCO]
    pairs = mirror_pairs(names)
    assert len(pairs) == 8
    for left, right in pairs:
        one, other = COCO[names.index(left)], COCO[names.index(right)]
        assert one.startswith("left_") and other == one.replace("left_", "right_")
    for order in (names, names[::-1], sorted(names)):
        found = known_joints(order, KNOWN)
        assert found is not None and found[0].title == "coco17"
        assert {found[1][name]: name for name in names} == dict(zip(COCO, names, strict=True))


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["nose", "tail"], []),
        (["left", "right"], [["left", "right"]]),
        (["left_eye"], []),
        (["left_eye", "LeftEye", "right_eye"], []),  # which of the two is not clear
        (["lid", "rid"], [["lid", "rid"]]),
        (["rear", "lear", "ear"], [["lear", "rear"]]),
        (["rear", "ear"], []),
        (["left_left_eye", "right_left_eye"], []),
    ],
)
def test_names_that_are_odd(names, pairs):
    assert mirror_pairs(names) == pairs


OTHER_JOINTS = (COCO[1:], [*COCO, "tail"], ["tail", *COCO[1:]], ["Nose", *COCO])


@pytest.mark.parametrize("names", OTHER_JOINTS, ids=("one fewer", "one more", "another", "twice"))
def test_other_joints_are_no_known_skeleton(names):
    assert known_joints(names, KNOWN) is None


def test_a_skeleton_without_its_pairs_is_not_mirrored():
    joints, eyes = ["ojo", "LeftEye", "RightEye"], ["LeftEye", "RightEye"]
    for named, pairs, lacking in (
        (joints, [], True),
        (joints, [eyes], False),
        ([*joints, "LEar", "REar"], [eyes], True),
    ):
        own = own_skeleton({"name": "own", "joints": named, "pairs": pairs})
        assert lacks_pairs(own) == lacking
    assert not any(map(lacks_pairs, KNOWN))
