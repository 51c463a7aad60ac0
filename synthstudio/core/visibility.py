"""The visibility rule: states and causes from fractions, and the occluded fraction from areas.

Every stage, exporter, check and metric calls these functions; only the two
audits (`generation/audit.py`, `generation/photos/audit.py`) restate the rule, since an oracle that
called the code under test would prove nothing. Arrays broadcast; NaN counts as not visible.
"""

from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthstudio.core.arrays import F64, U8, Bool
from synthstudio.core.labels import STATE_HIDDEN, STATE_OUTSIDE, STATE_VISIBLE, VISIBILITY
from synthstudio.core.spec import OBJECT_BASE

VISIBLE_THRESHOLD = 0.5
"""A joint inside the frame is visible if at least this share of its patch is."""
AMBIGUOUS_FROM = 0.2
"""Joints visible from here up to the threshold are ambiguous: training may ignore them."""
EMPTY_BASE = 0.02
"""Weights below this sum mean that the joint's patch faces away from the camera."""
SELF_TOLERANCE_M = 0.003
"""A person's own surface hides a patch point only if it is nearer by more than this, along z."""
_TIE_ORDER = ("object", "person", "self")
_TIE = 1e-9  # sums of weights in another order differ by less


def is_visible(
    visible: ArrayLike, base: ArrayLike = 1.0, *, threshold: float = VISIBLE_THRESHOLD
) -> Bool:
    """Compare visible fractions, or visible weights out of `base`, with the threshold."""
    return np.asarray(np.asarray(visible) >= threshold * np.asarray(base))


def is_ambiguous(visible: ArrayLike) -> Bool:
    visible = np.asarray(visible)
    return np.asarray((visible >= AMBIGUOUS_FROM) & (visible < VISIBLE_THRESHOLD))


def is_labelled(state: ArrayLike) -> Bool:
    """Whether a joint is inside the picture: visible or hidden, not outside or unlabelled."""
    state = np.asarray(state)
    return np.asarray((state == STATE_VISIBLE) | (state == STATE_HIDDEN))


def joint_states(visible: ArrayLike, inside: ArrayLike) -> U8:
    """States of joints from their visible fractions and whether their centres lie in the frame."""
    state = np.where(is_visible(visible), STATE_VISIBLE, STATE_HIDDEN)
    return np.where(inside, state, STATE_OUTSIDE).astype(np.uint8)


def joint_causes(fractions: F64, state: U8) -> tuple[str, ...]:
    """The cause of each joint from its fractions (J, 5) and state (J,).

    `visible` iff state 2, `truncated` iff state 0, else the largest hiding share; ties (within
    1e-9, the noise of a sum) go to object, then person, then self.
    """
    hiding = fractions[:, [VISIBILITY.index(cause) for cause in _TIE_ORDER]]
    largest = (hiding >= hiding.max(axis=1, keepdims=True) - _TIE).argmax(axis=1)
    fixed = {STATE_VISIBLE: "visible", STATE_OUTSIDE: "truncated"}
    return tuple(
        fixed.get(kind, _TIE_ORDER[k])
        for kind, k in zip(state.tolist(), largest.tolist(), strict=True)
    )


def cause_of_instance(occluder: int, instance: int) -> str:
    """The cause (one of VISIBILITY) of `occluder` in front of person `instance`."""
    if occluder == instance:
        return "self"
    return "object" if occluder >= OBJECT_BASE else "person"


@overload
def occluded_fraction(modal_area: float, amodal_area: float) -> float: ...
@overload
def occluded_fraction(modal_area: NDArray[np.number], amodal_area: ArrayLike) -> F64: ...
def occluded_fraction(modal_area: ArrayLike, amodal_area: ArrayLike) -> float | F64:
    """1 - modal / amodal area inside the frame; 0 for a person with no pixel in it.

    A person wholly outside is not occluded but truncated.
    """
    empty = np.asarray(amodal_area) == 0
    kept = np.where(empty, 1.0, modal_area / np.where(empty, 1.0, amodal_area))
    return 1.0 - kept if kept.ndim else float(1.0 - kept)
