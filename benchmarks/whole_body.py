"""ZoomNet beside a single network of as many operations, on the same whole bodies:

    python -m benchmarks.whole_body --size quick --seeds 1

makes the people of scenes/systems/whole_body.yaml once, trains what is missing (a killed run goes
on where it stood), measures all on the same test people and writes the tables between the markers
of docs/whole_body.md.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch  # noqa: TID253 - it trains
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode  # noqa: TID253

from benchmarks import systems_runs
from benchmarks.proofs import ROOT
from benchmarks.ready import PRECISION, trained, width_of_cost
from benchmarks.systems_table import folder_of, make_people, write_page
from benchmarks.systems_text import in_mean_pose
from synthstudio.core import whole_body
from synthstudio.core.labels import STATE_HIDDEN, STATE_VISIBLE
from synthstudio.core.skeleton import get_skeleton
from synthstudio.evaluation import storage
from synthstudio.evaluation.intervals import few_seeds_note, paired_interval, ratio_interval
from synthstudio.evaluation.localization import pck
from synthstudio.evaluation.metrics import person_score, truth_of
from synthstudio.evaluation.storage import Evaluation, Predictions
from synthstudio.evaluation.whole_body import whole_body_precision
from synthstudio.models.zoomnet import LEAST_JOINTS
from synthstudio.recipe.schema.load import dump, load
from synthstudio.training import config as configs
from synthstudio.training import networks
from synthstudio.training.config import Config
from synthstudio.training.config_network import Network
from synthstudio.training.data.batches import InputSpec

SCENE = ROOT / "scenes" / "systems" / "whole_body.yaml"
MARKS = ("<!-- whole body: written by python -m benchmarks.whole_body -->", "<!-- end of it -->")
NAMES = ("zoomnet", "single")
SKELETON = get_skeleton(whole_body.SKELETON)
WITHIN = 0.03
"""Operations of the single network may differ so much from ZoomNet's."""
ROUNDS, SEED = 2000, 13
STATES = {"visible": STATE_VISIBLE, "hidden": STATE_HIDDEN}
PARTS = ("body", "foot", "face", "hands")
ZOOMED = ("face", "hands")
OF_PERSON, OF_PART = 0.1, 0.05
_PAGE = b"<!doctype html><title>whole bodies</title>made by python -m benchmarks.whole_body\n"
F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is trained: `steps` of `batch` people, cut out as `crop` (H, W)."""

    frames: int
    side_px: int  # of a picture, which is square
    crop: tuple[int, int]
    steps: int
    batch: int


SIZES = {
    "full": Size(frames=1500, side_px=384, crop=(128, 96), steps=1000, batch=32),
    "quick": Size(frames=400, side_px=384, crop=(128, 96), steps=300, batch=16),
    "small": Size(frames=20, side_px=96, crop=(48, 36), steps=3, batch=4),
}


def recipe(size: Size) -> dict[str, Any]:
    text = dump(load(SCENE))
    image = text["image"] | {"width_px": size.side_px, "height_px": size.side_px}
    return {**text, "frames": size.frames, "image": image}


def network(name: str, size: Size) -> Network:
    """ZoomNet's, or that of a pyramid with its own head, as wide as makes it cost the same."""
    if name == "zoomnet":
        return Network(system="zoomnet", size=size.crop)
    return _single(size.crop, wide=_matched(size))


def _single(crop: tuple[int, int], *, wide: int) -> Network:
    """The pyramid of ZoomNet, `wide` 32nds as wide."""
    plain = Network()
    widths = tuple(width * wide // 32 for width in plain.widths)
    return Network(block="own", size=crop, widths=widths, width=plain.width * wide // 32, bank=0)


@functools.cache
def _matched(size: Size) -> int:
    """The width at which a single network costs what ZoomNet does; ValueError without one."""
    wanted = cost(network("zoomnet", size))[1]
    return width_of_cost(
        lambda wide: cost(_single(size.crop, wide=wide))[1], wanted, most=512, within=WITHIN
    )


@functools.cache
def cost(settings: Network) -> tuple[int, int]:
    """Parameters, and operations of one picture: convolutions and products of matrices."""
    with torch.random.fork_rng():
        net = _built(settings)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.zeros(1, 3, *settings.size))
    return sum(p.numel() for p in net.parameters()), int(counter.get_total_flops())


def _built(settings: Network) -> networks.PersonNet:
    if settings.system == "zoomnet":
        return networks.build_zoomnet(settings, SKELETON).eval()
    return networks.build_network(settings, SKELETON, bank=None).eval()


def config(name: str, seed: int, size: Size, data: Path) -> Config:
    """The config of a network: all but the network is the same."""
    return configs.parse(
        {
            "name": f"{name}-{seed}",
            "seed": seed,
            "train": [{"dataset": str(data), "splits": ["train"]}],
            "network": network(name, size).model_dump(),
            "augment": {"shift": 0.05, "rotation_deg": 20, "rotated": 0.5, "scale": 0.2},
            "steps": size.steps,
            "batch": size.batch,
            "epochs": 10_000,
            "ema": 0.99,
            "precision": PRECISION,
            "device": "cpu",
            "save_every": 100,
        }
    )


def run(name: str, seed: int, size: Size, data: Path, folder: Path) -> tuple[Evaluation, ...]:
    """What a network says of the test people, after its training and before the first step."""
    torch.set_num_threads(1)
    settings, crops = config(name, seed, size, data), folder / "crops"
    kept = [folder / "answers" / settings.name, folder / "untrained" / settings.name]
    if not kept[1].is_dir():
        torch.manual_seed(seed)
        spec = InputSpec.of(settings.network, SKELETON)
        before = systems_runs.answers_of(_built(settings.network), settings, spec, data, crops)
        storage.write(kept[1], before, _PAGE)
    if not kept[0].is_dir():
        print(f"{settings.name}: {settings.steps} steps of {settings.batch}", flush=True)
        out = folder / "runs" / settings.name
        trained(settings, out, crops=crops, stopped=f"{settings.name} was stopped; run it again")
        found = systems_runs.answers(out / "last.safetensors", data, crops)
        storage.write(kept[0], found, _PAGE)
    return tuple(map(storage.read, kept))


def parts_of(name: str) -> list[slice]:
    """Where a part's joints stand; of `hands` each hand's."""
    sides = ("left_hand", "right_hand") if name == "hands" else (name,)
    return [whole_body.PARTS[side] for side in sides]


def part_sides(found: Predictions, at: slice) -> F64:
    """(P,) the longer side of the box round a part's known joints, pixels; NaN of fewer than
    LEAST_JOINTS."""
    known = found.known[:, at, None]
    low = np.where(known, found.true_xy[:, at], np.inf).min(1)
    high = np.where(known, found.true_xy[:, at], -np.inf).max(1)
    enough = known.sum((1, 2)) >= LEAST_JOINTS
    return np.where(enough, np.where(enough[:, None], high - low, 0).max(-1), np.nan)


def by_group(found: Predictions, part: str, state: str, *, of_part: bool) -> tuple[F64, F64]:
    """(1, G) joints found and asked for, by moment: within OF_PERSON of the longer side of the
    person's amodal box, or within OF_PART of that of the part's."""
    groups = int(found.group.max(initial=-1)) + 1
    hits, counts = np.zeros((1, groups)), np.zeros((1, groups))
    for at in parts_of(part):
        length = part_sides(found, at) if of_part else found.side
        near = pck(
            found.xy[:, at],
            found.true_xy[:, at],
            length=length,
            at=OF_PART if of_part else OF_PERSON,
        )
        asked = found.known[:, at] & (found.state[:, at] == STATES[state])
        asked &= np.isfinite(length)[:, None]
        for total, of_joint in ((hits, near * asked), (counts, asked)):
            total[0] += np.bincount(found.group, of_joint.sum(1).astype(float), minlength=groups)
    return hits, counts


def _sides(runs: Sequence[Evaluation], *column: str, of_part: bool) -> tuple[F64, F64]:
    each = [by_group(r.predictions, *column, of_part=of_part) for r in runs]
    return np.concatenate([hits for hits, _ in each]), np.concatenate([c for _, c in each])


def precision(runs: Sequence[Evaluation]) -> dict[str, float]:
    """AP of each part and of the whole, as COCO-WholeBody has it, the mean of the seeds."""
    each = [
        whole_body_precision(truth_of(r.predictions), r.predictions.xy, person_score(r.predictions))
        for r in runs
    ]
    return {part: float(np.mean([e[part]["AP"] for e in each])) for part in each[0]}


def pck_table(rows: Mapping[str, Sequence[Evaluation]], *, of_part: bool) -> list[str]:
    """PCK with intervals of every row, and ZoomNet's over the single network's, paired."""
    columns = [(part, state) for part in (ZOOMED if of_part else PARTS) for state in STATES]
    head = ["network", *(f"{part} {state}" for part, state in columns)]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, runs in rows.items():
        cells = []
        for column in columns:
            sides = _sides(runs, *column, of_part=of_part)
            found = ratio_interval(*sides, seed=SEED, rounds=ROUNDS)
            low, high = 100 * found.low, 100 * found.high
            cells.append(f"{100 * found.value:.1f} ({low:.1f} to {high:.1f})")
        lines.append(_row(name, cells))
    more = []
    for column in columns:
        both = [_sides(rows[name], *column, of_part=of_part) for name in NAMES]
        more.append(paired_interval(*both, seed=SEED, rounds=ROUNDS).text())
    return [*lines, _row("zoomnet - single", more)]


def _row(name: str, cells: Sequence[str]) -> str:
    """A line of a table; "-" where there was nothing to measure."""
    shown = ("-" if "nan" in cell else cell for cell in cells)
    return f"| {' | '.join([name, *shown])} |"


def precision_table(rows: Mapping[str, Sequence[Evaluation]], size: Size) -> list[str]:
    shown = ("whole", "body", "foot", "face", "hands")
    head = ["network", "seeds", *(f"AP {part}" for part in shown), "M", "G"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, runs in rows.items():
        found, costs = precision(runs), ["-", "-"]
        if name in NAMES:
            parameters, operations = cost(network(name, size))
            costs = [f"{parameters / 1e6:.2f}", f"{operations / 1e9:.3f}"]
        seeds = str(len(runs)) if name != "mean pose" else "-"
        lines.append(_row(name, [seeds, *(f"{100 * found[part]:.1f}" for part in shown), *costs]))
    return lines


def page(rows: Mapping[str, Sequence[Evaluation]], size: Size, command: str) -> list[str]:
    """The tables and what they show, in lines."""
    test = rows["zoomnet"][0].predictions
    seeds = len(rows["zoomnet"])
    lines = [
        f"`{command}` wrote this: ZoomNet, and a pyramid with its own head (`single`) that is so "
        f"wide that it does as many operations, learn {size.steps} steps of {size.batch} people of "
        f"{size.crop[0]}x{size.crop[1]} pixels, with everything else alike, and are judged on the "
        f"same {len(test)} test people of {len(np.unique(test.frame))} frames. `untrained`: before "
        "the first step. The mean pose is the test people's own, in their true boxes.",
        "",
        f"PCK@{OF_PERSON} in percent, of the longer side of the person's box, with 95 % intervals "
        "over moments and seeds; -: no such joint. What ZoomNet takes to be outside the picture "
        "counts as missed.",
        "",
        *pck_table(rows, of_part=False),
        "",
        f"PCK@{OF_PART} of the longer side of the part's own box, that of its joints in the "
        f"picture (parts of which at least {LEAST_JOINTS} are).",
        "",
        *pck_table(rows, of_part=True),
        "",
        "AP as COCO-WholeBody has it, in percent; M: parameters in millions; G: operations of one "
        "picture in thousand millions.",
        "",
        *precision_table(rows, size),
    ]
    if note := few_seeds_note(seeds):
        lines += ["", note]
    if seeds == 1:
        lines += ["", "One seed: the intervals leave out what the seed's luck decides."]
    return lines


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=tuple(SIZES), default="full")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1, help="processes that generate people")
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "whole_body")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "whole_body.md")
    options = parser.parse_args(words)
    size = SIZES[options.size]
    people = recipe(size)
    folder = folder_of(people, size, options.cache)
    data = make_people(people, folder, options.workers)
    done = {
        name: [run(name, seed, size, data, folder) for seed in range(options.seeds)]
        for name in NAMES
    }
    rows = {name: [after for after, _ in runs] for name, runs in done.items()}
    rows |= {f"{name} untrained": [before for _, before in done[name]] for name in NAMES}
    rows["mean pose"] = [in_mean_pose(rows["single"][0])]
    command = f"python -m benchmarks.whole_body --size {options.size} --seeds {options.seeds}"
    lines = page(rows, size, command)
    write_page(options.page, lines, MARKS)
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
