"""A walk made of textbook curves, written as BVH: our own, so that tests and scenes need no data.

Hips and knees follow the usual sagittal curves of level walking (Winter 2009, The Biomechanics
and Motor Control of Human Movement, chapter 3) as sums of bumps; feet are pitched by the phase.
"""

import math

CHANNELS = "Zrotation Xrotation Yrotation"
# Joint: parent, offset in centimetres (y up, z forward).
TREE: dict[str, tuple[str, tuple[float, float, float]]] = {
    "Hips": ("", (0, 0, 0)),
    "LeftHip": ("Hips", (9.5, -4, 0)), "LeftKnee": ("LeftHip", (0, -42, 0)),
    "LeftAnkle": ("LeftKnee", (0, -42, 0)), "LeftToe": ("LeftAnkle", (0.8, -5, 12)),
    "RightHip": ("Hips", (-9.5, -4, 0)), "RightKnee": ("RightHip", (0, -42, 0)),
    "RightAnkle": ("RightKnee", (0, -42, 0)), "RightToe": ("RightAnkle", (-0.8, -5, 12)),
    "lowerback": ("Hips", (0, 6, 0)), "Chest": ("lowerback", (0, 12, 0)),
    "Chest2": ("Chest", (0, 12, 0)), "Neck": ("Chest2", (0, 18, 0)), "Head": ("Neck", (0, 9, 1)),
    "LeftCollar": ("Chest2", (2, 13, 0)), "LeftShoulder": ("LeftCollar", (15, 2, 0)),
    "LeftElbow": ("LeftShoulder", (0, -28, 0)), "LeftWrist": ("LeftElbow", (0, -25, 0)),
    "RightCollar": ("Chest2", (-2, 13, 0)), "RightShoulder": ("RightCollar", (-15, 2, 0)),
    "RightElbow": ("RightShoulder", (0, -28, 0)), "RightWrist": ("RightElbow", (0, -25, 0)),
}  # fmt: skip
ENDS = {"LeftToe": (0, 0, 7), "RightToe": (0, 0, 7), "Head": (0, 18, 0),
        "LeftWrist": (0, -16, 0), "RightWrist": (0, -16, 0)}  # fmt: skip


def walk_bvh(*, frames: int = 91, fps: float = 30.0, stride_s: float = 1.1) -> str:
    """Return the text of a BVH file."""
    rows = []
    for frame in range(frames):
        time = frame / fps
        turns = _turns(time / stride_s)
        bob = 1.8 * math.cos(4 * math.pi * time / stride_s)
        values = [0.0, 92.0 + bob, 125.0 * time]
        for joint in _order():
            x, y, z = turns.get(joint, (0.0, 0.0, 0.0))
            values += [z, x, y]
        rows.append(" ".join(f"{value:.2f}" for value in values))
    head = f"MOTION\nFrames: {frames}\nFrame Time: {1 / fps:.6f}"
    return "\n".join([_hierarchy(), head, *rows]) + "\n"


def _turns(phase: float) -> dict[str, tuple[float, float, float]]:
    """Return joint -> turns about x, y, z in degrees; phase 0 is the left heel's strike."""
    out: dict[str, tuple[float, float, float]] = {}
    for side, at, m in (("Left", phase % 1, 1), ("Right", (phase + 0.5) % 1, -1)):
        hip = 8 + 22 * math.cos(2 * math.pi * (at + 0.02))
        knee = 6 + 12 * _bump(at, 0.14, 0.09) + 56 * _bump(at, 0.73, 0.12)
        pitch = 22 * _bump(at, 0.0, 0.06) - 58 * _bump(at, 0.63, 0.1) + 12 * _bump(at, 0.9, 0.1)
        out[f"{side}Hip"] = (-hip, 0.0, 0.0)
        out[f"{side}Knee"] = (knee, 0.0, 0.0)
        out[f"{side}Ankle"] = (hip - knee - pitch, 0.0, 0.0)
        out[f"{side}Toe"] = (-28 * _bump(at, 0.57, 0.07), 0.0, 0.0)
        swing = 18 * math.cos(2 * math.pi * at)
        out[f"{side}Shoulder"] = (swing - 2, 0.0, 6.0 * m)
        out[f"{side}Elbow"] = (-18 + 0.5 * swing, 0.0, 0.0)
    sway = math.cos(2 * math.pi * phase)
    out["Hips"] = (2.0, -4 * sway, 2 * math.sin(2 * math.pi * phase))
    out["lowerback"] = (1.0, 3 * sway, 0.0)
    out["Chest2"] = (1.0, 4 * sway, 0.0)
    out["Head"] = (-3.0, -3 * sway, 0.0)
    return out


def _bump(at: float, middle: float, width: float) -> float:
    """Return a smooth periodic bump of height 1."""
    off = (at - middle + 0.5) % 1 - 0.5
    return math.exp(-0.5 * (off / width) ** 2)


def _order() -> list[str]:
    """Return the joints as they stand in the file: depth first."""
    out: list[str] = []

    def visit(joint: str) -> None:
        out.append(joint)
        for child, (parent, _) in TREE.items():
            if parent == joint:
                visit(child)

    visit("Hips")
    return out


def _hierarchy() -> str:
    lines = ["HIERARCHY"]

    def visit(joint: str, depth: int) -> None:
        pad, (parent, offset) = "  " * depth, TREE[joint]
        lines.append(f"{pad}{'JOINT' if parent else 'ROOT'} {joint}")
        lines.append(pad + "{")
        lines.append(f"{pad}  OFFSET {' '.join(map(str, offset))}")
        places = "" if parent else "Xposition Yposition Zposition "
        lines.append(f"{pad}  CHANNELS {3 if parent else 6} {places}{CHANNELS}")
        for child, (above, _) in TREE.items():
            if above == joint:
                visit(child, depth + 1)
        if joint in ENDS:
            end = " ".join(map(str, ENDS[joint]))
            lines.extend([f"{pad}  End Site", f"{pad}  {{", f"{pad}    OFFSET {end}", f"{pad}  }}"])
        lines.append(pad + "}")

    visit("Hips", 0)
    return "\n".join(lines)
