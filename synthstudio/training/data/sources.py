"""The samples of a training run, people or whole frames, of one or more sources.

Everything is checked before the first step.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from torch.utils.data import ConcatDataset

from synthstudio.core.arrays import F64, I64, U8, Array, Bool
from synthstudio.core.errors import ModelError
from synthstudio.core.labels import STATE_HIDDEN, STATE_VISIBLE
from synthstudio.core.places import parse_place
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.visibility import is_labelled
from synthstudio.dataset.rows import NO_STATE
from synthstudio.dataset.splits import shared_notes
from synthstudio.training.config import Config, Source
from synthstudio.training.data.augment import load_photos
from synthstudio.training.data.batches import NO_PICTURES, CropSubset, InputSpec, Pictures
from synthstudio.training.data.crops import Crops, crop_kind
from synthstudio.training.data.frames import Frames, FrameSubset, frame_kind
from synthstudio.training.data.samples import (
    Kind,
    Loaded,
    Report,
    load_coco,
    load_dataset,
)
from synthstudio.training.data.streamed import StreamedPeople, open_stream
from synthstudio.transforms.pasting import Cutouts, load_cutouts

if TYPE_CHECKING:
    from synthstudio.training.data.rendered import RenderedPeople

_OpenSource = tuple[Source, "Loaded[Any] | RenderedPeople"]
_BODY = 0.7
"""The ellipse in a box that replaces unlabelled joints for pasting."""
Samples = TypeVar("Samples", CropSubset, FrameSubset)


@dataclass(frozen=True, kw_only=True)
class TrainingData(Generic[Samples]):
    """The samples of a run. `key` is a hash of all of it.

    `train` is the first epoch's; `later_epoch` returns those of another one if people are rendered
    during training, and is None if all epochs share them. `close` ends rendering. With
    a `stream`, `train` are labels of some people, without pictures. `balance` (4,) weights rare
    causes up. `pictures`: augmentation's external pictures.
    """

    train: Samples
    val: Samples | None
    spec: InputSpec
    key: str
    pictures: Pictures = NO_PICTURES
    balance: F64 = dataclasses.field(default_factory=lambda: np.ones(4))
    later_epoch: Callable[[int], Samples] | None = None
    stream: StreamedPeople | None = None
    close: Callable[[], None] = lambda: None

    @property
    def skeleton(self) -> Skeleton:
        return self.spec.skeleton

    def __len__(self) -> int:
        return len(self.train if self.stream is None else self.stream)

    def of_epoch(self, epoch: int) -> Samples:
        """The samples of an epoch; epochs must be requested in rising order."""
        return self.train if self.later_epoch is None or not epoch else self.later_epoch(epoch)


def overfit_subset(data: TrainingData[Any], count: int, *, repeats: int = 50) -> TrainingData[Any]:
    """The first `count` samples alone, repeated so that validation does not follow every step."""
    if data.stream is None:
        val = data.train.take(np.arange(min(count, len(data))))
    else:
        val = data.stream.first(min(count, len(data)))
    train = val.take(np.tile(np.arange(len(val)), repeats))
    key = hashlib.sha256(f"{data.key} first {len(val)}".encode()).hexdigest()
    return dataclasses.replace(data, train=train, val=val, key=key, later_epoch=None, stream=None)


def fast_dev_run_subset(data: TrainingData[Any], *, batch: int) -> TrainingData[Any]:
    """Validate on one batch only (--fast-dev-run)."""
    if data.val is None:
        return data
    return dataclasses.replace(data, val=data.val.take(np.arange(min(batch, len(data.val)))))


def load_data(
    config: Config,
    *,
    cache: Path,
    log: Callable[[str], None],
    progress: Report = lambda done, total: None,
) -> TrainingData[Any]:
    """The people or frames that a config names; `close` it after use. ModelError for incompatible
    sources; FormatError, RecipeError for invalid input."""
    stream = open_stream(config, cache=cache, progress=progress) if config.streamed else None
    named = () if stream is not None else config.train
    with ExitStack() as kept, ExitStack() as before:
        train = _open(kept, named, config, cache, progress, split="train")
        skeleton = train[0][1].skeleton if stream is None else stream.reader.skeleton
        val = _open(before, config.val, config, cache, progress, split="val", skeleton=skeleton)
        val_subset = _subset(val, 0) if val else None
        learnt = _subset(train, 0) if stream is None else stream.labels
        pictures = load_pictures(config)
        rendering = kept.pop_all()
    notes = [(source.name, note) for source, opened in (*train, *val) for note in opened.notes]
    for name, note in (*(() if stream is None else stream.notes), *notes):
        log(f"{name}: {note}")
    sets = (s.dataset for s in (*config.train, *config.val) if s.dataset)
    for note in shared_notes(map(parse_place, sets)):
        log(note)
    for source in config.val:
        if any(source.overlaps(other) for other in config.train):
            log(f"{source.name}: people to train on are also validated on: name another split")
        if "test" in source.splits:
            log(f"{source.name}: the test split chooses the best weights: name another for val")
    unit = "frames" if config.network.sees_frames else "people"
    count = 0 if val_subset is None else len(val_subset)
    log(f"{len(learnt if stream is None else stream)} {unit} to train on, {count} to validate on")
    more = [_joined_key(val)] if val else []
    more += [used.key for used in (pictures.cutouts, pictures.photos) if used]
    return TrainingData(
        train=learnt,
        val=val_subset,
        spec=InputSpec(size=config.network.size, skeleton=skeleton),
        key=functools.reduce(
            lambda key, other: hashlib.sha256(f"{key} {other}".encode()).hexdigest(),
            more,
            _joined_key(train) if stream is None else stream.key,
        ),
        balance=_cause_balance(learnt),
        pictures=pictures,
        later_epoch=functools.partial(_subset, train) if any(s.recipe for s, _ in train) else None,
        close=rendering.close,
        stream=stream,
    )


def crop_unlabelled(
    source: Source, config: Config, cache: Path, progress: Report, skeleton: Skeleton | None = None
) -> Loaded[Crops]:
    """The people of a COCO file, without labels; FormatError, AssetError or ModelError."""
    size, joints_3d = config.network.size, config.joints_3d
    kind = crop_kind(size=size, joints_3d=joints_3d, labelled=False, progress=progress)
    found = load_coco(source, kind, cache=cache, skeleton=skeleton)
    return dataclasses.replace(found, samples=_unlabelled(found.samples))


def _unlabelled(crops: Crops) -> Crops:
    """Crops without labels; joints are placed on an ellipse in the box, as targets of pastes."""
    joints = crops.xy.shape[1]
    angle = np.arange(joints) * 2 * np.pi / joints
    around = np.stack([np.cos(angle), np.sin(angle)], -1)
    centre = (crops.box[:, :2] + crops.box[:, 2:] / 2 - crops.corner) * crops.scale[:, None]
    extent = crops.box[:, 2:] * crops.scale[:, None]
    return dataclasses.replace(
        crops,
        xy=(centre[:, None] + around * extent[:, None] * _BODY / 2).astype(np.float32),
        state=np.full_like(crops.state, NO_STATE),
        present=np.full_like(crops.present, np.nan),
        visibility_fractions=np.full_like(crops.visibility_fractions, np.nan),
        fraction=np.full_like(crops.fraction, np.nan),
        xyz_m=np.full_like(crops.xyz_m, np.nan),
    )


def load_pictures(config: Config) -> Pictures:
    cutouts, photos = config.augment.cutouts, config.augment.photos
    return Pictures(
        cutouts=load_cutouts(Path(cutouts)) if cutouts else Cutouts(),
        photos=load_photos(Path(photos)) if photos else None,
    )


def load_subset(
    sources: Sequence[Source],
    config: Config,
    cache: Path,
    progress: Report = lambda done, total: None,
    *,
    skeleton: Skeleton | None = None,
) -> tuple[CropSubset, Skeleton]:
    """Load the people of several sources (of a recipe those of the first epoch), with the joints of
    `skeleton`, by default the first source's."""
    config = config.with_network(head="orn")  # people, for any head
    with ExitStack() as held:
        opened = _open(held, sources, config, cache, progress, split="train", skeleton=skeleton)
        return _subset(opened, 0), opened[0][1].skeleton


def _open(
    held: ExitStack,
    sources: Sequence[Source],
    config: Config,
    cache: Path,
    progress: Report,
    *,
    split: str,
    skeleton: Skeleton | None = None,
) -> list[_OpenSource]:
    """Open sources until `held` closes, all with `skeleton` or the first one's; `split`: the
    default of recipes."""
    opened: list[_OpenSource] = []
    for source in sources:
        target = opened[0][1].skeleton if opened else skeleton
        if source.recipe:
            # Lazy import: most runs do not render, and it takes 0.7 s.
            from synthstudio.training.data.rendered import RenderedPeople

            people = RenderedPeople(source, config, split, target, progress)
            opened.append((source, held.enter_context(closing(people))))
        else:
            opened.append((source, _load(source, config, cache, progress, target)))
    return opened


def _load(
    source: Source, config: Config, cache: Path, progress: Report, skeleton: Skeleton | None
) -> Loaded[Any]:
    kind: Kind[Any]
    size = config.network.size
    if config.network.sees_frames:
        kind = frame_kind(size=size, progress=progress)
    else:
        joints_3d, boxes = config.joints_3d, source.boxes
        kind = crop_kind(size=size, joints_3d=joints_3d, boxes=boxes, progress=progress)
    if source.coco:
        return load_coco(source, kind, cache=cache, skeleton=skeleton)
    place, only = parse_place(source.dataset), source if source.stream else None
    return load_dataset(place, kind, cache=cache, skeleton=skeleton, only=only)


def _subset(sources: Sequence[_OpenSource], epoch: int) -> Any:
    """The people or frames of all sources that are of their splits and variants."""
    rows, weights, start = [], [], 0
    parts: list[Any] = [opened.of_epoch(epoch) for _, opened in sources]
    for (source, _), samples in zip(sources, parts, strict=True):
        selected = selected_rows(source, samples)
        rows.append(selected + start)
        weights.append(np.full(len(selected), source.weight))
        start += len(samples)
    chosen = {"rows": np.concatenate(rows), "weight": np.concatenate(weights)}
    if isinstance(parts[0], Frames):
        return FrameSubset(frames=concatenate_frames(parts), **chosen)
    return CropSubset(crops=concatenate(parts), **chosen)


def _joined_key(sources: Sequence[_OpenSource]) -> str:
    return hashlib.sha256("".join(opened.key for _, opened in sources).encode()).hexdigest()


def selected_rows(source: Source, samples: Crops | Frames) -> I64:
    """Selection of crops or frames by a source's splits and variants; ModelError if empty."""
    use = np.ones(len(samples), bool)
    if source.splits:
        use &= np.isin(samples.split, source.splits)
    if source.variants:
        use &= np.isin(samples.variant, source.variants)
    if not use.any():
        raise ModelError(
            f"no {'frames' if isinstance(samples, Frames) else 'people'} are left",
            where=source.name,
            expected=f"splits {source.splits or 'any'}, variants {source.variants or 'any'}",
            got=f"splits {sorted(set(samples.split.tolist()))}, "
            f"variants {sorted(set(samples.variant.tolist()))}",
        )
    return np.flatnonzero(use)


def _columns(parts: Sequence[Any], without: set[str]) -> dict[str, Any]:
    plain = {f.name for f in fields(parts[0])} - without
    return {name: np.concatenate([getattr(p, name) for p in parts]) for name in plain}


def _joined(parts: Sequence[Any], name: str) -> ConcatDataset[U8]:
    """Images of several sources, one after the other, without a copy."""
    return ConcatDataset([getattr(part, name) for part in parts])


def concatenate(parts: Sequence[Crops]) -> Crops:
    """All people of several sources, one source after the other."""
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0, *(len(p) for p in parts)])
    groups = np.cumsum([0] + [int(p.group.max()) + 1 for p in parts])
    return Crops(
        images=_joined(parts, "images"),
        cover=_joined(parts, "cover"),
        group=np.concatenate([p.group + g for p, g in zip(parts, groups, strict=False)]),
        clean=np.concatenate(
            [np.where(p.clean < 0, -1, p.clean + s) for p, s in zip(parts, starts, strict=False)]
        ),
        **_columns(parts, {"images", "cover", "group", "clean"}),
    )


def concatenate_frames(parts: Sequence[Frames]) -> Frames:
    """As `concatenate`, of whole frames."""
    if len(parts) == 1:
        return parts[0]
    people = np.cumsum([0, *(len(p.xy) for p in parts)])
    first = [p.first[:-1] + begin for p, begin in zip(parts, people, strict=False)]
    return Frames(
        images=_joined(parts, "images"),
        first=np.concatenate([*first, people[-1:]]),
        **_columns(parts, {"images", "first"}),
    )


def _cause_balance(train: CropSubset | FrameSubset) -> F64:
    """Weights (4,) of the causes: 1 / sqrt of each one's frequency, mean 1 over people's joints."""
    if isinstance(train, FrameSubset):
        return np.ones(4)
    fractions = (
        train.crops.visibility_fractions[train.rows, :, :4].reshape(-1, 4).astype(np.float64)
    )
    fractions = fractions[np.isfinite(fractions).all(-1)]
    if not len(fractions):
        return np.ones(4)
    share = np.maximum(fractions.mean(0) / max(fractions.mean(0).sum(), 1e-9), 1e-3)
    weight = share**-0.5
    return np.asarray(weight / (weight * share).sum())


def _check_known(state: U8, xy: Array, data: TrainingData[Any], log: Callable[[str], None]) -> Bool:
    """Whether joints (P, J) are labelled; ModelError if none is, or if all are hidden."""
    where = "labels of the training samples"
    known = np.asarray(is_labelled(state) & np.isfinite(xy).all(-1))
    if not known.any():
        raise ModelError("no joint is labelled", where=where)
    if not (known & (state == STATE_VISIBLE)).any():
        raise ModelError(
            "every labelled joint is hidden",
            where=where,
            expected="some visible ones",
            then="Check how the file marks visibility (v=2 is visible).",
        )
    never = [data.skeleton.joints[j] for j in np.flatnonzero(~known.any(0))]
    if never:
        log(f"never labelled, so not learnt: {', '.join(never)}")
    return known


def check_labels(
    data: TrainingData[CropSubset], *, pasted: bool, log: Callable[[str], None]
) -> None:
    """ModelError for unusable labels, notes for odd ones; `pasted`: pastes will hide joints."""
    crops, rows = data.train.crops, data.train.rows
    state, xy = crops.state[rows], crops.xy[rows]
    known = _check_known(state, xy, data, log)
    several = known.sum(1) > 1
    spread = np.nanstd(np.where(known[several, :, None], xy[several], np.nan), axis=1).max(-1)
    if len(spread) and np.median(spread) < 1:
        raise ModelError(
            "most people's joints lie at one point",
            where="labels of the training people",
            then="Check the coordinates with synthstudio validate.",
        )
    if not (known & (state == STATE_HIDDEN)).any() and not pasted:
        log("no joint is hidden: nothing about occlusion can be learnt")
    fractions = crops.visibility_fractions[rows][known]
    for k, cause in enumerate(("self", "person", "object"), 1):
        labelled = fractions[:, k][np.isfinite(fractions[:, k])]
        covered = pasted and cause == "object"
        if len(labelled) and not (labelled > 0.5).any() and not covered:
            log(f"no joint is hidden by {cause}: that cause cannot be learnt")


def check_frames(data: TrainingData[FrameSubset], log: Callable[[str], None]) -> None:
    """`check_labels` of whole frames."""
    frames, rows = data.train.frames, data.train.rows
    people = [frames.people(int(row)) for row in rows]
    state = np.concatenate([frames.state[p] for p in people])
    xy = np.concatenate([frames.xy[p] for p in people])
    _check_known(state, xy, data, log)
