"""The Ray engine: every job once, whoever dies; memory and nodes that run short; no cluster."""

import os
import signal
import sys

import local_jobs
import psutil
import pytest
from local_clusters import begin, joined, node
from local_jobs import Task
from programs import here
from waiting import PATIENCE_S, wait_for

from synthstudio.core.errors import DiskError, GeometryError, WorkerError
from synthstudio.generation.engines import ray as engine

ray = pytest.importorskip("ray")
nightly = pytest.mark.nightly("a cluster costs 20 s; the engine's caller is tried with local ones")
ALONE = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"} | {"PYTHONPATH": here()}


def execute(tasks, workers=2, **options):
    return local_jobs.execute(engine.run, tasks, workers, **options)


# Without a cluster ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("ray://127.0.0.1:10001", "not as a Ray client"),
        ("nonsense", "cannot join the cluster"),
        ("127.0.0.1:1", "RAY_ADDRESS=127.0.0.1:1: cannot join the cluster.*refused"),
    ],
)
def test_addresses_of_no_cluster(address, why, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert execute([]) == []  # no jobs join none
    with pytest.raises(WorkerError, match=why):
        execute([Task(0)])


def test_without_ray_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        WorkerError, match=r'ray is not installed.*pip install "synthstudio\[ray\]"'
    ):
        execute([Task(0)])


# On the session's cluster ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster():
    with joined() as made:
        yield made


@nightly
def test_every_job_is_done_once_as_it_is_needed(cluster):
    taken = []
    ahead = []
    done = []

    def tasks():
        for i in range(16):
            taken.append(i)
            yield Task(i)

    def on_done(result):
        done.append(result)
        ahead.append(len(taken) - len(done))

    execute(tasks(), 3, on_done=on_done)  # there is room for two
    assert sorted(done) == [(i, 100 + i * i) for i in range(16)] and max(ahead) <= 6
    assert [len(r) for r in execute([Task(i, "big") for i in range(3)])] == [3_000_000] * 3


@nightly
def test_errors_come_as_with_the_local_engine(cluster):
    def raising(error):
        def called(*value):
            raise error

        return called

    with pytest.raises(LookupError, match="enough"):
        execute([Task(i) for i in range(4)], on_progress=raising(LookupError("enough")))
    with pytest.raises(DiskError, match="full"):
        execute([Task(i) for i in range(4)], on_done=raising(DiskError("full")))
    with pytest.raises(GeometryError, match=r"^frame 7: too large\.$"):
        execute([Task(i, "own error") for i in range(4)])
    with pytest.raises(GeometryError, match="meshes"):
        execute([Task(0)], initializer=local_jobs.bad_context)
    with pytest.raises(WorkerError, match="EOFError: short file"):
        execute([Task(0, "other error")])
    with pytest.raises(WorkerError, match="this cannot travel"):
        execute([Task(0, "unpicklable")])
    with pytest.raises(WorkerError, match=r"lost 4 times: task 1; got .*died.*`resume`"):
        execute([Task(0), Task(1, "kill"), Task(2)])
    with pytest.raises(WorkerError, match="lost 4 times: task 0"):
        execute([Task(0)], 1, initializer=local_jobs.dead_context)


# On clusters of a test's own ------------------------------------------------------------------


@pytest.fixture
def own(monkeypatch):
    """A cluster without nodes that runs join, and that nobody is joined to afterwards."""
    if ray.is_initialized():
        ray.shutdown()
    made = begin()
    monkeypatch.setenv("RAY_ADDRESS", made.address)
    yield made
    assert not ray.is_initialized()
    made.shutdown()


@nightly
def test_a_job_for_which_memory_never_suffices(own, tmp_path):
    node(own, RAY_memory_usage_threshold="0.001", RAY_memory_monitor_refresh_ms="100")
    with pytest.raises(WorkerError, match="memory"):
        execute([Task(i, "hang", str(tmp_path)) for i in range(2)])


@nightly
@pytest.mark.parametrize("kind", ["another version", "no package"])
def test_a_node_of_another_kind_is_refused(own, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # whose modules a run's workers find
    if kind == "no package":
        (tmp_path / "synthstudio.py").write_text("raise ImportError('nothing of it is here')")
        why = r"node \S+: .*synthstudio absent \(nothing of it"
    else:
        about = tmp_path / "synthstudio-9.9.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: synthstudio\nVersion: 9.9\n")
        why = r"node \S+: .*this node differs.*synthstudio 9\.9"
    node(own, PYTHONPATH=os.pathsep.join([str(tmp_path), here()]))
    done = []
    with pytest.raises(WorkerError, match=why):
        execute([Task(0)], on_done=done.append)
    assert done == []


# In processes of its own ----------------------------------------------------------------------


def runs(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two questions
        return False


@nightly
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_all_end_with_the_run(tmp_path, how):
    process = local_jobs.hanging(tmp_path, "ray", env=ALONE)
    wait_for(lambda: len(list(tmp_path.iterdir())) == 2, "both workers are busy")
    others = psutil.Process(process.pid).children(recursive=True)
    assert {int(path.name) for path in tmp_path.iterdir()} <= {other.pid for other in others}
    # Ray's two agents look for their raylet seldom, and leave a minute or two after it.
    others = [other for other in others if "Agent" not in other.name()]
    with process:
        (os.killpg if how == signal.SIGINT else os.kill)(process.pid, how)
        wait_for(lambda: not any(map(runs, others)), "all processes of the run are gone")
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == -how
    if how == signal.SIGINT:
        assert (tmp_path / "interrupted").exists()
        assert errors.count("Traceback") == 1 and errors.rstrip().endswith("KeyboardInterrupt")
