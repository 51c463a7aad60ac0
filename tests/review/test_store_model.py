"""Random ops, undo and redo in any order, against a model of plain lists that shares no code."""

from collections import Counter
from copy import deepcopy

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from review_ops import ANNA, BEN, NOBODY, ON_DISK, hidden, op, seen
from sqlalchemy import event

from synthstudio.core.errors import Refused
from synthstudio.review import edits, history
from synthstudio.review.models import DatasetRow, utc_now
from synthstudio.review.store import open_store
from synthstudio.review.values import Person

NAMES = ("nose", "left_eye")
PLACES = st.integers(0, 240).map(float)
LABELS = st.one_of(st.builds(seen, PLACES, PLACES), st.builds(hidden, PLACES, PLACES))
COUNTED = ("reverted", "redone", "in the way")
PEOPLE = st.sampled_from([1, 2])
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)
JOINTS = st.dictionaries(st.sampled_from(NAMES), LABELS, min_size=1, max_size=2)


class Item:
    """One person in the model: of each field a stack of (event, value), whose top is current. Undo
    pops an event that is on top of all its stacks; redo pushes it on unchanged stacks."""

    def __init__(self, exists):
        self.exists = exists
        self.stacks = {}
        self.log = []  # (event id, whether it puts, its root event, stacks right after it)
        self.values = {}  # root event -> field -> value
        self.reverted = {}

    def get(self, field, default):
        stack = self.stacks.get(field)
        return self.values[stack[-1]][field] if stack else default

    def image(self, fields):
        return {field: tuple(self.stacks.get(field, ())) for field in fields}

    def put(self, event, root):
        for field in self.values[root]:
            self.stacks.setdefault(field, []).append(root)
        self.log.append((event, True, root, self.image(self.values[root])))

    def take(self, event, root):
        for field in self.values[root]:
            assert self.stacks[field].pop() == root
        self.log.append((event, False, root, self.image(self.values[root])))

    def holds(self, event):
        by = self.reverted.get(event)
        return by is None or not self.holds(by)

    def may_revert(self, event):
        known = [entry for entry in self.log if entry[0] == event]
        if not known or not self.holds(event):
            return False
        _, puts, root, after = known[0]
        fields = self.values[root]
        if puts and any(self.stacks[f][-1:] != [root] for f in fields):
            return False
        if not puts and self.image(fields) != after:
            return False
        then = deepcopy(self)
        then.revert("new", event)
        return then.there or not then.decided

    def revert(self, new, event):
        _, puts, root, _ = next(entry for entry in self.log if entry[0] == event)
        self.reverted[event] = new
        (self.take if puts else self.put)(new, root)

    @property
    def there(self):
        return self.exists or self.get("added", False)

    @property
    def deleted(self):
        return self.get("deleted", False)

    @property
    def decided(self):
        return self.deleted or self.get("status", ("pending", ""))[0] != "pending"


class Machine(RuleBasedStateMachine):
    """Every run has a data set of its own; a subclass names `store`, `runs` and `counted`."""

    def __init__(self):
        super().__init__()
        self.key = f"{next(self.runs):064x}"
        with self.store.session() as session:
            row = {"name": "a", "skeleton": "coco17", "people": 1, "added_at": utc_now()}
            session.add(DatasetRow(key=self.key, **row))
        self.items = {1: Item(exists=True), 2: Item(exists=False)}
        self.revisions = {1: 0, 2: 0}
        self.sent = []

    def person(self, n):
        return Person(dataset=self.key, frame=0, instance=n)

    def send(self, n, kind, *, fine, values=None, who=ANNA, back=0, **more):
        """Apply; check that it is refused just when it should be; return the event."""
        revision = self.revisions[n] - back
        if revision < 0:
            return None
        edit_op = op(kind, revision, person=self.person(n), **more)
        base = ON_DISK if self.items[n].exists else NOBODY
        try:
            event = edits.apply(self.store, edit_op, who=who, base=base)
        except Refused as refused:
            assert back or not fine, refused
            assert refused.reason == ("revision" if back else refused.reason)
            return None
        assert fine and not back
        self.revisions[n] += 1
        assert event.revision == self.revisions[n]
        self.sent.append((edit_op, base, who, event))
        if values is not None:
            self.items[n].values[event.id] = values
            self.items[n].put(event.id, event.id)
        return event

    @rule(
        n=PEOPLE,
        joints=JOINTS,
        who=st.sampled_from([ANNA, BEN]),
        back=st.sampled_from([0, 0, 0, 1]),
    )
    def edit(self, n, joints, who, back):
        item = self.items[n]
        values = {("joint", name): label for name, label in joints.items()}
        fine = item.there and not item.deleted
        self.send(n, "edit", fine=fine, values=values, joints=joints, who=who, back=back)

    @rule(joints=JOINTS, n=st.sampled_from([1, 2]))
    def add(self, n, joints):
        values = {("joint", name): label for name, label in joints.items()}
        values["added"] = True
        self.send(n, "add", fine=not self.items[n].there, values=values, joints=joints)

    @rule(n=PEOPLE, status=st.sampled_from(["approved", "rejected"]), text=TEXTS)
    def status(self, n, status, text):
        item = self.items[n]
        fine, values = item.there and not item.deleted, {"status": (status, text)}
        self.send(n, "status", fine=fine, values=values, status=status, text=text)

    @rule(n=st.sampled_from([1, 2]))
    def comment(self, n):
        event = self.send(n, "comment", fine=self.items[n].there, text="hm")
        if event is not None:
            values = {("comment", event.id): "hm"}
            self.items[n].values[event.id] = values
            self.items[n].put(event.id, event.id)

    @rule(n=st.sampled_from([1, 2]), kind=st.sampled_from(["delete", "restore"]))
    def delete(self, n, kind):
        item = self.items[n]
        fine = item.there and item.deleted == (kind == "restore")
        self.send(n, kind, fine=fine, values={"deleted": kind == "delete"})

    @rule(
        n=st.sampled_from([1, 1, 2]),
        legal=st.booleans(),
        picks=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    )
    def revert(self, n, legal, picks):
        for pick in picks:
            item = self.items[n]
            # Roots, and of what reverts or redoes one the latest: who else would be clicked on?
            latest = {root: event for event, _, root, _ in item.log}
            known_events = [e for e, *_ in item.log if e in item.values or e in latest.values()]
            known_events = [e for e in known_events if item.may_revert(e) == legal]
            if not known_events:
                return
            target = known_events[-1 - pick % len(known_events)]
            fine = item.may_revert(target)
            event = self.send(n, "revert", fine=fine, event=target)
            self.counted["reverted" if fine else "in the way"] += 1
            if event is not None:
                self.counted["redone"] += target not in item.values
                item.revert(event.id, target)

    @rule(pick=st.integers(0, 10**6))
    def say_again(self, pick):
        if self.sent:
            edit_op, base, who, event = self.sent[pick % len(self.sent)]
            assert edits.apply(self.store, edit_op, who=who, base=base) == event

    @invariant()
    def store_says_what_the_model_says(self):
        for n, item in self.items.items():
            state = history.state(self.store, self.person(n))
            labels = {name: item.get(("joint", name), None) for name in NAMES}
            assert state.joints == {k: v for k, v in labels.items() if v is not None}
            assert (state.status, state.reason) == item.get("status", ("pending", ""))
            assert (state.added, state.deleted) == (item.get("added", False), item.deleted)
            comments = [f for f, stack in item.stacks.items() if f[0] == "comment" and stack]
            assert state.comments == len(comments)
            assert state.revision == self.revisions[n]

    def teardown(self):
        assert history.check_replay(self.store, self.key) == []
        found = history.events(self.store, self.key, limit=10**6)
        assert found == [event for *_, event in self.sent]


def run_machines(url, *, names, examples, enough):
    store = open_store(url)
    if store.engine.dialect.name == "sqlite":  # nobody cuts the power here
        event.listen(store.engine, "checkout", lambda c, *_: c.execute("PRAGMA synchronous=OFF"))
    quiet = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
    quiet["phases"] = [Phase.generate]  # to make a failing run shorter takes minutes
    chosen = settings(max_examples=examples, stateful_step_count=20, derandomize=True, **quiet)
    made = {"store": store, "runs": iter(range(10**9)), "counted": Counter()}
    counted = made["counted"]
    for name in names:  # each name has random numbers of its own
        run_state_machine_as_test(type(name, (Machine,), made), settings=chosen)
        if min(counted[one] for one in COUNTED) >= enough:
            break
    store.close()
    return counted


def test_the_store_does_what_the_model_does(tmp_path):
    url, names = f"sqlite:///{tmp_path / 'r.db'}", [f"Named{k}" for k in range(5)]
    counted = run_machines(url, names=names, examples=8, enough=1)
    assert min(counted[one] for one in COUNTED) > 0, counted


@pytest.mark.nightly("many more random ops, on both kinds of store")
def test_the_store_does_what_the_model_does_for_long(store_url):
    names = [f"Named{k}" for k in range(8)]
    counted = run_machines(store_url, names=names, examples=15, enough=5)
    assert min(counted[one] for one in COUNTED) > 4, counted
