"""The effect of pastes on the labels of an annotated photo.

A person in a photo has no surface, so a joint's patch is a disc: radius 2 sigma sqrt(area) px,
at least 2 px, cut by the person's mask where there is one and it meets the disc. The patch is
the disc's pixel centres inside the frame; each counts alike and is hidden by the layers' alpha,
front to back.

* **Untouched** (no layer has alpha in the patch): everything is unchanged.
* **Unlabelled** (v=0): stays unlabelled.
* **Visible** (v=2): fractions follow from alpha (and from earlier ones where a file has them);
  state and cause by the rules of visibility.py.
* **Hidden** (v=1): stays hidden, cause `unknown`, unless the layers hide half of the patch: then
  it is the cause that hides most. Its fractions are known only where layers hide all of it, else
  NaN, as the cause of the rest is unknown. `hidden_by` lists the layers' parts.

The modal mask is the earlier one less what a layer covers with alpha 0.5 or more; fractions are
relative to the earlier mask. Letters: J joints, h, w a crop.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synthstudio.core.arrays import F32, F64, I32, Array, Bool
from synthstudio.core.labels import STATE_VISIBLE, VISIBILITY, JointLabels
from synthstudio.core.scene import CutoutLayer
from synthstudio.core.visibility import (
    VISIBLE_THRESHOLD,
    cause_of_instance,
    is_ambiguous,
    is_labelled,
    joint_causes,
    joint_states,
)

MIN_RADIUS_PX = 2.0
OPAQUE = 0.5
_ALL = 1 - 1e-6
_NONE = np.zeros(0, np.int32), np.zeros(0, np.int32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Annotated(JointLabels):
    """One person's annotation. `mask` (h, w) lies at (`left_px`, `top_px`) of the photo.

    Shares are NaN where unknown; states other than 1 and 2 stay as they are.
    """

    instance: int
    joints_px: F64  # (J, 2) continuous; NaN where unlabelled
    radius_px: F64  # (J,)
    mask: Bool
    left_px: int
    top_px: int
    has_mask: bool  # False: `mask` is the box, and cuts no patch


@dataclass(frozen=True, kw_only=True, eq=False)
class Relabelled(JointLabels):
    """The labels after the paste."""

    mask: Bool  # its remaining part


def radii_px(sigmas: F64, area_px: float) -> F64:
    """(J,) the radii of the joints' discs for a person of that annotated area."""
    return np.maximum(MIN_RADIUS_PX, 2 * sigmas * np.sqrt(area_px))


def relabel(
    person: Annotated, layers: tuple[CutoutLayer, ...], *, frame_px: tuple[int, int]
) -> Relabelled:
    """The person's labels behind `layers`, the nearest first; `frame_px` width, height."""
    fractions, state = person.visibility_fractions.copy(), person.state.copy()
    cause, hidden = list(person.cause), list(person.hidden_by)
    ambiguous, occluder = person.ambiguous.copy(), person.occluder_id.copy()
    near = [(layer, _is_near(person, layer)) for layer in layers]
    for j in np.flatnonzero(is_labelled(state)).tolist():
        before_it = [layer for layer, is_near in near if is_near[j]]
        hidden_fractions = _occluder_fractions(person, j, before_it, frame_px)
        if not hidden_fractions:
            continue
        covered = sum(hidden_fractions.values())
        for blocker, share in person.hidden_by[j]:
            hidden_fractions[blocker] = hidden_fractions.get(blocker, 0.0) + share * (1 - covered)
        hidden[j] = tuple(sorted(hidden_fractions.items(), key=lambda f: (-f[1], f[0])))
        row, known = _fractions_after(person, j, hidden_fractions, covered)
        if state[j] == STATE_VISIBLE:
            state[j] = joint_states(row[0], True)
            ambiguous[j] = is_ambiguous(row[0])
        if known:
            fractions[j] = row
        if known or covered >= 1 - VISIBLE_THRESHOLD:
            cause[j] = joint_causes(row[None], state[j : j + 1])[0]
            occluder[j] = next(
                (i for i, _ in hidden[j] if cause_of_instance(i, person.instance) == cause[j]), 0
            )
    left = person.mask.copy()
    for layer in layers:
        left &= crop(layer, person.left_px, person.top_px, left.shape) < OPAQUE
    return Relabelled(
        visibility_fractions=fractions,
        state=state,
        cause=tuple(cause),
        ambiguous=ambiguous,
        occluder_id=occluder,
        hidden_by=tuple(hidden),
        mask=left,
    )


def patch(person: Annotated, joint: int, frame_px: tuple[int, int]) -> tuple[I32, I32]:
    """Rows and columns of a joint's patch pixels; none if it is outside."""
    x, y = person.joints_px[joint]
    r = float(person.radius_px[joint])
    if not (np.isfinite(x) and np.isfinite(y)):
        return _NONE
    span = [
        np.arange(max(0, int(np.floor(c - r))), min(size, int(np.ceil(c + r))), dtype=np.int32)
        for c, size in ((x, frame_px[0]), (y, frame_px[1]))
    ]
    near = (span[0] + 0.5 - x) ** 2 + (span[1][:, None] + 0.5 - y) ** 2 <= r * r
    i, k = np.nonzero(near)
    rows, columns = span[1][i], span[0][k]
    if person.has_mask:
        own = _looked_up(person.mask, rows - person.top_px, columns - person.left_px)
        if own.any():
            return rows[own], columns[own]
    return rows, columns


def _looked_up(values: Array, rows: I32, columns: I32) -> Array:
    """(n,) values (h, w) at these pixels, 0 outside."""
    h, w = values.shape
    within = (rows >= 0) & (rows < h) & (columns >= 0) & (columns < w)
    found = np.zeros(len(rows), values.dtype)
    found[within] = values[rows[within], columns[within]]
    return found


def _occluder_fractions(
    person: Annotated, joint: int, layers: Sequence[CutoutLayer], frame_px: tuple[int, int]
) -> dict[int, float]:
    """Instance -> hidden fraction of the patch, front to back; only occluders."""
    rows, columns = patch(person, joint, frame_px) if layers else _NONE
    if not len(rows):
        return {}
    left = np.ones(len(rows))
    out: dict[int, float] = {}
    for layer in layers:
        part = left * _looked_up(layer.alpha, rows - layer.top_px, columns - layer.left_px)
        left = left - part
        share = float(part.mean())
        if share > 0:
            out[layer.instance] = out.get(layer.instance, 0.0) + share
    return out


def _is_near(person: Annotated, layer: CutoutLayer) -> Bool:
    """(J,) whether a layer may reach into a joint's disc."""
    x, y = person.joints_px.T
    r = person.radius_px + 1
    h, w = layer.alpha.shape
    across = (layer.left_px - r < x) & (x < layer.left_px + w + r)
    return np.asarray(across & (layer.top_px - r < y) & (y < layer.top_px + h + r), np.bool_)


def _fractions_after(
    person: Annotated, joint: int, hidden_fractions: dict[int, float], covered: float
) -> tuple[F64, bool]:
    """(5,) fractions after the paste, and whether all of them are known.

    Earlier occlusion is reduced by the paste. The overlap of layers and earlier occluders
    inside a patch is unknown, so they are taken as independent.
    """
    before = person.visibility_fractions[joint]
    if np.isfinite(before).all():
        known, row = True, before * (1 - covered)
    else:
        known = bool(person.state[joint] == STATE_VISIBLE) or covered >= _ALL
        row = np.zeros(len(VISIBILITY))
        row[0] = 1 - covered if person.state[joint] == STATE_VISIBLE else 0.0
    earlier = {blocker for blocker, _ in person.hidden_by[joint]}
    for blocker, share in hidden_fractions.items():
        if blocker not in earlier:
            row[VISIBILITY.index(cause_of_instance(blocker, person.instance))] += share
    row[0] = min(max(row[0], 0.0), 1.0)
    return row, known


def crop(layer: CutoutLayer, left_px: int, top_px: int, shape: tuple[int, int]) -> F32:
    """The layer's alpha in a window (h, w) of the photo, 0 beyond the layer."""
    out = np.zeros(shape, np.float32)
    h, w = layer.alpha.shape
    x0, y0 = max(left_px, layer.left_px), max(top_px, layer.top_px)
    x1, y1 = min(left_px + shape[1], layer.left_px + w), min(top_px + shape[0], layer.top_px + h)
    if x1 > x0 and y1 > y0:
        out[y0 - top_px : y1 - top_px, x0 - left_px : x1 - left_px] = layer.alpha[
            y0 - layer.top_px : y1 - layer.top_px, x0 - layer.left_px : x1 - layer.left_px
        ]
    return out
