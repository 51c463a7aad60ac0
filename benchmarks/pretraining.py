"""Whether codes of poses help on hidden joints: `python -m benchmarks.pretraining`.

The pyramid learns from copies of scenes/same_clothes.yaml without a joint, by pairs (contrastive)
and by drawing (disentangled), once a seed; KPE and ORN begin with its weights (`init_from`), or
with random ones, and learn the people of `make systems` as the networks there do. Those that begin
with random weights are those of `make systems`, and are taken from its cache where they are ready.

What is ready is not made again. Writes the table between the marks of docs/representations.md.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import multiprocessing
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch  # noqa: TID253 - it trains

from benchmarks import representations, systems_runs, systems_table, systems_text
from benchmarks.proofs import ROOT
from benchmarks.ready import trained
from benchmarks.systems_runs import Job, Size
from synthstudio.evaluation import storage
from synthstudio.evaluation.intervals import few_seeds_note
from synthstudio.evaluation.storage import Evaluation
from synthstudio.training import checkpoint
from synthstudio.training import config as configs
from synthstudio.training import representations as learning
from synthstudio.training.config import Config
from synthstudio.training.data.pose_pairs import pose_people

MARKS = (
    "<!-- pretraining: written by python -m benchmarks.pretraining -->",
    "<!-- end of pretraining -->",
)
BACKBONE = "pyramid"
BLOCKS = ("kpe", "orn")
RANDOM = "random weights"
LEARN = {
    "contrastive": learning.train_contrastive,
    "disentangled": learning.train_disentangled,
}


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """How much is learnt without joints: `frames` of each copy, `steps` of `batch` pictures."""

    frames: int
    steps: int
    batch: int


SIZES = {
    "full": Pretraining(frames=400, steps=1500, batch=64),
    "quick": Pretraining(frames=400, steps=500, batch=64),
    "small": Pretraining(frames=10, steps=2, batch=8),
}


@dataclass(frozen=True, kw_only=True)
class Run:
    """A network that is trained: `start` is how its backbone was pretrained, or RANDOM."""

    block: str
    start: str
    seed: int

    @property
    def job(self) -> Job:
        return Job(system=BACKBONE, block=self.block, seed=self.seed)

    @property
    def name(self) -> str:
        return self.job.name if self.start == RANDOM else f"{self.job.name}-{self.start}"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a size is kept: `folder` is that of `make systems`, `sets` are the copies."""

    name: str
    folder: Path
    sets: tuple[Path, ...]

    @property
    def size(self) -> Size:
        return systems_runs.SIZES[self.name]

    @property
    def people(self) -> Path:
        return self.folder / "people"

    def weights(self, start: str, seed: int) -> Path:
        """Of a backbone: by what decides them."""
        how = SIZES[self.name]
        key = f"{start}-{how.frames}-{how.steps}x{how.batch}-{seed}"
        return self.folder / "pretrained" / f"{key}.safetensors"


def runs(seeds: int) -> list[Run]:
    """Seed by seed, so that what is there can be compared early."""
    return [
        Run(block=block, start=start, seed=seed)
        for seed in range(seeds)
        for block in BLOCKS
        for start in (RANDOM, *LEARN)
    ]


def pretrain(place: Place, start: str, seed: int) -> Path:
    """Learn a backbone without joints, or take the one that is there."""
    weights = place.weights(start, seed)
    if weights.is_file():
        return weights
    torch.set_num_threads(1)
    how = SIZES[place.name]
    settings = configs.parse(
        {
            "name": f"{start}-{seed}",
            "seed": seed,
            "train": [{"dataset": str(path), "splits": ["train"]} for path in place.sets],
            "network": {"backbone": BACKBONE, "block": "kpe", "size": list(place.size.crop)},
            "augment": {"rotation_deg": 10, "colour": 0.4, "grey": 0.3},
            "batch": how.batch,
            "device": "cpu",
        }
    )
    people = pose_people(settings.train, settings, cache=place.folder / "crops")
    net = LEARN[start](people, settings, steps=how.steps)
    note = f"{start}, step {how.steps}"
    weights.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.save_weights(weights, net, settings, skeleton=people.skeleton, note=note)
    return weights


def config(run: Run, place: Place) -> Config:
    """That of `make systems`, from the weights of its start."""
    settings = systems_runs.config(run.job, place.size, place.people)
    if run.start == RANDOM:
        return settings
    start = str(place.weights(run.start, run.seed))
    return settings.model_copy(update={"name": run.name, "init_from": start})


def train(place: Place, run: Run) -> str:
    """Train a network, or go on with it, and keep what it says of the test people."""
    if run.start == RANDOM:
        systems_runs.run_job(run.job, place.size, place.people, place.folder, say=_silent)
        return run.name
    kept, crops = place.folder / "answers" / run.name, place.folder / "crops"
    if not kept.is_dir():
        torch.set_num_threads(1)
        out = place.folder / "runs" / run.name
        stopped = f"{run.name} was stopped; run it again to go on"
        trained(config(run, place), out, crops=crops, stopped=stopped)
        made = systems_runs.answers(out / "last.safetensors", place.people, crops)
        page = b"<!doctype html><title>pretraining</title>made by benchmarks.pretraining\n"
        storage.write(kept, made, page)
    return run.name


def _silent(text: str) -> None:
    """Names of runs are printed where they end."""


def ready(place: Place, seeds: int) -> dict[tuple[str, str], dict[int, Evaluation]]:
    """The answers that are there, by block and start, and by seed."""
    found: dict[tuple[str, str], dict[int, Evaluation]] = {}
    for run in runs(seeds):
        if (kept := place.folder / "answers" / run.name).is_dir():
            found.setdefault((run.block, run.start), {})[run.seed] = storage.read(kept)
    return found


def table(found: Mapping[tuple[str, str], Mapping[int, Evaluation]]) -> list[str]:
    """A row for each block and start; differences are paired by seed and moment."""
    lines = [
        "| PCK@0.1, % | begins with | seeds | hidden joints | visible joints | hidden joints, "
        "points over random weights |",
        "|---|---|---|---|---|---|",
    ]
    for (block, start), made in found.items():
        each = [systems_text.pck_of_subset([*made.values()], n) for n in ("hidden", "visible")]
        cells = [f"{100 * i.value:.1f} ({100 * i.low:.1f} to {100 * i.high:.1f})" for i in each]
        base = found.get((block, RANDOM), {})
        both = sorted(made.keys() & base.keys())
        apart = "-"
        if start != RANDOM and both:
            apart = systems_text.difference(
                [made[seed] for seed in both], [base[seed] for seed in both]
            ).text()
        row = [block.upper(), start, str(len(made)), *cells, apart]
        lines.append(f"| {' | '.join(row)} |")
    return lines


def notes(place: Place, seeds: int, *, command: str) -> list[str]:
    how, size = SIZES[place.name], place.size
    lines = [
        f"`{command}` wrote this: {how.steps} steps of {how.batch} pictures without joints on "
        f"{len(place.sets)} copies of {how.frames} frames, once a seed, then {size.steps} steps of "
        f"{size.batch} people of scenes/systems/groups.yaml, of whom {size.frames} frames were "
        "made; random weights get the second part alone, so a difference is what more pictures "
        "and steps are worth as well. Intervals are 95 %, over moments and seeds.",
    ]
    if note := few_seeds_note(seeds):
        lines += ["", note]
    return [*lines, ""]


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=tuple(SIZES), default="full")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1, help="processes that generate people")
    parser.add_argument("--processes", type=int, default=2, help="that train, of one thread each")
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "systems")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "representations.md")
    options = parser.parse_args(words)
    size = systems_runs.SIZES[options.size]
    people = systems_table.recipe(size)
    folder = systems_table.folder_of(people, size, options.cache)
    systems_table.make_people(people, folder, options.workers)
    frames = SIZES[options.size].frames
    sets = representations.make_sets(folder / f"same_clothes-{frames}", frames=frames)
    place = Place(name=options.size, folder=folder, sets=tuple(sets))
    began, seeds = time.monotonic(), range(options.seeds)
    stages: list[tuple[Any, list[tuple[Any, ...]]]] = [
        (pretrain, [(place, start, seed) for seed in seeds for start in LEARN]),
        (train, [(place, run) for run in runs(options.seeds)]),
    ]
    context = multiprocessing.get_context("spawn")
    for work, each in stages:
        with concurrent.futures.ProcessPoolExecutor(options.processes, mp_context=context) as pool:
            try:
                for done in pool.map(work, *zip(*each, strict=True)):
                    minutes = (time.monotonic() - began) / 60
                    print(f"{getattr(done, 'stem', done)}: {minutes:.1f} min", flush=True)
            finally:
                pool.shutdown(cancel_futures=True)
    command = f"python -m benchmarks.pretraining --size {options.size} --seeds {options.seeds}"
    lines = [*notes(place, options.seeds, command=command), *table(ready(place, options.seeds))]
    systems_table.write_page(options.page, lines, MARKS)
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
