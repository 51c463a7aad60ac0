"""The fixture `once`: one maker, whoever asks and however many ask at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest


def test_a_folder_is_made_once_and_the_others_wait(once: Callable[..., Path]) -> None:
    made: list[Path] = []
    seen: list[str] = []

    def make(folder: Path) -> None:
        made.append(folder)
        time.sleep(0.2)
        (folder / "text").write_text("whole")

    def ask() -> None:
        seen.append((once("asked by threads", make) / "text").read_text())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["whole"] * 4
    assert len(made) == 1


def test_what_could_not_be_made_is_made_anew(once: Callable[..., Path]) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise ValueError("full")

    with pytest.raises(ValueError, match="full"):
        once("made anew", fail)
    folder = once("made anew", lambda folder: (folder / "whole").touch())
    assert [p.name for p in folder.iterdir()] == ["whole"]
