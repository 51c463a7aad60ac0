"""The whole frames of a training run: those of one or more sources, checked before it begins."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from synthstudio.core.places import parse_place
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.splits import shared_notes
from synthstudio.training.config import Config, Source
from synthstudio.training.data.batches import NO_PICTURES, InputSpec, Pictures
from synthstudio.training.data.frame_batches import FrameSubset
from synthstudio.training.data.frame_store import (
    FramedSource,
    Frames,
    frame_coco,
    frame_dataset,
)
from synthstudio.training.data.run_data import RunData
from synthstudio.training.data.sources import (
    Concatenation,
    Report,
    check_known,
    load_pictures,
    selected_rows,
)


@dataclass(frozen=True, kw_only=True)
class FrameData(RunData[FrameSubset]):
    """The frames of a run. `pictures`: photos whose style augmentation takes."""

    pictures: Pictures = NO_PICTURES


def load_frames(
    config: Config,
    *,
    cache: Path,
    say: Callable[[str], None],
    progress: Report = lambda done, total: None,
) -> FrameData:
    """Load the frames that a config names.

    ModelError when sources do not fit each other; FormatError for what is read.
    """
    train = _open(config.train, config, cache, progress, None)
    skeleton = train[0].skeleton
    val = _open(config.val, config, cache, progress, skeleton)
    pictures = load_pictures(config)
    keys = [opened.key for opened in (*train, *val)]
    keys += [pictures.photos.key] if pictures.photos else []
    sources = (*config.train, *config.val)
    for source, opened in zip(sources, (*train, *val), strict=True):
        for note in opened.notes:
            say(f"{source.name}: {note}")
    for note in shared_notes(parse_place(s.dataset) for s in sources if s.dataset):
        say(note)
    learnt = _subset(config.train, train)
    chosen = _subset(config.val, val) if val else None
    count = 0 if chosen is None else len(chosen)
    say(f"{len(learnt)} frames to train on, {count} to validate on")
    return FrameData(
        train=learnt,
        val=chosen,
        spec=InputSpec.of(config.network, skeleton),
        key=hashlib.sha256(" ".join(keys).encode()).hexdigest(),
        pictures=pictures,
    )


def _open(
    sources: Sequence[Source],
    config: Config,
    cache: Path,
    progress: Report,
    skeleton: Skeleton | None,
) -> list[FramedSource]:
    """`skeleton`, or else the first one's, is that of all."""
    opened: list[FramedSource] = []
    for source in sources:
        target = opened[0].skeleton if opened else skeleton
        size = config.network.size
        if source.coco:
            images = Path(source.images) if source.images else None
            found = frame_coco(
                Path(source.coco),
                images,
                size=size,
                cache=cache,
                progress=progress,
                skeleton=target,
            )
        else:
            found = frame_dataset(
                parse_place(source.dataset),
                size=size,
                cache=cache,
                progress=progress,
                skeleton=target,
            )
        opened.append(found)
    return opened


def _subset(sources: Sequence[Source], opened: Sequence[FramedSource]) -> FrameSubset:
    parts, rows, weights, start = [one.frames for one in opened], [], [], 0
    for source, frames in zip(sources, parts, strict=True):
        chosen = selected_rows(source, frames, "frames")
        rows.append(chosen + start)
        weights.append(np.full(len(chosen), source.weight))
        start += len(frames)
    frames = parts[0] if len(parts) == 1 else _joined(parts)
    return FrameSubset(frames=frames, rows=np.concatenate(rows), weight=np.concatenate(weights))


def _joined(parts: Sequence[Frames]) -> Frames:
    """The frames of several sources, one after the other; images are not copied."""
    plain = {f.name for f in fields(Frames)} - {"images", "masks", "first"}
    columns = {name: np.concatenate([getattr(p, name) for p in parts]) for name in plain}
    people = np.cumsum([0, *(len(p.xy) for p in parts)])
    first = [p.first[:-1] + begin for p, begin in zip(parts, people, strict=False)]
    return Frames(
        images=Concatenation(tuple(p.images for p in parts), np.cumsum([len(p) for p in parts])),
        masks=Concatenation(tuple(p.masks for p in parts), people[1:]),
        first=np.concatenate([*first, people[-1:]]),
        **columns,
    )


def check_frames(data: FrameData, *, masks: bool, say: Callable[[str], None]) -> None:
    """Check labels before the first step: ModelError for unusable ones, notes for odd ones.

    `masks`: the network learns them.
    """
    frames, rows, names = data.train.frames, data.train.rows, data.skeleton.joints
    people = [frames.people(int(row)) for row in rows]
    state = np.concatenate([frames.state[p] for p in people])
    xy = np.concatenate([frames.xy[p] for p in people])
    known = check_known(state, xy, where="labels of the training frames")
    never = [names[j] for j in np.flatnonzero(~known.any(0))]
    if never:
        say(f"never labelled, so not learnt: {', '.join(never)}")
    if masks and not frames.masked[rows].any():
        say("no frame has masks of everybody: long offsets and bodies are not learnt")
