"""The promises of `make soak`, at a small size: same bytes, kills, replay, audit."""

from pathlib import Path

import pytest

from benchmarks import proofs, soak
from synthstudio.dataset.shards import hashed_files
from synthstudio.generation.audit import audit
from synthstudio.generation.pipeline import generate

SCENES = Path(__file__).resolve().parents[1] / "scenes"
SCENE = SCENES / "quickstart.yaml"
FRAMES = 14
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


def test_any_stored_frame_is_made_again_and_the_second_oracle_agrees(tmp_path):
    settings = proofs.settings_for(SCENE, assets=SCENES, frames=4)
    generate(settings, tmp_path / "set", frames_per_shard=2)
    assert set(proofs.replayed(tmp_path / "set", [0, 3]).values()) == {"same bytes"}
    found = audit(tmp_path / "set", settings, frames=4).report()
    assert found["people"] >= 6 and found["joints"] == 23 * found["people"]
    assert found["state_differs"] == found["cause_differs"] == 0
    assert found["sampling_error"] < 0.02


@pytest.mark.nightly("minutes of workers and kills; tests/dataset kills a cheap writer")
@pytest.mark.timeout(900)
def test_every_way_and_every_kill_gives_the_same_bytes(tmp_path):
    settings = proofs.settings_for(SCENE, assets=SCENES, frames=FRAMES)
    trees = proofs.made_in_every_way(settings, tmp_path / "ways")
    first = trees["one worker"]
    assert len([name for name in first if name.endswith(".jpg")]) == FRAMES
    assert all(tree == first for tree in trees.values())
    kills = [
        (("frame-written", 3, "self"), 2),
        (("before-rename", 2, "self"), 1),
        (("shard-written", 1, "group"), 2),
        (("before-index", 1, "self"), 1),
    ]
    for number, (kill, workers) in enumerate(kills):
        out = tmp_path / str(number)
        resumed = proofs.killed_and_resumed(
            SCENE, SCENES, out, frames=FRAMES, kill=kill, workers=workers
        )
        assert resumed == first, kill
