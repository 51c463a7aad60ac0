"""A run on a Ray cluster whose workers and nodes are killed: `python -m benchmarks.killed_cluster`.

The cluster is one of this machine: a head that does no jobs, and nodes of one core, each a raylet
of its own. At random moments a worker or a raylet is killed with -9; a killed node is replaced.
The bytes are compared with those of one local worker. The seed decides when who dies. `--store`
writes to an S3 server of this machine behind a proxy that makes faults: of the requests one in
eight gets a 500, a 503, no answer, half of one, or is done and not answered.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.local_s3 import BUCKET, download, local_s3, proxied
from benchmarks.proofs import ROOT, settings_for
from synthstudio.core.places import Place, Url
from synthstudio.core.rng import stream
from synthstudio.dataset.shards import hashed_files
from synthstudio.generation import pipeline
from synthstudio.generation.engines import RAY

VICTIMS = ("worker", "node")
FAULTS, FAULTY = ("500", "503", "drop", "cut", "lost"), 1 / 8


@dataclass
class Killer:
    """Kills whenever enough frames are made; `killed` says who and when."""

    cluster: Any
    nodes: list[Any]
    moments: list[int]  # frames made, rising
    victims: list[str]
    rng: Any
    killed: list[str] = field(default_factory=list)

    def __call__(self, done: int, of: int, per_second: float) -> None:
        """Hear how many frames are made; a worker without a job is left alone."""
        if len(self.killed) == len(self.moments) or done < self.moments[len(self.killed)]:
            return
        place = int(self.rng.integers(len(self.nodes)))
        victim = self.victims[len(self.killed)]
        pid = self._kill_worker(place) if victim == "worker" else self._kill_node(place)
        if pid:
            self.killed.append(victim)
            print(f"  {done} of {of} frames: killed a {victim} (process {pid})", flush=True)

    def _kill_worker(self, place: int) -> int | None:
        raylet = psutil.Process(_raylet(self.nodes[place]))
        found = [p for p in raylet.children() if p.name().startswith("ray::synthstud")]
        if not found:
            return None
        os.kill(found[0].pid, signal.SIGKILL)
        return int(found[0].pid)

    def _kill_node(self, place: int) -> int:
        node = self.nodes[place]
        pid = _raylet(node)
        os.kill(pid, signal.SIGKILL)
        self.cluster.remove_node(node, allow_graceful=False)  # what a raylet leaves behind
        self.nodes[place] = self.cluster.add_node(num_cpus=1)
        return pid


def _raylet(node: Any) -> int:
    return int(node.all_processes["raylet"][0].process.pid)


def main() -> int:
    """Make both data sets and compare them; 1 when they differ or too few were killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scene", type=Path, default=ROOT / "scenes" / "quickstart.yaml")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--frames-per-shard", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--store", action="store_true", help="write to a store with faults")
    parser.add_argument("--kills", type=int, default=5, help="at least 2: a worker and a node")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    args = parser.parse_args()
    settings = settings_for(args.scene, assets=args.scene.parent, frames=args.frames)
    rng = stream(args.seed, "killed-cluster")
    moments = sorted(int(m) for m in rng.integers(1, args.frames * 9 // 10, args.kills))
    victims = [*VICTIMS, *(str(v) for v in rng.choice(VICTIMS, args.kills - len(VICTIMS)))]
    victims = [victims[i] for i in rng.permutation(args.kills)]
    print(f"seed {args.seed}: {args.frames} frames of {args.scene.name}, {args.workers} workers")
    with tempfile.TemporaryDirectory(prefix="killed-cluster-") as folder:
        one, many = Path(folder) / "one", Path(folder) / "ray"
        pipeline.generate(settings, one, frames_per_shard=args.frames_per_shard)
        wrong: list[str | None] = []
        with ExitStack() as stack:
            out: Place = many
            if args.store:
                faults = stream(args.seed, "faults")
                out = stack.enter_context(_faulty_store(Path(folder), faults, wrong))
            killed = _on_a_dying_cluster(settings, out, args, (moments, victims, rng))
            if isinstance(out, Url):
                download(out, many)
        same, files = hashed_files(one) == hashed_files(many), len(hashed_files(one))
        left = [p.name for p in many.rglob(".tmp*")]
    if args.store:
        print(f"  {sum(map(bool, wrong))} of {len(wrong)} requests to the store went wrong")
    print(
        f"{len(killed)} killed ({', '.join(killed)}); {files} files: "
        f"{'the same bytes as one local worker' if same else 'OTHER BYTES'}"
        f"{f'; left behind: {left}' if left else ''}"
    )
    return 0 if same and not left and len(killed) == args.kills else 1


@contextmanager
def _faulty_store(folder: Path, rng: Any, wrong: list[str | None]) -> Iterator[Url]:
    """A place in a store of this machine whose requests go `wrong` now and then."""

    def fault(method: str, name: str, number: int) -> str | None:
        wrong.append(str(rng.choice(FAULTS)) if rng.random() < FAULTY else None)
        return wrong[-1]

    with local_s3(folder), proxied(os.environ["AWS_ENDPOINT_URL"], BUCKET, fault, []) as endpoint:
        os.environ["AWS_ENDPOINT_URL"] = endpoint
        yield Url("s3", f"{BUCKET}/set")


def _on_a_dying_cluster(settings: Any, out: Place, args: Any, plan: Any) -> list[str]:
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), *sys.path]))
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    try:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(args.workers)]
        os.environ["RAY_ADDRESS"] = cluster.address
        killer = Killer(cluster, nodes, *plan)
        size = {"workers": args.workers, "frames_per_shard": args.frames_per_shard}
        pipeline.generate(settings, out, engine=RAY, on_progress=killer, **size)
        return killer.killed
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    raise SystemExit(main())
