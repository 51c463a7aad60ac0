"""Asked against achieved, and the same without the search: `python -m benchmarks.targets`.

Five scenes, 1,000 people each by default. Prints a Markdown table for docs/targets.md; the exit
status is 1 if a goal is missed with the search, or none is missed without it.
"""

import argparse
import math
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.proofs import ROOT
from synthstudio.dataset.reader import Dataset
from synthstudio.generation import pipeline
from synthstudio.generation.stage import prepare
from synthstudio.quality.stats import dataset_stats
from synthstudio.quality.targets import unmet
from synthstudio.recipe.schema.load import dump, load, parse

SCENES = {
    "target_fraction": 2.0,
    "target_bell": 2.5,
    "target_wrists": 1.44,
    "target_causes": 3.0,
    "target_crowd": 3.98,
}
"""Name -> people a frame, on average."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one scene gave. `missed`: sentences on what is not as near as it should be."""

    people: int
    found: dict[str, Any]
    missed: list[str]


def outcome(name: str, folder: Path, *, people: int, search: bool, workers: int = 2) -> Outcome:
    """Generate about `people` people of a scene and hold them against its targets."""
    path = ROOT / "scenes" / f"{name}.yaml"
    written = dump(load(path))
    written["frames"] = math.ceil(people / SCENES[name])
    written["targets"]["search"] = search
    settings = prepare(parse(written, str(path)), assets=path.parent, device="cpu")
    out = folder / f"{name}-{'search' if search else 'luck'}"
    pipeline.generate(settings, out, workers=workers)
    dataset = Dataset(out)
    found = dataset_stats(dataset)
    return Outcome(
        people=sum(int(n) * c for n, c in found["people_per_frame"].items()),
        found=found["targets"],
        missed=unmet(found, written["targets"]),
    )


def row(name: str, got: Outcome) -> str:
    """Return a line of the table."""
    fraction, crowd = got.found["occluded_fraction"], got.found["crowd_index"]
    cells = ["-"] * 3
    if fraction["people"]:
        cells = [f"{fraction[key]:.3f}" for key in ("median", "p95", "ks")]
    rates = [
        f"{name} {found['requested']:.1%} / {found['achieved']:.1%}"
        for kind in ("joints", "causes")
        for name, found in got.found[kind].items()
    ]
    index = f"{crowd['mean_error']:.3f}" if crowd["frames"] else "-"
    missed = f"{got.found['missed']['count']} ({got.found['missed']['share']:.1%})"
    return f"| {name} | {got.people} | {' | '.join(cells)} | {'; '.join(rates) or '-'} | {index} | {missed} |"  # noqa: E501


HEAD = (
    "| scene | people | fraction: median error | 95 % | KS | rates requested / achieved | crowd "
    "index: mean error | missed |\n|---|---|---|---|---|---|---|---|"
)


def main() -> int:
    """Run all scenes with and without the search."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--scene", action="append", choices=list(SCENES), help="may be repeated")
    options = parser.parse_args()
    passed = True
    with tempfile.TemporaryDirectory() as scratch:
        for search in (True, False):
            print(f"\n{'With the search' if search else 'By luck (search: false)'}\n\n{HEAD}")
            for name in options.scene or SCENES:
                got = outcome(name, Path(scratch), people=options.people, search=search)
                print(row(name, got), flush=True)
                passed &= search != bool(got.missed)
                print("\n".join(f"  MISSED: {line}" for line in got.missed if search))
    print(f"\n{'every goal met, and none by luck' if passed else 'FAILED'}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
