"""The simulation of thousands of workers: closed forms, nothing lost, what is shared limits it."""

import dataclasses
import inspect
import math
from pathlib import Path

import pytest

from benchmarks import cluster, cost
from benchmarks.cluster import Cluster, Machines, Outcome, jobs_of, simulate
from synthstudio.core.errors import WorkerError
from synthstudio.dataset.manifest import Identity
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.shards import FailedFrame, write_shard
from synthstudio.dataset.writer import open_or_create
from synthstudio.generation.engines import local
from synthstudio.generation.engines.engine import Engine
from synthstudio.generation.shards import run_shards

EQUAL = Machines(
    frame_s=0.5,
    start_s=10.0,
    workers_per_node=4,
    failures_per_hour=0,
    spread=0,
    slow_share=0,
    prefix_writes_per_s=math.inf,
    commit_s=0,
)
JOB_S = 8 * 0.5
STORMY = dataclasses.replace(
    EQUAL, failures_per_hour=60, detect_s=5, replace_s=20, spread=0.3, slow_share=0.1
)


def with_(machines: Machines, **other: object) -> Machines:
    return dataclasses.replace(machines, **other)  # type: ignore[arg-type]


def run(machines: Machines, workers: int, shards: int) -> Outcome:
    return simulate(machines, workers, jobs_of(shards * 8, 8))


def test_it_is_called_like_the_engine_and_hands_out_by_its_scheduler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = (inspect.signature(f).parameters for f in (Cluster.run, local.run))
    assert [(p.name, p.kind) for p in list(ours.values())[1:]] == [
        (p.name, p.kind) for p in theirs.values()
    ]
    handed = []
    real = local._Scheduler._hand_out

    def noted(self: object, worker: object) -> None:
        real(self, worker)  # type: ignore[arg-type]
        handed.append(worker.job)  # type: ignore[attr-defined]

    monkeypatch.setattr(local._Scheduler, "_hand_out", noted)
    run(EQUAL, 3, 10)
    assert [job.shard for job in handed if job is not None] == list(range(10))


def test_progress_and_results_come_as_from_the_engine() -> None:
    seen, done = [], []
    Cluster(EQUAL).run(
        lambda context, job, report: report(len(job.frames)) or (context, job.shard),
        jobs_of(20, 8),
        workers=2,
        initializer=lambda name: name,
        initargs=("stage",),
        on_done=done.append,
        on_progress=lambda now: seen.append((now.units, now.jobs)),
    )
    assert done == [("stage", 0), ("stage", 1), ("stage", 2)]
    assert seen[-1] == (20, 3)


def test_it_makes_a_whole_data_set_where_the_engine_stands(
    tmp_path: Path,
) -> None:
    engine = Cluster(STORMY)
    identity = Identity(
        recipe={}, seed=1, skeleton="coco23", frames=80, frames_per_shard=2, versions={}, machine={}
    )
    with open_or_create(tmp_path / "set", identity) as session:
        run_shards(
            session,
            lambda stage, job, report: write_shard(
                job.folder, job.shard, [FailedFrame(index=i, error="stub") for i in job.frames]
            ),
            initializer=lambda: None,
            initargs=(),
            workers=16,
            engine=Engine(run=engine.run),
            skip_failed=True,
            on_progress=None,
            on_event=lambda event: None,
            started=0.0,
        )
    assert engine.outcome.jobs == 40
    assert len(list((tmp_path / "set" / "shards").iterdir())) == 40
    assert len(Dataset(tmp_path / "set")) == 0  # each frame is one that failed


def test_jobs_are_the_shards_of_the_data_set() -> None:
    assert [(job.shard, job.frames) for job in jobs_of(130)] == [
        (0, range(64)), (1, range(64, 128)), (2, range(128, 130)),
    ]  # fmt: skip
    Cluster(EQUAL).run(pytest.fail, [], workers=3, initializer=lambda: None, on_done=pytest.fail)


@pytest.mark.parametrize(("workers", "shards"), [(1, 5), (4, 12), (4, 13), (50, 50)])
def test_equal_jobs_take_the_closed_form(workers: int, shards: int) -> None:
    made = run(EQUAL, workers, shards)
    rounds = math.ceil(shards / workers)
    assert made.seconds == pytest.approx(10 + rounds * JOB_S)
    assert made.efficiency(EQUAL) == pytest.approx(shards * JOB_S / (workers * made.seconds))


def test_more_workers_than_shards_do_not_help() -> None:
    assert run(EQUAL, 400, 20).seconds == run(EQUAL, 20, 20).seconds == 10 + JOB_S


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("retry", [True, False])
def test_each_shard_is_done_once_though_nodes_are_lost(seed: int, retry: bool) -> None:
    machines = with_(STORMY, seed=seed, retry=retry)
    made = run(machines, 16, 300)  # `simulate` raises unless each is done exactly once
    assert made.jobs == 300 and made.frames == 2400
    assert made.failures > 1 and made.lost > 1
    assert (made.resumed > 0) is not retry
    assert made.seconds > run(with_(machines, failures_per_hour=0), 16, 300).seconds


def test_the_same_seed_gives_the_same_figures_and_another_others() -> None:
    assert run(STORMY, 16, 300) == run(STORMY, 16, 300)
    assert run(STORMY, 16, 300).seconds != run(with_(STORMY, seed=2), 16, 300).seconds


def test_a_lost_job_is_back_when_it_was_noticed_and_made_again() -> None:
    made = run(STORMY, 16, 300)
    assert made.recovery_s and min(made.recovery_s) > STORMY.detect_s
    ended = run(with_(EQUAL, failures_per_hour=0.001), 16, 300)
    assert ended.failures == 0 and ended.recovery_s == []


def test_a_loss_that_is_not_mended_ends_the_run_by_the_engines_own_message() -> None:
    machines, done = with_(STORMY, retry=False), []
    with pytest.raises(WorkerError, match=r"a worker process died at job.*\n?.*SIGKILL"):
        Cluster(machines).run(
            lambda _, job, report: job.shard,
            jobs_of(2400, 8),
            workers=16,
            initializer=lambda: None,
            on_done=done.append,
        )
    assert 0 < len(done) < 300 and len(set(done)) == len(done)


def test_a_cluster_that_shrinks_to_nothing_says_so() -> None:
    with pytest.raises(WorkerError, match="no node is left"):
        run(with_(STORMY, replace_s=math.inf), 8, 3000)


def test_the_store_limits_how_many_shards_are_kept() -> None:
    slow = with_(EQUAL, prefix_writes_per_s=11.0)  # 8 frames and 3 tables: a shard a second
    assert run(slow, 40, 400).seconds == pytest.approx(10 + JOB_S + 400)
    assert run(with_(slow, prefixes=4), 40, 400).seconds == pytest.approx(10 + JOB_S + 100, rel=0.1)
    packed = with_(slow, packed=True)
    assert packed.writes(8) == 4
    assert run(packed, 40, 400).seconds == pytest.approx(10 + JOB_S + 400 * 4 / 11)
    assert slow.limits(8)["store"] == JOB_S  # that many workers fill it
    assert run(slow, 2, 100).efficiency(slow) > 0.7 > 0.2 > run(slow, 40, 400).efficiency(slow)


def test_the_lock_holder_limits_it_too() -> None:
    slow = with_(EQUAL, commit_s=0.5, message_s=0.0625)  # a shard of 8 frames: a second
    made = run(slow, 40, 400)
    assert made.seconds == pytest.approx(10 + JOB_S + 400)
    assert made.holder_s == pytest.approx(400)
    assert slow.limits(8) == {"store": math.inf, "lock holder": JOB_S}


def test_a_straggler_makes_a_tail_not_a_slow_run() -> None:
    slow = with_(EQUAL, slow_share=0.02, slow_factor=10.0)
    even, late = run(EQUAL, 100, 1000), run(slow, 100, 1000)
    assert even.tail_s == 0
    assert 0 < late.tail_s <= 10 * JOB_S
    assert even.seconds < late.seconds <= even.seconds + 10 * JOB_S


def test_a_million_people_cost_what_the_cores_take() -> None:
    machines = with_(EQUAL, frame_s=0.072)
    paid = cost.million(machines, 64, efficiency=0.5)
    assert paid.core_s == pytest.approx(72_000)
    assert paid.objects == pytest.approx(500_000 / 64 * 67)
    machine, writes, _ = paid.dollars(0.1)
    assert machine == pytest.approx(2.0)
    assert writes == pytest.approx(500_000 / 64 * 67 / 1000 * cost.THOUSAND_WRITES)
    assert cost.core_hour("c7i.large=0.08925/2") == ("c7i.large", 0.044625)
    with pytest.raises(SystemExit, match="NAME=DOLLARS/CORES"):
        cost.core_hour("c7i.large=0.08925")


def test_runs_of_one_machine_are_foretold_from_one_worker() -> None:
    alone = with_(EQUAL, frame_s=0.1, start_s=5.0)
    told = {n: cost.foretold_s(64, n, 8, alone, cores=2) for n in (1, 2, 4)}
    beside = 2 * cluster.FRAMES_PER_S[1] / cluster.FRAMES_PER_S[2]
    assert told[1] == pytest.approx(5 + 6.4)
    assert told[2] == told[4] == pytest.approx(5 + 3.2 * beside)


def test_docs_say_what_the_program_prints() -> None:
    page = (Path(cost.ROOT) / "docs" / "scale.md").read_text("utf-8")
    for way, (frames, other) in cluster.WAYS.items():
        machines = with_(Machines(), **other)
        made = simulate(machines, 100, jobs_of(100 * 40 * frames, frames))
        assert cluster.line(way, frames, machines, made) in page
    for way in cluster.WAYS:
        assert f"| {way} | 10,000 |" in page
    assert f"{cost.FRAME_BYTES:,} bytes" in page
