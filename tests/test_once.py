"""The fixture `once`: one maker, whoever asks and however many ask at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest


def test_a_folder_is_made_once_and_anew_after_a_failure(once: Callable[..., Path]) -> None:
    made: list[Path] = []
    seen: list[str] = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / f"half{len(made)}").touch()
        if len(made) == 1:
            raise ValueError("full")
        (folder / "text").write_text("whole")

    def ask() -> None:
        seen.append((once("asked by threads", make) / "text").read_text())

    with pytest.raises(ValueError, match="full"):
        once("asked by threads", make)
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["whole"] * 4 and len(made) == 2
    assert sorted(p.name for p in made[1].iterdir()) == ["half2", "text"]
