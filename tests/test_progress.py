"""Progress is shown to terminals alone, and only for what takes long."""

import io
import sys
from contextlib import contextmanager
from pathlib import Path

import covered_set
import pytest
from waiting import wait_for

from synthstudio.api import progress, quality, selection


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("shown", [False, True])
def test_what_takes_long_is_shown_to_a_terminal(
    monkeypatch: pytest.MonkeyPatch, shown: bool
) -> None:
    monkeypatch.setattr(progress, "SLOW_S", 0.01 if shown else 3600.0)
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with progress.waiting("merging"):
        if shown:
            wait_for(lambda: "merging" in screen.getvalue(), "the title is shown")
    assert shown or not screen.getvalue()


def test_a_log_sees_nothing_and_errors_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SLOW_S", 0.0)
    monkeypatch.setattr(sys, "stderr", log := io.StringIO())
    with pytest.raises(ValueError, match="mine"), progress.waiting("merging"):
        raise ValueError("mine")
    assert log.getvalue() == ""


def test_long_work_over_data_sets_counts_to_its_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    heard: dict[str, list[tuple[int, int]]] = {}

    @contextmanager
    def steps():  # type: ignore[no-untyped-def]
        yield (
            lambda title: (
                lambda done, total, rate: heard.setdefault(title, []).append((done, total))
            )
        )

    monkeypatch.setattr(quality, "progress_steps", steps)
    monkeypatch.setattr(selection, "progress_steps", steps)
    made, shard = covered_set.store(tmp_path / "set"), 4
    quality.stats(made)
    quality.diff(made, made)
    quality.coverage(made)
    selection.filter(made, "frame >= 0", tmp_path / "filtered")
    selection.split(made, by=("pose", "group"), shares=(1, 0, 0), out=tmp_path / "split")
    selection.leaks(made, by=("group",))
    selection.merge([made], tmp_path / "merged", sets=True)
    written = {"filtering", "writing the data set", "merging"}
    counted = {"counting", "counting the first", "counting the second"}
    frames = {*written, *counted, "reading what frames share", "looking for leaks"}
    assert set(heard) == frames | {"counting people"}
    for title in frames:
        assert heard[title][-1] == (12, 12), title
    assert heard["counting people"][-1] == (24, 24)
    for title in written:
        assert [done for done, _ in heard[title]] == list(range(shard, 13, shard))
