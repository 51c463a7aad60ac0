"""The harness of `make faults`: its moments come again, and what is wrong is found."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from exchange_sets import make_set

from benchmarks.faults import commands
from benchmarks.faults.__main__ import table
from benchmarks.faults.commands import Command
from benchmarks.faults.inject import NONE, Fault, run
from benchmarks.faults.judge import Judge, Outcome


@pytest.fixture(scope="module")
def world(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    return once("faults", lambda folder: commands.make(folder, make_set=make_set))


def test_a_command_that_leaves_litter_or_other_bytes_is_found(world: Path, tmp_path: Path) -> None:
    class Bad(Judge):
        def _action(self, folder: Path, *, begun: bool = False) -> Callable[[], object]:
            def action() -> None:
                (folder / "litter").mkdir()
                Path(folder / "out").write_text(str(os.getpid()))
                raise ValueError("a traceback")

            def first() -> None:
                Path(folder / "out").write_text("sound")

            return action if self.cases > 1 else first

    bad = Command(name="bad", words=())
    judging = Bad(bad, world, tmp_path, moments=2)
    outcome = dict(judging.outcomes(("no HOME",)))["no HOME"]
    text = "\n".join(outcome.wrong)
    assert "a traceback" in text and "left behind: litter" in text
    assert "**" in table({"bad": {"no HOME": outcome}})
    assert Outcome().text() == ""


SMALL = (
    "import",
    "import-photos VIDEO",
    "export coco",
    "filter",
    "split",
    "validate --fix SET",
    "review import",
)


@pytest.mark.parametrize("name", SMALL)
def test_commands_stand_faults(name: str, world: Path, tmp_path: Path) -> None:
    command = next(c for c in commands.COMMANDS if c.name == name)
    judging = Judge(command, world, tmp_path, moments=2)
    found = dict(judging.outcomes(("killed", "disk full", "no HOME")))
    assert not [line for outcome in found.values() for line in outcome.wrong]
    assert all(outcome.tally for outcome in found.values())
    assert "killed, done again" in found["killed"].tally
    if name != "review import":  # a store's pages are written where no hook looks
        assert "refused" in found["disk full"].tally


def test_moments_are_counted_and_come_again(tmp_path: Path) -> None:
    folder = tmp_path / "case"
    folder.mkdir()

    def action() -> None:
        for k in range(4):
            (folder / f"d{k}").mkdir(exist_ok=True)
            (folder / f"d{k}" / "f").write_text("x")

    sound = run(action, folder, NONE, tmp_path / "a.log")
    assert (sound.status, sound.events, sound.growing) == (0, 8, 8)
    for at in (1, 5):
        killed = run(action, folder, Fault(kill_at=at), tmp_path / "b.log")
        assert killed.killed and not killed.err
    full = run(action, folder, Fault(full_at=3), tmp_path / "c.log")
    assert full.status == 99 and "No space left" in full.err
