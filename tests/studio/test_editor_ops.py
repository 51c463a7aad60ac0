"""What the browser sends is checked, done once, and answered op by op."""

import math
from contextlib import closing

import pytest
from review_ops import KEY, keyed_store, refused

from synthstudio.core.errors import DatasetError, Refused
from synthstudio.review import history
from synthstudio.review import store as review_store
from synthstudio.review.check import Base
from synthstudio.review.leases import renew
from synthstudio.review.store import open_store
from synthstudio.review.values import JointLabel, Person, User
from synthstudio.studio.editor import ops
from synthstudio.studio.editor.ops import apply_ops, parse_ops

CLIENT = "c0ffee00c0ffee00"
ADA = User(name="Ada", role="reviewer")
JOINTS = ("nose", "left_eye")


@pytest.fixture
def store(tmp_path):
    with keyed_store(tmp_path) as found:
        yield found


def base_of(person):
    labels = {n: JointLabel(x_px=5.0, y_px=6.0, state=2, cause="visible") for n in JOINTS}
    return Base(skeleton=JOINTS, width_px=320, height_px=240, joints=labels, exists=True)


def op(seq, **more):
    one = {"client": CLIENT, "seq": seq, "frame": 1, "instance": 1, "revision": 0, "kind": "edit"}
    return one | {"joints": {"nose": [7.5, 8.5, 1, "person"]}, **more}


def tell(store, *sent, who=ADA, base_of=base_of):
    parsed = parse_ops(sent, dataset=KEY)
    return apply_ops(store, parsed, who=who, base_of=base_of, blinded=lambda people: ())


def test_an_undo_may_name_the_op_it_takes_back(store):
    answer = tell(store, op(1), op(2, revision=1, kind="revert", joints={}, undoes=[CLIENT, 1]))
    assert [d[3] for d in answer.done] == [1, 2]
    assert history.state(store, Person(dataset=KEY, frame=1, instance=1)).joints == {}
    later = tell(store, op(3, revision=2, kind="revert", joints={}, undoes=[CLIENT, 2]))
    assert later.done  # the redo, in a message of its own
    gone = tell(store, op(4, revision=3, kind="revert", joints={}, undoes=[CLIENT, 99]))
    assert gone.refused[0][2] == "gone"


def test_what_builds_on_a_refused_edit_is_refused_too(store):
    """Else it could be applied over a state that its author never saw."""
    tell(store, op(1))  # somebody else's: the item is at revision 1 now
    answer = tell(store, op(5, revision=0), op(6, revision=1, after=[CLIENT, 5]))
    assert [r[1:3] for r in answer.refused] == [(5, "revision"), (6, "revision")]
    assert len(history.events(store, KEY)) == 1
    alone = tell(store, op(7, revision=1))  # the control: without `after` it would have been
    assert alone.done


def test_a_busy_or_broken_store_keeps_the_rest_waiting(store, monkeypatch, caplog):
    real = ops.apply
    busy = Refused("review.db: the database is locked.", reason="busy")
    for seq, fault, wait in ((2, busy, "locked"), (3, ZeroDivisionError(), "")):

        def apply(store, op, *, first=seq, fault=fault, **more):
            if op.seq >= first:
                raise fault
            return real(store, op, **more)

        monkeypatch.setattr(ops, "apply", apply)
        answer = tell(store, op(1), op(2, revision=1), op(3, revision=2))
        assert [d[1] for d in answer.done] == list(range(1, seq)) and not answer.refused
        assert answer.wait and wait in answer.wait
    assert "ZeroDivisionError" in caplog.text
    monkeypatch.setattr(ops, "apply", real)
    assert [d[1] for d in tell(store, op(2, revision=1), op(3, revision=2)).done] == [2, 3]


def test_a_renewal_of_leases_does_not_wait(store, monkeypatch):
    monkeypatch.setattr(review_store, "BUSY_S", 3600.0)  # who waits, hangs
    with closing(open_store(store.url)) as other, store.session() as writing:
        writing.connection()
        with refused("busy"):
            renew(other, [Person(dataset=KEY, frame=1, instance=1)], who=ADA)


NO_OP = [None, [], "op", {}, op(1, client="short"), op(1, client="../../etc/passwd"), op(1.5)]
NO_OP += [op(2**40), op(-1), op(True), op("1"), {"seq": 1}]


def test_no_op_at_all():
    for sent in NO_OP:
        with refused("invalid") as caught:
            parse_ops([op(1), sent], dataset=KEY)
        assert len(str(caught.value)) < 400


BAD = [
    *({"dataset": "e" * 64}, {"frame": "1"}, {"instance": None}, {"revision": True}),
    *({"who": "admin"}, {"undoes": [CLIENT, 1]}, {"after": [CLIENT]}, {"track": -1}),
    {"joints": {"nose": [1, 2, 1]}},
    {"joints": {"nose": [math.nan, 2, 2, "visible"]}},
    {"joints": {"nose": [1, 2, 2, "object"]}},
    {"joints": {"nose": ["1", 2, 2, "visible"]}},
    {"kind": "comment", "joints": {}, "text": {"html": 1}},
    {"box": [0, 0, 10**400, 1]},
]


def test_a_bad_op_is_refused_and_its_neighbours_done(store):
    for number, more in enumerate(BAD):
        who = {"client": f"{number:016}", "instance": number + 1}
        wrong = op(2, client=who["client"], **more)
        answer = tell(store, op(1, frame=2, **who), wrong, op(3, frame=3, **who))
        assert [d[1] for d in answer.done] == [1, 3], more
        ((client, seq, reason, text),) = answer.refused
        assert (client, seq, reason) == (who["client"], 2, "invalid") and len(text) < 500, more
    places = {
        (e.person.frame, e.person.instance, e.person.dataset) for e in history.events(store, KEY)
    }
    assert places == {(f, k + 1, KEY) for f in (2, 3) for k in range(len(BAD))}


def test_a_refusal_names_no_folder_of_the_server(store, tmp_path):
    def nowhere(person):
        folder = str(tmp_path / "a" / "set")
        raise DatasetError("the data set does not hold this frame", where=folder)

    ((_, _, reason, text),) = tell(store, op(1), base_of=nowhere).refused
    assert (reason, text) == ("gone", "set: the data set does not hold this frame.")
