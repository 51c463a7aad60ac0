"""Data sets that the tests of the writer begin with."""

import fake_frames
import pytest
from written_sets import drive, write

from synthstudio.dataset.writer import open_or_create


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory):
    out = tmp_path_factory.mktemp("unbroken") / "set"
    assert drive(out, workers=1) == (0, "")
    return out


@pytest.fixture
def begun(tmp_path):
    out = tmp_path / "begun"
    with open_or_create(out, fake_frames.identity()) as session:
        session.publish(write(session, 0))
    return out
