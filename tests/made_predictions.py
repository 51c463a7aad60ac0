"""Predictions of people whom nobody drew, as an evaluation stores them and one by one."""

import numpy as np

from synthstudio.evaluation.storage import Predictions
from synthstudio.inference.predict import Person


def predictions(true_xy, **columns):
    """Exact joints of wholly visible people (P, J, 2), without visibility or depth (NaN); boxes and
    windows are squares of 100 pixels; `columns` replace their own."""
    people, joints, _ = true_xy.shape
    each, nan = (people, joints), np.full((people, joints), np.nan)
    box = np.tile([0.0, 0, 100, 100], (people, 1))
    made = {
        "xy": true_xy, "score": np.full(each, 0.5), "peak": nan, "present": nan, "quality": nan,
        "visibility_fractions": np.full((*each, 4), np.nan), "xyz_m": np.full((*each, 3), np.nan),
        "true_xy": true_xy, "true_fractions": np.full((*each, 5), np.nan),
        "true_xyz_m": np.full((*each, 3), np.nan), "known": np.ones(each, bool),
        "state": np.full(each, 2, np.uint8), "cause": np.zeros(each, np.uint8),
        "ambiguous": np.zeros(each, bool), "area": np.full(people, 5000.0),
        "side": np.full(people, 100.0), "box": box, "window": box, "fraction": np.zeros(people),
        "crowd": np.zeros(people), "frame": np.arange(people), "group": np.arange(people),
        "instance": np.ones(people, np.int64), "clean": np.full(people, -1),
        "variant": np.full(people, "base"), "family": np.full(people, ""),
    }  # fmt: skip
    return Predictions(**made | columns)


def person(xy, box, **changes):
    """Somebody predicted with joints (J, 2) of whom nothing else is said; `changes` replace."""
    nan = np.full(len(xy), np.nan)
    fields = {
        "image": 0, "name": "", "instance": None, "box": np.array(box, float), "box_score": 1.0,
        "xy": xy, "score": np.ones(len(xy)), "visibility_fractions": np.full((len(xy), 4), np.nan),
        "quality": nan, "present": nan,
    }  # fmt: skip
    return Person(**fields | changes)
