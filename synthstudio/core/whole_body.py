"""The 110 joints of COCO-WholeBody besides body and feet: a face and two hands.

The order is that of the annotations (github.com/jin-s13/COCO-WholeBody): a face in the order of
iBUG 300-W, which goes from the person's right to the left, then the left and the right hand. Names
of a face's points have the side, as all joints, and count from the outside inward.
"""

import itertools

SKELETON = "coco133"
"""The skeleton with all of them."""


def _numbered(name: str, first: int, last: int) -> tuple[str, ...]:
    step = 1 if last >= first else -1
    return tuple(f"{name}_{k}" for k in range(first, last + step, step))


FACE = (
    *_numbered("right_jaw", 1, 8),
    "chin",
    *_numbered("left_jaw", 8, 1),
    *_numbered("right_brow", 1, 5),
    *_numbered("left_brow", 5, 1),
    *_numbered("nose_bridge", 1, 4),
    "right_nostril_1",
    "right_nostril_2",
    "nose_base",
    "left_nostril_2",
    "left_nostril_1",
    *_numbered("right_eyelid", 1, 6),
    *_numbered("left_eyelid", 4, 1),
    "left_eyelid_6",
    "left_eyelid_5",
    *_numbered("right_lip", 1, 3),
    "upper_lip",
    *_numbered("left_lip", 3, 1),
    *_numbered("left_lip", 4, 5),
    "lower_lip",
    *_numbered("right_lip", 5, 4),
    *_numbered("right_inner_lip", 1, 2),
    "upper_inner_lip",
    *_numbered("left_inner_lip", 2, 1),
    "left_inner_lip_3",
    "lower_inner_lip",
    "right_inner_lip_3",
)
FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
"""From the thumb; each has four joints, numbered from the hand outward, the last one its tip."""
_HAND = ("hand_root", *(f"{finger}{k}" for finger in FINGERS for k in range(1, 5)))
LEFT_HAND = tuple(f"left_{name}" for name in _HAND)
RIGHT_HAND = tuple(f"right_{name}" for name in _HAND)

PARTS = {
    "body": slice(0, 17),
    "foot": slice(17, 23),
    "face": slice(23, 91),
    "left_hand": slice(91, 112),
    "right_hand": slice(112, 133),
}
"""Where the joints of each part stand in coco133."""

FACE_SIGMAS = (
    0.042, 0.043, 0.044, 0.043, 0.040, 0.035, 0.031, 0.025, 0.020, 0.023, 0.029, 0.032, 0.037,
    0.038, 0.043, 0.041, 0.045, 0.013, 0.012, 0.011, 0.011, 0.012, 0.012, 0.011, 0.011, 0.013,
    0.015, 0.009, 0.007, 0.007, 0.007, 0.012, 0.009, 0.008, 0.016, 0.010, 0.017, 0.011, 0.009,
    0.011, 0.009, 0.007, 0.013, 0.008, 0.011, 0.012, 0.010, 0.034, 0.008, 0.008, 0.009, 0.008,
    0.008, 0.007, 0.010, 0.008, 0.009, 0.009, 0.009, 0.007, 0.007, 0.008, 0.011, 0.008, 0.008,
    0.008, 0.010, 0.008,
)  # fmt: skip
HAND_SIGMAS = (
    0.029, 0.022, 0.035, 0.037, 0.047, 0.026, 0.025, 0.024, 0.035, 0.018, 0.024, 0.022, 0.026,
    0.017, 0.021, 0.021, 0.032, 0.020, 0.019, 0.022, 0.031,
)  # fmt: skip
"""OKS constants of a face and of either hand, as evaluation/myeval_wholebody.py there has them."""

_LINES = ((0, 16), (17, 21), (22, 26), (27, 30), (31, 35))
_RINGS = ((36, 41), (42, 47), (48, 59), (60, 67))
FACE_ROOTS = tuple(FACE[first] for first, _ in (*_LINES, *_RINGS))
"""The first point of each line of a face, without a parent edge."""


def parents() -> dict[str, str]:
    """Joint -> its parent; of a finger's first joint the hand's root."""
    out: dict[str, str] = {}
    for first, last in (*_LINES, *_RINGS):
        out |= dict(zip(FACE[first + 1 : last + 1], FACE[first:last], strict=True))
    for side in ("left", "right"):
        out[f"{side}_hand_root"] = f"{side}_wrist"
        for finger in FINGERS:
            chain = ("hand_root", *(f"{finger}{k}" for k in range(1, 5)))
            out |= {f"{side}_{b}": f"{side}_{a}" for a, b in itertools.pairwise(chain)}
    return out


def closing() -> tuple[tuple[str, str], ...]:
    """The pairs that close the rings of eyelids and lips, drawn besides the parents."""
    return tuple((FACE[last], FACE[first]) for first, last in _RINGS)


_KNUCKLES = ("first knuckle", "second knuckle", "last knuckle", "tip")
_THUMB = ("saddle joint", "knuckle", "last knuckle", "tip")


def places() -> dict[str, str]:
    """Kind of joint (its name without the side) -> where it lies."""
    out = {
        "chin": "lowest point of the chin",
        "nose_base": "where the nose's septum meets the upper lip",
        "nostril_1": "foot of the nose's wing",
        "nostril_2": "sill of the nostril",
        "upper_lip": "middle of the upper lip's upper border",
        "lower_lip": "middle of the lower lip's lower border",
        "upper_inner_lip": "middle of the upper lip's lower border",
        "lower_inner_lip": "middle of the lower lip's upper border",
        "lip_1": "corner of the mouth, outside",
        "lip_2": "upper border of the upper lip, half way to the corner",
        "lip_3": "peak of the upper lip's border",
        "lip_4": "lower border of the lower lip, near the corner",
        "lip_5": "lower border of the lower lip, near the middle",
        "inner_lip_1": "corner of the mouth, inside",
        "inner_lip_2": "lower border of the upper lip, half way to the corner",
        "inner_lip_3": "upper border of the lower lip, half way to the corner",
        "eyelid_1": "outer corner of the eye",
        "eyelid_2": "edge of the upper lid, outer third",
        "eyelid_3": "edge of the upper lid, inner third",
        "eyelid_4": "inner corner of the eye",
        "eyelid_5": "edge of the lower lid, inner third",
        "eyelid_6": "edge of the lower lid, outer third",
        "hand_root": "centre of the wrist joint",
    }
    out |= {f"jaw_{k}": f"edge of the jaw, step {k} of 9 from ear to chin" for k in range(1, 9)}
    out |= {f"brow_{k}": f"middle of the brow, step {k} of 5 from outside" for k in range(1, 6)}
    out |= {f"nose_bridge_{k}": f"bridge of the nose, step {k} of 4 down" for k in range(1, 5)}
    for finger in FINGERS:
        named = zip(_THUMB if finger == "thumb" else _KNUCKLES, range(1, 5), strict=True)
        out |= {f"{finger}{k}": f"{what} of the {finger.replace('_', ' ')}" for what, k in named}
    return out
