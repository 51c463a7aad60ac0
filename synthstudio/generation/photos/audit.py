"""The second oracle of photo sets: recomputes the occlusion by pastes pixel by pixel.

The annotated labels are in the clean frame of each photo, so no photo is needed: pastes are
rendered again from each frame's spec. The occlusion is recomputed here independently,
from docs/occlude.md. It deliberately calls neither `core/visibility.py` nor `label`: an oracle that
shared the rule's code would repeat its errors. Pasted people are checked by `generation.audit`, the
oracle of rendered sets. Shared are only the alpha of the pastes and the decoder of masks.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from synthstudio.core.arrays import F64, Bool
from synthstudio.core.masks import decode
from synthstudio.core.photo import PhotoSpec
from synthstudio.core.places import Place
from synthstudio.core.progress import OnProgress, counter
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.core.spec import OBJECT_BASE, read_as
from synthstudio.dataset.reader import Dataset, opened
from synthstudio.dataset.rows import Row
from synthstudio.generation import audit as rendered
from synthstudio.generation.photos.layers import PasteLayer, paste_layers
from synthstudio.generation.photos.make import annotated, pasted_people, renumbered
from synthstudio.generation.stage import PHOTOS, FrameGenerator, stored_settings
from synthstudio.recipe.draw_photo import CLEAN

_SAME = 0.02
"""Tolerance of fractions: a disc's radius follows from an area that is stored in
whole pixels, and edges may differ slightly between machines."""
_HALF = 0.5


@dataclass(frozen=True)
class PhotoFinding:
    """A mismatch of an annotated person, or of one joint."""

    frame: int
    instance: int
    joint: str | None
    what: str

    def __str__(self) -> str:
        joint = "" if self.joint is None else f", {self.joint}"
        return f"frame {self.frame}, person {self.instance}{joint}: {self.what}"


@dataclass(kw_only=True)
class PhotoTally:
    """Counts over the annotated people of occluded frames."""

    frames: int = 0
    people: int = 0
    joints: int = 0
    touched: int = 0  # joints partly hidden by pastes
    state_differs: int = 0
    cause_differs: int = 0
    mask_differs: int = 0
    largest_share_error: float = 0.0
    findings: list[PhotoFinding] = field(default_factory=list)

    def report(self) -> dict[str, Any]:
        found = {k: v for k, v in dataclasses.asdict(self).items() if k != "findings"}
        wrong = self.state_differs + self.cause_differs + self.mask_differs
        return {**found, "passed": wrong == 0 and self.largest_share_error <= _SAME}

    def text(self) -> str:
        passed = "they agree" if self.report()["passed"] else "they do NOT agree"
        return (
            f"{self.joints} annotated joints of {self.people} people, {self.touched} of them "
            f"behind pastes: state differs in {self.state_differs}, cause in "
            f"{self.cause_differs}, masks of {self.mask_differs} people, fractions by "
            f"{self.largest_share_error:.4f} at most; {passed}"
        )


def is_of_photos(dataset: Dataset) -> bool:
    return PHOTOS in dataset.identity.recipe


def audit(
    place: Place | Dataset,
    *,
    assets: Path | None = None,
    device: str = "auto",
    frames: int | None = None,
    on_progress: OnProgress | None = None,
) -> tuple[PhotoTally, rendered.Tally]:
    """Check the first `frames` stored frames (all when None) of a set that `occlude` made.

    Returns the tally of annotated people and that of pasted people, who are checked if rendered
    in the set's skeleton. `assets` as in `stage.settings_of`. SynthStudioError when the set or an
    asset cannot be read.
    """
    dataset = opened(place)
    stage = FrameGenerator(stored_settings(dataset, assets=assets, device=device))
    skeleton = get_skeleton(dataset.identity.skeleton)
    rows = list(dataset.iter_frames(["index", "variant", "group_id", "spec"]))[:frames]
    total, pasted, count = PhotoTally(), rendered.Tally(), counter(on_progress, len(rows))
    clean: tuple[str, list[Row]] = ("", [])
    for done, row in enumerate(rows, 1):
        index = row["index"]
        if row["variant"] == CLEAN:
            clean = (row["group_id"], dataset.instances(index))
        elif clean[0] == row["group_id"] and row["spec"]:
            spec = read_as(PhotoSpec, row["spec"])
            people = [annotated(person, skeleton) for person in clean[1]]
            pastes, stored = paste_layers(stage, spec, people), dataset.instances(index)
            compare(total, clean[1], stored, pastes, skeleton, spec)
            if stage.skeleton.name == skeleton.name:
                _compare_pasted(pasted, stage, spec, pastes, stored)
        count(done)
    return total, pasted


def _compare_pasted(
    tally: rendered.Tally,
    stage: FrameGenerator,
    spec: PhotoSpec,
    pastes: tuple[PasteLayer, ...],
    stored: Sequence[Row],
) -> None:
    by_instance = {row["instance"]: row for row in stored}
    for one, before in pasted_people(pastes):
        made, person = one.rendered, one.paste.person
        if made is None or person is None or one.paste.instance not in by_instance:
            continue
        built = dataclasses.replace(made.built, cutouts=renumbered(before)[0])
        fresh = stage.body.fresh_patches(person, points=rendered.FRESH_POINTS, seed=1)
        row, joints = by_instance[one.paste.instance], stage.skeleton.joints
        tally.add(rendered.compare(built, [row], [fresh], joints=joints, frame=spec.index))


def compare(
    tally: PhotoTally,
    before: Sequence[Row],
    stored: Sequence[Row],
    pastes: Sequence[PasteLayer],
    skeleton: Skeleton,
    spec: PhotoSpec,
) -> None:
    """Compare an occluded frame's rows with those of its clean frame and its pastes."""
    left = np.ones((spec.height_px, spec.width_px))
    opaque = np.zeros(left.shape, np.bool_)
    taken: dict[int, F64] = {}
    for one in pastes:
        layer, whole = one.layer, np.zeros(left.shape)
        h, w = layer.alpha.shape
        whole[layer.top_px : layer.top_px + h, layer.left_px : layer.left_px + w] = layer.alpha
        part = left * whole
        taken[layer.instance] = taken.get(layer.instance, np.zeros(left.shape)) + part
        left, opaque = left - part, opaque | (whole >= _HALF)
    tally.frames += 1
    after = {row["instance"]: row for row in stored}
    for row in before:
        number = row["instance"]
        found = _person(tally, row, after.get(number), taken, opaque, skeleton, spec)
        tally.findings += [PhotoFinding(spec.index, number, *each) for each in found]


def _person(
    tally: PhotoTally,
    was: Row,
    now: Row | None,
    taken: dict[int, F64],
    opaque: Bool,
    skeleton: Skeleton,
    spec: PhotoSpec,
) -> Iterator[tuple[str | None, str]]:
    """Count one person; yields mismatches: a joint's name or None, and the text."""
    left, top, width, height = spec.crop or (0, 0, spec.width_px, spec.height_px)
    at = np.reshape(was["joints_px"], (-1, 2)) - (left, top)
    lost = ~np.asarray(((at >= 0) & (at < (width, height))).all(axis=1))
    if now is None:
        if spec.crop is None or not lost.all():
            tally.mask_differs += 1
            yield None, "it is missing"
        return
    tally.people += 1
    mask = _mask(was["modal_counts"], was["mask_size"])
    if mask is not None:
        kept = _mask(now["modal_counts"], now["mask_size"])
        seen = (mask & ~opaque)[top : top + height, left : left + width]
        if kept is None or not np.array_equal(seen, kept):
            tally.mask_differs += 1
            yield None, "its mask does not match the pastes"
    if not np.array_equal(at, np.reshape(now["joints_px"], (-1, 2)), equal_nan=True):
        tally.state_differs += 1
        yield None, "its joints are in other places"
    for j, name in enumerate(skeleton.joints):
        if spec.crop is not None and lost[j] and was["state"][j] in (1, 2):
            tally.joints += 1
            if (now["state"][j], now["cause"][j]) != (0, "truncated"):
                tally.state_differs += 1
                yield name, "outside the frame, but labelled inside"
            continue
        disc = _disc(was, j, float(skeleton.sigmas[j]), mask, opaque.shape)
        hidden = {i: float(share[disc].mean()) for i, share in taken.items() if disc.any()}
        problem = _joint(tally, was, now, j, {i: s for i, s in hidden.items() if s > 0})
        if problem:
            yield name, problem


def _joint(tally: PhotoTally, was: Row, now: Row, j: int, hidden: dict[int, float]) -> str:
    """Count one joint; return its mismatch, or ""."""
    tally.joints += 1
    if was["state"][j] not in (1, 2) or not hidden:
        same = all(was[name][j] == now[name][j] for name in ("state", "cause", "occluder_id"))
        tally.state_differs += not same
        return "" if same else "not covered by a paste, but its label changed"
    tally.touched += 1
    covered = sum(hidden.values())
    expected = dict(hidden)
    for i, share in _occluders(was, j).items():
        expected[i] = expected.get(i, 0.0) + share * (1 - covered)
    stored = _occluders(now, j)
    error = max(abs(expected.get(i, 0.0) - stored.get(i, 0.0)) for i in {*expected, *stored})
    tally.largest_share_error = max(tally.largest_share_error, error)
    earlier = was["visibility_fractions"][5 * j : 5 * j + 5]
    seen = (earlier[0] if np.isfinite(earlier).all() else 1.0) * (1 - covered)
    state = 2 if was["state"][j] == 2 and seen >= _HALF else 1
    if now["state"][j] != state and abs(seen - _HALF) > _SAME:
        tally.state_differs += 1
        return f"state {now['state'][j]}, again {state}"
    cause = _cause(was, j, expected, covered, state)
    if cause is not None and now["state"][j] == state and now["cause"][j] != cause:
        tally.cause_differs += 1
        return f"cause {now['cause'][j]}, again {cause}"
    return f"fractions of its occluders are {error:.3f} off" if error > _SAME else ""


def _cause(was: Row, j: int, hidden: dict[int, float], covered: float, state: int) -> str | None:
    """The cause; None if ambiguous or if earlier fractions contribute."""
    if state == 2:
        return "visible"
    if np.isfinite(was["visibility_fractions"][5 * j : 5 * j + 5]).all():
        return None
    if was["state"][j] == 1 and covered < _HALF:
        return None if covered > _HALF - _SAME else str(was["cause"][j])
    own = was["instance"]
    people = sum(s for i, s in hidden.items() if i < OBJECT_BASE and i != own)
    objects = sum(s for i, s in hidden.items() if i >= OBJECT_BASE)
    if abs(people - objects) < _SAME:
        return None
    return "person" if people > objects else "object"


def _occluders(row: Row, j: int) -> dict[int, float]:
    flat = zip(row["hidden_joint"], row["hidden_instance"], row["hidden_share"], strict=True)
    return {i: share for joint, i, share in flat if joint == j}


def _disc(row: Row, j: int, sigma: float, mask: Bool | None, shape: tuple[int, ...]) -> Bool:
    x, y = row["joints_px"][2 * j : 2 * j + 2]
    _, _, w, h = row["modal_box_px"]
    r = max(2.0, 2 * sigma * np.sqrt(float(row["modal_area_px"]) or w * h))
    if not np.isfinite((x, y)).all():
        return np.zeros(shape, np.bool_)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    near = np.asarray((columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2 <= r * r, np.bool_)
    if mask is not None and (near & mask).any():
        near &= mask
    return near


def _mask(counts: str | None, size: Sequence[int]) -> Bool | None:
    if counts is None:
        return None
    return decode({"size": list(size), "counts": counts})
