"""Sets from before recipes named their random streams: made again, audited, gone on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tampered import stored_bytes, tamper

import synthstudio as ss
from synthstudio.core.errors import DatasetError
from synthstudio.generation.replay import replay
from synthstudio.generation.stage import settings_of

RECIPE: dict[str, Any] = {
    "name": "small",
    "seed": 4,
    "image": {"width_px": 96, "height_px": 72, "supersample": 1},
    "people": {"count": [1, 2], "identities": 4},
}
LATER = [
    *(("light", name) for name in ("side_direction", "side_rgb", "occlusion", "flash_rgb")),
    *(("lens", name) for name in ("white_balance_mired", "tint_ev", "iso")),
    *(("lens", name) for name in ("contrast", "sharpening")),
    *(("lens", name) for name in ("aperture_m", "focus_on", "focus_error")),
    ("camera", "distortion"),
]
PERSON_LATER = [("look", "brows"), ("look", "lips"), ("pose", "face")]
SHARDS = {"frames_per_shard": 2, "device": "cpu", "progress": False}


def _before(folder: Path, frames: int) -> ss.Dataset:
    """A set as it was made when the seed alone decided: `dataset.json` names no streams."""
    made = ss.generate({**RECIPE, "frames": frames, "streams": ""}, folder, **SHARDS)
    assert "streams" not in json.loads((folder / "dataset.json").read_bytes())["recipe"]
    return made


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> ss.Dataset:
    return _before(tmp_path_factory.mktemp("before") / "set", 4)


def test_it_is_gone_on_with_to_the_same_bytes(before: ss.Dataset, tmp_path: Path) -> None:
    _before(tmp_path / "set", 2)
    ss.generate({**RECIPE, "frames": 4}, tmp_path / "set", resume=True, **SHARDS)
    assert stored_bytes(tmp_path / "set") == stored_bytes(before.path)


def test_fields_that_came_later_do_not_stop_it(tmp_path: Path) -> None:
    def made(folder: Path, frames: int) -> None:
        ss.generate({**RECIPE, "frames": frames}, folder, resume=folder.exists(), **SHARDS)
        identity = json.loads((folder / "dataset.json").read_bytes())
        for part, name in (("light", "flash"), ("lens", "iso")):
            identity["recipe"][part].pop(name, None)
        text = json.dumps(identity, sort_keys=True, indent=2, ensure_ascii=False)
        (folder / "dataset.json").write_text(f"{text}\n", "utf-8")

    made(tmp_path / "short", 2)
    made(tmp_path / "whole", 4)
    ss.generate({**RECIPE, "frames": 4}, tmp_path / "short", resume=True, **SHARDS)
    written = json.loads((tmp_path / "short/dataset.json").read_bytes())["recipe"]
    assert "flash" not in written["light"]
    assert stored_bytes(tmp_path / "short") == stored_bytes(tmp_path / "whole")
    other = {**RECIPE, "frames": 4, "light": {"flash": 0.5}}
    with pytest.raises(DatasetError, match="begun differently"):
        ss.generate(other, tmp_path / "short", resume=True, **SHARDS)


def test_it_passes_an_audit_and_is_made_again(before: ss.Dataset) -> None:
    assert ss.audit(before, device="cpu", progress=False).passed
    stored = before._stored
    _, agreement = replay(stored.folder, 1, settings_of(stored, device="cpu"))
    assert agreement.held == "same bytes"


def test_specs_from_before_parts_had_more_fields_make_the_same_bytes(
    tmp_path: Path,
) -> None:
    made = _before(tmp_path / "set", 2)

    def older(table: pa.Table) -> pa.Table:
        specs = [json.loads(text) for text in table["spec"].to_pylist()]
        for spec in specs:
            for part, name in LATER:
                del spec[part][name]
            for person in spec["people"]:
                del person["years"]
                for part, name in PERSON_LATER:
                    del person[part][name]
        texts = [json.dumps(spec, sort_keys=True, separators=(",", ":")) for spec in specs]
        return table.set_column(table.schema.get_field_index("spec"), "spec", [texts])

    tamper(made.path, "frames.parquet", older)
    stored = ss.Dataset(made.path)._stored
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
