"""What 8 bits and fewer channels cost the proof's ORN: `make pruning`, after `make proof`.

Takes the trained networks of the proof's arm (c) with its first seeds, makes of each what
`synthstudio compress` makes with --fine-tune-steps, by the same functions, and asks all of them
about the proof's test people: unseen poses behind unseen things. Differences are paired by seed
and moment; calls are timed in turn.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.proof import SKELETON, Proof
from benchmarks.proof_arms import FULL, SMALL
from benchmarks.proofs import ROOT
from synthstudio import __version__
from synthstudio.evaluation.intervals import paired_interval
from synthstudio.inference import compress, scoring
from synthstudio.inference.compress import Asked, Candidate, People
from synthstudio.inference.scoring import F64, Hits
from synthstudio.training import checkpoint
from synthstudio.training.data.batches import CropSubset

ARM = "c"
APART = 32
"""The proof has no validation people: convolutions are chosen by every so many training people."""
SUBSETS = ("all", "visible", "hidden")


def trained(proof: Proof, seed: int) -> Path:
    """The weights of the network with this seed; SystemExit when it is not trained."""
    weights = proof.made / "runs" / f"{ARM}-{seed}" / "last.safetensors"
    if not weights.is_file() or not proof.result(ARM, seed).is_file():
        raise SystemExit(f"({ARM}) seed {seed} of the proof is not trained yet: make proof")
    return weights


def candidates(proof: Proof, weights: Path, asked: Asked, folder: Path) -> list[Candidate]:
    """All candidates of a trained network, timed."""
    net, config, skeleton = checkpoint.load_network(weights)

    def part(*splits: str, test: bool = False) -> CropSubset:
        return scoring.labelled_people(
            proof.data(test=test), splits=splits, size=config.network.size, skeleton=skeleton,
            cache=proof.crops,
        )  # fmt: skip

    train = part("train")
    val = train.take(np.arange(0, len(train), APART))
    people = People(
        dataset=proof.data(test=False), train=train, val=val, test=part(test=True)
    )  # fmt: skip
    made = compress.candidates(
        net, config, SKELETON, people, asked, folder=folder, version=__version__, say=print
    )
    found = list(made)
    compress.time_in_turn(found, asked, config.network.size)
    return found


def against(ours: Sequence[Hits], theirs: Sequence[Hits], subset: str) -> str:
    """Points of PCK more, over seeds and moments, with the 95 % interval."""

    def stacked(of: Sequence[Hits]) -> tuple[F64, F64]:
        found, counted = [h.found[subset] for h in of], [h.asked[subset] for h in of]
        return np.stack(found), np.stack(counted)

    return paired_interval(stacked(ours), stacked(theirs), seed=0).text()


def main(argv: Sequence[str] | None = None) -> int:
    """Print one table for all seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "proof")
    parser.add_argument("--small", action="store_true", help="the proof's small form")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=900, help="of fine-tuning")
    parser.add_argument("--people", type=int, default=16, help="in a timed call")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=50)
    args = parser.parse_args(argv)
    proof = Proof(SMALL if args.small else FULL, args.cache)
    asked = Asked(
        target_ms=None, target_mflops=None, people=args.people, threads=args.threads,
        steps=args.steps, rounds=args.rounds,
    )  # fmt: skip
    seeds = []
    for weights in [trained(proof, seed) for seed in range(args.seeds)]:
        with tempfile.TemporaryDirectory() as folder:
            seeds.append(candidates(proof, weights, asked, Path(folder)))
    print(f"\n{args.seeds} seeds, {args.steps} steps of fine-tuning; PCK@0.1 of the test people, %")
    print("differences from the first, in points (95 %): seeds, then moments, paired\n")
    print("| candidate | MB | M multiply-adds | relative time | " + " | ".join(SUBSETS), end=" | ")
    print(" | ".join(f"{name}, difference" for name in SUBSETS) + " |")
    print("|---" * (4 + 2 * len(SUBSETS)) + "|")
    first = [made[0] for made in seeds]
    for same in zip(*seeds, strict=True):
        times = [c.p50_ms / f.p50_ms for c, f in zip(same, first, strict=True)]
        cells = [
            same[0].name,
            f"{len(same[0].data) / 1e6:.2f}",
            f"{same[0].mflops:.1f}",
            f"{np.mean(times):.2f}",
            *(f"{np.mean([c.test.percent(name) for c in same]):.1f}" for name in SUBSETS),
            *(against([c.test for c in same], [f.test for f in first], s) for s in SUBSETS),
        ]
        print("| " + " | ".join(cells) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
