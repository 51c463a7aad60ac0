"""Small exports that damage and lies are put into copies of."""

import pytest
from exchange_sets import make_set

from synthstudio.formats import FORMATS
from synthstudio.formats.export import export


@pytest.fixture(scope="package")
def original(tmp_path_factory):
    return make_set(tmp_path_factory.mktemp("sticks") / "set")


@pytest.fixture(scope="package")
def exports(tmp_path_factory):
    """Folders of one data set of two frames, named as their formats. Read only."""
    root = tmp_path_factory.mktemp("exports")
    original = make_set(root / "set", frames=2)
    for name in FORMATS:
        export(name, original.folder, root / name)
    return root
