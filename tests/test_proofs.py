"""The promises of `make soak`, at a small size: same bytes, kills, replay, audit."""

from pathlib import Path

import pytest

from benchmarks import proofs
from synthstudio.generation.audit import audit
from synthstudio.generation.stage import Settings

SCENES = Path(__file__).resolve().parents[1] / "scenes"
SCENE = SCENES / "quickstart.yaml"
FRAMES = 14


@pytest.fixture(scope="module")
def settings() -> Settings:
    return proofs.settings_for(SCENE, assets=SCENES, frames=FRAMES)


@pytest.fixture(scope="module")
def ways(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, dict[str, str]]]:
    folder = tmp_path_factory.mktemp("ways")
    return folder, proofs.made_in_every_way(settings, folder)


def test_workers_runs_and_parts_give_the_same_bytes(
    ways: tuple[Path, dict[str, dict[str, str]]],
) -> None:
    _, trees = ways
    first = trees["one worker"]
    assert len([name for name in first if name.endswith(".jpg")]) == FRAMES
    for way, tree in trees.items():
        assert tree == first, way


@pytest.mark.parametrize(
    ("kill", "workers"),
    [
        (("frame-written", 3, "self"), 2),
        (("before-rename", 2, "self"), 1),
        (("shard-written", 1, "group"), 2),
        (("before-index", 1, "self"), 1),
    ],
)
def test_a_killed_run_resumed_gives_the_bytes_of_an_unbroken_one(
    ways: tuple[Path, dict[str, dict[str, str]]],
    tmp_path: Path,
    kill: tuple[str, int, str],
    workers: int,
) -> None:
    resumed = proofs.killed_and_resumed(
        SCENE, SCENES, tmp_path / "out", frames=FRAMES, kill=kill, workers=workers
    )
    assert resumed == ways[1]["one worker"]


def test_another_seed_gives_other_bytes(
    ways: tuple[Path, dict[str, dict[str, str]]], settings: Settings
) -> None:
    other = settings.recipe.model_copy(update={"seed": settings.recipe.seed + 1})
    stage = proofs.Stage(Settings(**{**vars(settings), "recipe": other}))
    dataset = proofs.Dataset(ways[0] / "one")
    made = proofs.pipeline.make_frame(stage, proofs.pipeline.draw_spec(stage, 0))
    assert made.jpeg != dataset.image_path(0).read_bytes()


def test_any_stored_frame_is_made_again(ways: tuple[Path, dict[str, dict[str, str]]]) -> None:
    assert set(proofs.replayed(ways[0] / "one", [0, 7, 8, 13]).values()) == {"same bytes"}


def test_the_second_oracle_agrees(
    ways: tuple[Path, dict[str, dict[str, str]]], settings: Settings
) -> None:
    found = audit(ways[0] / "one", settings, frames=12).report()
    assert found["people"] >= 20
    assert found["joints"] == 23 * found["people"]
    assert found["state_differs"] == 0
    assert found["cause_differs"] <= 1
    assert found["sampling_error"] < 0.02


def test_both_visible_and_hidden_joints_occur_in_any_twelve_frames(
    ways: tuple[Path, dict[str, dict[str, str]]],
) -> None:
    rows = list(proofs.Dataset(ways[0] / "one").iter_instances(columns=["frame_index", "state"]))
    for start in range(FRAMES - 11):
        states = {s for r in rows if start <= r["frame_index"] < start + 12 for s in r["state"]}
        assert {1, 2} <= states
