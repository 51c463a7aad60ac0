"""Scenes that tests of several decoders read."""

from __future__ import annotations

import pytest
from stick_frames import crowds

from synthstudio.models.bottom_up.contract import FramePeople


@pytest.fixture(scope="session")
def frames() -> list[FramePeople]:
    """Twenty frames of three people who overlap."""
    return crowds()
