"""One turn of the closed loop: train, find the errors, generate more of them, train again.

    python -m benchmarks.closed_loop

A network is trained on people of scenes/people.yaml and validated on others of them. `suggest`
turns its errors into a recipe. Two networks are then trained anew: one on the first people and more
of that recipe, the other on the first people and as many more of the first recipe, for as many
steps. Both are tested on people of the scene's test split, made with another seed. Writes
docs/closed_loop.md and its log. Everything is kept in a cache folder; a killed run resumes.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch  # noqa: TID253 - it trains
import yaml
from numpy.typing import NDArray

from benchmarks.proofs import ROOT
from benchmarks.ready import PRECISION, ready
from synthstudio.api.recipes import scene_file
from synthstudio.core.labels import STATE_HIDDEN, STATE_VISIBLE
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.durable import canonical_json, write_file
from synthstudio.evaluation.formatting import interval
from synthstudio.evaluation.intervals import paired_interval, ratio_interval
from synthstudio.evaluation.metrics import pck_by_group
from synthstudio.evaluation.storage import Predictions
from synthstudio.generation import pipeline
from synthstudio.generation.stage import prepare
from synthstudio.inference import suggest
from synthstudio.recipe.schema.load import dump, load, parse
from synthstudio.training import config as configs
from synthstudio.training.config import Config, Source
from synthstudio.training.data.sources import TrainingData, load_subset
from synthstudio.training.predictions import predict_subset

Bools = NDArray[np.bool_]
SCENE = scene_file("people.yaml")
SKELETON = get_skeleton(load(SCENE).skeleton)
TEST_SEED, MORE_SEED = 900, 901
ARMS = {
    "before": "the first people alone",
    "more": "and as many more of the same recipe",
    "suggested": "and as many of the suggested recipe",
}


@dataclass(frozen=True, kw_only=True)
class Size:
    """Frames of each set, and how the networks are trained; `picture`: the network's (H, W)."""

    first: int
    more: int
    test: int
    steps: int
    batch: int
    seeds: int
    picture: tuple[int, int]


FULL = Size(first=1600, more=800, test=400, steps=400, batch=64, seeds=3, picture=(96, 72))
SMALL = Size(first=20, more=8, test=8, steps=3, batch=8, seeds=1, picture=(48, 36))


class Loop:
    def __init__(self, size: Size, cache: Path, say: Callable[[str], None]) -> None:
        self.size, self.say = size, say
        self.scene = dump(load(SCENE))
        key = [dataclasses.asdict(dataclasses.replace(size, seeds=0)), self.scene]
        self.folder = cache / hashlib.sha256(canonical_json(key)).hexdigest()[:12]

    def data(self, name: str, recipe: Mapping[str, Any], *, workers: int) -> None:
        """Generate a set, or what is missing of it."""
        settings = prepare(parse(dict(recipe), name), assets=SCENE.parent, device="cpu")
        out = self.folder / name
        made = pipeline.generate(settings, out, workers=workers, resume=out.exists())
        self.say(f"{name}: {made.frames} frames with {made.people} people")

    def config(self, arm: str, seed: int) -> Config:
        """An arm's training config; arms differ in their people alone."""
        sets = ["first"] if arm == "before" else ["first", arm]
        size = self.size
        return configs.parse(
            {
                "name": f"{arm} seed {seed}",
                "seed": seed,
                "train": [{"dataset": str(self.folder / s), "splits": ["train"]} for s in sets],
                "network": {"block": "orn", "size": list(size.picture)},
                "batch": size.batch,
                "steps": size.steps,
                "epochs": 1,
                "precision": PRECISION,
                "device": "cpu",
            }
        )

    def answers(self, arm: str, seed: int, test: str, split: str) -> Predictions:
        """Train an arm's network, or resume, and predict the people of a set's split."""
        config = self.config(arm, seed)
        out, crops = self.folder / "runs" / f"{arm}-{seed}", self.folder / "crops"
        result = ready(
            config,
            out,
            Source(dataset=str(self.folder / test), splits=(split,)),
            SKELETON,
            crops=crops,
            select=self._as_many(arm),
            stopped=f"{arm} seed {seed} was stopped; run this again to resume",
        )
        return predict_subset(result.net, result.people, result.spec, device=torch.device("cpu"))

    def _as_many(self, arm: str) -> Callable[[TrainingData], TrainingData]:
        """Limit both arms that train on two sets to the same number of people."""
        if arm == "before":
            return lambda data: data
        count = self._fewest

        def select(data: TrainingData) -> TrainingData:
            key = hashlib.sha256(f"{data.key} first {count}".encode()).hexdigest()
            return dataclasses.replace(data, train=data.train.take(np.arange(count)), key=key)

        return select

    @functools.cached_property
    def _fewest(self) -> int:
        """The smaller number of people of the two arms that train on two sets."""
        configs = [self.config(name, 0) for name in ("more", "suggested")]
        crops = self.folder / "crops"
        return min(len(load_subset(c.train, c, crops)[0]) for c in configs)

    def recipe(self) -> tuple[dict[str, Any], str]:
        """The suggested recipe and the error profile of the first network; computed once."""
        path = self.folder / "suggested.json"
        if not path.is_file():
            found = suggest.profile(self.answers("before", 0, "first", "val"), SKELETON)
            suggested = suggest.next_recipe(found, frames=self.size.more, like=load(SCENE))
            write_file(path, canonical_json({"recipe": suggested, "profile": found.text()}))
        stored = json.loads(path.read_text(encoding="utf-8"))
        return stored["recipe"], stored["profile"]

    def turn(self, workers: int) -> tuple[dict[str, list[Predictions]], dict[str, Any], str]:
        """Run it all; return the arms' predictions by seed, the suggested recipe, the profile."""
        size, scene = self.size, self.scene
        first = {"splits": {"train": 0.75, "val": 0.25, "test": 0.0}}
        test = {"splits": {"train": 0.0, "val": 0.0, "test": 1.0}}
        self.data("first", {**scene, **first, "frames": size.first}, workers=workers)
        self.data(
            "test", {**scene, **test, "frames": size.test, "seed": TEST_SEED}, workers=workers
        )
        recipe, profile = self.recipe()
        self.data("suggested", recipe, workers=workers)
        self.data("more", {**scene, "frames": size.more, "seed": MORE_SEED}, workers=workers)
        results: dict[str, list[Predictions]] = {arm: [] for arm in ARMS}
        for seed in range(size.seeds):
            for arm in ARMS:
                results[arm].append(self.answers(arm, seed, "test", "test"))
                self.say(f"{arm}, seed {seed}: done")
        return results, recipe, profile


def measures(recipe: Mapping[str, Any]) -> dict[str, Callable[[Predictions], Bools]]:
    """The joints that are evaluated: all, visible, hidden, and hidden ones of the target pair."""
    pairs = (recipe.get("targets") or {}).get("joints") or {}
    targeted = [SKELETON.joints.index(name) for pair in pairs for name in pair.split("+")]

    def of(a: Predictions, state: int) -> Bools:
        return np.asarray(a.known & (a.state == state))

    named: dict[str, Callable[[Predictions], Bools]] = {
        "all joints": lambda a: a.known,
        "visible": lambda a: of(a, STATE_VISIBLE),
        "hidden": lambda a: of(a, STATE_HIDDEN),
    }
    if targeted:
        only = np.isin(np.arange(len(SKELETON.joints)), targeted)
        named["hidden, of the targeted pair"] = lambda a: of(a, STATE_HIDDEN) & only
    return named


def table(results: Mapping[str, list[Predictions]], recipe: Mapping[str, Any]) -> str:
    """PCK@0.1 of each arm, and the suggested recipe against more of the same."""
    parts = measures(recipe)
    sides = {
        (arm, name): tuple(
            np.concatenate([pck_by_group(a, which(a))[k] for a in answers]) for k in (0, 1)
        )
        for arm, answers in results.items()
        for name, which in parts.items()
    }
    lines = ["| trained on | " + " | ".join(parts) + " |", "|---" * (1 + len(parts)) + "|"]
    for arm, title in ARMS.items():
        cells = [interval(vars(ratio_interval(*sides[arm, name], seed=1))) for name in parts]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    gains = [paired_interval(sides["suggested", n], sides["more", n], seed=1).text() for n in parts]
    lines.append("| suggested against more of the same, points | " + " | ".join(gains) + " |")
    return "\n".join(lines)


PAGE = """# One turn of the closed loop
One turn of a loop, measured: train a network, find what it misses, generate people who show \
that, train again. Does it help more than the same number of other people?

    python -m benchmarks.closed_loop

Train a network, evaluate it, let `suggest` write a recipe that makes more of its errors, and \
train again: does that help more than as many frames of the recipe that is there already? Written \
by the command above; the log is \
[evidence/closed_loop.log](evidence/closed_loop.log).

* {first} frames of `scenes/people.yaml`, three quarters of them for training; `suggest` reads \
the errors on the others, where half of the things and poses never occurred in training. \
Then {more} frames of the suggested recipe, and {more} of the first one with another seed. \
Four fifths of either are trained on (the split train), and as many people of both.
* Nano ORN, {steps} steps of {batch} people for every arm, {seeds} seeds. Tested on {test} frames \
of the scene's test split with another seed: with other people, and half of the things and poses \
new.
* PCK@0.1 of the amodal box's longer side, 95 % intervals over seeds and moments, paired. With so \
few seeds an interval is too narrow: it cannot reach beyond those drawn.

{table}

The errors of the first network:

```
{profile}
```

What `suggest` asked for, beyond the scene itself:

```yaml
{recipe}
```
"""


def asked_for(recipe: Mapping[str, Any]) -> str:
    """The targets and quotas of a recipe as YAML."""
    kept = {name: recipe[name] for name in ("targets", "quotas") if recipe.get(name)}
    return yaml.safe_dump(kept, sort_keys=False, default_flow_style=None, width=96).strip()


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.closed_loop", description=__doc__)
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "closed_loop")
    parser.add_argument("--docs", type=Path, help="where the page goes; default: docs/")
    parser.add_argument("--small", action="store_true", help="a few steps, to try it out")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args(words)
    if args.small and args.docs is None:
        parser.error("--small needs --docs: what it finds is not for the project's own page")
    size = SMALL if args.small else FULL
    lines: list[str] = []

    def say(text: str) -> None:
        lines.append(text)
        print(text, flush=True)

    results, recipe, profile = Loop(size, args.cache, say).turn(args.workers)
    say(table(results, recipe))
    page = PAGE.format(
        first=size.first,
        more=size.more,
        test=size.test,
        steps=size.steps,
        batch=size.batch,
        seeds=size.seeds,
        table=table(results, recipe),
        profile=profile,
        recipe=asked_for(recipe),
    )
    docs = args.docs or ROOT / "docs"
    write_file(docs / "closed_loop.md", page.encode())
    write_file(docs / "evidence" / "closed_loop.log", ("\n".join(lines) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
