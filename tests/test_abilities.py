"""Targets, variants, clips and contacts give the same bytes however they are made; small here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import abilities
from synthstudio.dataset.shards import hashed_files
from synthstudio.generation import pipeline
from synthstudio.generation.audit import audit

TINY = {"image": {"width_px": 160, "height_px": 120}}
WISHES: dict[str, tuple[str, dict[str, Any]]] = {
    "targets, variants and contacts": (
        "target_wrists.yaml",
        {**TINY, "variants": {"clean": 1, "light": 1}, "people": {"hold": {"share": 0.5}}},
    ),
    "clips": ("clips.yaml", {**TINY, "clip": {"frames": 6}, "people": {"count": 1}}),
    "crowd index 0.8": ("target_crowd.yaml", {**TINY, **abilities.CROWDED}),
}


@pytest.mark.parametrize("name", WISHES)
def test_two_workers_make_the_same_bytes_and_the_audit_agrees(name: str, tmp_path: Path) -> None:
    scene, more = WISHES[name]
    settings = abilities.settings_of(scene, frames=6, more=more)
    trees = {}
    for workers in (1, 2):
        out = tmp_path / str(workers)
        pipeline.generate(settings, out, workers=workers, frames_per_shard=3)
        trees[workers] = hashed_files(out)
    assert trees[1] == trees[2]
    found = audit(tmp_path / "1", settings, frames=4).report()
    assert found["passed"] and found["joints"] > 0
