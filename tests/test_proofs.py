"""The promise of `make soak`, small: any number of workers makes the same bytes; rays agree."""

import pytest

from benchmarks import soak
from synthstudio.dataset.shards import hashed_files
from synthstudio.generation.audit import audit
from synthstudio.generation.pipeline import generate

TINY = {"image": {"width_px": 160, "height_px": 120, "supersample": 1}}
WISHES = {
    "targets, variants and contacts": (
        "target_wrists.yaml",
        {**TINY, "variants": {"clean": 1, "light": 1}, "people": {"hold": {"share": 0.5}}},
    ),
    "clips": ("clips.yaml", {**TINY, "clip": {"frames": 6}, "people": {"count": 1}}),
}


@pytest.mark.parametrize("name", WISHES)
def test_two_workers_make_the_same_bytes_and_the_audit_agrees(name, tmp_path):
    scene, more = WISHES[name]
    settings = soak.settings_of(scene, frames=3, more=more)
    trees = {}
    for workers in (1, 2):
        out = tmp_path / str(workers)
        generate(settings, out, workers=workers, frames_per_shard=2)
        trees[workers] = hashed_files(out)
    assert trees[1] == trees[2]
    found = audit(tmp_path / "1", settings, frames=3).report()
    assert found["passed"] and found["joints"] > 0
