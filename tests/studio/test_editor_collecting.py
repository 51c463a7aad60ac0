"""Collections of garbage that are slow set aside what they looked at; it is still freed later."""

import gc
import weakref

import pytest

from synthstudio.studio import server


class Thing:
    """A cycle that a weak reference can watch."""

    def __init__(self):
        self.me = self


@pytest.fixture(autouse=True)
def own_callbacks():
    before = gc.callbacks[:]
    yield
    gc.callbacks[:] = before
    gc.unfreeze()


@pytest.fixture
def slow(monkeypatch):
    """Return a function that says whether all collections count as slow."""
    return lambda all_are: monkeypatch.setattr(
        server, "SLOW_COLLECTION_S", -1.0 if all_are else 1e9
    )


def test_only_slow_collections_set_aside_what_is_there(slow):
    heap = [{"n": [k]} for k in range(1000)]
    slow(False)
    server.limit_gc_pauses()
    server.limit_gc_pauses()
    assert sum(isinstance(each, server.GcTuner) for each in gc.callbacks) == 1
    gc.collect(2)
    assert gc.get_freeze_count() == 0
    slow(True)
    gc.collect(1)
    assert gc.get_freeze_count() == 0, "a young collection is short"
    gc.collect(2)
    assert gc.get_freeze_count() > len(heap)
    assert not {id(one) for one in heap} & {id(one) for one in gc.get_objects()}


def test_garbage_is_still_found(slow, monkeypatch):
    """New cycles at once; cycles of what was set aside when that is looked at again."""
    slow(True)
    old = Thing()
    watched = weakref.ref(old)
    server.limit_gc_pauses()
    gc.collect(2)
    slow(False)
    new = Thing()
    other = weakref.ref(new)
    del old, new
    gc.collect(2)
    assert other() is None
    assert watched() is not None, "it was set aside: this is the price"
    monkeypatch.setattr(server, "UNFREEZE_EVERY_S", -1.0)
    gc.collect(2)
    assert watched() is None
