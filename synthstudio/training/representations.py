"""Learning what a pose is without a joint: pairs of people of the same pose, and of the same looks.

Of photos, where nobody tells, the pair is one person in two augmentations.

Pictures of one moment with other clothes, light or view show the same pose; pictures that recipes
of equal `streams` draw show the same clothes in other poses (docs/representations.md). Who shows
which pose in which clothes stands in the frames' specs. Letters: N people, B of a batch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthstudio.core.errors import ModelError
from synthstudio.core.rng import Generator, stream
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.models.representations import (
    ContrastiveNet,
    Disentangler,
    covariance_loss,
    info_nce,
    picture_loss,
)
from synthstudio.training import checkpoint, devices, optimization
from synthstudio.training.config import NO_AUGMENTATION, Augment, Config, Source
from synthstudio.training.data import batches
from synthstudio.training.data.batches import Batch, InputSpec
from synthstudio.training.data.crops import CroppedSource, Crops
from synthstudio.training.data.sources import concatenate, load_subset
from synthstudio.training.data.unlabelled import crop_unlabelled
from synthstudio.training.networks import build_network
from synthstudio.training.trainer import check_finite

I64 = NDArray[np.int64]
F32 = NDArray[np.float32]
Report = Callable[[int, int, str], None]
Net = TypeVar("Net", bound=nn.Module)
WEIGHTS = "pretrained.safetensors"
Step = Callable[[str], Callable[[int, int, float], None]]
Show = Callable[[I64, Augment], Batch]
"""Augmented pictures, and labels, of people by their rows (B,)."""
_CODES = 128
_COVARIANCE = 1.0
_PART = 128
_ALIKE = ("phenotype", "pose", "yaw_rad")
_WORN = ("identity", "look", "outfit")


@dataclass(frozen=True, kw_only=True, eq=False)
class PosePeople:
    """N people to learn from. `pose` and `look` (N,) number poses of bodies, and who wears what.

    Of photos each person is there twice, alone with their pose.
    """

    crops: Crops
    rows: I64  # (N,) of the crops
    pose: I64
    look: I64
    skeleton: Skeleton

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: I64 | NDArray[np.bool_]) -> PosePeople:
        return replace(self, rows=self.rows[index], pose=self.pose[index], look=self.look[index])


def pose_people(
    sources: Sequence[Source],
    config: Config,
    *,
    cache: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PosePeople:
    """The people of data sets with what tells their poses and looks apart, or those of photos.

    ModelError for other sources, for both together, and for people of whom no spec tells.
    """
    if any(source.coco for source in sources):
        return _photo_people(sources, config, cache, progress)
    poses: list[str] = []
    looks: list[str] = []
    for source in sources:
        if not source.dataset:
            raise ModelError(
                "only data sets tell who shows the same pose",
                where=source.name,
                expected="dataset, or coco alone: photos",
                then="Generate the recipe into a folder first.",
            )
        crops = load_subset((source,), config, cache, progress)[0].crops
        keys = _keys(Dataset(source.dataset))
        for person in zip(crops.frame.tolist(), crops.instance.tolist(), strict=True):
            pose, look = keys[person]
            poses.append(pose)
            looks.append(look)
    people, skeleton = load_subset(sources, config, cache, progress)
    return PosePeople(
        crops=people.crops,
        rows=people.rows,
        pose=_numbered(poses)[people.rows],
        look=_numbered(looks)[people.rows],
        skeleton=skeleton,
    )


def _photo_people(
    sources: Sequence[Source],
    config: Config,
    cache: Path,
    progress: Callable[[int, int], None],
) -> PosePeople:
    """Everybody in photos, labelled or not, twice: nobody else is known to show their pose, so the
    pair is two augmentations of one picture (SimCLR, Chen et al. 2020)."""
    if others := [source.name for source in sources if not source.coco]:
        raise ModelError(
            "photos and data sets are not learnt from together",
            where=", ".join(others),
            expected="all sources coco, or all dataset",
            then="Pretrain on the one, then on the other with init_from.",
        )

    def crop(source: Source, skeleton: Skeleton | None = None) -> CroppedSource:
        return crop_unlabelled(
            source.coco, source.images, config, cache=cache, skeleton=skeleton, progress=progress
        )

    first = crop(sources[0])
    skeleton = first.skeleton
    crops = concatenate([first.crops, *(crop(source, skeleton).crops for source in sources[1:])])
    rows = np.repeat(np.arange(len(crops)), 2)
    return PosePeople(crops=crops, rows=rows, pose=rows, look=rows, skeleton=skeleton)


def _keys(dataset: Dataset) -> dict[tuple[int, int], tuple[str, str]]:
    """Hashes of the pose and of the looks of each (frame, instance); people of a spec alone."""
    found = {}
    for frame in dataset.iter_frames(["index", "spec"]):
        if frame["spec"] is None:
            raise ModelError(
                "nobody knows who shows the same pose",
                where=f"{dataset.place}, frame {frame['index']}",
                expected="rendered frames, which have a spec",
                got="none",
            )
        for place, person in enumerate(json.loads(frame["spec"])["people"], 1):
            found[frame["index"], place] = (_hash(person, _ALIKE), _hash(person, _WORN))
    return found


def _hash(person: dict[str, Any], fields: Sequence[str]) -> str:
    told = json.dumps([person[name] for name in fields], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def _numbered(keys: Sequence[str]) -> I64:
    return np.unique(np.array(keys), return_inverse=True)[1].astype(np.int64)


def shuffled(people: PosePeople, *, seed: int = 0) -> PosePeople:
    """The same people, each with somebody's pose: what pairs without meaning teach."""
    order = stream(seed, "shuffled poses").permutation(len(people))
    return replace(people, pose=people.pose[order])


@dataclass(frozen=True, kw_only=True)
class Quads:
    """B rows, four after one another: somebody, the same pose in other looks, the first one's
    looks in another pose, that pose in other looks. `partner` (B,) is each one's place of the same
    pose."""

    rows: I64
    partner: I64


class PairSampler:
    """Draws batches of people so that each has its pose once more, and its clothes in another.

    ModelError when no pose is shown twice.
    """

    def __init__(self, people: PosePeople) -> None:
        self.people = people
        self.by_pose, self.by_look = _rows_by(people.pose), _rows_by(people.look)
        twice = np.array([len(self.by_pose[int(p)]) > 1 for p in people.pose])
        self.able = np.flatnonzero(twice)
        if len(np.unique(people.pose[self.able])) < 2:
            raise ModelError(
                "no two poses are shown twice",
                expected="variants appearance, light or view of two moments at least",
                got=f"{len(people)} people in {len(np.unique(people.pose))} poses",
                then="Generate with `variants` (docs/representations.md).",
            )

    def draw(self, rng: Generator, batch: int) -> Quads:
        rows: list[int] = []
        for _ in range(max(batch // 4, 2)):
            first = self._any(self.able, rng)
            other = self._other_pose(first, rng)
            rows += [first, self._partner(first, rng), other, self._partner(other, rng)]
        return Quads(rows=np.array(rows), partner=np.arange(len(rows)) ^ 1)

    def _partner(self, row: int, rng: Generator) -> int:
        """Somebody in the pose of `row`, in other looks where there are."""
        same = self.by_pose[int(self.people.pose[row])]
        dressed = same[self.people.look[same] != self.people.look[row]]
        return self._any(dressed if len(dressed) else same[same != row], rng)

    def _other_pose(self, row: int, rng: Generator) -> int:
        """Somebody in another pose, in the looks of `row` where there are."""
        people = self.people
        same = self.by_look[int(people.look[row])]
        for rows in (np.intersect1d(same, self.able), self.able):
            rows = rows[people.pose[rows] != people.pose[row]]
            if len(rows):
                break
        return self._any(rows, rng)

    @staticmethod
    def _any(rows: I64, rng: Generator) -> int:
        return int(rows[rng.integers(len(rows))])


def _rows_by(number: I64) -> dict[int, I64]:
    order = np.argsort(number, kind="stable")
    names, starts = np.unique(number[order], return_index=True)
    return dict(zip(names.tolist(), np.split(order, starts[1:]), strict=True))


def contrastive_net(config: Config, skeleton: Skeleton) -> ContrastiveNet:
    """A config's backbone with a projection head, as its seed has it."""
    torch.manual_seed(config.seed)
    features, channels = _backbone(config, skeleton)
    return ContrastiveNet(features, channels, width=_CODES)


def train_contrastive(
    people: PosePeople, config: Config, *, steps: int, progress: Report = lambda *told: None
) -> ContrastiveNet:
    """Learn codes of poses by InfoNCE; the same people and config give the same weights."""
    sampler = PairSampler(people)
    net = contrastive_net(config, people.skeleton)
    pose = torch.from_numpy(people.pose)
    # A mirrored pose is another one, and a half body's may be anybody's.
    augment = config.augment.model_copy(update={"flip": 0.0, "half_body": 0.0})

    def loss(show: Show, rng: Generator) -> dict[str, Tensor]:
        drawn = sampler.draw(rng, config.batch)
        codes = net(show(drawn.rows, augment).images)
        partner = torch.from_numpy(drawn.partner).to(codes.device)
        return {"contrast": info_nce(codes, partner, pose[drawn.rows].to(codes.device))}

    return train_steps(net, loss, people, config, steps=steps, progress=progress)


def disentangler(config: Config, skeleton: Skeleton, *, gaussians: int = 24) -> Disentangler:
    """A config's backbone with codes of pose and looks and their decoder, as its seed has it."""
    torch.manual_seed(config.seed)
    features, channels = _backbone(config, skeleton)
    return Disentangler(features, channels, cells=config.network.cells, gaussians=gaussians)


def _backbone(config: Config, skeleton: Skeleton) -> tuple[nn.Module, int]:
    """A config's backbone with random or pretrained weights, and its channels."""
    plain = config.network.model_copy(update={"block": "kpe"})
    features: Any = build_network(plain, skeleton, bank=None).features
    return features, int(features.channels)


def train_disentangled(
    people: PosePeople,
    config: Config,
    *,
    steps: int,
    swapped: bool = True,
    progress: Report = lambda *told: None,
) -> Disentangler:
    """Learn to draw somebody from another picture of their pose and another one of their looks.

    Not `swapped`, the control: both codes are of the picture that is to be drawn.
    """
    sampler = PairSampler(people)
    net = disentangler(config, people.skeleton)

    def loss(show: Show, rng: Generator) -> dict[str, Tensor]:
        # All pictures are as the camera saw them: places are what the codes are about.
        drawn = sampler.draw(rng, 2 * config.batch).rows.reshape(-1, 4)
        shown, posed = (show(drawn[:, k::2].ravel(), NO_AUGMENTATION).images for k in (0, 1))
        true = shown.float() / 255
        pose = net.encode_pose(posed if swapped else shown)
        looks = net.encode_looks(shown)
        # Of each four the first and the third wear the same.
        worn = looks.view(-1, 2, looks.shape[-1]).flip(1).flatten(0, 1) if swapped else looks
        # The pose that a looks' code is not to tell is its own picture's, shown by a partner too.
        own = pose.xy.detach().flatten(1)
        return {
            "picture": picture_loss(net.picture(pose, worn), true),
            "covariance": _COVARIANCE * covariance_loss(own, looks),
        }

    return train_steps(net, loss, people, config, steps=steps, progress=progress)


def train_steps(
    net: Net,
    loss: Callable[[Show, Generator], dict[str, Tensor]],
    people: PosePeople,
    config: Config,
    *,
    steps: int,
    progress: Report = lambda *told: None,
) -> Net:
    """Take a config's optimizer's steps on the terms that `loss` gives of the people shown.

    Everything random comes from (seed, step).
    """
    device = devices.get_device(config.device)
    spec = InputSpec.of(config.network, people.skeleton)
    net = net.to(device)
    optimizer = optimization.make_optimizer(net, config)
    for step in range(steps):
        shown = 0

        def show(rows: I64, augment: Augment, step: int = step) -> Batch:
            nonlocal shown
            shown += 1
            made = batches.make_batch(
                people.crops, people.rows[rows], spec, augment, seed=config.seed + shown, step=step
            )
            images = made.images.to(device).contiguous(memory_format=torch.channels_last)
            return replace(made, images=images)

        net.train()
        optimization.set_lr(optimizer, config, step, steps)
        terms = loss(show, stream(config.seed, "representation", step))
        total = torch.stack(list(terms.values())).sum()
        optimizer.zero_grad()
        torch.autograd.backward(total)
        nn.utils.clip_grad_norm_(net.parameters(), config.clip_norm)
        check_finite({k: v.item() for k, v in terms.items()}, what="loss", where=f"step {step}")
        optimizer.step()
        text = " ".join(f"{name} {value.item():.3f}" for name, value in terms.items())
        progress(step + 1, steps, text)
    return net.eval()


@torch.inference_mode()
def encoded(encode: Callable[[Tensor], Tensor], people: PosePeople, config: Config) -> F32:
    """What `encode` makes of everybody's picture (N, 3, H, W), in parts: (N, ...)."""
    spec, device = InputSpec.of(config.network, people.skeleton), devices.get_device(config.device)
    out = []
    for start in range(0, len(people), _PART):
        rows = people.rows[start : start + _PART]
        made = batches.make_batch(people.crops, rows, spec, NO_AUGMENTATION)
        out.append(encode(made.images.to(device)).float().cpu().numpy())
    return np.concatenate(out)


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """`hits` (Q,): whether the nearest candidate of each of Q people shows their pose; `chance`
    (Q,): how many of the candidates do; `queries` (Q,) are rows of the people."""

    hits: NDArray[np.bool_]
    chance: NDArray[np.float64]
    queries: I64

    def summary(self) -> dict[str, float | int]:
        """Shares of hits and of right candidates, and how many ask."""
        return {
            "hits": float(self.hits.mean()),
            "chance": float(self.chance.mean()),
            "people": len(self.hits),
        }


def retrieval(codes: F32, people: PosePeople, *, same_look: bool = True) -> Retrieval:
    """Ask of each person (N, D) who shows their pose in other looks.

    Candidates that do not are, with `same_look`, only those in the looks of the asking, in other
    poses; else everybody else. The asking's own pose in their own looks is no candidate. Who has
    no right candidate, or no wrong one in their looks, does not ask.
    """
    pose = people.pose[:, None] == people.pose[None]
    look = people.look[:, None] == people.look[None]
    right, alike = pose & ~look, look & ~pose
    wrong = alike if same_look else ~pose
    asks = np.flatnonzero(right.any(1) & alike.any(1))
    nearness = np.where(right | wrong, codes @ codes.T, -np.inf)[asks]
    nearest = nearness.argmax(1)
    many = right[asks].sum(1), wrong[asks].sum(1)
    return Retrieval(hits=right[asks, nearest], chance=many[0] / (many[0] + many[1]), queries=asks)


def pretrain(
    config: Config,
    out: Path,
    *,
    cache: Path,
    say: Callable[[str], None] = lambda line: None,
    step: Step = lambda title: lambda done, total, per_second: None,
) -> dict[str, Any]:
    """Learn from a config's training people, and write OUT/pretrained.safetensors for `init_from`.

    Steps are the config's, or its epochs over all of them. ModelError for what does not fit.
    """
    report = step("cropping people")

    def cropping(done: int, total: int) -> None:
        report(done, total, 0.0)

    people = pose_people(config.train, config, cache=cache, progress=cropping)
    shown = pose_people(config.val, config, cache=cache, progress=cropping) if config.val else None
    poses, looks = len(np.unique(people.pose)), len(np.unique(people.look))
    count = len(np.unique(people.rows))
    say(f"{count} people in {poses} poses and {looks} looks")
    steps = config.steps or max(len(people) // config.batch, 1) * config.epochs
    bar = step("training")
    net = train_contrastive(
        people, config, steps=steps, progress=lambda done, total, text: bar(done, total, 0.0)
    )
    out.mkdir(parents=True, exist_ok=True)  # a cache elsewhere did not
    weights = out / WEIGHTS
    checkpoint.save_weights(
        weights, net, config, skeleton=people.skeleton, note=f"contrastive, step {steps}"
    )
    told = retrieval(encoded(net, shown, config), shown) if shown is not None else None
    return {
        "weights": str(weights),
        "people": count,
        "poses": poses,
        "looks": looks,
        "steps": steps,
        "retrieval": told.summary() if told is not None and len(told.hits) else None,
    }
