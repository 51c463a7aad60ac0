"""Which joints count where, what a difference shows, and how it is told."""

import functools

import numpy as np
import pytest
from made_predictions import predictions

from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.evaluation.metrics import truth_of
from synthstudio.evaluation.precision import average_precision
from synthstudio.experiment import results
from synthstudio.experiment.config import QUESTIONS, Arm, Question

BONES = get_skeleton("body12")
PHOTOS, J = 12, 12
KPE, ORN = Arm(name="kpe", title="KPE", block="kpe"), Arm(name="orn", title="ORN")
QUESTION = Question(text="an object", arm="orn", baseline="kpe")


def answers(*, off_px, seed=0):
    """PHOTOS people, each clean, occluded and occluded without a loss. Joint 0 is marked as hidden;
    the paste hides joints 1 to 4, which are answered `off_px` away."""
    rng = stream(seed, "answers")
    people = 3 * PHOTOS
    photo, kind = np.repeat(np.arange(PHOTOS), 3), np.tile(np.arange(3), PHOTOS)
    true = np.repeat(rng.uniform(20, 180, (PHOTOS, J, 2)), 3, 0)
    state = np.full((people, J), 2, np.uint8)
    state[:, 0] = 1
    state[kind == 1, 1:5] = 1
    xy = true + rng.normal(0, 1.0, true.shape)
    xy[kind == 1, 1:5] += off_px
    return predictions(
        true,
        xy=xy,
        score=rng.uniform(0.4, 0.6, (people, J)),
        state=state,
        area=np.full(people, 8000.0),
        side=np.full(people, 200.0),
        box=np.tile([0.0, 0, 100, 200], (people, 1)),
        window=np.tile([0.0, 0, 200, 200], (people, 1)),
        fraction=np.where(kind == 1, 0.3, 0.0),
        group=photo,
        clean=3 * photo,
        variant=np.where(kind == 0, "clean", "occluder"),
    )


def test_each_joint_counts_where_it_belongs():
    found = {name: which.sum() for name, which in results.parts(answers(off_px=0)).items()}
    assert found == {
        "clean visible": PHOTOS * 11,
        "clean hidden": PHOTOS,
        "occluded visible": PHOTOS * 7,
        "occluded hidden": PHOTOS * 5,
        "under the paste": PHOTOS * 4,
    }


def test_reduced_precision_is_pycocotools_own():
    reported = answers(off_px=6)
    made = results.reduce(reported, BONES)
    for name, which in results.parts(reported).items():
        arm = made.precision[name](np.ones(PHOTOS))
        baseline = average_precision(
            truth_of(reported), reported.xy, reported.score.mean(1), sigmas=BONES.sigmas, only=which
        )
        assert arm == pytest.approx(baseline["AP"], abs=1e-9)
    assert made.precision["under the paste"](np.ones(PHOTOS)) < 0.9


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch):
    monkeypatch.setattr(results, "ROUNDS", {"PCK": 300, "AP": 60})


@functools.cache
def found(*off_px, seeds=3):
    reductions = {
        arm.name: [results.reduce(answers(off_px=off, seed=s), BONES) for s in range(seeds)]
        for arm, off in zip((ORN, KPE), off_px, strict=True)
    }
    return results.findings((ORN, KPE), reductions, (QUESTION, *QUESTIONS))


@pytest.mark.parametrize(
    ("orn", "kpe", "verdict", "points"),
    [(0, 60, "helped", 100), (60, 0, "harmed", -100), (0, 0, "not shown", 0)],
)
def test_what_differs_is_found_where_it_differs(orn, kpe, verdict, points):
    reported = found(orn, kpe)
    figures = next(iter(reported.comparisons.values()))
    assert results.verdict(figures["PCK"]["under the paste"]) == verdict
    assert 100 * figures["PCK"]["under the paste"].value == pytest.approx(points)
    assert np.sign(figures["AP"]["under the paste"].value) == np.sign(points)
    assert results.verdict(figures["PCK"]["clean visible"]) == "not shown"
    sentence = results.sentences(reported)[0]
    if not points:
        assert sentence == "An object. Not shown on any joints."
        return
    changed, untouched = sentence.removeprefix("An object. ").split(" Not shown: ")
    told = [f"{results.PARTS[p]} {figures['PCK'][p].text()}" for p in TOUCHED]
    assert changed == f"{verdict.capitalize()}: {'; '.join(told)}."
    assert untouched == "; ".join(v for k, v in results.PARTS.items() if k not in TOUCHED) + "."


TOUCHED = ("occluded hidden", "under the paste")


def test_only_questions_of_arms_that_are_there_are_answered():
    reported = found(0, 0, seeds=1)
    assert [question.text for question in reported.comparisons] == [
        "an object",
        "ORN instead of KPE, photos alone",
    ]


def test_nothing_to_measure_is_a_dash_and_valid_json():
    empty = answers(off_px=0)
    empty.state[:, 0] = 2
    reductions = {arm.name: [results.reduce(empty, BONES)] for arm in (ORN, KPE)}
    reported = results.findings((ORN, KPE), reductions, (QUESTION,))
    own = reported.figures["orn"]
    assert np.isnan([own[measure]["clean hidden"].value for measure in results.MEASURES]).all()
    assert (
        "Nothing to measure: clean photos, joints marked as hidden."
        in results.sentences(reported)[0]
    )
