"""Does occlusion in training help, and does ORN? `make proof`, or `python -m benchmarks.proof`.

Generates training people, and test people with unseen occluders, poses and backgrounds; trains
every arm with every seed on the same samples at the same cost; compares them on the same joints;
writes docs/proof.md and docs/evidence/proof.log. Everything is kept in a cache folder and a killed
proof resumes: data by shards, trainings from their last saved state, results as one file per arm
and seed, apart for every version of the training code.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch  # noqa: TID253 - it trains

from benchmarks import proof_arms, proof_table, proof_words
from benchmarks.proof_arms import ARMS, FULL, SMALL, Size
from benchmarks.proofs import ROOT
from benchmarks.ready import ready
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.durable import canonical_json, write_file
from synthstudio.evaluation import storage
from synthstudio.generation import pipeline
from synthstudio.generation.plan import plan
from synthstudio.generation.stage import Settings, prepare
from synthstudio.models.blocks.bank import PoseBank
from synthstudio.models.blocks.orn import ORN
from synthstudio.recipe.schema.load import parse
from synthstudio.training.config import Config, Source
from synthstudio.training.data.crops import crop_dataset
from synthstudio.training.data.sources import load_subset
from synthstudio.training.networks import build_network
from synthstudio.training.poses import pose_bank
from synthstudio.training.predictions import predict_subset

LIMIT_H = 2.0
SKELETON = get_skeleton(proof_arms.SKELETON_NAME)
_MAKE_MS = 0.7
"""Processor time to augment a sample (measured once); the plan adds it."""
_FRAMES_PER_S = 6.0
_WORTH_A_SAMPLE = 200
"""Larger data sets are planned by a sample of them, smaller ones by the rate above."""
_ANSWER_S = 40
"""Processor time to predict the test people and compute the AP."""


class Proof:
    """One proof: its size and its folders: data and crops in `folder`, the rest in `made`."""

    def __init__(self, size: Size, cache: Path) -> None:
        self.size = size
        self.recipes = {test: proof_arms.recipe(size, test=test) for test in (False, True)}
        self.width = proof_arms.matched_width(proof_arms.orn_network(size))
        self.folder = cache / _digest([dataclasses.asdict(size), *self.recipes.values()])
        self.crops = self.folder / "crops"
        arms = {name: dataclasses.asdict(arm) for name, arm in ARMS.items()}
        self.code = _digest([code(), self.width, arms])
        self.made = self.folder / f"by-{self.code}"

    def settings(self, *, test: bool) -> Settings:
        return prepare(parse(self.recipes[test]), assets=ROOT, device="cpu")

    def data(self, *, test: bool) -> Path:
        return self.folder / ("test" if test else "train")

    def config(self, arm: str, seed: int) -> Config:
        train_set = str(self.data(test=False))
        return proof_arms.config(arm, seed, size=self.size, train=train_set, width=self.width)

    def result(self, arm: str, seed: int) -> Path:
        return self.made / "results" / f"{_word(arm)}-{seed}.json"


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(canonical_json(parts)).hexdigest()[:12]


def code() -> str:
    """A digest of the training code: results of other code are not reused."""
    digest = hashlib.sha256()
    for folder in ("models", "training"):
        for path in sorted((ROOT / "synthstudio" / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _word(arm: str) -> str:
    return arm.replace("'", "-dropout")


def costs(proof: Proof, arms: tuple[str, ...]) -> dict[str, int]:
    """Operations per person of each trained arm; AssertionError when KPE and ORN differ.

    An arm with pairs also runs its teacher on half of the people; that is not counted.
    """
    found = {
        arm: proof_arms.step_flops(proof.config(arm, 0).network) for arm in proof_arms.trained(arms)
    }
    complete = {arm: cost for arm, cost in found.items() if not ARMS[arm].network}  # no ablations
    spread = max(complete.values()) / min(complete.values()) - 1
    assert spread <= proof_arms.WITHIN, f"training costs lie {spread:.1%} apart: {complete}"
    return found


def show_plan(
    proof: Proof, arms: tuple[str, ...], seeds: int, workers: int, say: Callable[[str], None]
) -> float:
    """Report what will be done and about how long it takes; return the hours."""
    size, cost = proof.size, costs(proof, arms)
    say(f"KPE {proof.width} wide against ORN; operations a person, forward and back:")
    for arm, flops in cost.items():
        say(f"  ({arm}) {flops / 1e6:.1f} M   {ARMS[arm].title}")
    hours = 0.0
    for test in (False, True):
        frames = size.test_frames if test else size.train_frames
        if not (proof.data(test=test) / "index.json").is_file():
            seconds = frames / _FRAMES_PER_S
            if frames >= _WORTH_A_SAMPLE:
                proof.folder.mkdir(parents=True, exist_ok=True)
                seconds = plan(
                    proof.settings(test=test), near=proof.folder, workers=workers
                ).seconds
            hours += seconds / 3600
            say(f"{frames} {'test' if test else 'training'} frames: {seconds / 60:.0f} min")
    left = [
        (arm, seed)
        for arm, seed in proof_arms.jobs(arms, seeds)
        if not all(proof.result(n, seed).is_file() for n in _answered(arm, arms))
    ]
    samples = size.steps * size.batch
    kinds = {proof.config(arm, 0).network for arm, _ in left}
    rate = {kind: _step_s(kind, size.batch) / size.batch for kind in kinds}
    work = sum(
        samples * (rate[proof.config(arm, 0).network] * _teacher(arm) + _MAKE_MS / 1e3) + _ANSWER_S
        for arm, _ in left
    )
    hours += work / 3600 / workers
    say(
        f"{len(left)} trainings of {size.steps} steps of {size.batch} people on {workers} "
        f"processes of one thread: {work / 60 / workers:.0f} min"
    )
    say(f"about {hours:.1f} h in all" + ("" if hours <= LIMIT_H else f": over {LIMIT_H:g} h"))
    return hours


def _teacher(arm: str) -> float:
    return 1.0 if not ARMS[arm].losses.get("agreement") else 4 / 3


def _step_s(network: Any, batch: int) -> float:
    """Processor time of a step, measured now on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    bank = PoseBank(torch.rand(max(network.bank, 1), len(SKELETON.joints), 2))
    net = build_network(network, SKELETON, bank=bank if network.block == "orn" else None).train()
    net = net.to(memory_format=torch.channels_last)
    images = torch.rand(batch, 3, *network.size).contiguous(memory_format=torch.channels_last)
    seconds = []
    for _ in range(3):
        began = time.process_time()
        with torch.autocast("cpu", torch.bfloat16):
            outputs = net(images)
        sum(stage.float().logsumexp((2, 3)).sum() for stage in outputs.logits).backward()
        seconds.append(time.process_time() - began)
    torch.set_num_threads(threads)
    return min(seconds)


def make_data(proof: Proof, workers: int, say: Callable[[str], None]) -> None:
    """Generate both data sets and crop their people, or what is missing of that."""
    for test in (False, True):
        out = proof.data(test=test)
        made = pipeline.generate(
            proof.settings(test=test), out, workers=workers, resume=out.exists()
        )
        say(f"{made.frames} frames with {made.people} people in {out.name}")
        crop_dataset(
            out, size=proof.size.picture, cache=proof.crops, progress=lambda done, total: None
        )


def run_job(proof: Proof, arm: str, seed: int, arms: tuple[str, ...]) -> None:
    """Train an arm with a seed, or resume it, and write its results."""
    missing = [name for name in _answered(arm, arms) if not proof.result(name, seed).is_file()]
    if not missing:
        return
    torch.set_num_threads(1)
    config = proof.config(arm, seed)
    out = proof.made / "runs" / f"{_word(arm)}-{seed}"
    result = ready(
        config,
        out,
        Source(dataset=str(proof.data(test=True))),
        SKELETON,
        crops=proof.crops,
        stopped=f"({arm}) seed {seed} was stopped; run the proof again to resume",
    )
    net, people, spec = result.net, result.people, result.spec
    for name in missing:
        bank = _bank(proof, config) if ARMS[name].bank else None
        if isinstance(net.block, ORN):
            net.block.last_word = ARMS[name].last_word
        answers = predict_subset(
            net, people, spec, device=torch.device("cpu"), decode=ARMS[name].decode, bank=bank
        )
        measured = {
            "arm": name,
            "seed": seed,
            "rate": result.trained.people_per_second,
            "waited": result.trained.wait_share,
            "step_gflops": proof_arms.step_flops(config.network) * config.batch / 1e9,
            **proof_table.measured(answers, SKELETON),
            "words": proof_words.words(net, people, spec, answers, proof.data(test=True), SKELETON),
        }
        about = {"name": config.name, "skeleton": SKELETON.name, "seed": seed, "arm": name}
        kept = out / "evaluations" / _word(name)
        if not kept.exists():
            made = storage.Evaluation(about=about, metrics={}, predictions=answers)
            storage.write(kept, made, b"<!doctype html><title>proof</title>made by make proof\n")
        write_file(proof.result(name, seed), canonical_json(measured))


def _answered(arm: str, arms: tuple[str, ...]) -> list[str]:
    """The requested arms that are decoded from the network of `arm`."""
    return [name for name in arms if name == arm or ARMS[name].of == arm]


def _bank(proof: Proof, config: Config) -> PoseBank | None:
    people, _ = load_subset(config.train, config, proof.crops)
    return pose_bank(
        people,
        SKELETON,
        size=config.network.size,
        count=proof.size.bank,
        seed=config.seed,
    )


def run_all(
    proof: Proof,
    arms: tuple[str, ...],
    seeds: int,
    workers: int,
    say: Callable[[str], None],
    words: list[str],
) -> None:
    """Run what is missing, `workers` at once."""
    jobs = proof_arms.jobs(arms, seeds)
    if workers == 1:
        for arm, seed in jobs:
            run_job(proof, arm, seed, arms)
        return
    waiting = [
        job
        for job in jobs
        if not all(proof.result(n, job[1]).is_file() for n in _answered(job[0], arms))
    ]
    total, started = len(waiting), time.monotonic()
    running: dict[tuple[str, int], subprocess.Popen[bytes]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                job = waiting.pop(0)
                running[job] = _start(proof, job, words)
            time.sleep(0.5)
            for job in [job for job, process in running.items() if process.poll() is not None]:
                code = running.pop(job).returncode
                if code:
                    raise SystemExit(
                        f"({job[0]}) seed {job[1]} ended with {code}: see {_log(proof, job)}"
                    )
                done = total - len(waiting) - len(running)
                say(
                    f"{done} of {total}: ({job[0]}) seed {job[1]}, "
                    f"{(time.monotonic() - started) / 60:.1f} min"
                )
    finally:
        for process in running.values():
            process.terminate()  # a training saves its state and stops
        for process in running.values():
            process.wait()


def _start(proof: Proof, job: tuple[str, int], words: list[str]) -> subprocess.Popen[bytes]:
    log = _log(proof, job)
    log.parent.mkdir(parents=True, exist_ok=True)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    command = [
        sys.executable,
        "-m",
        "benchmarks.proof",
        *words,
        "--job",
        f"{job[0]}:{job[1]}",
        "--code",
        proof.code,
    ]
    with log.open("ab") as file:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | threads,
            stdout=file,
            stderr=file,
            start_new_session=True,  # Ctrl-C goes to the parent, which makes each save and stop
        )


def _log(proof: Proof, job: tuple[str, int]) -> Path:
    return proof.made / "logs" / f"{_word(job[0])}-{job[1]}.log"


HEAD = """# The proof
Does training on occlusion help, and does ORN? Networks of equal cost are trained on the same \
people and compared on unseen poses behind unseen objects, five seeds each, with paired \
intervals.

```sh
make proof
```

{seeds} seeds (arms with a part of ORN more or less: {ablations} at most), {steps} steps of \
{batch} people each, {train} training and {test} test frames of {wide}x{high}, networks of {size}; \
cost of a step within {within:.0%} (KPE {width} wide). Written by `{command}`; the log is \
[evidence/proof.log](evidence/proof.log).

* **People.** Two a frame, each hidden by things by a planned 10 to 75 %, every moment once more \
without them. Test frames show only kinds of things ({occluders}) and poses that no training frame \
shows: {poses} poses of families that training frames know by others, and whole families \
({families}); people of another pool, floors and walls of other patterns.
* **Arms** see the same people, steps, batch sizes and augmentations. (a) and (a') see the frames \
without occluders, all others both. No arm was tuned: learning rates, losses and sizes are the \
defaults. ORN's fixed constants were chosen on other people in other poses behind other things. \
The operations that (d) spends on its teacher come on top.
* **Measures**: PCK@0.1 of the amodal box's longer side, on joints of state 1 (hidden) or 2, and \
OKS-AP with amodal areas; the crop is the amodal box. Intervals are 95 %: seeds, then moments \
drawn anew, paired where arms are compared; those of AP are the range of the seeds. With three \
seeds an interval is too narrow: it cannot reach beyond those drawn.
* **Decoding**: KPE by its post-processing (the highest peak with sub-cell refinement), ORN by \
expected hits, unless the line says otherwise.

{tables}

Visibility and cause of (c), and with attention to pixels and joints, on all test frames, seed by \
seed; intervals over moments. Attention to pixels is mass on the occluder over what uniform \
attention puts there, 1 being indifferent attention: over the whole window, and over the person's \
silhouette alone; then the same for the occluder's mask moved by half a box \
(evaluation/attention.py says how each is to be read).

{words}
"""


def page(proof: Proof, found: proof_table.Found, *, seeds: int, command: str) -> str:
    """The text of docs/proof.md."""
    size = proof.size
    return HEAD.format(
        seeds=seeds,
        ablations=proof_arms.ABLATION_SEEDS,
        steps=size.steps,
        batch=size.batch,
        train=size.train_frames,
        test=size.test_frames,
        wide=size.frame[0],
        high=size.frame[1],
        size=f"{size.picture[0]}x{size.picture[1]}",
        within=proof_arms.WITHIN,
        width=proof.width,
        command=command,
        occluders=", ".join(proof_arms.HELD_OCCLUDERS).replace("_", " "),
        poses=len(proof_arms.held_poses()),
        families=", ".join(proof_arms.HELD_FAMILIES).replace("_", " "),
        tables=proof_table.tables(found),
        words=proof_words.table(found.results),
    )


def _command(args: argparse.Namespace) -> str:
    """The command line that repeats this, without paths."""
    words = ["python -m benchmarks.proof", *(["--small"] if args.small else [])]
    words += [f"--arms {args.arms}"] if args.arms != ",".join(ARMS) else []
    words += [f"--seeds {args.seeds}"] if args.seeds else []
    return " ".join(words)


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proof", description=__doc__)
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "proof")
    parser.add_argument("--docs", type=Path, help="where the page goes; default: docs/")
    parser.add_argument("--small", action="store_true", help="a few steps, to try it out")
    parser.add_argument("--arms", default=",".join(ARMS), help="by commas")
    parser.add_argument("--seeds", type=int, default=0, help="fewer than usual")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--plan", action="store_true", help="only say what would be done")
    parser.add_argument("--job", default="", help="ARM:SEED, as the proof starts it itself")
    parser.add_argument("--code", default="", help="with --job: what the code must be")
    args = parser.parse_args(words)
    if args.small and args.docs is None and not args.job:
        parser.error("--small needs --docs: what it finds is not for the project's own page")
    arms = tuple(name for name in ARMS if name in args.arms.split(","))
    unknown = sorted(set(args.arms.split(",")) - set(ARMS))
    if unknown:
        parser.error(f"no such arm: {', '.join(unknown)}; there are {', '.join(ARMS)}")
    proof = Proof(SMALL if args.small else FULL, args.cache)
    if args.job:
        if args.code != proof.code:
            raise SystemExit("the code has changed since the proof began: begin it anew")
        arm, seed = args.job.rsplit(":", 1)
        run_job(proof, arm, int(seed), arms)
        return 0
    lines: list[str] = []

    def say(text: str) -> None:
        lines.append(text)
        print(text, flush=True)

    command = _command(args)
    say(f"$ {command}")
    seeds = args.seeds or proof.size.seeds
    show_plan(proof, arms, seeds, args.workers, say)
    if args.plan:
        return 0
    started = time.monotonic()
    make_data(proof, args.workers, say)
    run_all(proof, arms, seeds, args.workers, say, words)
    found = proof_table.read(proof.made / "results", arms, seeds)
    say(proof_table.tables(found))
    say(proof_words.table(found.results))
    say(f"this call took {(time.monotonic() - started) / 60:.1f} min")
    docs = args.docs or ROOT / "docs"
    write_file(docs / "proof.md", page(proof, found, seeds=seeds, command=command).encode())
    write_file(docs / "evidence" / "proof.log", ("\n".join(lines) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
