"""The people of a training run: crops of one or more sources, checked before the first step."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.errors import ModelError
from synthstudio.core.labels import STATE_HIDDEN, STATE_VISIBLE
from synthstudio.core.places import parse_place
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.visibility import is_labelled
from synthstudio.dataset.splits import shared_notes
from synthstudio.training.config import Config, Source
from synthstudio.training.data.batches import NO_PICTURES, CropSubset, InputSpec, Pictures
from synthstudio.training.data.coco import crop_coco
from synthstudio.training.data.crops import Crops, ImageSequence, crop_dataset
from synthstudio.training.data.cutouts import Cutouts, load_cutouts
from synthstudio.training.data.frame_store import Frames
from synthstudio.training.data.run_data import RunData
from synthstudio.training.data.streamed import StreamedPeople, open_stream
from synthstudio.training.data.style import load_photos
from synthstudio.training.data.unlabelled import load_unlabelled

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
Report = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class TrainingData(RunData[CropSubset]):
    """The people of a run. `balance` (4,) weighs rare causes up.

    `pictures` are what augmentation takes from elsewhere; `unlabelled` people are learnt from
    without labels.
    """

    balance: F64
    pictures: Pictures = NO_PICTURES
    unlabelled: CropSubset | None = None
    stream: StreamedPeople | None = None


def load_data(
    config: Config,
    *,
    cache: Path,
    say: Callable[[str], None],
    progress: Report = lambda done, total: None,
) -> TrainingData:
    """Load the people that a config names; `close` the result after use.

    ModelError when sources do not fit each other; FormatError, RecipeError for what is read.
    """
    stream = open_stream(config, cache=cache, progress=progress) if config.streamed else None
    held = () if stream is not None else config.train
    train = _open(held, config, cache, progress, split="train")
    val: list[_OpenSource] = []
    try:
        if stream is None:
            skeleton, key = train[0].skeleton, _key(train)
        else:
            skeleton, key = stream.settings.skeleton, stream.key
        val_subset = None
        if config.val:
            val = _open(config.val, config, cache, progress, split="val", skeleton=skeleton)
            val_subset = _subset(val, 0)
            key = hashlib.sha256(f"{key} {_key(val)}".encode()).hexdigest()
        train_subset = _subset(train, 0) if stream is None else stream.labels
        others = load_unlabelled(config, skeleton, cache=cache) if config.adapt.coco else None
        if others is not None:
            key = hashlib.sha256(f"{key} {others.key}".encode()).hexdigest()
        pictures = load_pictures(config)
        for used in (pictures.cutouts, pictures.photos):
            if used:
                key = hashlib.sha256(f"{key} {used.key}".encode()).hexdigest()
    except BaseException:
        _close(train)
        raise
    finally:
        _close(val)
    notes = [(opened.source.name, note) for opened in (*train, *val) for note in opened.notes]
    for name, note in (*(() if stream is None else stream.notes), *notes):
        say(f"{name}: {note}")
    named = (s.dataset for s in (*config.train, *config.val) if s.dataset)
    for note in shared_notes(map(parse_place, named)):
        say(note)
    count = 0 if val_subset is None else len(val_subset)
    learnt = len(train_subset if stream is None else stream)
    say(f"{learnt} people to train on, {count} to validate on")
    unlabelled = None if others is None else everybody(others.crops)
    if unlabelled is not None:
        say(f"{len(unlabelled)} people without labels to adapt to")
    return TrainingData(
        train=train_subset,
        val=val_subset,
        spec=InputSpec.of(config.network, skeleton),
        key=key,
        balance=_cause_balance(train_subset),
        pictures=pictures,
        unlabelled=unlabelled,
        later_epoch=functools.partial(_subset, train) if any(s.rendered for s in train) else None,
        close=functools.partial(_close, train),
        stream=stream,
    )


def everybody(crops: Crops) -> CropSubset:
    return CropSubset(crops=crops, rows=np.arange(len(crops)), weight=np.ones(len(crops)))


def load_pictures(config: Config) -> Pictures:
    """The cut-outs and photos that augmentation takes from elsewhere."""
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
    opened = _open(sources, config, cache, progress, split="train", skeleton=skeleton)
    try:
        return _subset(opened, 0), opened[0].skeleton
    finally:
        _close(opened)


@dataclass(frozen=True, kw_only=True)
class _OpenSource:
    """The people of one source: `crops(epoch)`; `rendered`: other ones in each epoch."""

    source: Source
    skeleton: Skeleton
    key: str
    crops: Callable[[int], Crops]
    notes: tuple[str, ...] = ()
    rendered: bool = False
    close: Callable[[], None] = lambda: None


def _open(
    sources: Sequence[Source],
    config: Config,
    cache: Path,
    progress: Report,
    *,
    split: str,
    skeleton: Skeleton | None = None,
) -> list[_OpenSource]:
    """Open sources; `skeleton`, or else the first one's, is that of all. `split`: the default
    split of recipes."""
    opened: list[_OpenSource] = []
    try:
        for source in sources:
            target = opened[0].skeleton if opened else skeleton
            opened.append(_open_one(source, config, cache, progress, split, target))
    except BaseException:
        _close(opened)
        raise
    return opened


def _open_one(
    source: Source,
    config: Config,
    cache: Path,
    progress: Report,
    split: str,
    skeleton: Skeleton | None,
) -> _OpenSource:
    size = config.network.size
    if source.recipe:

        def silent(done: int, total: int) -> None:
            """From the second epoch on the bar shows training steps."""

        # All that renders, of which most runs need nothing: 0.7 s of their start.
        from synthstudio.training.data.rendered import RenderedPeople

        people = RenderedPeople(
            source,
            splits=source.splits or (split,),
            size=size,
            workers=config.workers,
            skeleton=skeleton,
            joints_3d=config.joints_3d,
        )
        return _OpenSource(
            source=source,
            skeleton=people.skeleton,
            key=people.key,
            notes=people.notes,
            crops=lambda epoch: people.of_epoch(epoch, silent if epoch else progress),
            rendered=True,
            close=people.close,
        )
    if source.coco:
        images = Path(source.images) if source.images else None
        cropped = crop_coco(
            Path(source.coco),
            images,
            size=size,
            cache=cache,
            progress=progress,
            skeleton=skeleton,
            joints_3d=config.joints_3d,
        )
    else:
        cropped = crop_dataset(
            parse_place(source.dataset),
            size=size,
            cache=cache,
            progress=progress,
            skeleton=skeleton,
            joints_3d=config.joints_3d,
            boxes=source.boxes,
            only=source if source.stream else None,
        )
    return _OpenSource(
        source=source,
        skeleton=cropped.skeleton,
        key=cropped.key,
        notes=cropped.notes,
        crops=lambda epoch: cropped.crops,
    )


def _subset(sources: Sequence[_OpenSource], epoch: int) -> CropSubset:
    rows, weights, start = [], [], 0
    parts = [opened.crops(epoch) for opened in sources]
    for opened, crops in zip(sources, parts, strict=True):
        selected = selected_rows(opened.source, crops, "people")
        rows.append(selected + start)
        weights.append(np.full(len(selected), opened.source.weight))
        start += len(crops)
    crops = parts[0] if len(parts) == 1 else concatenate(parts)
    return CropSubset(crops=crops, rows=np.concatenate(rows), weight=np.concatenate(weights))


def _key(sources: Sequence[_OpenSource]) -> str:
    return hashlib.sha256("".join(opened.key for opened in sources).encode()).hexdigest()


def _close(sources: Sequence[_OpenSource]) -> None:
    for opened in sources:
        opened.close()


def selected_rows(source: Source, samples: Crops | Frames, what: str) -> I64:
    """Which crops or frames are of a source's splits and variants; ModelError for none."""
    use = np.ones(len(samples), bool)
    if source.splits:
        use &= np.isin(samples.split, source.splits)
    if source.variants:
        use &= np.isin(samples.variant, source.variants)
    if not use.any():
        raise ModelError(
            f"no {what} are left to use",
            where=source.name,
            expected=f"splits {source.splits or 'any'}, variants {source.variants or 'any'}",
            got=f"splits {sorted(set(samples.split.tolist()))}, "
            f"variants {sorted(set(samples.variant.tolist()))}",
        )
    return np.flatnonzero(use)


@dataclass(frozen=True)
class Concatenation:
    """Images of several sources, one after the other, without a copy."""

    parts: tuple[ImageSequence, ...]
    ends: I64

    def __getitem__(self, row: int) -> U8:
        part = int(np.searchsorted(self.ends, row, side="right"))
        return self.parts[part][int(row - (self.ends[part - 1] if part else 0))]

    def __len__(self) -> int:
        return int(self.ends[-1])


def concatenate(parts: Sequence[Crops]) -> Crops:
    """All people of several sources, one source after the other."""
    ends = np.cumsum([len(p) for p in parts])
    starts = ends - [len(p) for p in parts]
    plain = {f.name for f in fields(Crops)} - {"images", "cover", "group", "clean"}
    columns = {name: np.concatenate([getattr(p, name) for p in parts]) for name in plain}
    groups = np.cumsum([0] + [int(p.group.max()) + 1 for p in parts])
    return Crops(
        images=Concatenation(tuple(p.images for p in parts), ends),
        cover=Concatenation(tuple(p.cover for p in parts), ends),
        group=np.concatenate([p.group + g for p, g in zip(parts, groups, strict=False)]),
        clean=np.concatenate(
            [np.where(p.clean < 0, -1, p.clean + s) for p, s in zip(parts, starts, strict=True)]
        ),
        **columns,
    )


def _cause_balance(train: CropSubset) -> F64:
    """Weights (4,) of the causes: 1 / sqrt of each one's share, mean 1 over people's joints."""
    shares = train.crops.shares[train.rows][..., :4].reshape(-1, 4).astype(np.float64)
    shares = shares[np.isfinite(shares).all(-1)]
    if not len(shares):
        return np.ones(4)
    share = np.maximum(shares.mean(0) / max(shares.mean(0).sum(), 1e-9), 1e-3)
    weight = share**-0.5
    return np.asarray(weight / (weight * share).sum())


def check_known(state: NDArray[np.uint8], xy: NDArray[Any], *, where: str) -> NDArray[np.bool_]:
    """Which joints (P, J) are labelled; ModelError when none is, or none of them is visible."""
    known = is_labelled(state) & np.isfinite(xy).all(-1)
    if not known.any():
        raise ModelError("no joint is labelled", where=where)
    if not (known & (state == STATE_VISIBLE)).any():
        raise ModelError(
            "every labelled joint is hidden",
            where=where,
            expected="some visible ones",
            then="Check how the file marks visibility (v=2 is visible).",
        )
    return np.asarray(known)


def check_labels(data: TrainingData, *, pasted: bool, say: Callable[[str], None]) -> None:
    """Check labels before the first step: ModelError for unusable ones, notes for odd ones.

    `pasted`: things are pasted over people while they are trained on, so some joints get hidden.
    """
    crops, rows, names = data.train.crops, data.train.rows, data.skeleton.joints
    state, xy = crops.state[rows], crops.xy[rows]
    where = "labels of the training people"
    known = check_known(state, xy, where=where)
    spread = np.array(
        [
            np.nanstd(np.where(k[..., None], p, np.nan), axis=0).max()
            for p, k in zip(xy, known, strict=True)
            if k.sum() > 1
        ]
    )
    if len(spread) and np.median(spread) < 1:
        raise ModelError(
            "most people's joints lie at one point",
            where=where,
            then="Check the coordinates with synthstudio validate.",
        )
    never = [names[j] for j in np.flatnonzero(~known.any(0))]
    if never:
        say(f"never labelled, so not learnt: {', '.join(never)}")
    if not (known & (state == STATE_HIDDEN)).any() and not pasted:
        say("no joint is hidden: nothing about occlusion can be learnt")
    shares = crops.shares[rows][known]
    for k, cause in enumerate(("self", "person", "object"), 1):
        labelled = shares[:, k][np.isfinite(shares[:, k])]
        covered = pasted and cause == "object"
        if len(labelled) and not (labelled > 0.5).any() and not covered:
            say(f"no joint is hidden by {cause}: that cause cannot be learnt")
