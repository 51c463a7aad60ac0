"""A prediction that a reviewer called wrong: an event like others, and the risk order learns it."""

import pytest

from synthstudio.core.errors import Refused
from synthstudio.review import history
from synthstudio.review.risk.predictions import Prediction, put_predictions
from synthstudio.review.risk.queue import risk_order
from synthstudio.review.risk.scores import models_of, risk_of
from synthstudio.review.risk.table import people_table


def predict(desk, layer, frame, instance, nose):
    found = Prediction(frame=frame, instance=instance, joints={"nose": nose})
    put_predictions(desk.store, desk.key, layer, [found])


@pytest.fixture
def table(desk, small_set):
    """People of a set of whom the network "net" sees everybody's nose 40 px elsewhere."""
    for row in small_set.iter_instances():
        x, y = row["joints_px"][:2]
        predict(desk, "net", row["frame_index"], row["instance"], (x + 40, y, 0.5))
    return people_table(small_set)


@pytest.fixture
def do(desk, table):
    return lambda kind, row=0, **more: desk.do(kind, *table.ids([row])[0], **more)


def test_who_waits_comes_earlier_and_the_model_counts_no_more(store, table, do):
    risk, row = risk_of(store, table), 3
    assert any("a model sees it elsewhere" in text for text in risk.reasons(row))
    assert models_of(store, table).disagreement[row] > 0.5
    said = do("reject_prediction", row, text="net")
    assert history.state(store, said.person).rejected_models == ["net"]
    now = risk_of(store, table)
    assert now.score[row] >= risk.score[row] and now.score[row] > 0.69
    assert risk_order(now, share=0.0).rows[0] == row
    told = " · ".join(now.reasons(row))
    assert "a reviewer called the prediction of net wrong" in told
    assert "sees it elsewhere" not in told
    assert not models_of(store, table).disagreement[row] > 0
    others = [r for r in range(table.people) if r != row]
    assert now.score[others].tolist() == risk.score[others].tolist()
    do("revert", row, event=said.id)
    assert history.state(store, said.person).rejected_models is None
    assert risk_of(store, table).score.tolist() == risk.score.tolist()
    do("reject_prediction", row, text="net")
    do("status", row, status="approved")  # a decision ends it
    assert risk_of(store, table).score.tolist() == risk.score.tolist()
    assert history.check_replay(store, table.key) == []


def test_only_what_is_predicted_is_called_wrong(store, table, do):
    for text in ("other", "", "x" * 81):
        with pytest.raises(Refused):
            do("reject_prediction", text=text)
    do("delete")
    with pytest.raises(Refused, match="deleted"):
        do("reject_prediction", text="net")
    assert [event.kind for event in history.events(store, table.key)] == ["delete"]


def test_two_networks_are_called_wrong_and_taken_back_one_by_one(desk, store, do):
    predict(desk, "more", 0, 1, (1, 1, 1))
    first, second = do("reject_prediction", text="net"), do("reject_prediction", text="more")
    assert history.state(store, first.person).rejected_models == ["more", "net"]
    with pytest.raises(Refused, match="changed again later"):
        do("revert", event=first.id)
    do("revert", event=second.id)
    do("revert", event=first.id)
    assert history.state(store, first.person).rejected_models is None
