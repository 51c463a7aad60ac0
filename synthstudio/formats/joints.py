"""Conversion between skeletons: each joint is same, approximation or missing.

Deviations of approximations were measured on Anny's default woman and man at rest (1.69 m and
1.57 m) against the bone of the other data set's joint.

An averaged joint: place and fractions are means; it is unlabelled if a part is; outside if its own
place is; else hidden if any part is not visible, by what hides the worst part (the least visible
share, first of equals); ambiguous if a part is; `hidden_by` adds up; human if a part is.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from synthstudio.core import labels
from synthstudio.core.errors import FormatError
from synthstudio.core.people import UNKNOWN, hidden_columns
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.rows import NO_STATE, Row, hidden_by
from synthstudio.formats.exchange import EXPORTED_BOX, Contents, inside

Kind = Literal["same", "approximation", "missing"]


@dataclass(frozen=True)
class Rule:
    """Derivation of a joint from another skeleton; `deviation`: its error."""

    kind: Kind
    parts: tuple[str, ...] = ()
    deviation: str = ""


_SHOULDERS, _HIPS = ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")
_NECK = Rule("approximation", _SHOULDERS, "6 to 7 cm below the base of the neck")
_TRUNK: dict[str, Rule] = {
    "pelvis": Rule("approximation", _HIPS, "3 to 4 cm below the pelvis bone"),
    "spine": Rule("approximation", _HIPS + _SHOULDERS, "2 to 4 cm in front of the spine"),
    "thorax": _NECK,
    "neck": _NECK,
    "upper_neck": Rule(
        "approximation", (*_SHOULDERS, "left_ear", "right_ear"), "7 cm below the base of the skull"
    ),
    "head_top": Rule("missing", deviation="the crown lies 13 cm above the ears; no joint marks it"),
}
_FACE = ("nose", "eye", "ear")
_GROUPS = ("target_hidden", "target_shown")
TARGETS = ("coco17", "mpii16", "crowdpose14", "h36m17", "lsp14", "ochuman19")
"""Target skeletons of coco133, coco23 and coco17."""


def rules(source: Skeleton, target: Skeleton) -> dict[str, Rule]:
    own = dict(zip(source.known_as, source.joints, strict=True))
    same = zip(target.joints, target.known_as, target.numbers_in(source), strict=True)
    return {
        joint: _approximation(name, own) if j is None else Rule("same", (source.joints[j],))
        for joint, name, j in same
    }


def _approximation(name: str, source: Mapping[str, str]) -> Rule:
    """The rule for `name` (known_as); `source`: the other's joints by known_as."""
    found = _TRUNK.get(name, Rule("missing"))
    if not all(part in source for part in found.parts):
        return Rule("missing")
    return replace(found, parts=tuple(source[part] for part in found.parts))


def lost_joints(source: Skeleton, target: Skeleton) -> list[str]:
    same = zip(source.joints, source.numbers_in(target), strict=True)
    return [joint for joint, j in same if j is None]


def convert_row(row: Mapping[str, Any], frame: Mapping[str, Any], target: Skeleton) -> Row:
    """Return a person's row in another skeleton; FormatError if they share no joint.

    Groups of target joints are renamed, and dropped if a joint is lost; so are targets of causes,
    which are shares of the other joints.
    """
    source = get_skeleton(frame["skeleton"])
    if source.name == target.name or source.same_labels(target):
        return dict(row)
    table = rules(source, target)
    if all(rule.kind == "missing" for rule in table.values()):
        raise FormatError(
            "no common joint",
            where=str(frame.get("file_name", "")),
            expected=target.title,
            got=source.described(target),
        )
    old = joints_of(row)
    size = (frame["width_px"], frame["height_px"])
    parts = [[old[source.joints.index(p)] for p in table[j].parts] for j in target.joints]
    new = [_averaged(found, size) if len(found) != 1 else found[0] for found in parts]
    return {**row, **columns_of(new, row), **_targets(row, table)}


def _targets(row: Mapping[str, Any], table: Mapping[str, Rule]) -> Row:
    """The targets of a converted row; `target_met` is None if none is left."""
    new = {rule.parts[0]: joint for joint, rule in table.items() if rule.kind == "same"}
    out: Row = {"target_causes": None}
    for column in _GROUPS:
        groups = [[new.get(joint) for joint in group.split("+")] for group in row.get(column) or ()]
        out[column] = ["+".join(map(str, group)) for group in groups if None not in group]
    left = row.get("target_fraction") is not None or any(out.values())
    return out if left else {**out, "target_met": None}


def without_hidden_faces(row: Row, skeleton: Skeleton) -> Row:
    """A person's row without eyes, ears and nose that the own body hides: rarely in COCO."""
    own = [
        name.split("_")[-1] in _FACE and (state, cause) == (labels.STATE_HIDDEN, "self")
        for name, state, cause in zip(skeleton.known_as, row["state"], row["cause"], strict=True)
    ]
    return _without(row, own)


def as_exported(row: Row, size: tuple[int, int], skeleton: Skeleton, contents: Contents) -> Row:
    """A person's row with the joints and the box that an export uses; `size` (H, W)."""
    if not contents.hidden_faces:
        row = without_hidden_faces(row, skeleton)
    if contents.joints == "visible":
        row = _without(row, [state == labels.STATE_HIDDEN for state in row["state"]])
    if contents.boxes == "amodal" and row["amodal_box_px"] is not None:
        row = {**row, EXPORTED_BOX: inside(row["amodal_box_px"], size)}
    return row


def _without(row: Row, left_out: Sequence[bool]) -> Row:
    if not any(left_out):
        return row
    joints = zip(joints_of(row), left_out, strict=True)
    return {**row, **columns_of([_MISSING if gone else j for j, gone in joints], row)}


_EACH = {n: label.entries(1) or 0 for n, label in labels.LABELS.items() if "J" in label.shape}
"""Columns of joints -> number of entries per joint."""
Joint = dict[str, Any]
"""Column -> a joint's entries, None where the list is null; and `hidden_by`, its occluders."""
_MISSING: Joint = {n: [UNKNOWN[labels.LABELS[n].memory]] * each for n, each in _EACH.items()}
_MISSING |= {"cause": ["unlabelled"], "occluder_id": [0], "origin": ["rendered"], "hidden_by": ()}


def joints_of(row: Mapping[str, Any]) -> list[Joint]:
    return [
        {
            "hidden_by": occluders,
            **{
                name: None if row[name] is None else row[name][each * j : each * (j + 1)]
                for name, each in _EACH.items()
            },
        }
        for j, occluders in enumerate(hidden_by(row))
    ]


def _averaged(parts: Sequence[Joint], size: tuple[int, int]) -> Joint:
    if not parts or any(p["state"] == [NO_STATE] for p in parts):
        return _MISSING
    seen = [(p["state"], p["visibility_fractions"][0], p) for p in parts]
    worst = min(seen, key=lambda one: (one[0], math.isnan(one[1]), one[1]))[2]
    means = {
        name: _mean([p[name] for p in parts])
        for name in _EACH
        if labels.LABELS[name].kind == "float" and worst[name] is not None
    }
    x, y = means["joints_px"]
    if not (0 <= x < size[0] and 0 <= y < size[1]):
        state, cause = labels.STATE_OUTSIDE, "truncated"
    elif all(p["state"] == [labels.STATE_VISIBLE] for p in parts):
        state, cause = labels.STATE_VISIBLE, "visible"
    else:
        # The centre is inside, so it is not truncated even if a part is.
        state, cause = labels.STATE_HIDDEN, worst["cause"][0].replace("truncated", "unknown")
    occluders: dict[int, float] = {}
    for part in parts:
        for instance, share in part["hidden_by"]:
            occluders[instance] = occluders.get(instance, 0.0) + share / len(parts)
    by_worst = state == labels.STATE_HIDDEN and [cause] == worst["cause"]
    return {
        **worst,
        **means,
        "state": [state],
        "cause": [cause],
        "ambiguous": [any(p["ambiguous"] == [True] for p in parts)],
        "occluder_id": worst["occluder_id"] if by_worst else [0],
        "origin": max(
            (p["origin"] for p in parts), key=lambda origin: labels.ORIGINS.index(origin[0])
        ),
        "hidden_by": sorted(occluders.items(), key=lambda pair: (-pair[1], pair[0])),
    }


def _mean(values: Sequence[Sequence[float]]) -> Sequence[float]:
    return [math.fsum(column) / len(values) for column in zip(*values, strict=True)]


def columns_of(joints: Sequence[Joint], row: Mapping[str, Any]) -> Row:
    flat = {
        name: None if row[name] is None else [v for joint in joints for v in joint[name]]
        for name in _EACH
    }
    return {**flat, **hidden_columns(joint["hidden_by"] for joint in joints)}
