"""Runs on Ray clusters: the bytes of one local worker, whatever dies and whoever goes on."""

import os
import signal
from pathlib import Path

import photo_world
import psutil
import pytest
import tiny_pairs
from local_clusters import joined, node
from programs import here, python

from synthstudio.core.errors import AssetError
from synthstudio.dataset.shards import hashed_files
from synthstudio.generation.audit import audit
from synthstudio.generation.engines import RAY
from synthstudio.generation.photos.run import _open_with_album
from synthstudio.generation.pipeline import generate
from synthstudio.generation.stage import prepare
from synthstudio.recipe.schema.load import parse

pytest.importorskip("ray")
pytestmark = pytest.mark.nightly("a cluster with workers costs half a minute of two cores")

FRAMES = 12


@pytest.fixture(scope="module")
def cluster():
    with joined() as made:
        yield made


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return prepare(
        parse(tiny_pairs.recipe(FRAMES)), assets=tmp_path_factory.mktemp("none"), device="cpu"
    )


@pytest.fixture(scope="module")
def alone(settings, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone") / "set"
    generate(settings, out, frames_per_shard=2)
    return out


def on_ray(settings, out, **options):
    generate(settings, out, frames_per_shard=2, workers=2, engine=RAY, **options)
    return hashed_files(out)


def test_a_killed_worker_and_a_lost_node_change_no_byte(cluster, settings, alone, tmp_path):
    lost = []

    def harm(done, of, per_second):
        if done >= 2 and not lost:
            lost.append("worker")
            raylet = cluster.list_all_nodes()[-1].all_processes["raylet"][0].process.pid
            children = psutil.Process(raylet).children()
            next(p for p in children if "synthstu" in p.name()).kill()
        if done >= 6 and len(lost) == 1:
            lost.append("node")
            cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
            node(cluster)

    made = on_ray(settings, tmp_path / "set", on_progress=harm)
    assert lost == ["worker", "node"]
    assert made == hashed_files(alone)
    assert not list((tmp_path / "set" / "shards").glob(".tmp*"))


def test_an_audit_gives_the_same_tally(cluster, settings, alone):
    assert audit(alone, settings, workers=2, engine=RAY) == audit(alone, settings)


def test_photos_give_the_same_bytes_and_what_nodes_lack_is_named(cluster, tmp_path, monkeypatch):
    world = photo_world.write(tmp_path)
    monkeypatch.chdir(tmp_path)  # workers are elsewhere: paths may not depend on it
    photo_world.run(Path(), tmp_path / "one")
    photo_world.run(Path(), tmp_path / "ray", workers=2, engine=RAY)
    assert hashed_files(tmp_path / "ray") == hashed_files(tmp_path / "one")
    settings = photo_world.settings(world)  # the driver has checked what is gone later
    (world / "occluders" / "disc.png").rename(world / "disc.png")
    with pytest.raises(AssetError, match=r"node \S+: .*missing.*without occluders/disc\.png"):
        photo_world.occlude(
            settings, world / "coco.json", tmp_path / "lacking", images=world / "images", engine=RAY
        )
    with pytest.raises(AssetError, match=r"node \S+: .*lacks the photos"):
        _open_with_album(photo_world.settings(world), tmp_path / "nowhere", b"", "coco17")


RUN = """
import os, signal, sys
from pathlib import Path
import tiny_pairs
from synthstudio.generation.engines import RAY
from synthstudio.generation.pipeline import generate
from synthstudio.generation.stage import prepare
from synthstudio.recipe.schema.load import parse

def die(done, of, per_second):
    if done >= 6:
        os.kill(os.getpid(), signal.SIGKILL)

settings = prepare(parse(tiny_pairs.recipe(int(sys.argv[2]))), assets=Path("."), device="cpu")
generate(settings, Path(sys.argv[1]), frames_per_shard=2, workers=2, engine=RAY, on_progress=die)
"""


def test_a_run_killed_whole_is_resumed_by_one_local_worker(cluster, settings, alone, tmp_path):
    out = tmp_path / "set"
    env = {**os.environ, "PYTHONPATH": here(), "RAY_ADDRESS": cluster.address}
    killed = python("-c", RUN, out, FRAMES, env=env, cwd=tmp_path)
    assert killed.returncode == -signal.SIGKILL
    made = [path for path in (out / "shards").iterdir() if not path.name.startswith(".")]
    assert 1 <= len(made) < FRAMES / 2
    generate(settings, out, frames_per_shard=2, resume=True)
    assert hashed_files(out) == hashed_files(alone)
