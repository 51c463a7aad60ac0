"""The figures of a comparison that are no sum over people, made of one evaluation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.errors import ModelError
from synthstudio.core.labels import STATE_VISIBLE
from synthstudio.core.skeleton import get_skeleton
from synthstudio.evaluation import weighted
from synthstudio.evaluation.measure import (
    beyond_of,
    hidden_causes,
    parts,
    person_score,
    truth_of,
    visibility_told,
)
from synthstudio.evaluation.precision import matches
from synthstudio.evaluation.save import Evaluation
from synthstudio.evaluation.weighted import Figure

Bools = NDArray[np.bool_]
I64 = NDArray[np.int64]
Make = Callable[[Evaluation, Bools], Figure]
"""An evaluation and the joints that count (P, J) -> a figure of the weights of its groups."""


def _nothing(weight: NDArray[np.float64]) -> float:
    return float("nan")


def _group(run: Evaluation) -> I64:
    return np.unique(run.answers.group, return_inverse=True)[1].astype(np.int64)


def _images(run: Evaluation) -> dict[int, int]:
    return dict(zip(run.answers.frame.tolist(), _group(run).tolist(), strict=True))


def _sigmas(run: Evaluation) -> NDArray[np.float64]:
    skeleton = get_skeleton(str(run.about.get("skeleton")))
    if len(skeleton.joints) != run.answers.known.shape[1]:
        raise ModelError(
            "the answers have another number of joints than the skeleton",
            where=str(run.about.get("name")),
            expected=f"{len(skeleton.joints)}",
            got=str(run.answers.known.shape[1]),
            then="Make the evaluation again.",
        )
    return skeleton.sigmas


def _ap(part: str) -> Make:
    def make(run: Evaluation, seen: Bools) -> Figure:
        told = run.answers
        found = matches(
            truth_of(told),
            told.xy,
            person_score(told),
            sigmas=_sigmas(run),
            only=seen & parts(told)[part],
        )
        return _nothing if found is None else weighted.average_precision(found, _images(run))

    return make


def _extended_ap(run: Evaluation, seen: Bools) -> Figure:
    """By Ex-OKS all labelled joints count, also those that a network did not see."""
    truth, beyond = beyond_of(run.answers)
    found = matches(
        truth, run.answers.xy, person_score(run.answers), sigmas=_sigmas(run), beyond=beyond
    )
    return _nothing if found is None else weighted.average_precision(found, _images(run))


def _auroc(run: Evaluation, seen: Bools) -> Figure:
    told = visibility_told(run.answers) & seen
    group = np.repeat(_group(run)[:, None], told.shape[1], 1)[told]
    visible = run.answers.state[told] == STATE_VISIBLE
    return weighted.auroc(run.answers.shares[told][:, 0], visible, group)


def _cause_f1(run: Evaluation, seen: Bools) -> Figure:
    told = visibility_told(run.answers) & seen
    hidden, truth, said = hidden_causes(run.answers, told)
    group = np.repeat(_group(run)[:, None], told.shape[1], 1)[hidden]
    return weighted.macro_f1(truth, said, group, classes=3)


def _ece(run: Evaluation, seen: Bools) -> Figure:
    """By the share said to be visible against "state is visible", as measure.visibility has it."""
    told = visibility_told(run.answers) & seen
    group = np.repeat(_group(run)[:, None], told.shape[1], 1)[told]
    visible = run.answers.state[told] == STATE_VISIBLE
    return weighted.calibration_error(run.answers.shares[told][:, 0], visible, group)


FIGURES: tuple[tuple[str, bool, Make], ...] = (
    ("AP hidden", False, _ap("hidden")),
    ("AP visible", False, _ap("visible")),
    ("AP all", False, _ap("all")),
    ("AP by Ex-OKS", False, _extended_ap),
    ("AUROC", False, _auroc),
    ("cause F1", False, _cause_f1),
    ("ECE", True, _ece),
)
"""(name, whether less is better, how to make it)."""
