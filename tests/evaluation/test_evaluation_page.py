"""The page of an evaluation: what stands in it, also where little was measured."""

import dataclasses

import numpy as np
import pytest
from html_pages import words
from test_metrics import BONES, J, answers

from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.whole_body import PARTS
from synthstudio.evaluation.diagnostics import (
    AttentionExample,
    occlusion_sensitivity,
    sensitivity_summary,
)
from synthstudio.evaluation.metrics import compute_metrics
from synthstudio.evaluation.storage import Evaluation, Predictions, json_ready, select
from synthstudio.report.evaluation import Case, report, worst

ABOUT = {"name": "a <b>run</b>", "block": "ORN 96x72", "dataset": "people", "splits": ["test"]}


def made(answered, **more):
    return Evaluation(
        about=ABOUT, metrics=compute_metrics(answered, BONES) | more, predictions=answered
    )


def example():
    fields = {
        "picture": np.full((96, 72, 3), 90, np.uint8), "joint": 0, "true": np.array([0.5, 0.5]),
        "predicted": np.array([0.5, 0.6]), "heatmap": np.eye(24, 18),
        "peaks": np.array([[0.5, 0.6]]), "cover": np.zeros((24, 18)),
        "poses": np.full((3, 17, 2), 0.4),
        "weights": np.array([0.5, 0.3, 0.2]), "cause": "object", "frame": 3, "instance": 1,
    }  # fmt: skip
    return AttentionExample(**fields)


def test_headlines_and_intervals_stand_in_the_page():
    slid = occlusion_sensitivity(
        lambda pictures: np.array([[p[:20].mean() / 255] * 17 for p in pictures]),
        np.full((96, 72, 3), 200, np.uint8),
        np.full((17, 2), 9.0),
        known=np.ones(17, bool),
        patch=18,
        stride=9,
    )
    case = Case(
        rgb=np.zeros((60, 94, 3), np.uint8), frame=7, instance=2, error=0.4, hidden=5,
        fraction=0.4, family="stand",
    )  # fmt: skip
    more = {
        "sensitivity": sensitivity_summary([slid]),
        "latency": {
            "mean_ms": 3.21, "p50_ms": 3.1, "p95_ms": 4.9, "batch": 32, "batch_ms": 0.9,
            "parameters": 93032, "weights_mb": 0.4, "peak_mb": 500.0, "threads": 1,
        },
    }  # fmt: skip
    page = report(
        made(answers(), **more), BONES, cases=[case], examples=[example()], patched=[slid]
    )
    text = words(page)
    assert "a <b>run</b>" in text and b"<b>run" not in page
    assert "PCK@0.1, hidden (0.0 to 0.0)" in text
    assert "points by the occluder, where it hides (-100.0 to -100.0)" in text
    assert "3.21 ms" in text and "93,032" in text
    assert "nose, hidden by object" in text and "frame 7, person 2" in text
    assert "Only 20 moments" in text
    assert page.count(b"data:image/jpeg;base64,") == 3
    assert page.count(b'<svg class="plot"') == 3
    for outside in (b"http://", b"https://", b"<script", b'<link rel="style', b"url("):
        assert outside not in page


def test_figures_that_were_stored_as_null_are_dashes():
    one = made(answers())
    stored = dataclasses.replace(one, metrics=json_ready(one.metrics))
    assert words(report(stored, BONES)) == words(report(one, BONES))
    stored.metrics["precision"]["hidden"]["AP"] = None
    assert "nan" not in words(report(stored, BONES)).lower().replace("nano", "")


def test_worst_cases_are_the_worst_and_of_different_moments():
    full = answers()
    off = np.where(full.state == 1, np.arange(40)[:, None], 0.0)
    ranked = dataclasses.replace(full, xy=full.true_xy + off[..., None] * [1, 0])
    rows = worst(ranked, count=3)
    assert rows.tolist() == [38, 36, 34]  # clean rows have no hidden joint
    assert worst(select(full, np.arange(1, 40, 2)), count=3).size == 0
    twice = dataclasses.replace(ranked, group=np.zeros(40, int))
    assert worst(twice, count=3).tolist() == [38]


WHOLE = get_skeleton("coco133")


@pytest.fixture(scope="module")
def evaluation():
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


def test_parts_have_the_precision_of_their_own_joints(evaluation):
    parts = evaluation.metrics["whole_body"]
    assert list(parts) == ["body", "foot", "face", "left_hand", "right_hand", "hands", "whole"]
    for part in ("body", "foot", "face"):
        assert parts[part]["AP"] == pytest.approx(1)
    for part in ("left_hand", "right_hand", "hands"):
        assert parts[part]["AP"] == 0
    assert parts["whole"]["AP"] == pytest.approx(0.4)  # 91 of 133 joints: OKS 0.68 to below 0.70
    assert "whole_body" not in compute_metrics(answers(), BONES)
