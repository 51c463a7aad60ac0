"""Joint names in the spellings of other tools: sides, mirror pairs, and the same joints."""

import itertools

import pytest

from synthstudio.core.joint_names import known_joints, lacks_pairs, mirror_pairs
from synthstudio.core.own_skeletons import own_skeleton
from synthstudio.core.skeleton import FOREIGN, SKELETONS, get_skeleton

COCO = list(get_skeleton("coco17").joints)
KNOWN = [*SKELETONS.values(), *FOREIGN.values()]


def _parts(name: str) -> tuple[str, str]:
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
def test_pairs_and_joints_are_found_in_every_spelling(spelling: str) -> None:
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
def test_names_that_are_odd(names: list[str], pairs: list[list[str]]) -> None:
    assert mirror_pairs(names) == pairs


@pytest.mark.parametrize("change", ["one fewer", "one more", "another", "twice"])
def test_other_joints_are_no_known_skeleton(change: str) -> None:
    names = {
        "one fewer": COCO[1:],
        "one more": [*COCO, "tail"],
        "another": ["tail", *COCO[1:]],
        "twice": ["Nose", *COCO],
    }[change]
    assert known_joints(names, KNOWN) is None


def test_a_skeleton_without_its_pairs_is_not_mirrored() -> None:
    joints = ["ojo", "LeftEye", "RightEye"]

    def skeleton(pairs: list[list[str]]):
        return own_skeleton({"name": "own", "joints": joints, "pairs": pairs})

    assert lacks_pairs(skeleton([]))
    assert not lacks_pairs(skeleton([["LeftEye", "RightEye"]]))
    assert lacks_pairs(
        own_skeleton(
            {"name": "own", "joints": [*joints, "LEar", "REar"], "pairs": [["LeftEye", "RightEye"]]}
        )
    )
    assert not any(lacks_pairs(skeleton) for skeleton in itertools.chain(KNOWN))
