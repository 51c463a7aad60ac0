"""Consistency of a data set's rows: every field that follows from others.

Rows are checked by column; only flagged ones individually.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter

import numpy as np
import pyarrow as pa

from synthstudio.core.arrays import F64, I64, U8, Bool
from synthstudio.core.labels import CAUSES, HIDDEN_CAUSES, VISIBILITY
from synthstudio.core.masks import Mask, read_mask
from synthstudio.core.people import HIDDEN
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.core.spec import OBJECT_BASE
from synthstudio.core.visibility import (
    VISIBLE_THRESHOLD,
    is_labelled,
    joint_states,
    occluded_fraction,
)
from synthstudio.dataset.derive import aligned
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import (
    INSTANCE_SCHEMA,
    NO_STATE,
    Row,
    Sample,
    as_arrow,
    as_numbers,
    as_numpy,
    beyond_limits,
    list_lengths,
    misfits,
    number_lists,
    one_array,
    word_codes,
)
from synthstudio.quality.checks import Finding, Subjects, padded, subjects_of_rows
from synthstudio.quality.people import (
    Problem,
    check_people,
    duplicates,
    finding_of,
    holds,
    mask_problems,
    places,
)

_OF_MASKS = [
    *("mask_size", "modal_counts", "amodal_counts", "modal_box_px"),
    *("modal_area_px", "amodal_area_px", "occluded_fraction"),
]
_SUM = 1e-6
_SLACK = 1e-6
_CAUSE_OF_STATE = {2: "visible", 0: "truncated", NO_STATE: "unlabelled"}
_BATCH_FRAMES = 128
_OCCLUDERS = 1e-5
_KEY = 1 << 32
"""Above every instance: separates frames in combined keys."""
Chunk = tuple[list[Row], pa.Table, I64]
"""Frames, the rows of their people, the index of each person's frame."""


def chunks_of(dataset: Dataset) -> Iterator[Chunk]:
    """A data set in order, a shard at a time; DatasetError for inconsistent tables."""
    for part in aligned(dataset):
        yield part.frames.to_pylist(), part.people, part.owners


def chunks_of_samples(samples: Iterable[Sample]) -> Iterator[Chunk]:
    waiting = iter(samples)
    while batch := list(islice(waiting, _BATCH_FRAMES)):
        counts = [len(people) for _, people in batch]
        table = pa.Table.from_pylist([dict(r) for _, rows in batch for r in rows], INSTANCE_SCHEMA)
        yield [dict(frame) for frame, _ in batch], table, np.repeat(np.arange(len(batch)), counts)


def checked_frames(dataset: Dataset) -> Iterator[tuple[int, list[int], list[Finding]]]:
    """Index, people and findings of each frame's rows; DatasetError for inconsistent tables."""
    skeleton = get_skeleton(dataset.identity.skeleton)
    for frames, people, owner in chunks_of(dataset):
        instances = as_numpy(people["instance"])
        for k, found in enumerate(check_rows(frames, people, owner, skeleton)):
            yield frames[k]["index"], instances[owner == k].tolist(), found


def check_rows(
    frames: Sequence[Row], people: pa.Table, owner: I64, skeleton: Skeleton
) -> list[list[Finding]]:
    instances = as_numpy(people["instance"])
    out = [
        _of_frame(frame, instances[owner == k].tolist(), skeleton) for k, frame in enumerate(frames)
    ]
    unfit = _misfits(frames, people, owner, len(skeleton.joints))
    for n, finding in unfit:
        out[owner[n]].append(finding)
    if unfit:
        fit = np.setdiff1d(np.arange(len(owner)), [n for n, _ in unfit])
        people, owner = people.take(as_arrow(fit)), owner[fit]
    if len(owner):
        subjects = subjects_of_rows(frames, people, owner, skeleton)
        for n, found in enumerate(_of_people(subjects, frames, people, owner)):
            out[owner[n]] += found
    return out


def _of_frame(frame: Row, instances: list[int], skeleton: Skeleton) -> list[Finding]:
    found: list[Finding] = []
    at = {"image": frame["index"], "where": f"frame {frame['index']}"}
    if len(set(instances)) != len(instances):
        found.append(Finding(kind="duplicate_id", what=f"instances {instances}", **at))
    if frame["skeleton"] != skeleton.name:
        found.append(Finding(kind="schema", what=f"another skeleton than {skeleton.title}", **at))
    return found


def _misfits(
    frames: Sequence[Row], people: pa.Table, owner: I64, joints: int
) -> list[tuple[int, Finding]]:
    """People whose lists contradict the skeleton or each other; not checked further."""
    out = []
    for n, expected, got in sorted(misfits(people, joints), key=itemgetter(0)):
        index, instance = frames[owner[n]]["index"], people["instance"][n].as_py()
        at = {"where": f"frame {index}, person {instance}", "image": index, "person": instance}
        out.append((n, Finding(kind="list_length", what=f"{got}, not {expected}", **at)))
    return out


def _of_people(
    s: Subjects, frames: Sequence[Row], people: pa.Table, owner: I64
) -> list[list[Finding]]:
    found = check_people(s)
    with np.errstate(divide="ignore", invalid="ignore"):
        problems: list[Problem] = [
            (n, "limits", f"{got}, not {expected}", None)
            for n, expected, got in beyond_limits(people)
        ]
        problems += _joints(s, people)
        problems += _occluders(s, frames, people, owner)
        problems += _camera(s, frames, people, owner)
        for n, row in enumerate(people.select(_OF_MASKS).to_pylist()):
            problems += _masks_of(s, n, row, imported=frames[owner[n]]["spec"] is None)
    for problem in problems:
        found[problem[0]].append(finding_of(s, *problem))
    for n, twin in duplicates(s, owner.tolist(), {}, "person"):
        found[n].append(twin)
    return found


def _joints(s: Subjects, people: pa.Table) -> Iterator[Problem]:
    """Fractions, states and causes; for human labels only the formal part."""
    joints = s.state.shape[1]
    fractions = _fractions(people, joints)
    known = np.isfinite(fractions).all(axis=2)
    error = (np.abs(fractions.sum(axis=2) - 1) > _SUM) | (fractions < -_SLACK).any(axis=2)
    for n, j in places(known & error):
        yield n, "visibility_fractions", f"{np.round(fractions[n, j], 3).tolist()}", j
    bad = ~np.isin(s.state, (0, 1, 2, NO_STATE))
    for n, j in places(bad):
        yield n, "state", f"is {s.state[n, j]}", j
    rendered = _is_rendered(s, people) & known & ~bad
    px = number_lists(people["joints_px"], 2 * joints).reshape(-1, joints, 2)
    want, wrong = contradicted(s.state, fractions, px, s.size[:, None])
    for n, j in places(rendered & wrong):
        yield n, "state", f"is {s.state[n, j]}, fractions and place say {want[n, j]}", j
    yield from _causes(s, people, fractions, rendered)


def _fractions(people: pa.Table, joints: int) -> F64:
    values = number_lists(people["visibility_fractions"], joints * len(VISIBILITY))
    return values.reshape(-1, joints, len(VISIBILITY))


def _is_rendered(s: Subjects, people: pa.Table) -> Bool:
    return np.asarray(word_codes(people["origin"], ["rendered"]).reshape(s.state.shape) == 0)


def contradicted(
    state: I64, fractions: F64, px: F64, size: F64, *, edge: float = _SLACK
) -> tuple[U8, Bool]:
    """(N, J) the states implied by fractions and positions, and whether a joint's differs.

    Joints within `edge` of the picture's border, or near the threshold, may be either.
    """
    inside = np.asarray(((px >= 0) & (px < size)).all(axis=2))
    at_edge = np.minimum(np.abs(px), np.abs(px - size)).min(axis=2) < edge
    want = joint_states(fractions[..., 0], inside)
    near = (np.abs(fractions[..., 0] - VISIBLE_THRESHOLD) < _SLACK) & inside & is_labelled(state)
    return want, np.asarray((want != state) & ~at_edge & ~near)


def _causes(s: Subjects, people: pa.Table, fractions: F64, rendered: Bool) -> Iterator[Problem]:
    code = word_codes(people["cause"], CAUSES).reshape(s.state.shape)
    wrong, lesser = wrong_causes(s.state, code, fractions)
    for n, j in places(wrong | (rendered & lesser)):
        cause = people["cause"][n][j].as_py()
        text = f"at state {s.state[n, j]}" if wrong[n, j] else "is not the largest share"
        yield n, "cause", f"{cause} {text}", j


def wrong_causes(state: I64, code: I64, fractions: F64) -> tuple[Bool, Bool]:
    """(N, J) whether a cause contradicts its state, and whether another hides more of a joint."""
    wrong = (state == 1) & ~np.isin(code, [CAUSES.index(cause) for cause in HIDDEN_CAUSES])
    for one, cause in _CAUSE_OF_STATE.items():
        wrong |= (state == one) & (code != CAUSES.index(cause))
    place = np.minimum(code, len(VISIBILITY) - 1)[..., None]
    own = np.take_along_axis(fractions, place, axis=2)[..., 0]
    lesser = (state == 1) & ~wrong & (code < len(VISIBILITY))
    return wrong, lesser & (own < fractions[..., 1:4].max(axis=2) - _SLACK)


def _occluders(
    s: Subjects, frames: Sequence[Row], people: pa.Table, owner: I64
) -> Iterator[Problem]:
    """Occluders: each is in the frame, and their fractions sum to the joint's."""
    joints = s.state.shape[1]
    joint, instance, share = (as_numbers(one_array(people[name]).flatten()) for name in HIDDEN)
    row = np.repeat(np.arange(len(s)), list_lengths(people["hidden_joint"]))
    odd = ~((joint >= 0) & (joint < joints) & (share > 0) & (share <= 1 + _SLACK))
    objects = [k * _KEY + one for k, f in enumerate(frames) for one in f["object_instance"]]
    whole = np.array([frame["spec"] is not None for frame in frames], np.bool_)[owner]
    lost = (instance >= OBJECT_BASE) & ~np.isin(owner[row] * _KEY + instance, objects) & whole[row]
    reported = np.zeros(len(s), np.bool_)
    for k in np.flatnonzero(odd | lost).tolist():
        if reported[row[k]]:
            continue
        reported[row[k]], j = True, int(joint[k])
        if odd[k]:
            yield int(row[k]), "hidden_by", f"joint {j}, share {share[k]}", None
        else:
            text = f"names instance {instance[k]:.0f}, which the frame lacks"
            yield int(row[k]), "hidden_by", text, j
    kind = np.where(instance == np.array(s.person)[row], 0, np.where(instance < OBJECT_BASE, 1, 2))
    sums = np.zeros((len(s), joints, 3))
    np.add.at(sums, (row[~odd], joint[~odd].astype(np.int64), kind[~odd]), share[~odd])
    fractions = _fractions(people, joints)
    error = np.abs(sums[..., 1:] - fractions[..., 2:4]).max(axis=2)
    wrong = _is_rendered(s, people) & (error > _OCCLUDERS) & ~reported[:, None]
    for n in np.flatnonzero(wrong.any(axis=1)).tolist():
        j = int(np.argmax(wrong[n]))
        yield n, "hidden_by", f"its occluders' fractions are {error[n, j]:.3f} off", j


def _camera(s: Subjects, frames: Sequence[Row], people: pa.Table, owner: I64) -> Iterator[Problem]:
    joints = s.state.shape[1]
    world = number_lists(people["joints_world_m"], 3 * joints).reshape(-1, joints, 3)
    matrices = np.array([padded(frame["world_to_camera"], 16) for frame in frames], np.float64)
    to_camera = matrices.reshape(-1, 4, 4)[owner]
    there = world @ to_camera[:, :3, :3].transpose(0, 2, 1) + to_camera[:, None, :3, 3]
    error = np.abs(there - s.camera_m).max(axis=2)
    worst = np.nan_to_num(error).argmax(axis=1)
    largest = np.take_along_axis(error, worst[:, None], axis=1)[:, 0]
    for n in np.flatnonzero(s.has_camera & (largest > 1e-4)).tolist():
        text = f"world and camera places are {largest[n]:.3f} m apart"
        yield n, "projection", text, int(worst[n])


def _masks_of(s: Subjects, n: int, row: Row, *, imported: bool) -> Iterator[Problem]:
    width, height = (int(side) for side in s.size[n])
    size = list(row["mask_size"])
    read: dict[str, Mask] = {}
    for name in ("modal", "amodal"):
        counts = row[f"{name}_counts"]
        if counts is None:
            continue
        if size != [height, width]:
            yield n, "mask_size", f"{size}, image {width} x {height}", None
            break
        if "modal" in read and counts == row["modal_counts"]:  # fully visible
            read[name] = read["modal"]
            continue
        try:
            read[name] = read_mask({"size": size, "counts": counts}, height, width)
        except ValueError as error:
            yield n, "mask_broken", f"{name}: {error}", None
    modal, amodal = read.get("modal"), read.get("amodal")
    if modal is not None:
        box, area = list(row["modal_box_px"]), row["modal_area_px"]
        for kind, what in mask_problems(modal, box, area, loose=imported):
            yield n, kind, what, None
    if amodal is not None and row["amodal_area_px"] not in (None, amodal.area):
        text = f"amodal {row['amodal_area_px']}, its mask has {amodal.area} pixels"
        yield n, "area", text, None
    if modal is not None and amodal is not None:
        yield from _pair(n, row, modal, amodal)


def _pair(n: int, row: Row, modal: Mask, amodal: Mask) -> Iterator[Problem]:
    if not holds(amodal.starts, amodal.ends, modal.starts, modal.ends).all():
        yield n, "amodal", "pixels that are seen are not of the whole person", None
    stated = row["occluded_fraction"]
    counted = occluded_fraction(modal.area, amodal.area)
    if stated is not None and abs(stated - counted) > _SLACK:
        yield n, "fraction", f"occluded {stated:.4f}, masks say {counted:.4f}", None
