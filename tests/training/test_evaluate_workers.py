"""`evaluate` by several processes: what one says, and nothing left of what fails."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import dying_workers
import numpy as np
import pytest
import untrained
from typer.testing import CliRunner

import synthstudio as ss
from synthstudio.cli import app
from synthstudio.core.errors import ArgumentError, WorkerError
from synthstudio.training import answer_jobs, predictions


@pytest.fixture
def small_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make jobs of seven people."""
    monkeypatch.setattr(predictions, "BATCH", 7)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crops")


def by_command(*words: object) -> Any:
    found = CliRunner().invoke(app, ["evaluate", *map(str, words), "--json"])
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout.strip().splitlines()[-1])


def evaluated(weights: Path, data: Path, folder: Path, cache: Path, *words: object) -> Any:
    """Evaluate by one and two processes, which say the same; return what one says."""
    said = []
    for workers in (1, 2):
        options = ("--out", folder / str(workers), "--workers", workers, "--cache", cache)
        figures = by_command(weights, data, *options, "--device", "cpu", *words)
        assert figures["measures"].pop("latency")["p50_ms"] > 0  # no two runs take as long
        said.append(
            (figures | {"folder": ""}, (folder / str(workers) / "answers.npz").read_bytes())
        )
    assert said[0] == said[1]
    return said[0][0]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param((), marks=pytest.mark.nightly("another matrix")),
        ("--flip", "--bank", "--decode", "peak"),
    ],
)
def test_two_processes_say_what_one_says(
    small_jobs: None, pairs: Path, tmp_path: Path, cache: Path, options: tuple[str, ...]
) -> None:
    weights = untrained.save(tmp_path / "best.safetensors", block="kpe", data=pairs)
    evaluated(weights, pairs, tmp_path, cache, *options)
    by_command(weights, pairs, "--out", tmp_path / "usual", "--cache", cache, *options)
    with (
        np.load(tmp_path / "1" / "answers.npz") as ours,
        np.load(tmp_path / "usual" / "answers.npz") as theirs,
    ):
        assert set(ours) == set(theirs)
        for name in set(ours) - {"variant", "family"}:  # one process takes all its threads
            assert ours[name] == pytest.approx(theirs[name], abs=2e-3, nan_ok=True), name


@pytest.mark.nightly("one more matrix of workers; people in boxes are tested each time")
def test_two_processes_find_whom_one_finds(pairs: Path, tmp_path: Path, cache: Path) -> None:
    weights = untrained.save_system(tmp_path / "best.safetensors", eager=True)
    evaluated(weights, pairs, tmp_path, cache)
    with np.load(tmp_path / "1" / "answers.npz") as found:
        images = found["found_image"].tolist()
        assert len(images) > 16 and set(images) == set(range(16))


def test_a_worker_that_dies_is_named_with_its_people_and_nothing_is_left(
    small_jobs: None, pairs: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = untrained.save(tmp_path / "best.safetensors", block="kpe")
    dying = functools.partial(dying_workers.answer_people, tmp_path / "died")
    monkeypatch.setattr(answer_jobs, "answer_people", dying)
    with pytest.raises(WorkerError, match=r"died at job people \d+ to \d+; .*SIGKILL"):
        ss.evaluate(weights, pairs, out=tmp_path / "out", workers=2, cache=cache, device="cpu")
    assert (tmp_path / "died").exists() and not (tmp_path / "out").exists()


def test_bad_numbers_and_names_of_workers(pairs: Path, tmp_path: Path, cache: Path) -> None:
    weights = untrained.save(tmp_path / "best.safetensors", block="kpe")
    for options, message in (
        ({"workers": 0}, "workers.*1 to 256"),
        ({"workers": 2.5}, "workers.*1 to 256"),
        ({"engine": "spark"}, "engine: unknown value; expected local or ray"),
        ({"engine": "ray", "workers": 0}, "workers.*1 or more"),
    ):
        with pytest.raises(ArgumentError, match=message):
            ss.evaluate(weights, pairs, out=tmp_path / "out", cache=cache, **options)
    assert not (tmp_path / "out").exists()
