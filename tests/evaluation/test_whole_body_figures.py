"""An evaluation on whole bodies says AP of each part, in its figures, its line and its page."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from test_evaluation_page import ABOUT, read
from test_metrics import BONES, J, answers

from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.whole_body import PARTS
from synthstudio.evaluation.metrics import compute_metrics
from synthstudio.evaluation.storage import Evaluation, Predictions
from synthstudio.report.evaluation import report
from synthstudio.training.evaluate import headline

WHOLE = get_skeleton("coco133")


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    """Whole bodies without an error but in their hands: the left is off, the right not found."""
    small, joints = answers(), np.arange(len(WHOLE.joints)) % J
    wide = {
        field.name: np.take(value, joints, 1)
        for field in dataclasses.fields(Predictions)
        if (value := getattr(small, field.name)).ndim > 1 and value.shape[1] == J
    }
    xy = wide["true_xy"].copy()
    xy[:, PARTS["left_hand"]] += 60
    xy[:, PARTS["right_hand"]] = np.nan
    made = dataclasses.replace(small, **(wide | {"xy": xy}))
    return Evaluation(about=ABOUT, metrics=compute_metrics(made, WHOLE), predictions=made)


def test_parts_have_the_precision_of_their_own_joints(evaluation: Evaluation) -> None:
    parts = evaluation.metrics["whole_body"]
    assert list(parts) == ["body", "foot", "face", "left_hand", "right_hand", "hands", "whole"]
    for part in ("body", "foot", "face"):
        assert parts[part]["AP"] == pytest.approx(1)
    for part in ("left_hand", "right_hand", "hands"):
        assert parts[part]["AP"] == 0
    assert parts["whole"]["AP"] == pytest.approx(0.4)  # 91 of 133 joints: OKS 0.68 to below 0.70
    assert "whole_body" not in compute_metrics(answers(), BONES)


def test_the_line_and_the_page_say_them(evaluation: Evaluation) -> None:
    line = headline(evaluation)
    assert "COCO-WholeBody AP whole 40.0, body 100.0, foot 100.0, face 100.0, hands 0.0" in line
    page = read(report(evaluation, WHOLE))
    assert "Whole bodies, as COCO-WholeBody has it" in page and "left hand" in page
    plain = answers()
    plain_one = Evaluation(about=ABOUT, metrics=compute_metrics(plain, BONES), predictions=plain)
    assert "COCO-WholeBody" not in headline(plain_one)
    assert "COCO-WholeBody" not in read(report(plain_one, BONES))
