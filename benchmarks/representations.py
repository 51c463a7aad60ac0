"""What learning poses without joints is worth: `python -m benchmarks.representations`.

Copies of scenes/same_clothes.yaml with other poses each are made in --out, once. Then: how often
the nearest code is of the same pose, among the same clothes in other poses, and after training on
shuffled pairs; and whether pictures of one's pose in another's looks (--swap) follow the pose of
the one and the colours of the other, by a pose network that was trained on pictures alone. Prints
the tables of docs/representations.md, and with --picture draws the one there.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synthstudio.api.progress import progress_steps
from synthstudio.api.recipes import scene_file
from synthstudio.body.pose_library import library
from synthstudio.core.images import encode_png
from synthstudio.core.rng import Generator
from synthstudio.dataset.durable import write_file
from synthstudio.evaluation.localization import pck
from synthstudio.generation.pipeline import generate
from synthstudio.generation.stage import prepare
from synthstudio.models.contract import PoseNet
from synthstudio.models.heatmaps import expected_hits
from synthstudio.models.losses import map_loss
from synthstudio.models.representations import Disentangler
from synthstudio.recipe.schema.load import dump, load, parse
from synthstudio.training import config as configs
from synthstudio.training.config import NO_AUGMENTATION, Config
from synthstudio.training.data import batches
from synthstudio.training.data.batches import InputSpec
from synthstudio.training.data.pose_pairs import PosePeople, pose_people, shuffled
from synthstudio.training.networks import build_network
from synthstudio.training.representations import (
    Show,
    contrastive_net,
    encoded,
    retrieval,
    train_contrastive,
    train_disentangled,
    train_steps,
)

F64 = NDArray[np.float64]
COPIES = 6
ASKING = ("base", "appearance", "light", "view")


def make_sets(out: Path, *, frames: int) -> list[Path]:
    """Copies of the scene, which share people and light, each with its own part of the poses."""
    file = scene_file("same_clothes.yaml")
    fields = dump(load(file))
    families = fields["people"]["poses"]["families"]
    names = [
        pose.name
        for pose in library()
        if pose.family in families and pose.needs == "floor" and not (pose.holds or pose.leans)
    ]
    sets = []
    with progress_steps() as step:
        for k in range(COPIES):
            poses = {**fields["people"]["poses"], "families": None}
            poses["names"] = dict.fromkeys(names[k::COPIES], 1.0)
            own = {**fields, "frames": frames, "people": {**fields["people"], "poses": poses}}
            generate(
                prepare(parse(own), assets=file.parent, device="cpu"),
                out / f"poses-{k}",
                resume=True,
                on_progress=step(f"poses {k + 1} of {COPIES}"),
            )
            sets.append(out / f"poses-{k}")
    return sets


def config(sets: list[Path], **changes: object) -> Config:
    network = {"block": "kpe", "size": [64, 48], "widths": [16, 32, 64, 64], "width": 32}
    fields = {
        "train": [{"dataset": str(path), "splits": ["train"]} for path in sets],
        "network": network,
        "augment": {"rotation_deg": 10, "colour": 0.4, "grey": 0.3},
        "batch": 64,
        "device": "cpu",
    }
    return configs.parse(fields | changes)


def joints_of(people: PosePeople) -> F64:
    """Joints (N, J, 2) in pixels of the canvas."""
    return people.crops.xy[people.rows].astype(np.float64)


def probe(code: F64, joints: F64, test_code: F64, test_joints: F64) -> float:
    """R^2 of joints (N, J, 2) predicted linearly, by ridge regression, from codes (N, D)."""
    mean, sd = code.mean(0), code.std(0) + 1e-6
    known, asked = ((c - mean) / sd for c in (code, test_code))
    truth, middle = joints.reshape(len(joints), -1), joints.reshape(len(joints), -1).mean(0)
    gram = known.T @ known + 1e-3 * len(known) * np.eye(known.shape[1])
    found = asked @ np.linalg.solve(gram, known.T @ (truth - middle))
    off = test_joints.reshape(len(test_joints), -1) - middle
    return float(1 - ((off - found) ** 2).sum() / ((off - off.mean(0)) ** 2).sum())


@dataclass(frozen=True, kw_only=True)
class Swap:
    """N pictures (N, H, W, 3) uint8 drawn of the poses of people `posed` in the looks of `dressed`
    (both (N,) rows)."""

    pictures: NDArray[np.uint8]
    posed: NDArray[np.int64]
    dressed: NDArray[np.int64]


def swaps(net: Disentangler, people: PosePeople, settings: Config, *, turn: int) -> Swap:
    """Everybody in the looks of somebody `turn` rows further, of another moment."""
    posed = np.arange(len(people))
    dressed = np.roll(posed, -turn)
    group = people.crops.group[people.rows]
    frame = people.crops.frame[people.rows]
    apart = (group[posed] != group[dressed]) & (frame[posed] != frame[dressed])
    posed, dressed = posed[apart], dressed[apart]
    own = pictures(people, settings)
    with torch.inference_mode():
        parts = [
            net(
                torch.from_numpy(own[posed[k : k + 64]]), torch.from_numpy(own[dressed[k : k + 64]])
            )
            for k in range(0, len(posed), 64)
        ]
    made = (torch.cat(parts).clamp(0, 1) * 255).round().byte().numpy()
    return Swap(pictures=made.transpose(0, 2, 3, 1), posed=posed, dressed=dressed)


def pictures(people: PosePeople, settings: Config) -> NDArray[np.uint8]:
    """Everybody as networks see them, (N, 3, H, W)."""
    spec = InputSpec.of(settings.network, people.skeleton)
    return batches.make_batch(people.crops, people.rows, spec, NO_AUGMENTATION).images.numpy()


def train_judge(people: PosePeople, settings: Config, *, steps: int) -> PoseNet:
    """A pose network that learns from people's pictures and joints, and knows of no codes."""
    torch.manual_seed(settings.seed)
    net = build_network(settings.network, people.skeleton, bank=None)

    def loss(show: Show, rng: Generator) -> dict[str, Tensor]:
        batch = show(rng.integers(0, len(people), settings.batch), settings.augment)
        return {"map": map_loss(net(batch.images).logits[-1], batch.labels)}

    return train_steps(net, loss, people, settings, steps=steps)


def found_joints(judge: PoseNet, images: NDArray[np.uint8]) -> F64:
    """Joints (N, J, 2) as shares of the picture, of pictures (N, H, W, 3)."""
    with torch.inference_mode():
        maps = judge(torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))).maps
        found = expected_hits(maps).xy.double().numpy()
    return np.asarray(found / np.array(maps.shape[:1:-1]))


def pose_followed(judge: PoseNet, swap: Swap, people: PosePeople, settings: Config) -> F64:
    """PCK@0.1 of what the judge finds in swapped pictures: by the joints of the pose's person, and
    of the looks' person. Lengths are relative to the picture's height."""
    spec = InputSpec.of(settings.network, people.skeleton)
    labels = batches.make_batch(people.crops, people.rows, spec, NO_AUGMENTATION).labels
    size = np.array([spec.size[1], spec.size[0]]) / spec.size[0]
    true, found = labels.xy.double().numpy() * size, found_joints(judge, swap.pictures) * size
    known = labels.known.numpy()
    out = []
    for rows in (swap.posed, swap.dressed):
        hits = pck(found, true[rows], length=np.ones(len(rows)), at=0.1)
        out.append(hits[known[rows]].mean())
    return np.array(out)


def colours_followed(swap: Swap, own: NDArray[np.uint8]) -> float:
    """How often the colours of a swapped picture are nearer to the looks' than to the pose's
    picture: by the earth mover's distance of each channel's histogram."""
    drawn = _histograms(swap.pictures)
    known = _histograms(own.transpose(0, 2, 3, 1))
    to_looks, to_pose = (
        np.abs(drawn - known[rows]).sum((1, 2)) for rows in (swap.dressed, swap.posed)
    )
    return float((to_looks < to_pose).mean())


def _histograms(images: NDArray[np.uint8]) -> F64:
    """Cumulative histograms (N, 3, 256) of pictures (N, H, W, 3)."""
    flat = images.reshape(len(images), -1, 3).transpose(0, 2, 1)
    counts = np.array([[np.bincount(c, minlength=256) for c in picture] for picture in flat])
    return np.asarray(np.cumsum(counts, -1) / flat.shape[-1])


def sheet(swap: Swap, own: NDArray[np.uint8], *, count: int = 8, zoom: int = 2) -> bytes:
    """A PNG: people whose pose it is, people whose looks, and what was drawn of both."""
    chosen = np.linspace(0, len(swap.posed) - 1, count).astype(int)
    shown = own.transpose(0, 2, 3, 1)
    rows = (shown[swap.posed[chosen]], shown[swap.dressed[chosen]], swap.pictures[chosen])
    whole = np.concatenate([np.concatenate(list(row), 1) for row in rows], 0)
    return encode_png(np.ascontiguousarray(whole.repeat(zoom, 0).repeat(zoom, 1)))


def contrastive_table(
    train: PosePeople, test: PosePeople, settings: Config, *, steps: int
) -> dict[str, dict[str, float]]:
    """Retrieval@1 of held-out people by how codes were learnt, and by who asks; and chance.

    Shuffled pairs get a third of the steps: their loss is that of blind choice from the first on.
    """
    arms: dict[str, Callable[[], torch.nn.Module]] = {
        "random weights": lambda: contrastive_net(settings, train.skeleton).eval(),
        "shuffled pairs": lambda: train_contrastive(shuffled(train), settings, steps=steps // 3),
        "pairs": lambda: train_contrastive(train, settings, steps=steps),
    }
    found: dict[str, dict[str, float]] = {}
    for name, learn in arms.items():
        codes = encoded(learn(), test, settings)
        for among, same_look in (("same clothes", True), ("everybody", False)):
            told = retrieval(codes, test, same_look=same_look)
            variant = test.crops.variant[test.rows[told.queries]]
            row = found.setdefault(f"{name}, {among}", {})
            row |= {kind: told.hits[variant == kind].mean() for kind in ASKING}
            row |= {"all": told.hits.mean(), "chance": told.chance.mean()}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("exports/same_clothes"))
    parser.add_argument("--frames", type=int, default=400, help="pictures of each copy")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--swap", action="store_true", help="the swap test instead")
    parser.add_argument("--picture", type=Path, help="where --swap draws its picture")
    options = parser.parse_args()
    torch.set_num_threads(1)
    sets = make_sets(options.out, frames=options.frames)
    settings = config(sets)
    cache = options.out / "crops"
    train = pose_people(settings.train, settings, cache=cache)
    held_out = [s.model_copy(update={"splits": ("test",)}) for s in settings.train]
    test = pose_people(held_out, settings, cache=cache)
    print(f"{len(train)} people in {len(np.unique(train.pose))} poses, {len(test)} to test")
    if options.swap:
        swap_test(train, test, settings, steps=options.steps, picture=options.picture)
        return
    table = contrastive_table(train, test, settings, steps=options.steps)
    columns = [*ASKING, "all", "chance"]
    print("| retrieval@1, % | " + " | ".join(columns) + " |")
    print("|---|" + "---|" * len(columns))
    for name, row in table.items():
        print(f"| {name} | " + " | ".join(f"{100 * row[c]:.1f}" for c in columns) + " |")


def swap_test(
    train: PosePeople, test: PosePeople, settings: Config, *, steps: int, picture: Path | None
) -> None:
    judge = train_judge(train, settings, steps=steps)
    own = pictures(test, settings)
    print("| % | pose from pose code, R² | from looks, R² | PCK by A | by B | colours as B's |")
    print("|---|---|---|---|---|---|")
    for name, swapped in (("pose and looks apart", True), ("one picture for both", False)):
        net = train_disentangled(train, settings, steps=steps, swapped=swapped)
        codes = (
            lambda images, net=net: net.encode_pose(images).xy.flatten(1),
            net.encode_looks,
        )
        told = [
            probe(
                encoded(code, train, settings).astype(np.float64),
                joints_of(train),
                encoded(code, test, settings).astype(np.float64),
                joints_of(test),
            )
            for code in codes
        ]
        swap = swaps(net, test, settings, turn=len(test) // 2 + 1)
        follows = pose_followed(judge, swap, test, settings)
        cells = [f"{v:.2f}" for v in told] + [f"{100 * v:.1f}" for v in follows]
        print(f"| {name} | {' | '.join(cells)} | {100 * colours_followed(swap, own):.1f} |")
        if swapped and picture is not None:
            write_file(picture, sheet(swap, own))


if __name__ == "__main__":
    main()
