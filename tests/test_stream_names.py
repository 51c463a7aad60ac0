"""Sets from before recipes named their random streams: made again, audited, gone on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import synthstudio as ss
from synthstudio.generation.replay import replay
from synthstudio.generation.stage import settings_of

RECIPE: dict[str, Any] = {
    "name": "small",
    "seed": 4,
    "image": {"width_px": 96, "height_px": 72, "supersample": 1},
    "people": {"count": [1, 2], "identities": 4},
}
SHARDS = {"frames_per_shard": 2, "device": "cpu", "progress": False}


def _before(folder: Path, frames: int) -> ss.Dataset:
    """A set as it was made when the seed alone decided: `dataset.json` names no streams."""
    made = ss.generate({**RECIPE, "frames": frames, "streams": ""}, folder, **SHARDS)
    assert "streams" not in json.loads((folder / "dataset.json").read_bytes())["recipe"]
    return made


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.log"
    }


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> ss.Dataset:
    return _before(tmp_path_factory.mktemp("before") / "set", 4)


def test_it_is_gone_on_with_to_the_same_bytes(before: ss.Dataset, tmp_path: Path) -> None:
    _before(tmp_path / "set", 2)
    ss.generate({**RECIPE, "frames": 4}, tmp_path / "set", resume=True, **SHARDS)
    assert _files(tmp_path / "set") == _files(before.path)


def test_it_passes_an_audit_and_is_made_again(before: ss.Dataset) -> None:
    assert ss.audit(before, device="cpu", progress=False).passed
    stored = before._stored
    _, agreement = replay(stored.folder, 1, settings_of(stored, device="cpu"))
    assert agreement.held == "same bytes"


def test_a_new_set_draws_others_and_says_so(before: ss.Dataset, tmp_path: Path) -> None:
    new = ss.generate({**RECIPE, "frames": 2}, tmp_path / "new", **SHARDS)
    stored = json.loads((tmp_path / "new" / "dataset.json").read_bytes())
    assert stored["recipe"]["streams"] is None
    assert new[0].image.tobytes() != before[0].image.tobytes()
    again = ss.generate({**RECIPE, "frames": 4}, tmp_path / "new", resume=True, **SHARDS)
    assert again[0].image.tobytes() == new[0].image.tobytes()
    assert ss.audit(again, device="cpu", progress=False).passed
