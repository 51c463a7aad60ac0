"""Does it hold on real photos? `make transfer FOLDER=...` writes docs/transfer.md.

Trains networks on photos, on generated people and on both, and tests them on other photos: as they
are, and with cut-outs of other categories over 35 % and 60 % of everybody. A killed run goes on;
what is there is kept: generated people, trainings from their last saved state, one file of results
per arm and seed, apart for every version of the training code and of the config.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch  # noqa: TID253 - it trains
from numpy.typing import NDArray

from benchmarks import generated_people, transfer_photos, transfer_table
from benchmarks.generated_items import ITEMS, MORE
from benchmarks.proof import code
from benchmarks.proofs import ROOT
from benchmarks.ready import trained
from benchmarks.transfer_arms import ARMS, ASKING, GROUPS, ROWS, SIZES, Arm, Row, Size, styles_of
from benchmarks.transfer_photos import fainter, larger, taught, write_labels
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.durable import canonical_json, read_json, replace_file, write_file
from synthstudio.evaluation.localization import pck
from synthstudio.experiment.occluders import FOLDER, split_cutouts
from synthstudio.models.blocks.bank import PoseBank, fuse
from synthstudio.models.blocks.orn import ORN
from synthstudio.models.contract import PoseNet, predict_maps
from synthstudio.models.heatmaps import decode_peak, expected_hits
from synthstudio.models.packaged import TENSORS, WEIGHTS
from synthstudio.training import checkpoint
from synthstudio.training import config as configs
from synthstudio.training.config import NO_AUGMENTATION, Config
from synthstudio.training.data import batches
from synthstudio.training.data.batches import CropSubset, InputSpec, Pictures
from synthstudio.training.data.coco import crop_coco
from synthstudio.training.data.cutouts import Cutouts, load_cutouts
from synthstudio.training.data.pose_pairs import pose_people
from synthstudio.training.data.sources import everybody, load_subset
from synthstudio.training.poses import pose_bank
from synthstudio.training.representations import train_contrastive

FRACTIONS = {"35": 0.35, "60": 0.6}
_BATCH = 125
_TEST_SEED = 77
HELP = """There are no photos in {folder}. It has to hold

  train.json, dev.json   COCO keypoints: people to train on, other people to test on
  images/                their pictures
  cutouts/               RGBA cut-outs in several categories (manifest.json names them)
  natural.json           optional: COCO keypoints with v=1, its pictures in natural/

docs/transfer.md was measured on the LSP extended set (Johnson and Everingham, CVPR 2011;
github.com/axelcarlier/lsp has a copy): 12 joints, 8,000 people in train.json and 1,000 in dev.json.
Its photos may not be redistributed: keep the folder outside every repository."""


class Transfer:
    """One comparison: the photos, its size, and where things are kept."""

    def __init__(self, photos: Path, size: Size, cache: Path) -> None:
        self.photos, self.size = photos, size
        parts: list[Any] = [asdict(size)]
        parts += [hashlib.sha256((photos / f"{n}.json").read_bytes()).hexdigest() for n in PARTS]
        key = hashlib.sha256(canonical_json(parts)).hexdigest()[:12]
        self.folder = cache / key
        self.made = self.folder / f"by-{_short([code(), generated_people.CONFIG.read_text()])}"
        self.crops = cache / "crops"
        self.hiders = self.folder / "hiders"

    def generated(self, item: str = "") -> Path:
        """The folder of the generated people, as they are or changed by an item."""
        own = f"-{item}-{_short((ITEMS | MORE)[item])}" if item else ""
        return self.folder / f"people-{generated_people.digest()}{own}"

    def run_of(self, arm: str, seed: int) -> Path:
        return self.made / "runs" / f"{arm}-{_digest(arm)}-{seed}"

    def result(self, arm: str, seed: int) -> Path:
        return self.made / "results" / f"{arm}-{_digest(arm)}-{seed}.json"

    def prepare(self, arms: Sequence[str], say: Callable[[str], None]) -> None:
        """Part the cut-outs and make the generated people that arms need, unless they are there."""
        if not self.hiders.is_dir():
            self.folder.mkdir(parents=True, exist_ok=True)
            split_cutouts((self.photos / "cutouts").resolve(), self.hiders, seed=0)
        shown = [a for a in map(ARMS.__getitem__, arms) if not a.photos or a.start or a.weight]
        frames = self.size.generated_frames
        for item in dict.fromkeys(arm.item for arm in shown):
            generated_people.generate(self.generated(item), frames=frames, item=item)
            other = f", {'with' if item in MORE else 'without'} {item}" if item else ""
            say(f"{frames} frames of each of {' and '.join(generated_people.SETS)}{other}")

    def cutouts(self, part: str) -> Path:
        return self.hiders / part / FOLDER

    def config(self, name: str, seed: int) -> Config:
        arm, size = ARMS[name], self.size
        file = self.fewer(arm.people) if arm.people else self.photos / "train.json"
        photos = {"coco": str(file), "images": str(self.photos / "images")}
        start = str(self.run_of(arm.start, seed) / "last.safetensors") if arm.start else ""
        own = generated_people.config_for(self.generated(arm.item))
        network = {"block": arm.block, "standardize": own.network.standardize} | arm.network
        network |= size.network
        start = str(WEIGHTS / TENSORS) if arm.large and not arm.scratch else start
        doubled = arm.large and not arm.weight
        if doubled:
            height, width = configs.parse({"train": [photos], "network": network}).network.size
            network["size"] = [2 * height, 2 * width]
        augment: dict[str, Any] = {"paste": 0.5, "cutouts": str(self.cutouts("train"))}
        steps = max(round(arm.steps * size.steps), 1)
        adapt = {} if arm.adapt is None else photos | {"start": arm.adapt, "keep": arm.keep}
        if not (arm.photos or adapt):
            changed = {"seed": seed, "batch": size.batch, "steps": steps, "init_from": start}
            changed |= {"network": own.network.model_dump() | size.network}
            if arm.style:
                asked = arm.style in ASKING
                chances = styles_of(arm.style) | {"photos": str(self.examples()) if asked else ""}
                changed |= {"augment": own.augment.model_dump() | chances}
            own = configs.parse(own.model_dump() | changed)
            if arm.large:
                changed |= larger(own, self.examples())
            if arm.teacher:
                changed |= taught(own, self.labels_by(arm.teacher, seed), self.photos / "images")
            return configs.parse(own.model_dump() | changed)
        if arm.adapt is not None:
            augment = own.augment.model_dump() | augment
        people = [source.model_dump() for source in own.train]
        train = [photos] if arm.photos else people
        if arm.weight:
            train = [photos | {"weight": arm.weight}, *people]
        if arm.photos and arm.teacher:
            others = photos | {"coco": str(self.labels_by(arm.teacher, seed))}
            train = [train[0], *fainter(people, size.generated_frames), others]
        made = configs.parse(
            {
                "name": name,
                "seed": seed,
                "train": train,
                "network": network,
                "augment": augment | arm.augment,
                "batch": size.batch,
                "steps": size.adapt_steps if adapt else steps * (2 if doubled else 1),
                "epochs": 1_000_000,
                "precision": size.precision,
                "device": "cpu",
                "init_from": start,
                "adapt": adapt,
            }
            | ({"lr": arm.lr} if arm.lr else {})
        )
        changed = larger(made, self.examples()) if arm.large and not doubled else {}
        return configs.parse(made.model_dump() | changed)

    def examples(self) -> Path:
        """A folder of some of the photos to train on: how pictures look."""
        return transfer_photos.examples(self.photos, self.folder / "examples")

    def fewer(self, people: int, *, rest: bool = False) -> Path:
        """A COCO file of so many people to train on, or of the rest; the same ones each time."""
        out = self.folder / f"train-{'without-' if rest else ''}{people}.json"
        return transfer_photos.fewer(self.photos, out, people, rest=rest)

    def labels_by(self, arm: str, seed: int) -> Path:
        """Where the COCO file is whose joints an arm's network found in the photos to train on."""
        return self.run_of(arm, seed) / "labels.json"


PARTS = ("train", "dev")


def _digest(arm: str) -> str:
    """Of what an arm is, those that it starts from, and the generated people if one sees them.

    A field that others need does not count.
    """
    chain: list[Any] = []
    usual, people = asdict(Arm()), False
    while arm:
        chain.append({k: v for k, v in asdict(ARMS[arm]).items() if v != usual[k]})
        chain += [(ITEMS | MORE)[ARMS[arm].item]] if ARMS[arm].item else []
        chain += [_digest(ARMS[arm].teacher)] if ARMS[arm].teacher else []
        people |= not ARMS[arm].photos or bool(ARMS[arm].weight)
        arm = ARMS[arm].start
    chain += [generated_people.digest()] if people else []
    return _short(chain)


def _short(value: Any) -> str:
    return hashlib.sha256(canonical_json(value)).hexdigest()[:6]


def run_job(transfer: Transfer, name: str, seed: int) -> None:
    """Train an arm with a seed, or go on with it, and write what each of its rows found."""
    if transfer.result(name, seed).is_file():
        return
    for other in ARMS[name].needs:
        run_job(transfer, other, seed)
    torch.set_num_threads(1)
    config, out = transfer.config(name, seed), transfer.run_of(name, seed)
    if (teacher := ARMS[name].teacher) and not transfer.labels_by(teacher, seed).is_file():
        write_labels(
            transfer.run_of(teacher, seed) / "last.safetensors",
            transfer.fewer(ARMS[name].people, rest=True),
            transfer.photos / "images",
            transfer.labels_by(teacher, seed),
            keep=ARMS[name].keep,
        )
    if ARMS[name].views:
        people = pose_people(config.train, config, cache=transfer.crops)
        net = train_contrastive(people, config, steps=config.steps)
        out.mkdir(parents=True, exist_ok=True)
        checkpoint.save_weights(
            out / "last.safetensors", net, config, skeleton=people.skeleton, note=name
        )
        write_file(transfer.result(name, seed), canonical_json({"rows": {}}))
        return
    trained(
        config, out, crops=transfer.crops, stopped=f"{name}, seed {seed} was stopped: start again"
    )
    _, _, skeleton = checkpoint.load_network(out / "last.safetensors")
    cutouts = load_cutouts(transfer.cutouts("test"))
    tests = {"dev": people_of(transfer.photos, "dev", "images", config, transfer.crops, skeleton)}
    if (transfer.photos / "natural.json").is_file():
        tests["natural"] = people_of(
            transfer.photos, "natural", "natural", config, transfer.crops, skeleton
        )
    found = {}
    for title, row in ((t, row) for t, row in ROWS.items() if row.arm == name):
        net, _, _ = checkpoint.load_network(out / "last.safetensors")
        bank = None
        if row.free or row.photo_poses:
            people, _ = load_subset(config.train[:1], config, transfer.crops)
            count = config.network.bank
            bank = pose_bank(people, skeleton, size=config.network.size, count=count, seed=seed)
        if isinstance(net.block, ORN):
            net.block.last_word = row.last_word
            net.block.bank = bank if row.photo_poses else net.block.bank
            if row.sharpness and net.block.bank is not None:
                net.block.bank.sharpness = row.sharpness
        found[title] = tested(net, tests, config, skeleton, cutouts, row, bank)
    write_file(transfer.result(name, seed), canonical_json({"rows": found}))


def people_of(
    photos: Path, file: str, images: str, config: Config, cache: Path, skeleton: Skeleton
) -> CropSubset:
    """Everybody of a COCO file, with the joints of a network."""
    crops = crop_coco(
        photos / f"{file}.json",
        photos / images,
        size=config.network.size,
        cache=cache,
        progress=lambda done, total: None,
        skeleton=skeleton,
    ).crops
    return everybody(crops)


def tested(
    net: PoseNet,
    tests: dict[str, CropSubset],
    config: Config,
    skeleton: Skeleton,
    cutouts: Cutouts,
    row: Row,
    bank: PoseBank | None,
) -> dict[str, Any]:
    """Joints found and asked for of each person, by what they are."""
    ask = (net.eval(), config, skeleton, cutouts, row, bank)
    found, known, _ = hits(tests["dev"], 0.0, *ask)
    out = {"clean": _counted(found, known)}
    for name, fraction in FRACTIONS.items():
        found, known, hidden = hits(tests["dev"], fraction, *ask)
        out[f"{name} visible"] = _counted(found, known & ~hidden)
        out[f"{name} hidden"] = _counted(found, known & hidden)
    if "natural" in tests:
        found, known, hidden = hits(tests["natural"], 0.0, *ask)
        out["natural visible"] = _counted(found, known & ~hidden)
        out["natural hidden"] = _counted(found, known & hidden)
    return out


def _counted(found: NDArray[np.bool_], asked: NDArray[np.bool_]) -> dict[str, list[int]]:
    return {"hits": (found & asked).sum(1).tolist(), "asked": asked.sum(1).tolist()}


@torch.inference_mode()
def hits(
    people: CropSubset,
    fraction: float,
    net: PoseNet,
    config: Config,
    skeleton: Skeleton,
    cutouts: Cutouts,
    row: Row,
    bank: PoseBank | None,
) -> tuple[NDArray[np.bool_], ...]:
    """Three of (P, J): found within 0.1 of the box's longer side; labelled; hidden.

    `fraction` of everybody's hull is covered by a cut-out, the same one for every network; 0: none.
    """
    augment = NO_AUGMENTATION
    if fraction:
        augment = augment.model_copy(update={"paste": 1.0, "paste_fraction": (fraction, fraction)})
    spec = InputSpec.of(config.network, skeleton)
    flip = torch.from_numpy(skeleton.flip) if row.flip else None
    size = np.array([spec.size[1], spec.size[0]])
    parts = []
    for start in range(0, len(people), _BATCH):
        rows = people.rows[start : start + _BATCH]
        batch = batches.make_batch(
            people.crops, rows, spec, augment, seed=_TEST_SEED, step=start,
            pictures=Pictures(cutouts=cutouts),
        )  # fmt: skip
        maps, _ = predict_maps(net, batch.images, flip=flip)
        if row.free and bank is not None:
            maps = fuse(maps, bank(maps).maps.log())
        joints = decode_peak(maps) if row.peak else expected_hits(maps)
        xy = joints.xy.numpy() * (spec.size[1] / spec.cells[1])
        truth = batch.labels.xy.numpy() * size
        side = people.crops.side[rows].astype(np.float64)
        found = pck(xy.astype(np.float64), truth.astype(np.float64), length=side, at=0.1) > 0
        parts.append((found, batch.labels.known.numpy(), batch.labels.state.numpy() == 1))
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def jobs(seeds: int, arms: Sequence[str]) -> list[tuple[str, int]]:
    """What is trained, in an order in which each starts from what is there."""
    wanted = [name for name in ARMS if name in arms or any(name in ARMS[a].needs for a in arms)]
    return [(name, seed) for seed in range(seeds) for name in wanted]


def run_all(transfer: Transfer, options: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Run what is missing in processes of one thread each; one worker is this process."""
    asked = jobs(transfer.size.seeds, arms_of(options))
    waiting = [job for job in asked if not transfer.result(*job).is_file()]
    total, began = len(waiting), time.monotonic()
    say(f"{total} trainings on {options.workers} processes of one thread")
    if options.workers == 1:
        for name, seed in waiting:
            run_job(transfer, name, seed)
        return
    running: dict[tuple[str, int], subprocess.Popen[bytes]] = {}
    try:
        while waiting or running:
            for job in list(waiting):
                needs = [transfer.result(other, job[1]) for other in ARMS[job[0]].needs]
                if len(running) < options.workers and all(file.is_file() for file in needs):
                    waiting.remove(job)
                    running[job] = _start(job, options)
            time.sleep(0.5)
            for job in [job for job, process in running.items() if process.poll() is not None]:
                if ended := running.pop(job).returncode:
                    raise SystemExit(f"{job[0]}, seed {job[1]} ended with {ended}")
                done = total - len(waiting) - len(running)
                minutes = (time.monotonic() - began) / 60
                say(f"{done} of {total}: {job[0]}, seed {job[1]}, {minutes:.1f} min")
    finally:
        for process in running.values():
            process.terminate()  # a training saves its state and stops
        for process in running.values():
            process.wait()


def arms_of(options: argparse.Namespace) -> Sequence[str]:
    """The arms that are asked for."""
    return options.arm or GROUPS[options.group]


def _start(job: tuple[str, int], options: argparse.Namespace) -> subprocess.Popen[bytes]:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    words = ["--photos", str(options.photos), "--cache", str(options.cache), "--size", options.size]
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.transfer", *words, "--job", f"{job[0]}:{job[1]}"],
        cwd=ROOT,
        env=os.environ | threads,
        start_new_session=True,  # Ctrl-C goes to the parent, which makes each save and stop
    )


def results(transfer: Transfer) -> transfer_table.Found:
    """Read every result that is there: row, then seed."""
    found: transfer_table.Found = {row: [] for row in ROWS}
    for name, seed in ((name, seed) for seed in range(transfer.size.seeds) for name in ARMS):
        if transfer.result(name, seed).is_file():
            for row, counts in read_json(transfer.result(name, seed))["rows"].items():
                found[row].append(counts)
    return {row: seeds for row, seeds in found.items() if seeds}


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "transfer")
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--group", choices=GROUPS, default="main")
    parser.add_argument("--arm", action="append", choices=ARMS, help="only this one; repeat")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "transfer.md")
    parser.add_argument("--log", type=Path, default=ROOT / "docs" / "evidence" / "transfer.log")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    options.photos = options.photos.resolve()
    if not all((options.photos / f"{name}.json").is_file() for name in PARTS):
        print(HELP.format(folder=options.photos), file=sys.stderr)
        return 2
    transfer = Transfer(options.photos, SIZES[options.size], options.cache.resolve())
    if options.job:
        name, seed = options.job.split(":")
        run_job(transfer, name, int(seed))
        return 0
    lines: list[str] = []

    def say(text: str) -> None:
        lines.append(text)
        print(text, flush=True)

    transfer.prepare(arms_of(options), say)
    run_all(transfer, options, say)
    titles = {name: row.title for name, row in ROWS.items()}
    asked = [f"--{name} {getattr(options, name)}" for name in ("size", "group")
             if getattr(options, name) != parser.get_default(name)]  # fmt: skip
    asked += [f"--arm {name}" for name in options.arm or ()]
    more = f' TRANSFER_ARGS="{" ".join(asked)}"' if asked else ""
    page = transfer_table.page(
        results(transfer),
        titles,
        asdict(transfer.size),
        command=f"make transfer FOLDER=photos{more}",
    )
    replace_file(options.out, page.encode())
    say(page)
    replace_file(options.log, ("\n".join(lines) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
