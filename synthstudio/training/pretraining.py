"""Contrastive pretraining of a backbone: codes of poses, learnt from pairs without joints.

Pictures of one moment with other clothes, light or view show the same pose; pictures that recipes
of equal `streams` draw show the same clothes in other poses (docs/research). Poses
and clothes are in the frames' specs. Photos lack them: there a pair is one person in
two augmentations (SimCLR, Chen et al. 2020). Letters: N people, B of a batch, D numbers of a code.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthstudio.core.arrays import F32, I64
from synthstudio.core.errors import ModelError
from synthstudio.core.rng import Generator, stream
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.models.contract import PictureNet, StagedFeatures
from synthstudio.training import checkpoint, devices, optimization
from synthstudio.training.config import Config, Source
from synthstudio.training.data import batches
from synthstudio.training.data.batches import CropSubset, InputSpec
from synthstudio.training.data.crops import Crops
from synthstudio.training.data.samples import Report
from synthstudio.training.data.sources import concatenate, crop_unlabelled, load_subset
from synthstudio.training.evaluation import Step, untimed
from synthstudio.training.networks import build
from synthstudio.training.predictions import people_batches
from synthstudio.training.trainer import check_finite

WEIGHTS = "pretrained.safetensors"
_POSE_FIELDS = ("phenotype", "pose", "yaw_rad")
_LOOK_FIELDS = ("identity", "look", "outfit")
_CODES = 128
_POOLED = (4, 3)
"""Rows and columns that features are averaged to: a pose depends on position."""


class ContrastiveNet(PictureNet):
    """A backbone and a projection head (Chen et al. 2020): images to codes of length one."""

    def __init__(self, features: nn.Module, channels: int) -> None:
        super().__init__()
        self.features = features
        self.normalize_by()
        self.projection = nn.Sequential(
            nn.AdaptiveAvgPool2d(_POOLED),
            nn.Flatten(),
            nn.Linear(channels * _POOLED[0] * _POOLED[1], 2 * _CODES, bias=False),
            nn.BatchNorm1d(2 * _CODES),
            nn.ReLU(inplace=True),
            nn.Linear(2 * _CODES, _CODES),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Codes (B, D) of images (B, 3, H, W), uint8 or from 0 to 1."""
        found = self.features(self.normalized(images))
        maps: Tensor = found.last if isinstance(found, StagedFeatures) else found
        return F.normalize(self.projection(maps).float(), dim=-1)


def info_nce(codes: Tensor, partner: Tensor, pose: Tensor, *, tau: float = 0.1) -> Tensor:
    """The mean over B codes (B, D) of the cross-entropy of finding `partner` (B,) among all others.

    van den Oord et al. 2018, with all codes of the batch as candidates (Chen et al. 2020). `pose`
    (B,) numbers poses: others of the same pose are no candidates. Uninformative codes
    have log N for N candidates.
    """
    rows = torch.arange(len(codes), device=codes.device)
    similarity = codes @ codes.t() / tau
    own = pose[:, None] == pose[None]
    own[rows, partner] = False
    return F.cross_entropy(similarity.masked_fill(own, -torch.inf), partner)


@dataclass(frozen=True, kw_only=True, eq=False)
class PosePeople:
    """N training people. `pose` and `look` (N,) number poses of bodies, and outfits.

    Each person of a photo occurs twice, as the only one of that pose.
    """

    crops: Crops
    rows: I64  # (N,) of the crops
    pose: I64
    look: I64
    skeleton: Skeleton

    def __len__(self) -> int:
        return len(self.rows)


def pose_people(
    sources: Sequence[Source],
    config: Config,
    *,
    cache: Path,
    progress: Report = lambda done, total: None,
) -> PosePeople:
    """The people of data sets, or of photos, with numbers of their poses and looks; ModelError."""
    if any(source.coco for source in sources):
        return _photo_people(sources, config, cache, progress)
    names: list[tuple[str, str]] = []
    for source in sources:
        if not source.dataset:
            raise ModelError(
                "poses are known for data sets only",
                where=source.name,
                expected="dataset, or coco alone: photos",
                then="Generate the recipe into a folder first.",
            )
        crops = load_subset((source,), config, cache, progress)[0].crops
        keys = _spec_hashes(Dataset(source.dataset))
        numbers = zip(crops.frame.tolist(), crops.instance.tolist(), strict=True)
        names += [keys[person] for person in numbers]
    people, skeleton = load_subset(sources, config, cache, progress)
    rows = people.rows
    pose, look = (_numbered(each)[rows] for each in zip(*names, strict=True))
    return PosePeople(crops=people.crops, rows=rows, pose=pose, look=look, skeleton=skeleton)


def _photo_people(
    sources: Sequence[Source], config: Config, cache: Path, progress: Report
) -> PosePeople:
    """All people of photos, labelled or not, twice: a pair is two augmentations of one picture."""
    if others := [source.name for source in sources if not source.coco]:
        raise ModelError(
            "photos and data sets cannot be mixed",
            where=", ".join(others),
            expected="all sources coco, or all dataset",
            then="Pretrain on one, then on the other with init_from.",
        )

    first = crop_unlabelled(sources[0], config, cache, progress)
    skeleton = first.skeleton
    rest = (crop_unlabelled(each, config, cache, progress, skeleton) for each in sources[1:])
    crops = concatenate([first.samples, *(loaded.samples for loaded in rest)])
    rows = np.repeat(np.arange(len(crops)), 2)
    return PosePeople(crops=crops, rows=rows, pose=rows, look=rows, skeleton=skeleton)


def _spec_hashes(dataset: Dataset) -> dict[tuple[int, int], tuple[str, str]]:
    """Hashes of the pose and of the looks of each (frame, instance)."""
    found = {}
    for frame in dataset.iter_frames(["index", "spec"]):
        if frame["spec"] is None:
            raise ModelError(
                "poses are unknown",
                where=f"{dataset.place}, frame {frame['index']}",
                expected="rendered frames, which have a spec",
                got="none",
            )
        for place, person in enumerate(json.loads(frame["spec"])["people"], 1):
            pose, look = (
                hashlib.sha256(json.dumps([person[f] for f in names], sort_keys=True).encode())
                for names in (_POSE_FIELDS, _LOOK_FIELDS)
            )
            found[frame["index"], place] = (pose.hexdigest(), look.hexdigest())
    return found


def _numbered(keys: Sequence[str]) -> I64:
    return np.unique(np.array(keys), return_inverse=True)[1].astype(np.int64)


class PairSampler:
    """Batches of people with a partner in pose and one in clothes; ModelError if there are none."""

    def __init__(self, people: PosePeople) -> None:
        self.people = people
        self.by_pose, self.by_look = _rows_by(people.pose), _rows_by(people.look)
        twice = np.array([len(self.by_pose[int(p)]) > 1 for p in people.pose])
        self.able = np.flatnonzero(twice)
        if len(np.unique(people.pose[self.able])) < 2:
            raise ModelError(
                "fewer than two poses occur twice",
                expected="variants appearance, light or view of two moments at least",
                got=f"{len(people)} people in {len(np.unique(people.pose))} poses",
                then="Generate with `variants` (docs/research/representations.md).",
            )

    def draw(self, rng: Generator, batch: int) -> I64:
        """B rows in groups of four: a person, the same pose in other looks, the first one's looks
        in another pose, that pose in other looks. The partner of row k is row k ^ 1."""
        rows: list[int] = []
        for _ in range(max(batch // 4, 2)):
            first = _any(self.able, rng)
            other = self._other_pose(first, rng)
            rows += [first, self._partner(first, rng), other, self._partner(other, rng)]
        return np.array(rows)

    def _partner(self, row: int, rng: Generator) -> int:
        """A person in the pose of `row`, in other looks if possible."""
        same = self.by_pose[int(self.people.pose[row])]
        dressed = same[self.people.look[same] != self.people.look[row]]
        return _any(dressed if len(dressed) else same[same != row], rng)

    def _other_pose(self, row: int, rng: Generator) -> int:
        """A person in another pose, in the looks of `row` if possible."""
        people = self.people
        same = self.by_look[int(people.look[row])]
        for rows in (np.intersect1d(same, self.able), self.able):
            rows = rows[people.pose[rows] != people.pose[row]]
            if len(rows):
                break
        return _any(rows, rng)


def _any(rows: I64, rng: Generator) -> int:
    return int(rows[rng.integers(len(rows))])


def _rows_by(number: I64) -> dict[int, I64]:
    order = np.argsort(number, kind="stable")
    names, starts = np.unique(number[order], return_index=True)
    return dict(zip(names.tolist(), np.split(order, starts[1:]), strict=True))


@torch.random.fork_rng(devices=[])
def train_contrastive(
    people: PosePeople, config: Config, *, steps: int, progress: Report = lambda done, total: None
) -> ContrastiveNet:
    """Learn codes of poses by InfoNCE; deterministic in people and config."""
    sampler, pose = PairSampler(people), torch.from_numpy(people.pose)
    device = devices.get_device(config.device)
    spec = InputSpec(size=config.network.size, skeleton=people.skeleton)
    torch.manual_seed(config.seed)
    plain = config.network.model_copy(update={"head": "kpe"})
    features: Any = build(plain, people.skeleton).features
    net = ContrastiveNet(features, int(features.channels)).to(device)
    optimizer = optimization.make_optimizer(net, config)
    # Mirrored or rotated poses count as different.
    augment = config.augment.model_copy(update={"flip": 0.0, "rotated": 0.0})
    for step in range(steps):
        net.train()
        optimization.set_lr(optimizer, config, step, steps)
        drawn = sampler.draw(stream(config.seed, "representation", step), config.batch)
        batch = batches.make_batch(
            people.crops, people.rows[drawn], spec, augment, seed=config.seed + 1, step=step
        )
        codes = net(batch.images.to(device).contiguous(memory_format=torch.channels_last))
        partner = torch.arange(len(drawn), device=device) ^ 1
        loss = info_nce(codes, partner, pose[drawn].to(device))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(net.parameters(), optimization.CLIP_NORM)
        check_finite({"contrast": loss.item()}, what="loss", where=f"step {step}")
        optimizer.step()
        progress(step + 1, steps)
    return net.eval()


@torch.inference_mode()
def encoded(net: ContrastiveNet, people: PosePeople, config: Config) -> F32:
    """The codes (N, D) of all people."""
    spec = InputSpec(size=config.network.size, skeleton=people.skeleton)
    device = devices.get_device(config.device)
    subset = CropSubset(crops=people.crops, rows=people.rows, weight=np.ones(len(people)))
    made = (batch.images.to(device) for batch in people_batches(subset, spec))
    return np.concatenate([net(images).float().cpu().numpy() for images in made])


def retrieval(codes: F32, people: PosePeople) -> dict[str, float | int] | None:
    """Retrieve for each person's code (N, D) people in the same pose and other looks, among those
    in the same looks and other poses: `hits`, how often the nearest shows the same pose, and
    `chance`, the fraction of those that do. People without either are no queries; None: all."""
    pose = people.pose[:, None] == people.pose[None]
    look = people.look[:, None] == people.look[None]
    right, wrong = pose & ~look, look & ~pose
    queries = np.flatnonzero(right.any(1) & wrong.any(1))
    nearest = np.where(right | wrong, codes @ codes.T, -np.inf)[queries].argmax(1)
    counts = right[queries].sum(1), wrong[queries].sum(1)
    if not len(queries):
        return None
    chance = counts[0] / (counts[0] + counts[1])
    hits = float(right[queries, nearest].mean())
    return {"hits": hits, "chance": float(chance.mean()), "people": len(queries)}


def pretrain(
    config: Config,
    out: Path,
    *,
    cache: Path,
    log: Callable[[str], None] = lambda line: None,
    step: Step = lambda title: lambda done, total, per_second: None,
) -> dict[str, Any]:
    """Pretrain on a config's people, over its steps or epochs, and write OUT/pretrained.safetensors
    for `init_from`; ModelError."""
    cropping = untimed(step("cropping people"))
    people = pose_people(config.train, config, cache=cache, progress=cropping)
    shown = pose_people(config.val, config, cache=cache, progress=cropping) if config.val else None
    poses, looks = len(np.unique(people.pose)), len(np.unique(people.look))
    count = len(np.unique(people.rows))
    log(f"{count} people in {poses} poses and {looks} appearances")
    steps = config.steps or max(len(people) // config.batch, 1) * config.epochs
    net = train_contrastive(people, config, steps=steps, progress=untimed(step("training")))
    out.mkdir(parents=True, exist_ok=True)  # not made by a cache elsewhere
    weights = out / WEIGHTS
    checkpoint.save_weights(
        weights, net, config, skeleton=people.skeleton, note=f"contrastive, step {steps}"
    )
    return {
        "weights": str(weights),
        "people": count,
        "poses": poses,
        "looks": looks,
        "steps": steps,
        "retrieval": retrieval(encoded(net, shown, config), shown) if shown is not None else None,
    }
