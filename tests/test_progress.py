"""Progress is shown to terminals alone, and only for what takes long."""

import io
import sys
import time

import pytest

from synthstudio.api import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_counted_yields_everything_and_reports_now_and_then() -> None:
    heard: list[tuple[int, int, float]] = []
    assert list(progress.counted(range(200), 200, lambda *a: heard.append(a))) == list(range(200))
    assert [(done, total) for done, total, _ in heard] == [(64, 200), (128, 200), (192, 200)]
    assert all(rate > 0 for *_, rate in heard)


@pytest.mark.parametrize(("takes_s", "shown"), [(0.0, False), (0.3, True)])
def test_what_takes_long_is_shown_to_a_terminal(
    monkeypatch: pytest.MonkeyPatch, takes_s: float, shown: bool
) -> None:
    monkeypatch.setattr(progress, "SLOW_S", 0.1)
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with progress.waiting("merging"):
        time.sleep(takes_s)
    assert ("merging" in screen.getvalue()) == shown


def test_a_log_sees_nothing_and_errors_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SLOW_S", 0.01)
    monkeypatch.setattr(sys, "stderr", log := io.StringIO())
    with pytest.raises(ValueError, match="mine"), progress.waiting("merging"):
        time.sleep(0.05)
        raise ValueError("mine")
    assert log.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", Terminal())
    with pytest.raises(ValueError, match="mine"), progress.waiting("merging"):
        raise ValueError("mine")
