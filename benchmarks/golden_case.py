"""A hostile thing that commands are asked about, and what spoils a sound file."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Words = tuple[str, ...]
SOURCES = ("golden_corpus.py", "golden_case.py", "golden_case_assets.py", "golden_case_sets.py")
"""The files that decide the cases."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A hostile thing. `{here}` in commands is its folder, `{out}` a free place to write to."""

    name: str
    files: dict[str, bytes] = field(default_factory=dict)
    make: Callable[[Path], None] | None = None
    commands: tuple[Words, ...]


def write(folder: Path, found: list[Case]) -> None:
    """Write all cases below a folder, once."""
    here = Path(__file__).parent
    text = "".join((here / name).read_text(encoding="utf-8") for name in SOURCES)
    whole = folder / ".whole"
    if whole.is_file() and whole.read_text(encoding="utf-8") == text:
        return
    shutil.rmtree(folder, ignore_errors=True)
    for case in found:
        place = folder / case.name
        place.mkdir(parents=True)
        for name, data in case.files.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(data)
        if case.make is not None:
            case.make(place)
    whole.write_text(text, encoding="utf-8")


def json_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


def spoilt(data: bytes, name: str) -> dict[str, bytes]:
    """Return a file emptied, cut, with other bytes in it, with a false head, doubled."""
    rng = random.Random(name)
    noisy = bytearray(data)
    for _ in range(max(8, len(data) // 200)):
        noisy[rng.randrange(len(noisy))] = rng.randrange(256)
    return {
        "empty": b"",
        "text": b"this is nothing of the kind\n",
        "cut": data[: len(data) // 2],
        "noisy": bytes(noisy),
        "headless": data[16:],
        "zeros": bytes(len(data)),
    }
