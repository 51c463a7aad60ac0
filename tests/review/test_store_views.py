"""Saved views, chosen shares and the columns of what reviewers did, on both databases."""

import numpy as np
import pytest
from review_ops import ADMIN, ANNA, BEN, GUEST, KEY, LEAD, hidden, refused
from sqlalchemy.exc import IntegrityError

from synthstudio.core.errors import Refused
from synthstudio.review.history import events
from synthstudio.review.models import SavedViewRow
from synthstudio.review.risk import review_fields
from synthstudio.review.risk.findings import PersonFinding, store_findings
from synthstudio.review.risk.predictions import Prediction, put_predictions
from synthstudio.review.risk.review_fields import last_event_id, review_columns
from synthstudio.review.risk.scores import models_of, risk_of
from synthstudio.review.risk.table import people_table
from synthstudio.review.team.members import assign
from synthstudio.review.team.second_review import set_share, share_of


def save(store, name, who=ANNA, **more):
    return review_fields.save_view(store, KEY, name=name, query="occluded > 0.3", who=who, **more)


def ids(store, who):
    return [view.id for view in review_fields.views(store, KEY, who=who)]


def test_views_come_back_as_they_were_saved_and_end_by_their_owner_or_a_lead_alone(store):
    for who, for_all in ((GUEST, False), (ANNA, True)):
        with refused("role"):
            save(store, "x", who, for_all=for_all)
    with store.snapshot():  # it shows one moment
        assert ids(store, ANNA) == []
        mine = save(store, "mine", options={"sort": "risk"})
        assert ids(store, ANNA) == []
    ours = save(store, "ours", LEAD, for_all=True)
    assert ids(store, ANNA) == [ours.id, mine.id] and ids(store, BEN) == [ours.id]
    assert review_fields.views(store, "0" * 64, who=ANNA) == []
    assert (mine.options, mine.who, ours.who) == ({"sort": "risk"}, "anna", None)
    with refused("gone"):
        review_fields.delete_view(store, mine, who=BEN)
    with refused("role"):
        review_fields.delete_view(store, ours, who=ANNA)
    with pytest.raises(Refused):  # another's view that says it was for all
        review_fields.delete_view(store, SavedViewRow(id=mine.id, name="mine", who=None), who=LEAD)
    assert len(ids(store, ANNA)) == 2
    review_fields.delete_view(store, mine, who=ANNA)
    review_fields.delete_view(store, ours, who=LEAD)
    assert ids(store, ANNA) == []


def test_a_view_of_the_same_name_is_replaced_for_its_owner_alone(store):
    first, other = save(store, "dark"), save(store, "dark", BEN)
    again = review_fields.save_view(store, KEY, name="dark", query="crowd > 0.2", who=ANNA)
    assert again.id == first.id
    assert [v.query for v in review_fields.views(store, KEY, who=ANNA)] == ["crowd > 0.2"]
    assert ids(store, BEN) == [other.id]
    for_all = [save(store, "dark", LEAD, for_all=True) for _ in range(2)]
    assert for_all[0].id == for_all[1].id


def test_views_have_limits(store, monkeypatch):
    for values in ({"name": ""}, {"name": "x" * 81}):
        with refused("invalid"):
            review_fields.save_view(store, KEY, query="", who=ANNA, **values)
    with pytest.raises(Refused, match="too long"):
        review_fields.save_view(store, KEY, name="x", query="y" * 10_001, who=ANNA)
    monkeypatch.setattr(review_fields, "MAX_VIEWS", 2)
    for name in "ab":
        save(store, name)
    with pytest.raises(Refused, match="too many"):
        save(store, "c")
    save(store, "a")  # replacing one is no new one
    with pytest.raises(IntegrityError):
        review_fields.save_view(store, "0" * 64, name="x", query="", who=BEN)


def test_shares_are_the_usual_ones_until_a_lead_chooses(store):
    assert share_of(store, KEY, "second_share") == 0.1
    set_share(store, KEY, "second_share", 0.25, by=LEAD)
    with refused("role"):
        set_share(store, KEY, "second_share", 0.5, by=ANNA)
    for wrong in (-0.1, 1.1, float("nan"), True):
        with refused("invalid"):
            set_share(store, KEY, "second_share", wrong, by=ADMIN)
    assert share_of(store, KEY, "second_share") == 0.25
    assert share_of(store, KEY, "control_share") == 0.05


def test_columns_say_what_the_store_says_of_each_person(desk, small_set):
    store, key = desk.store, desk.key
    table = people_table(small_set)
    before = review_columns(store, table)
    assert set(before["status"]) == {"pending"} and not np.isfinite(before["edited"]).any()

    def do(who, row, kind, **more):
        desk.do(kind, *table.ids(np.array([row]))[0], who=who, **more)

    do(ANNA, 2, "edit", joints={"nose": hidden()})
    do(BEN, 2, "status", status="approved")
    do(ANNA, 5, "comment", text="dark")
    do(ANNA, 6, "delete")
    assign(store, [desk.person(*table.ids(np.array([7]))[0])], to="ben", by=LEAD)
    found = review_columns(store, table)
    assert found["status"].tolist() == ["pending"] * 2 + ["approved"] + ["pending"] * 7
    assert [found["reviewer"][k] for k in (1, 2, 5, 6)] == [None, "ben", "anna", "anna"]
    assert found["changed"].tolist() == ["no"] * 2 + ["yes"] + ["no"] * 7
    rows = [np.flatnonzero(found[name]).tolist() for name in ("comments", "deleted", "assigned")]
    assert rows == [[5], [6], [7]]
    query = review_fields.parse_query("nose hidden by object", table.joints)
    tables = table, review_fields.as_reviewed(table, found)
    on_disk, now = ({*review_fields.matching_rows(one, query, found)} for one in tables)
    assert now - on_disk == {2}
    assert found["edited"][2] == events(store, key)[1].when.timestamp()
    assert last_event_id(store, key) == events(store, key)[-1].id
    assert last_event_id(store, KEY) == 0


def test_risk_follows_what_is_stored(desk, small_set):
    store, key = desk.store, desk.key
    table = people_table(small_set)
    before = risk_of(store, table)
    assert risk_of(store, table) is before, "nothing was stored, nothing is reckoned again"
    frame, instance = table.ids(np.array([4]))[0]
    odd = PersonFinding(frame=frame, instance=instance, score=1.0, text="odd")
    store_findings(store, small_set, "audit", [odd])
    after = risk_of(store, table)
    assert after.score[4] > before.score[4]
    assert (np.delete(after.score, 4) == np.delete(before.score, 4)).all()
    assert not np.isfinite(models_of(store, table).disagreement).any()
    px = table.joints_px[4]
    far = {"nose": (float(px[0, 0]) + 500.0, float(px[0, 1]), 1.0)}
    put_predictions(store, key, "net", [Prediction(frame=frame, instance=instance, joints=far)])
    models = models_of(store, table)
    assert np.flatnonzero(np.isfinite(models.disagreement)).tolist() == [4]
    assert models.disagreement[4] > 0.9
    assert risk_of(store, table).score[4] > after.score[4]
