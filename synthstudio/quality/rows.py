"""The rows of a data set against themselves: every field that another one decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.labels import SHARES
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.spec import THING_BASE
from synthstudio.core.visibility import VISIBLE_THRESHOLD, joint_states, occluded_fraction
from synthstudio.dataset.row_checks import JOINT_LISTS
from synthstudio.dataset.rows import NO_STATE
from synthstudio.quality.coco import mask_findings
from synthstudio.quality.findings import Finding
from synthstudio.quality.people import check_person, keypoint_key
from synthstudio.quality.subject import Mask, Subject, read_mask, subject_of_row

F64 = NDArray[np.float64]
_PAIRS = ("hidden_joint", "hidden_instance", "hidden_share")
_SUM = 1e-6
_SLACK = 1e-6
_CAUSE_OF_STATE = {2: "visible", 0: "truncated", NO_STATE: "unlabelled"}


def check_frame(
    frame: Mapping[str, Any], people: Sequence[Mapping[str, Any]], skeleton: Skeleton
) -> tuple[list[Finding], list[Mask]]:
    """Return what is wrong with a frame's rows, and the masks of what is seen of its people."""
    found: list[Finding] = []
    masks: list[Mask] = []
    at = {"image": frame["index"], "where": f"frame {frame['index']}"}
    instances = [row["instance"] for row in people]
    if len(set(instances)) != len(instances):
        found.append(Finding(kind="duplicate_id", what=f"instances {instances}", **at))
    if frame["skeleton"] != skeleton.name:
        found.append(Finding(kind="schema", what=f"another skeleton than {skeleton.title}", **at))
    known = {*instances, *frame["thing_instance"]}
    twins: dict[bytes, int] = {}
    for row in people:
        subject, wrong = _subject(frame, row, skeleton)
        found += wrong
        if subject is None:
            continue
        found += check_person(subject)
        found += _joints(subject, row)
        found += _check_occluders(
            subject, row, known, whole="spec" in frame and frame["spec"] is not None
        )
        found += _camera(subject, frame, row)
        for mask, problems in _masks(subject, row, imported=frame["spec"] is None):
            found += problems
            masks += [mask] if mask is not None else []
        key = keypoint_key(subject)
        if key is not None and twins.setdefault(key, row["instance"]) != row["instance"]:
            found.append(_at(subject, "twins", f"the same as person {twins[key]}"))
    return found, masks


def _at(s: Subject, kind: str, what: str, joint: np.integer[Any] | int | None = None) -> Finding:
    number = None if joint is None else int(joint)
    name = "" if number is None else f"{s.skeleton.joints[number]} "
    return Finding(
        kind=kind, where=s.where, what=name + what, joint=number, image=s.image, person=s.person
    )


def _subject(
    frame: Mapping[str, Any], row: Mapping[str, Any], skeleton: Skeleton
) -> tuple[Subject | None, list[Finding]]:
    where = {
        "where": f"frame {frame['index']}, person {row['instance']}",
        "image": frame["index"],
        "person": row["instance"],
    }
    joints = len(skeleton.joints)
    found = [
        Finding(kind="list_length", what=f"{name}: {len(row[name])} for {joints} joints", **where)
        for name, columns in JOINT_LISTS.items()
        if row[name] is not None and len(row[name]) != joints * columns
    ]
    if len({len(row[name]) for name in _PAIRS}) > 1:
        what = f"{', '.join(_PAIRS)}: of different lengths"
        found.append(Finding(kind="list_length", what=what, **where))
    return (None if found else subject_of_row(frame, row, skeleton)), found


def _joints(s: Subject, row: Mapping[str, Any]) -> Iterator[Finding]:
    """Shares, states and causes; where a person decided, only what can be told from outside."""
    shares = np.array(row["shares"], np.float64).reshape(-1, len(SHARES))
    known = np.isfinite(shares).all(axis=1)
    error = known & ((np.abs(shares.sum(axis=1) - 1) > _SUM) | (shares < -_SLACK).any(axis=1))
    for j in np.flatnonzero(error):
        yield _at(s, "shares", f"{np.round(shares[j], 3).tolist()}", j)
    bad = ~np.isin(s.state, (0, 1, 2, NO_STATE))
    for j in np.flatnonzero(bad):
        yield _at(s, "state", f"is {s.state[j]}", j)
    rendered = np.array([origin == "rendered" for origin in row["origin"]]) & known & ~bad
    yield from _states(s, np.array(row["joints_px"], np.float64).reshape(-1, 2), shares, rendered)
    yield from _causes(s, row["cause"], shares, rendered)


def _states(s: Subject, px: F64, shares: F64, rendered: NDArray[np.bool_]) -> Iterator[Finding]:
    with np.errstate(invalid="ignore"):
        inside = np.asarray(((px >= 0) & (px < (s.width, s.height))).all(axis=1))
    # A joint at its very edge may round to either side.
    edge = np.minimum(np.abs(px), np.abs(px - (s.width, s.height))).min(axis=1) < _SLACK
    want = joint_states(shares[:, 0], inside)
    for j in np.flatnonzero(rendered & (want != s.state) & ~edge):
        near = abs(shares[j, 0] - VISIBLE_THRESHOLD) < _SLACK
        if not (near and inside[j] and s.state[j] in (1, 2)):
            yield _at(s, "state", f"is {s.state[j]}, shares and place say {want[j]}", j)


def _causes(
    s: Subject, causes: Sequence[str], shares: F64, rendered: NDArray[np.bool_]
) -> Iterator[Finding]:
    for j, cause in enumerate(causes):
        state = int(s.state[j])
        fixed = _CAUSE_OF_STATE.get(state)
        if fixed is not None and cause != fixed:
            yield _at(s, "cause", f"{cause} at state {state}", j)
        elif state == 1 and cause not in ("self", "person", "object", "unknown"):
            yield _at(s, "cause", f"{cause} at state 1", j)
        elif state == 1 and rendered[j] and cause in SHARES:
            if shares[j, SHARES.index(cause)] < shares[j, 1:4].max() - 1e-6:
                yield _at(s, "cause", f"{cause} is not the largest share", j)


def _check_occluders(s: Subject, row: Mapping[str, Any], known: set[int], *, whole: bool) -> Any:
    """Who hides what: every occluder is in the frame, and their shares make up the joint's."""
    sums = np.zeros((len(s.state), 3))
    pairs = zip(*(row[name] for name in _PAIRS), strict=True)
    for j, instance, share in pairs:
        if not 0 <= j < len(s.state) or not 0 < share <= 1 + _SLACK:
            yield _at(s, "hidden_by", f"joint {j}, share {share}")
            return
        if instance not in known and whole and instance >= THING_BASE:
            yield _at(s, "hidden_by", f"names instance {instance}, which the frame lacks", j)
            return
        kind = 0 if instance == s.person else 1 if instance < THING_BASE else 2
        sums[j, kind] += share
    shares = np.array(row["shares"], np.float64).reshape(-1, len(SHARES))[:, 2:4]
    error = np.abs(sums[:, 1:] - shares).max(axis=1)
    rendered = np.array([origin == "rendered" for origin in row["origin"]])
    for j in np.flatnonzero(rendered & (error > 1e-5)):
        yield _at(s, "hidden_by", f"its occluders' shares are {error[j]:.3f} off", j)
        return


def _camera(s: Subject, frame: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[Finding]:
    world, matrix = row["joints_world_m"], frame["world_to_camera"]
    if s.camera_m is None or world is None or matrix is None or len(matrix) != 16:
        return
    to_camera = np.array(matrix, np.float64).reshape(4, 4)
    there = np.array(world, np.float64).reshape(-1, 3) @ to_camera[:3, :3].T + to_camera[:3, 3]
    error = np.abs(there - s.camera_m).max(axis=1)
    j = int(np.argmax(np.nan_to_num(error)))
    if error[j] > 1e-4:
        yield _at(s, "projection", f"world and camera places are {error[j]:.3f} m apart", j)


def _masks(
    s: Subject, row: Mapping[str, Any], *, imported: bool
) -> Iterator[tuple[Mask | None, list[Finding]]]:
    found: list[Finding] = []
    size = list(row["mask_size"])
    at = {"image": s.image, "person": s.person}
    read: dict[str, Mask | None] = {"modal": None, "amodal": None}
    for name in read:
        counts = row[f"{name}_counts"]
        if counts is None:
            continue
        if size != [s.height, s.width]:
            found.append(_at(s, "mask_size", f"{size}, image {s.width} x {s.height}"))
            break
        try:
            read[name] = read_mask({"size": size, "counts": counts}, s.height, s.width)
        except ValueError as error:
            found.append(_at(s, "mask_broken", f"{name}: {error}"))
    modal, amodal = read["modal"], read["amodal"]
    if modal is not None:
        box, area = list(row["modal_box_px"]), row["modal_area_px"]
        found += mask_findings(modal, box, area, where=s.where, at=at, loose=imported)
    if amodal is not None and row["amodal_area_px"] not in (None, amodal.area):
        found.append(
            _at(s, "area", f"amodal {row['amodal_area_px']}, its mask has {amodal.area} pixels")
        )
    if modal is not None and amodal is not None:
        found += _pair(s, row, modal, amodal)
    yield modal, found


def _pair(s: Subject, row: Mapping[str, Any], modal: Mask, amodal: Mask) -> Iterator[Finding]:
    place = np.searchsorted(amodal.starts, modal.starts, side="right") - 1
    ends = amodal.ends[np.maximum(place, 0)] if len(amodal.ends) else np.zeros(len(place), int)
    if ((place < 0) | (modal.ends > ends)).any():
        yield _at(s, "amodal", "pixels that are seen are not of the whole person")
    stated = row["occluded_fraction"]
    counted = occluded_fraction(modal.area, amodal.area)
    if stated is not None and abs(stated - counted) > 1e-6:
        yield _at(s, "fraction", f"occluded {stated:.4f}, masks say {counted:.4f}")
