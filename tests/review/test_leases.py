"""Leases: two never hold the same person, whoever asks when; they end, and can be given back."""

from datetime import UTC, datetime, timedelta

from review_ops import ADMIN, ANNA, BEN, GUEST, KEY, LEAD, ON_DISK, op, refused

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
    assert claim(store, PEOPLE, who=ANNA, count=3, now=NOW) == PEOPLE[:3]
    assert claim(store, PEOPLE, who=BEN, count=2, now=NOW) == PEOPLE[3:5]
    assert claim(store, PEOPLE, who=ANNA, count=4, now=NOW) == [*PEOPLE[:3], PEOPLE[5]]
    held = leases(store, KEY, now=NOW)
    assert [lease.who for lease in held.values()] == ["anna"] * 3 + ["ben"] * 2 + ["anna"]
    assert list(leases(store, KEY, who="ben", now=NOW)) == [(0, 4), (1, 1)]
    assert claim(store, [], who=BEN, now=NOW) == []
    assert claim(store, PEOPLE[:3], who=BEN, count=3, now=NOW) == []


def test_a_lease_ends_and_is_renewed(store):
    claim(store, PEOPLE, who=ANNA, count=2, minutes=10, now=NOW)
    assert claim(store, PEOPLE[:1], who=BEN, now=after(9.9)) == []
    assert renew(store, PEOPLE[:1], who=ANNA, minutes=10, now=after(9)) == PEOPLE[:1]
    assert claim(store, PEOPLE[:2], who=BEN, count=2, now=after(11)) == PEOPLE[1:2]
    # One that ended and that nobody took begins anew; one that was taken does not.
    assert renew(store, PEOPLE[:2], who=ANNA, now=after(25)) == PEOPLE[:1]
    assert leases(store, KEY, now=after(25))[0, 2].who == "ben"
    assert renew(store, PEOPLE[9:10], who=ANNA, now=NOW) == []


def test_leases_are_given_back_by_their_holder_or_a_lead(store):
    claim(store, PEOPLE, who=ANNA, count=2, now=NOW)
    for who, given_back in ((BEN, 0), (ANNA, 1), (LEAD, 1)):
        assert release(store, PEOPLE[: 1 + (who is not ANNA)], who=who) == given_back
    assert leases(store, KEY, now=NOW) == {}


def test_edits_need_the_lease_that_there_is(store):
    """Without any lease revisions decide; another's or an ended one of one's own refuses."""
    person = PEOPLE[0]
    apply(store, op("edit", 0, person=person), who=ANNA, base=ON_DISK)
    claim(store, [person], who=BEN, now=utc_now())
    with refused("lease", match="another reviewer"):
        apply(store, op("edit", 1, person=person), who=ANNA, base=ON_DISK)
    apply(store, op("edit", 1, person=person), who=BEN, base=ON_DISK)
    ended = utc_now() - timedelta(hours=1)
    claim(store, PEOPLE[1:2], who=BEN, minutes=1, now=ended)
    with refused("lease", match="has ended"):
        apply(store, op("edit", 0, person=PEOPLE[1]), who=BEN, base=ON_DISK)
    assert renew(store, PEOPLE[1:2], who=BEN) == PEOPLE[1:2]
    apply(store, op("edit", 0, person=PEOPLE[1]), who=BEN, base=ON_DISK)
    assert len(events(store, KEY)) == 3
    # What another held until an hour ago is free for everybody.
    claim(store, PEOPLE[2:3], who=BEN, minutes=1, now=ended)
    apply(store, op("edit", 0, person=PEOPLE[2]), who=ANNA, base=ON_DISK)


def test_so_many_or_so_long_cannot_be_claimed(store):
    counts = [{"count": count} for count in (0, -1, 501, True, 2.0, "1")]
    times = [{"minutes": m} for m in (0, -3, 241, float("nan"), float("inf"), True)]
    calls = [*((claim, more) for more in counts + times), *((renew, more) for more in times)]
    for call, more in calls:
        with refused("invalid"):
            call(store, PEOPLE[:1], who=ADMIN, **more)
    for call in (claim, renew, release):
        with refused("role"):
            call(store, PEOPLE[:1], who=GUEST)


def test_a_write_between_a_look_and_a_claim_is_not_overwritten(store, monkeypatch):
    looks = []

    def look(session, people, who, now):
        looks.append(original(session, people, who, now))
        module._upsert(session, PEOPLE[:1], "ben", NOW, after(30))
        return looks[-1]

    original = module._held_by_others
    monkeypatch.setattr(module, "_held_by_others", look)
    assert claim(store, PEOPLE[:3], who=ANNA, count=2, now=NOW) == PEOPLE[1:3]
    assert looks[0] == set()
    assert leases(store, KEY, now=NOW)[0, 1].who == "ben"
