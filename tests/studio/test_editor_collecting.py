"""Full collections of garbage stay short, and what they set aside is still freed."""

import gc
import time
import weakref

import pytest

from synthstudio.studio import server

SCRIPT_LIKE = 400_000


class Thing:
    """Something that a weak reference can watch."""


@pytest.fixture(autouse=True)
def own_callbacks():
    before = gc.callbacks[:]
    yield
    gc.callbacks[:] = before
    gc.unfreeze()


def full():
    began = time.thread_time()
    gc.collect(2)
    return time.thread_time() - began


def test_what_is_in_memory_is_looked_at_once():
    heap = [{"n": [k]} for k in range(SCRIPT_LIKE)]
    full()
    slow = full()  # the control: without a keeper each looks at everything again
    assert slow > server.SLOW_COLLECTION_S
    server.limit_gc_pauses()
    server.limit_gc_pauses()
    assert sum(isinstance(each, server.GcTuner) for each in gc.callbacks) == 1
    full()
    assert gc.get_freeze_count() > SCRIPT_LIKE
    assert min(full() for _ in range(3)) < slow / 5
    assert len(heap) == SCRIPT_LIKE


def test_short_collections_set_nothing_aside(monkeypatch):
    monkeypatch.setattr(server, "SLOW_COLLECTION_S", 1e9)
    server.limit_gc_pauses()
    full()
    assert gc.get_freeze_count() == 0


def test_garbage_is_still_found(monkeypatch):
    """New cycles at once; cycles of what was set aside when that is looked at again."""
    monkeypatch.setattr(server, "SLOW_COLLECTION_S", 0.0)
    old = Thing()
    old.me = old
    watched = weakref.ref(old)
    server.limit_gc_pauses()
    full()
    assert gc.get_freeze_count() > 0
    monkeypatch.setattr(server, "SLOW_COLLECTION_S", 1e9)
    new = Thing()
    new.me = new
    other = weakref.ref(new)
    plain = Thing()
    third = weakref.ref(plain)
    del old, new, plain
    full()
    assert other() is None and third() is None
    assert watched() is not None  # set aside: this is the price
    monkeypatch.setattr(server, "UNFREEZE_EVERY_S", -1.0)
    full()
    assert watched() is None
