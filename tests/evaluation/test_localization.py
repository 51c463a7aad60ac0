"""Distances, PCK and the 3D errors against values worked out by hand or by another way."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.evaluation import localization

BONES = get_skeleton("coco17")


def people(count: int, dims: int = 2) -> np.ndarray:
    return stream(3, "people", count, dims).normal(0, 100, (count, 17, dims))


def test_pck_by_hand() -> None:
    truth = np.zeros((1, 4, 2))
    answer = np.array([[[0, 0], [10, 0], [10.001, 0], [np.nan, 0]]])
    hits = localization.pck(answer, truth, length=np.array([100.0]), at=0.1)
    assert hits.tolist() == [[1, 1, 0, 0]]


def test_pck_auc_of_even_errors() -> None:
    # Errors spread evenly from 0 to the greatest threshold give a straight curve: half the area.
    count = 2001
    truth = np.zeros((1, count, 2))
    answer = np.stack([np.linspace(0, 20, count), np.zeros(count)], -1)[None]
    known = np.ones((1, count), bool)
    auc = localization.pck_auc(answer, truth, known=known, length=np.array([100.0]))
    assert auc == pytest.approx(0.5, abs=2e-3)


def test_lengths() -> None:
    truth = np.zeros((1, 17, 2))
    truth[0, BONES.joints.index("left_shoulder")] = (3, 4)
    assert localization.torso_px(truth, BONES.joints)[0] == pytest.approx(5)
    truth[0, BONES.joints.index("right_shoulder")] = (3, 4)
    assert localization.head_px(truth, BONES.joints)[0] == pytest.approx(5)


def roots(xyz: np.ndarray) -> np.ndarray:
    return xyz[:, [11, 12]].mean(1)


def test_mpjpe_ignores_where_the_person_stands() -> None:
    truth, known = people(3, 3), np.ones((3, 17), bool)
    answer = truth + np.array([5.0, -2.0, 9.0])
    answer[:, 3] += (3, 4, 0)
    errors = localization.mpjpe(
        answer, truth, known=known, root=roots(answer), truth_root=roots(truth)
    )
    wanted = np.zeros((3, 17))
    wanted[:, 3] = 5
    assert errors == pytest.approx(wanted, abs=1e-9)


def test_n_mpjpe_ignores_scale_alone() -> None:
    truth, known = people(2, 3), np.ones((2, 17), bool)
    at = {"known": known, "root": np.zeros((2, 3)), "truth_root": np.zeros((2, 3))}
    assert localization.n_mpjpe(truth * 0.4, truth, **at) == pytest.approx(
        np.zeros((2, 17)), abs=1e-6
    )
    rotated = Rotation.from_euler("z", 30, degrees=True).apply(truth.reshape(-1, 3))
    assert localization.n_mpjpe(rotated.reshape(truth.shape), truth, **at).mean() > 1


def test_pa_mpjpe_ignores_rotation_scale_and_place_but_not_mirrors() -> None:
    truth, known = people(2, 3), np.ones((2, 17), bool)
    turn = Rotation.from_euler("xyz", [30, -70, 200], degrees=True)
    moved = 0.3 * turn.apply(truth.reshape(-1, 3)).reshape(truth.shape) + (1, 2, 3)
    assert localization.pa_mpjpe(moved, truth, known=known) == pytest.approx(
        np.zeros((2, 17)), abs=1e-6
    )
    assert localization.pa_mpjpe(truth * (1, 1, -1), truth, known=known).mean() > 1


def test_pa_mpjpe_by_hand() -> None:
    # A cross with arms of 2 and 1, taken for one of 1 and 2. Nothing is to be turned; the best
    # scale is sum(1 * 2 + 2 * 1) / sum(1 + 4) = 0.8, so its ends lie 1.2 and 0.6 off.
    truth = np.array([[[2.0, 0, 0], [-2, 0, 0], [0, 1, 0], [0, -1, 0], [9, 9, 9]]])
    guess = np.array([[[1.0, 0, 0], [-1, 0, 0], [0, 2, 0], [0, -2, 0], [5, 0, 5]]])
    known = np.array([[True, True, True, True, False]])
    errors = localization.pa_mpjpe(guess, truth, known=known)
    assert errors[0, :4] == pytest.approx([1.2, 1.2, 0.6, 0.6])
    assert np.isnan(errors[0, 4])
    assert localization.aligned(guess[0, :4], truth[0, :4]) == pytest.approx(0.8 * guess[0, :4])


def test_pa_mpjpe_equals_another_solver() -> None:
    # scipy finds the rotation; the best scale then follows in closed form.
    rng = stream(5, "pa")
    truth = people(1, 3)
    answer = truth @ Rotation.from_euler("y", 40, degrees=True).as_matrix() * 0.7
    answer = answer + rng.normal(0, 12, truth.shape)
    a, t = answer[0] - answer[0].mean(0), truth[0] - truth[0].mean(0)
    turn, _ = Rotation.align_vectors(t, a)
    b = turn.apply(a)
    scale = (b * t).sum() / (b * b).sum()
    wanted = np.linalg.norm(scale * b - t, axis=-1)
    mine = localization.pa_mpjpe(answer, truth, known=np.ones((1, 17), bool))
    assert mine[0] == pytest.approx(wanted, abs=1e-6)
    two = np.arange(17)[None] < 2  # too few joints
    assert np.isnan(localization.pa_mpjpe(answer, truth, known=two)).all()
