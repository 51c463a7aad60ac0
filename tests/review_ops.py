"""What reviewers do in tests: ops, a base without a data set, and a small data set."""

import dataclasses
import itertools
from contextlib import closing, contextmanager
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from fake_frames import identity
from stick_people import make_frame
from written_sets import stored

from synthstudio.core.errors import Refused
from synthstudio.core.images import encode_jpeg
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.review import edits, history, models
from synthstudio.review.check import Base, base_of
from synthstudio.review.history import register
from synthstudio.review.models import DatasetRow, utc_now
from synthstudio.review.store import Store, open_store
from synthstudio.review.values import JointLabel, Op, Person, User

KEY = "5e" * 32
PEOPLE = (3, 1, 0, 2, 4)
JOINTS = get_skeleton("coco17").joints
ANNA = User(name="anna", role="reviewer")
BEN = User(name="ben", role="reviewer")
LEAD = User(name="lea", role="lead")
ADMIN = User(name="ada", role="admin")
GUEST = User(name="guest", role="viewer")
ON_DISK = Base(skeleton=JOINTS, width_px=320, height_px=240, joints={}, exists=True)
NOBODY = dataclasses.replace(ON_DISK, joints=None, exists=False)
PERSON = Person(dataset=KEY, frame=0, instance=1)
_seq = itertools.count(1)


@contextmanager
def refused(reason, match=None):
    with pytest.raises(Refused, match=match) as caught:
        yield caught
    assert caught.value.reason == reason


def clock_at(moment):
    """Stop the review store's clock at a time (or give it a function), in a with statement."""
    now = moment if callable(moment) else lambda: moment
    return mock.patch.object(models, "datetime", SimpleNamespace(now=lambda zone: now()))


def at_time(moment, call, *args, **values):
    with clock_at(moment):
        return call(*args, **values)


@contextmanager
def keyed_store(folder):
    """An open store in a folder that knows one data set, under KEY."""
    with closing(open_store(f"sqlite:///{folder}/review.db")) as store:
        with store.session() as session:
            session.add(
                DatasetRow(key=KEY, name="a", skeleton="coco17", people=6, added_at=utc_now())
            )
        yield store


def seen(x=10.0, y=20.0):
    return JointLabel(x_px=x, y_px=y, state=2, cause="visible")


def hidden(x=10.0, y=20.0, cause="object"):
    return JointLabel(x_px=x, y_px=y, state=1, cause=cause)


def op(kind, revision, **more):
    if kind in ("edit", "add"):
        more.setdefault("joints", {"nose": seen()})
    values = {"client": "tab-1", "seq": next(_seq), "person": PERSON} | more
    return Op(kind=kind, revision=revision, **values)


@dataclasses.dataclass
class Desk:
    """A data set in a store, whose people get ops at their current revision."""

    store: Store
    dataset: Dataset

    def __post_init__(self):
        self.key = register(self.store, self.dataset, "a set")

    def person(self, frame, instance=1, layer="main"):
        return Person(dataset=self.key, frame=frame, instance=instance, layer=layer)

    def base(self, person):
        return base_of(self.dataset, person.frame, person.instance)

    def state(self, person):
        return history.state(self.store, person)

    def log(self, person, kind, *, who=ANNA, **more):
        revision = more.pop("revision", self.state(person).revision)
        return edits.apply(
            self.store, op(kind, revision, person=person, **more), who=who, base=self.base(person)
        )

    def do(self, kind, frame, instance=1, **more):
        return self.log(self.person(frame, instance), kind, **more)

    def check(self):
        """Assert that all states are what their events add up to."""
        assert history.check_replay(self.store, self.key) == []


def make_set(out, *, skeleton="coco17"):
    told = identity(
        recipe={"name": "sticks"}, skeleton=skeleton, frames=len(PEOPLE), frames_per_shard=2
    )
    return stored(out, told, lambda k: _frame(k, skeleton))


def _frame(index, skeleton):
    frame = make_frame(index, people=PEOPLE[index], skeleton=skeleton)
    grey = np.full((240, 320, 3), 40 + 20 * index, np.uint8)
    grey[index : index + 9] = 200
    return dataclasses.replace(frame, jpeg=encode_jpeg(grey, 90))
