"""Collections of garbage that are slow set aside what they looked at; it is still freed later."""

import gc
import weakref

from synthstudio.studio import server


class Cycle:
    """Something that a weak reference can watch."""

    def __init__(self):
        self.me = self


def test_slow_collections_set_aside_what_is_there_and_it_is_freed_later(monkeypatch):
    before = gc.callbacks[:]
    try:
        monkeypatch.setattr(server, "SLOW_COLLECTION_S", 1e9)
        server.limit_gc_pauses()
        gc.collect(2)
        assert gc.get_freeze_count() == 0
        monkeypatch.setattr(server, "SLOW_COLLECTION_S", -1.0)
        old = Cycle()
        watched = weakref.ref(old)
        gc.collect(2)
        assert gc.get_freeze_count() > 0
        monkeypatch.setattr(server, "SLOW_COLLECTION_S", 1e9)
        del old
        gc.collect(2)
        assert watched() is not None  # it was set aside
        monkeypatch.setattr(server, "UNFREEZE_EVERY_S", -1.0)
        gc.collect(2)
        assert watched() is None
    finally:
        gc.callbacks[:] = before
        gc.unfreeze()
