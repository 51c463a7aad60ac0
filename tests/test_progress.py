"""Progress is shown to terminals alone, and only for what takes long."""

import io
import sys

import pytest
from waiting import wait_for

from synthstudio.core import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("shown", [False, True])
def test_what_takes_long_is_shown_to_a_terminal(monkeypatch, shown):
    monkeypatch.setattr(progress, "SLOW_S", 0.01 if shown else 3600.0)
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with progress.waiting("merging"):
        if shown:
            wait_for(lambda: "merging" in screen.getvalue(), "the title is shown")
    assert shown or not screen.getvalue()


def test_a_log_sees_nothing_and_errors_pass(monkeypatch):
    monkeypatch.setattr(progress, "SLOW_S", 0.0)
    monkeypatch.setattr(sys, "stderr", log := io.StringIO())
    with pytest.raises(ValueError, match="mine"), progress.waiting("merging"):
        raise ValueError("mine")
    assert log.getvalue() == ""
