"""The queue that goes by a network's own confidence: the least sure joints come first."""

from contextlib import closing
from dataclasses import replace

import pytest
from review_store import reviewed

from synthstudio.review.datasets import register
from synthstudio.review.risk.predictions import Prediction, put_predictions
from synthstudio.review.settings import set_share
from synthstudio.review.values import FRAME, User
from synthstudio.studio.editor.queue import QueueRequest, build_queue

ADA, BEN = User(name="Ada", role="reviewer"), User(name="Ben", role="reviewer")
ROOT = User(name="Root", role="admin")


@pytest.fixture
def review(tmp_path, small_photo_set):
    found = reviewed(tmp_path / "review.db", small_photo_set)
    with closing(found.store):
        register(found.store, found.dataset, "sticks")
        yield found


def predicted(frame, instance, **sure):
    return Prediction(
        frame=frame, instance=instance, joints={name: (9.0, 9.0, s) for name, s in sure.items()}
    )


def queue(review, model="net", who=ADA, **more):
    request = QueueRequest(queue="unsure", model=model, **more)
    found = build_queue(review.store, review.table, request, who=who)
    total = len(found.rows)
    return found.people(review.table, 0, total), found.reasons(0, total)


def test_the_least_sure_joint_of_anybody_comes_first(review):
    rows = [
        predicted(0, 1, nose=0.9, left_wrist=0.4),
        predicted(0, 2, nose=0.5),
        predicted(1, 1, nose=0.2, left_hip=0.1),
        predicted(2, 1000, nose=0.3, left_ear=0.6),  # nobody is in frame 2
        predicted(2, 1001, nose=0.45),
        predicted(3, 1000, nose=0.01),  # somebody else in a frame with people
        predicted(3, 1),
    ]
    put_predictions(review.store, review.table.key, "net", rows)
    people, reasons = queue(review)
    assert people == [(1, 1), (2, FRAME), (0, 1), (0, 2)]
    assert reasons == [
        ["left hip: predicted, sure 0.10"],
        ["nose: predicted, sure 0.30"],
        ["left wrist: predicted, sure 0.40"],
        ["nose: predicted, sure 0.50"],
    ]
    again = replace(predicted(0, 2, nose=0.05), score=0.5)
    put_predictions(review.store, review.table.key, "net", [again])
    assert queue(review)[0][0] == (0, 2)
    review.decide(ADA, review.person(3), "approved")
    assert (review.person(3).frame, review.person(3).instance) == (1, 1)
    assert queue(review, todo=True)[0] == [(0, 2), (2, FRAME), (0, 1)]
    assert queue(review, query="instance = 1")[0] == [(1, 1), (2, FRAME), (0, 1)]


def test_a_filter_makes_no_frame_empty(review):
    """Frame 3 has people, whom the filter leaves out."""
    put_predictions(review.store, review.table.key, "net", [predicted(3, 1000, nose=0.01)])
    assert queue(review, query="frame = 0")[0] == []


def test_a_prediction_that_was_called_wrong_is_offered_no_more(review):
    rows = [predicted(0, 1, nose=0.2), predicted(0, 2, nose=0.5)]
    for model in ("net", "other"):
        put_predictions(review.store, review.table.key, model, rows)
    review.distrust(ADA, review.person(0), "net")
    assert queue(review)[0] == [(0, 2)]
    assert queue(review, model="other")[0] == [(0, 1), (0, 2)]
    set_share(review.store, review.table.key, "second_share", 1.0, by=ROOT)
    review.decide(ADA, review.person(0), "approved")
    assert queue(review)[0] == [(0, 2)]
    assert queue(review, who=BEN)[0] == [(0, 1), (0, 2)]  # who is told nothing of the first look


@pytest.mark.parametrize("name", ["all", "empty", "unsure"])
def test_that_a_first_look_deleted_somebody_is_hidden_from_the_second(review, name):
    """(1, 1) is alone in the frame."""
    put_predictions(review.store, review.table.key, "net", [predicted(1, 1, nose=0.2)])
    set_share(review.store, review.table.key, "second_share", 1.0, by=ROOT)

    def seen(who):
        request = QueueRequest(queue=name, model="net")
        found = build_queue(review.store, review.table, request, who=who)
        return found.people(review.table, 0, len(found.rows))

    before = seen(BEN)
    review.delete(ADA, review.person(3))
    assert seen(BEN) == before
    assert seen(ADA) != before


def test_without_predictions_it_is_empty(review):
    put_predictions(review.store, review.table.key, "net", [predicted(0, 1, nose=0.5)])
    assert queue(review, model="other")[0] == queue(review, model="")[0] == []
