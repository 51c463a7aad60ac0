"""The studio starts, asks for a name, looks calm in both themes, and survives a restart."""

from __future__ import annotations

import shutil
from typing import Any

from synthstudio.dataset.reader import Dataset
from synthstudio.studio.context import Context
from synthstudio.studio.settings import parse


def test_sets_below_the_exports_folder_are_opened_and_no_link_leads_out(small_photo_set, tmp_path):
    exports = tmp_path / "exports"
    exports.mkdir()
    (exports / "link").symlink_to(small_photo_set)
    (exports / "empty").mkdir()
    found = Context(parse(["--exports", str(exports)], {}))
    assert not found.sets
    shutil.copytree(small_photo_set, exports / "mine")
    (exports / "mine" / "index.json").rename(exports / "mine" / "index")
    assert found.refresh() == [] and not found.sets  # unfinished
    (exports / "mine" / "index").rename(exports / "mine" / "index.json")
    assert found.refresh() == [] and [s.name for s in found.sets.values()] == ["mine"]
    found.store.close()


def test_a_data_set_is_read_by_many_threads(small_photo_set):
    """What one thread returns is what it read, though others read other shards meanwhile."""

    class Raced(Dataset):
        kept: Any = None

        @property
        def _kept(self):
            return self.kept

        @_kept.setter
        def _kept(self, value):
            self.kept = {99: ("another", "thread's")}  # at once what another thread read

    plain, raced = Dataset(small_photo_set), Raced(small_photo_set)
    assert raced.frame(3) == plain.frame(3)
    assert raced.instances(3) == plain.instances(3)
    assert raced.image_bytes(3) == plain.image_bytes(3)
