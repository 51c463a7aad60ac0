"""What a browser may send as an edit, whoever sends it: refused with a reason, nothing changed."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from datetime import timedelta

import pytest

from synthstudio.core.errors import Refused
from synthstudio.dataset.reader import Dataset
from synthstudio.review import history, settings
from synthstudio.review.check import Base, base_of
from synthstudio.review.datasets import register
from synthstudio.review.edits import apply
from synthstudio.review.leases import claim
from synthstudio.review.models import utc_now
from synthstudio.review.store import open_store
from synthstudio.review.team.members import assign, role_of, set_role
from synthstudio.review.values import JointLabel, Op, Person, User
from synthstudio.studio.guard import LOG, open_log

LEAD, ANN = User(name="Lee", role="lead"), User(name="Ann", role="reviewer")
BO, VIEWER = User(name="Bo", role="reviewer"), User(name="Vi", role="viewer")
FINE = JointLabel(x_px=10.0, y_px=20.0, state=2, cause="visible")


@pytest.fixture
def store(tmp_path, studio_set):
    found = open_store(f"sqlite:///{tmp_path / 'review.db'}")
    yield found
    found.close()


@pytest.fixture
def dataset(studio_set) -> Dataset:
    return Dataset(studio_set)


@pytest.fixture
def person(store, dataset) -> Person:
    return Person(dataset=register(store, dataset, "crates"), frame=0, instance=1)


@pytest.fixture
def base(dataset) -> Base:
    return base_of(dataset, 0, 1)


@pytest.fixture
def nothing_changed(store, person):
    """One edit is there; after the test there is still just that."""
    yield
    assert len(history.events(store, person.dataset)) == 0
    assert history.states(store, person.dataset) == {}


@pytest.fixture(autouse=True)
def no_log_is_left_open():
    yield
    for logger in (LOG, logging.getLogger("synthstudio.review.roles")):
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()


def edit(person: Person, **values) -> Op:
    chosen = {
        "client": "c",
        "seq": 1,
        "person": person,
        "revision": 0,
        "kind": "edit",
        "joints": {"left_wrist": FINE},
    } | values
    return Op(**chosen)


def test_negative_control(store, person, base):
    assert apply(store, edit(person), who=ANN, base=base).who == "Ann"
    assert history.state(store, person).joints["left_wrist"].x_px == 10.0


@pytest.mark.parametrize(
    "values",
    [
        {"joints": {"left_wrist": replace(FINE, x_px=math.nan)}},
        {"joints": {"left_wrist": replace(FINE, x_px=math.inf)}},
        {"joints": {"left_wrist": replace(FINE, x_px=1e9)}},
        {"joints": {"left_wrist": replace(FINE, x_px="1")}},
        {"joints": {"left_wrist": replace(FINE, x_px=[1])}},
        {"joints": {"left_wrist": replace(FINE, state=7)}},
        {"joints": {"left_wrist": replace(FINE, state=True)}},
        {"joints": {"left_wrist": replace(FINE, cause="<script>")}},
        {"joints": {"left_wrist": replace(FINE, cause="person")}},  # visible, hidden by a person
        {"joints": {"__class__": FINE}},
        {"joints": {f"joint{k}": FINE for k in range(5000)}},
        {"joints": {}},
        {"joints": []},
        {"joints": {"left_wrist": {"x_px": 1}}},
        {"kind": "drop table"},
        {"kind": "comment", "joints": {}, "text": "x" * 2001},
        {"kind": "comment", "joints": {}, "text": "a\0b"},
        {"kind": "status", "joints": {}, "status": "done"},
        {"revision": -1},
        {"revision": "0"},
        {"revision": 2**70},
        {"seq": 1.5},
        {"client": ""},
        {"client": "x" * 500},
    ],
)
def test_forged_and_oversized_edits(values, store, person, base, nothing_changed):
    with pytest.raises(Refused) as caught:
        apply(store, edit(person, **values), who=ANN, base=base)
    assert caught.value.reason in ("invalid", "revision")


@pytest.mark.parametrize("values", [{"frame": -1}, {"instance": "1"}, {"layer": ""}])
def test_edits_of_nobody(values, store, person, base, nothing_changed):
    with pytest.raises(Refused) as caught:
        apply(store, edit(replace(person, **values)), who=ANN, base=base)
    assert caught.value.reason in ("invalid", "gone", "lease")


def test_somebody_whom_the_set_does_not_hold(store, person, dataset, nothing_changed):
    with pytest.raises(Refused):
        apply(store, edit(replace(person, instance=77)), who=ANN, base=base_of(dataset, 0, 77))


def test_a_set_that_is_not_in_the_store(store, person, base, nothing_changed):
    with pytest.raises(Refused):
        apply(store, edit(replace(person, dataset="0" * 64)), who=ANN, base=base)


def test_an_item_that_another_person_holds(store, person, base, nothing_changed):
    assert claim(store, [person], who=BO, minutes=30) == [person]
    with pytest.raises(Refused) as caught:
        apply(store, edit(person), who=ANN, base=base)
    assert caught.value.reason == "lease"


def test_an_expired_lease(store, person, base, nothing_changed):
    claim(store, [person], who=ANN, minutes=5, now=utc_now() - timedelta(minutes=6))
    with pytest.raises(Refused) as caught:
        apply(store, edit(person), who=ANN, base=base)
    assert caught.value.reason == "lease"


def test_who_may_only_look(store, person, base, nothing_changed):
    for values in ({}, {"kind": "comment", "joints": {}, "text": "a"}, {"kind": "delete"}):
        with pytest.raises(Refused) as caught:
            apply(store, edit(person, **values), who=VIEWER, base=base)
        assert caught.value.reason == "role"
    with pytest.raises(Refused):
        claim(store, [person], who=VIEWER)


def test_a_reviewer_does_what_a_lead_may(store, person, base, nothing_changed, tmp_path):
    log = open_log(tmp_path)
    before = dict(settings.views(store, person.dataset, who=LEAD))
    with pytest.raises(Refused) as caught:
        assign(store, [person], to="Bo", by=ANN)
    assert caught.value.reason == "role"
    for role in ("lead", "admin"):
        with pytest.raises(Refused):
            set_role(store, "Ann", role, by=ANN)
    with pytest.raises(Refused):
        set_role(store, "Ann", "admin", by=LEAD)
    with pytest.raises(Refused):
        settings.save_view(store, person.dataset, name="a", query="", who=ANN, for_all=True)
    assert log.read_text().count("to 'Ann', role reviewer") == 4
    assert "refused assign to 'Ann', role reviewer" in log.read_text()
    assert role_of(store, "Ann") is None
    assert dict(settings.views(store, person.dataset, who=LEAD)) == before
    assert assign(store, [person], to="Bo", by=LEAD) == 1  # negative control
