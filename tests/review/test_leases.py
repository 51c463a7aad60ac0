"""Leases: two never hold the same person, whoever asks when; they end, and can be given back."""

from datetime import UTC, datetime, timedelta

from review_ops import ADMIN, ANNA, BEN, GUEST, KEY, LEAD, ON_DISK, at_time, op, refused

from synthstudio.review import leases as module
from synthstudio.review.edits import apply
from synthstudio.review.history import events
from synthstudio.review.leases import claim, leases, release, renew
from synthstudio.review.models import utc_now
from synthstudio.review.values import Person

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PEOPLE = [Person(dataset=KEY, frame=k // 4, instance=1 + k % 4) for k in range(60)]


def after(minutes):
    return NOW + timedelta(minutes=minutes)


def test_the_first_free_ones_are_leased(store):
    assert at_time(NOW, claim, store, PEOPLE, who=ANNA, count=3) == PEOPLE[:3]
    assert at_time(NOW, claim, store, PEOPLE, who=BEN, count=2) == PEOPLE[3:5]
    assert at_time(NOW, claim, store, PEOPLE, who=ANNA, count=4) == [*PEOPLE[:3], PEOPLE[5]]
    held = at_time(NOW, leases, store, KEY)
    assert [lease.who for lease in held.values()] == ["anna"] * 3 + ["ben"] * 2 + ["anna"]
    assert list(at_time(NOW, leases, store, KEY, who="ben")) == [(0, 4), (1, 1)]
    assert at_time(NOW, claim, store, [], who=BEN) == []
    assert at_time(NOW, claim, store, PEOPLE[:3], who=BEN, count=3) == []


def test_a_lease_ends_and_is_renewed(store):
    at_time(NOW, claim, store, PEOPLE, who=ANNA, count=2)
    assert at_time(after(29.9), claim, store, PEOPLE[:1], who=BEN) == []
    assert at_time(after(29), renew, store, PEOPLE[:1], who=ANNA) == PEOPLE[:1]
    assert at_time(after(31), claim, store, PEOPLE[:2], who=BEN, count=2) == PEOPLE[1:2]
    # One that ended and that nobody took begins anew; one that was taken does not.
    assert at_time(after(60), renew, store, PEOPLE[:2], who=ANNA) == PEOPLE[:1]
    assert at_time(after(60), leases, store, KEY)[0, 2].who == "ben"
    assert at_time(NOW, renew, store, PEOPLE[9:10], who=ANNA) == []


def test_leases_are_given_back_by_their_holder_or_a_lead(store):
    at_time(NOW, claim, store, PEOPLE, who=ANNA, count=2)
    for who, given_back in ((BEN, 0), (ANNA, 1), (LEAD, 1)):
        assert release(store, PEOPLE[: 1 + (who is not ANNA)], who=who) == given_back
    assert at_time(NOW, leases, store, KEY) == {}


def test_edits_need_the_lease_that_there_is(store):
    """Without any lease revisions decide; another's or an ended one of one's own refuses."""
    person = PEOPLE[0]
    apply(store, op("edit", 0, person=person), who=ANNA, base=ON_DISK)
    claim(store, [person], who=BEN)
    with refused("lease", match="another reviewer"):
        apply(store, op("edit", 1, person=person), who=ANNA, base=ON_DISK)
    apply(store, op("edit", 1, person=person), who=BEN, base=ON_DISK)
    ended = utc_now() - timedelta(hours=1)
    at_time(ended, claim, store, PEOPLE[1:2], who=BEN)
    with refused("lease", match="has ended"):
        apply(store, op("edit", 0, person=PEOPLE[1]), who=BEN, base=ON_DISK)
    assert renew(store, PEOPLE[1:2], who=BEN) == PEOPLE[1:2]
    apply(store, op("edit", 0, person=PEOPLE[1]), who=BEN, base=ON_DISK)
    assert len(events(store, KEY)) == 3
    # What another held until an hour ago is free for everybody.
    at_time(ended, claim, store, PEOPLE[2:3], who=BEN)
    apply(store, op("edit", 0, person=PEOPLE[2]), who=ANNA, base=ON_DISK)


def test_so_many_cannot_be_claimed(store):
    for count in (0, -1, 501, True, 2.0, "1"):
        with refused("invalid"):
            claim(store, PEOPLE[:1], who=ADMIN, count=count)
    for call in (claim, renew, release):
        with refused("role"):
            call(store, PEOPLE[:1], who=GUEST)


def test_a_write_between_a_look_and_a_claim_is_not_overwritten(store, monkeypatch):
    looks = []

    def look(session, people, who, now):
        looks.append(original(session, people, who, now))
        module._upsert(session, PEOPLE[:1], "ben", NOW)
        return looks[-1]

    original = module._held_by_others
    monkeypatch.setattr(module, "_held_by_others", look)
    assert at_time(NOW, claim, store, PEOPLE[:3], who=ANNA, count=2) == PEOPLE[1:3]
    assert looks[0] == set()
    assert at_time(NOW, leases, store, KEY)[0, 1].who == "ben"
