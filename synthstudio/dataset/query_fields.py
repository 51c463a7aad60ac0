"""What a query may name: fields of people and of frames, and groups of joints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from synthstudio.core.bins import VIEWS

Table = Literal["person", "frame", "made", "review"]
Kind = Literal["number", "text", "flag", "list"]


@dataclass(frozen=True, kw_only=True)
class Field:
    """A name of the query language: a column, or one `element` of a list column.

    "made" columns are reckoned: the side of the body that the camera sees, people in the frame.
    "review" columns lie in the studio's store: only the studio can ask for them.
    """

    column: str
    table: Table = "person"
    kind: Kind = "number"
    element: int | None = None
    means: str
    values: tuple[str, ...] = ()


FIELDS: dict[str, Field] = {
    "occluded": Field(column="occluded_fraction", means="share of the person hidden, 0 to 1"),
    "truncated": Field(column="truncated_fraction", means="share outside the frame, 0 to 1"),
    "depth": Field(column="depth_m", means="metres from the camera"),
    "depth_rank": Field(column="depth_rank", means="0 is the nearest person"),
    "stature": Field(column="stature_m", means="metres"),
    "area": Field(column="modal_area_px", means="pixels that are seen"),
    "whole_area": Field(column="amodal_area_px", means="pixels with nothing in front"),
    "box_width": Field(column="modal_box_px", element=2, means="pixels, of what is seen"),
    "box_height": Field(column="modal_box_px", element=3, means="pixels, of what is seen"),
    "gender": Field(column="phenotype", element=0, means="0 male to 1 female"),
    "age": Field(column="phenotype", element=1, means="0 to 1; 0.67 young adult"),
    "muscle": Field(column="phenotype", element=2, means="0 to 1"),
    "weight": Field(column="phenotype", element=3, means="0 to 1"),
    "tallness": Field(column="phenotype", element=4, means="0 to 1, among one gender"),
    "asked": Field(column="ask_fraction", means="the occluded fraction that was asked for"),
    "met": Field(column="ask_met", kind="flag", means="what was asked for was met: yes or no"),
    "instance": Field(column="instance", means="number of the person in its frame"),
    "track": Field(column="track_id", means="number of the person in its clip"),
    "pose": Field(column="pose", kind="text", means="name of the pose"),
    "pose family": Field(column="pose_family", kind="text", means="family of the pose"),
    "motion": Field(column="motion", kind="text", means="name of the motion, in clips"),
    "identity": Field(column="identity", kind="text", means="body and face"),
    "view": Field(
        column="view",
        table="made",
        kind="text",
        values=VIEWS,
        means="the side of the body that the camera sees",
    ),
    "people": Field(column="people", table="made", means="people in the frame"),
    "frame": Field(column="index", table="frame", means="number of the frame"),
    "seed": Field(column="seed", table="frame", means="seed of the run"),
    "width": Field(column="width_px", table="frame", means="pixels of the frame"),
    "height": Field(column="height_px", table="frame", means="pixels of the frame"),
    "crowd": Field(column="crowd_index", table="frame", means="crowd index, 0 to 1"),
    "camera": Field(column="camera_id", table="frame", means="camera of the rig, from 0"),
    "clip_frame": Field(column="clip_frame", table="frame", means="frame of the clip, from 0"),
    "time": Field(column="time_s", table="frame", means="seconds from the clip's start"),
    "split": Field(
        column="split",
        table="frame",
        kind="text",
        values=("train", "val", "test"),
        means="train, val or test",
    ),
    "variant": Field(
        column="variant", table="frame", kind="text", means="base, clean, occluder, ..."
    ),
    "group": Field(column="group_id", table="frame", kind="text", means="frames made together"),
    "clip": Field(column="clip_id", table="frame", kind="text", means="name of the clip"),
    "thing": Field(
        column="thing_kind", table="frame", kind="list", means="some thing in the frame"
    ),
    "layer": Field(column="layers", table="frame", kind="list", means="some layer stored"),
}

_PARTS = {
    "nose": ("nose",),
    "eye": ("eye",),
    "ear": ("ear",),
    "shoulder": ("shoulder",),
    "elbow": ("elbow",),
    "wrist": ("wrist",),
    "hip": ("hip",),
    "knee": ("knee",),
    "ankle": ("ankle",),
    "toe": ("big_toe", "small_toe"),
    "heel": ("heel",),
    "face": ("nose", "eye", "ear"),
    "arm": ("shoulder", "elbow", "wrist"),
    "leg": ("hip", "knee", "ankle"),
    "foot": ("ankle", "big_toe", "small_toe", "heel"),
}
_PLURALS = {f"{name}s": name for name in _PARTS} | {"feet": "foot", "joints": "joint"}
GROUPS = (*_PARTS, "joint")
"""What may follow any, all, both, no and at least N; the plural too, and left or right."""


def joints_of(word: str, side: str, joints: tuple[str, ...]) -> tuple[int, ...]:
    """Return the places of a group's joints; empty when the word names no group or joint."""
    name = _PLURALS.get(word, word)
    if name not in GROUPS:
        return (joints.index(word),) if word in joints and not side else ()
    parts = _PARTS.get(name)
    return tuple(
        j
        for j, joint in enumerate(joints)
        if joint.startswith(side)
        and (parts is None or joint.removeprefix("left_").removeprefix("right_") in parts)
    )


def fields_text() -> str:
    """Return the fields of the language, a line each, for --help and error pages."""
    width = max(map(len, FIELDS))
    lines = []
    for name, field in FIELDS.items():
        values = f" ({', '.join(field.values)})" if field.values else ""
        lines.append(f"{name:<{width}}  {field.means}{values}")
    return "\n".join(lines)
