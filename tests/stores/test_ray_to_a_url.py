"""The Ray engine with a data set in a store: the bytes of one local worker on disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import local_clusters
import pytest
import yaml
from s3_server import S3, downloaded

import synthstudio as ss
from benchmarks.proofs import ROOT
from synthstudio.dataset.shards import hashed_files

pytest.importorskip("ray")
pytestmark = pytest.mark.nightly("clusters, kills and faults; the parts have tests of their own")
RECIPE = {
    "name": "tiny",
    "seed": 7,
    "people": {"count": 1},
    "image": {"width_px": 96, "height_px": 72},
}


def test_the_bytes_are_those_of_one_worker_on_disk(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"frames_per_shard": 2, "progress": False}
    ss.generate({**RECIPE, "frames": 5}, tmp_path / "disk", **options)
    monkeypatch.setenv("RAY_ADDRESS", local_clusters.shared().address)
    made = ss.generate({**RECIPE, "frames": 5}, s3.url(), engine="ray", workers=2, **options)
    assert len(made) == 5 and str(made.path) == s3.url()
    assert hashed_files(downloaded(s3, tmp_path / "down")) == hashed_files(tmp_path / "disk")


def test_nor_do_deaths_and_faults_of_the_store_change_a_byte(tmp_path: Path) -> None:
    """What `make cluster CLUSTER_ARGS=--store` does at full size."""
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({**RECIPE, "frames": 12}))
    words = [sys.executable, "-m", "benchmarks.killed_cluster", "--store", "--seed", "13"]
    words += ["--scene", str(tmp_path / "tiny.yaml"), "--frames", "12"]
    words += ["--frames-per-shard", "2", "--kills", "2"]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "the same bytes as one local worker" in ended.stdout
    assert "requests to the store went wrong" in ended.stdout
