"""Collections of garbage that are slow set aside what they looked at; it is still freed later."""

import gc
import weakref

import pytest

from synthstudio.studio import server


class Cycle:
    """Something that a weak reference can watch."""

    def __init__(self):
        self.me = self


@pytest.fixture
def slow(monkeypatch):
    """Return a function that says whether all collections count as slow."""
    before = gc.callbacks[:]
    yield lambda are: monkeypatch.setattr(server, "SLOW_COLLECTION_S", -1.0 if are else 1e9)
    gc.callbacks[:] = before
    gc.unfreeze()


def test_only_slow_collections_set_aside_what_is_there_and_garbage_is_still_found(
    slow, monkeypatch
):
    slow(False)
    server.limit_gc_pauses()
    server.limit_gc_pauses()
    assert sum(isinstance(each, server.GcTuner) for each in gc.callbacks) == 1
    gc.collect(2)
    assert gc.get_freeze_count() == 0
    slow(True)
    old = Cycle()
    watched = weakref.ref(old)
    gc.collect(1)
    assert gc.get_freeze_count() == 0, "a young collection is short"
    gc.collect(2)
    assert gc.get_freeze_count() > 0
    slow(False)
    new = Cycle()
    other = weakref.ref(new)
    del old, new
    gc.collect(2)
    assert other() is None
    assert watched() is not None, "it was set aside: this is the price"
    monkeypatch.setattr(server, "UNFREEZE_EVERY_S", -1.0)
    gc.collect(2)
    assert watched() is None
