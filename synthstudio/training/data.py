"""The people of a run: crops of one or more sources, checked before the first step."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.errors import ModelError
from synthstudio.core.labels import STATE_HIDDEN, STATE_VISIBLE
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.visibility import is_labelled
from synthstudio.training.batches import Frame
from synthstudio.training.config import Config, Source
from synthstudio.training.crops import Crops, Pictures, take
from synthstudio.training.networks import cells
from synthstudio.training.outside import take_coco
from synthstudio.training.rendered import Rendered

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Crops, and which of them take part: `rows`; `weight` (R,): how often each is drawn."""

    crops: Crops
    rows: I64
    weight: F64

    def __len__(self) -> int:
        """Return how many take part."""
        return len(self.rows)

    def order(self, seed: int, epoch: int, *, reach: float) -> I64:
        """Return the rows of a pass: those with an occluded fraction up to `reach`, shuffled.

        Each once, or drawn by weight where weights differ.
        """
        fraction = np.nan_to_num(self.crops.fraction[self.rows])
        allowed = fraction <= reach
        if not allowed.any():
            allowed = fraction <= fraction.min()
        rows, weight = self.rows[allowed], self.weight[allowed]
        rng = stream(seed, "order", epoch)
        if np.ptp(weight) == 0:
            return rng.permutation(rows)
        return rng.choice(rows, len(rows), p=weight / weight.sum())


@dataclass(frozen=True, kw_only=True)
class People:
    """What a run learns from. `key` names all of it; `balance` (4,) weighs rare causes up.

    `learn`: those of the first pass. `later(epoch)` gives those of another one where people are
    rendered while the run goes on; None: all passes have the same. `close` ends what renders.
    """

    learn: Chosen
    judge: Chosen | None
    skeleton: Skeleton
    frame: Frame
    key: str
    balance: F64
    later: Callable[[int], Chosen] | None = None
    close: Callable[[], None] = lambda: None

    @property
    def train(self) -> Crops:
        """Return the crops to learn from in the first pass."""
        return self.learn.crops

    def at(self, epoch: int) -> Chosen:
        """Return the people of a pass; passes are asked for rising."""
        return self.learn if self.later is None or not epoch else self.later(epoch)


def gather(
    config: Config,
    *,
    cache: Path,
    say: Callable[[str], None],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> People:
    """Return the people that a config names, cut out once or rendered as the run goes on.

    ModelError when sets do not fit; FormatError, RecipeError for what is read. `close` it after.
    """
    parts = _parts(config.train, config, cache, progress, default="train")
    judges: list[_Part] = []
    try:
        judge, skeleton = None, parts[0].skeleton
        key = _key(parts)
        if config.validate_on:
            judges = _parts(
                config.validate_on, config, cache, progress, default="val", skeleton=skeleton
            )
            judge = _chosen(judges, 0)
            key = hashlib.sha256(f"{key} {_key(judges)}".encode()).hexdigest()
        learn = _chosen(parts, 0)
    except BaseException:
        _close(parts)
        raise
    finally:
        _close(judges)
    for part in (*parts, *judges):
        for note in part.notes:
            say(f"{part.source.name}: {note}")
    say(f"{len(learn)} people to learn from, {0 if judge is None else len(judge)} to judge by")
    high, wide = config.network.size
    return People(
        learn=learn,
        judge=judge,
        skeleton=skeleton,
        key=key,
        balance=_balance(learn),
        frame=Frame(size=(high, wide), cells=cells(config.network), skeleton=skeleton),
        later=functools.partial(_chosen, parts) if any(p.moves for p in parts) else None,
        close=functools.partial(_close, parts),
    )


def join(
    sources: Sequence[Source], config: Config, cache: Path, progress: Callable[[int, int], None]
) -> tuple[Chosen, str, Skeleton]:
    """Return the people of several sources, what names them all, and their skeleton.

    Those of a recipe are the first pass's.
    """
    parts = _parts(sources, config, cache, progress, default="train")
    try:
        return _chosen(parts, 0), _key(parts), parts[0].skeleton
    finally:
        _close(parts)


@dataclass(frozen=True, kw_only=True)
class _Part:
    """The people of one source: `crops(epoch)`; `moves`: other ones in each pass."""

    source: Source
    skeleton: Skeleton
    key: str
    crops: Callable[[int], Crops]
    notes: tuple[str, ...] = ()
    moves: bool = False
    close: Callable[[], None] = lambda: None


def _parts(
    sources: Sequence[Source],
    config: Config,
    cache: Path,
    progress: Callable[[int, int], None],
    *,
    default: str,
    skeleton: Skeleton | None = None,
) -> list[_Part]:
    """Open sources. The first one's skeleton, or `bones`, is that of all; `default`: the split of
    recipes."""
    parts: list[_Part] = []
    try:
        for source in sources:
            skeleton = parts[0].skeleton if parts else skeleton
            parts.append(_part(source, config, cache, progress, default, skeleton))
    except BaseException:
        _close(parts)
        raise
    return parts


def _part(
    source: Source,
    config: Config,
    cache: Path,
    progress: Callable[[int, int], None],
    default: str,
    skeleton: Skeleton | None,
) -> _Part:
    size = config.network.size
    if source.recipe:

        def quiet(done: int, total: int) -> None:
            """The bar is the training's then."""

        drawn = Rendered(
            source,
            splits=source.splits or (default,),
            size=size,
            workers=config.workers,
            skeleton=skeleton,
        )
        return _Part(
            source=source,
            skeleton=drawn.skeleton,
            key=drawn.key,
            notes=drawn.notes,
            crops=lambda epoch: drawn.window(epoch, quiet if epoch else progress),
            moves=True,
            close=drawn.close,
        )
    if source.coco:
        images = Path(source.images) if source.images else None
        taken = take_coco(
            Path(source.coco), images, size=size, cache=cache, progress=progress, skeleton=skeleton
        )
    else:
        taken = take(
            Path(source.dataset), size=size, cache=cache, progress=progress, skeleton=skeleton
        )
    return _Part(
        source=source,
        skeleton=taken.skeleton,
        key=taken.key,
        notes=taken.notes,
        crops=lambda epoch: taken.crops,
    )


def _chosen(parts: Sequence[_Part], epoch: int) -> Chosen:
    """Return who takes part in a pass."""
    rows, weights, start = [], [], 0
    found = [part.crops(epoch) for part in parts]
    for part, crops in zip(parts, found, strict=True):
        own = _allowed(part.source, crops)
        rows.append(own + start)
        weights.append(np.full(len(own), part.source.weight))
        start += len(crops)
    crops = found[0] if len(found) == 1 else _end_to_end(found)
    return Chosen(crops=crops, rows=np.concatenate(rows), weight=np.concatenate(weights))


def _key(parts: Sequence[_Part]) -> str:
    return hashlib.sha256("".join(part.key for part in parts).encode()).hexdigest()


def _close(parts: Sequence[_Part]) -> None:
    for part in parts:
        part.close()


def _allowed(source: Source, crops: Crops) -> I64:
    use = np.ones(len(crops), bool)
    if source.splits:
        use &= np.isin(crops.split, source.splits)
    if source.variants:
        use &= np.isin(crops.variant, source.variants)
    if not use.any():
        raise ModelError(
            "nobody is left to take",
            where=source.name,
            expected=f"splits {source.splits or 'any'}, variants {source.variants or 'any'}",
            got=f"splits {sorted(set(crops.split.tolist()))}, "
            f"variants {sorted(set(crops.variant.tolist()))}",
        )
    return np.flatnonzero(use)


@dataclass(frozen=True)
class _EndToEnd:
    """Pictures of several sets, one after the other; nothing is copied."""

    parts: tuple[Pictures, ...]
    ends: I64

    def __getitem__(self, row: int) -> U8:
        part = int(np.searchsorted(self.ends, row, side="right"))
        return self.parts[part][int(row - (self.ends[part - 1] if part else 0))]

    def __len__(self) -> int:
        return int(self.ends[-1])


def _end_to_end(parts: Sequence[Crops]) -> Crops:
    ends = np.cumsum([len(p) for p in parts])
    starts = ends - [len(p) for p in parts]
    plain = {f.name for f in fields(Crops)} - {"images", "cover", "group", "clean"}
    columns = {name: np.concatenate([getattr(p, name) for p in parts]) for name in plain}
    groups = np.cumsum([0] + [int(p.group.max()) + 1 for p in parts])
    return Crops(
        images=_EndToEnd(tuple(p.images for p in parts), ends),
        cover=_EndToEnd(tuple(p.cover for p in parts), ends),
        group=np.concatenate([p.group + g for p, g in zip(parts, groups, strict=False)]),
        clean=np.concatenate(
            [np.where(p.clean < 0, -1, p.clean + s) for p, s in zip(parts, starts, strict=True)]
        ),
        **columns,
    )


def _balance(learn: Chosen) -> F64:
    """Return (4,) one over the root of each cause's share, mean 1 over people's joints."""
    shares = learn.crops.shares[learn.rows][..., :4].reshape(-1, 4).astype(np.float64)
    shares = shares[np.isfinite(shares).all(-1)]
    if not len(shares):
        return np.ones(4)
    share = np.maximum(shares.mean(0) / max(shares.mean(0).sum(), 1e-9), 1e-3)
    weight = share**-0.5
    return np.asarray(weight / (weight * share).sum())


def check_labels(people: People, *, say: Callable[[str], None]) -> None:
    """Look at the labels before the first step: ModelError for those nothing can be learnt from.

    What only looks odd is said.
    """
    crops, rows, names = people.train, people.learn.rows, people.skeleton.joints
    state, xy = crops.state[rows], crops.xy[rows]
    known = is_labelled(state) & np.isfinite(xy).all(-1)
    where = "labels of the training people"
    if not known.any():
        raise ModelError("no joint is labelled", where=where)
    if not (known & (state == STATE_VISIBLE)).any():
        raise ModelError(
            "every labelled joint is hidden",
            where=where,
            expected="some visible ones",
            then="Check how the file marks visibility (v=2 is visible).",
        )
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
    if not (known & (state == STATE_HIDDEN)).any():
        say("no joint is hidden: nothing about occlusion can be learnt")
    shares = crops.shares[rows][known]
    for k, cause in enumerate(("self", "person", "object"), 1):
        told = shares[:, k][np.isfinite(shares[:, k])]
        if len(told) and not (told > 0.5).any():
            say(f"no joint is hidden by {cause}: that cause cannot be learnt")


def check_same(before: str, now: str, out: Path) -> None:
    """ModelError when a run that goes on would see other people than it did."""
    if before != now:
        raise ModelError(
            "the data changed since this run began",
            where=str(out),
            expected=f"crops {before[:16]}",
            got=now[:16],
            then="Bring the data set back, or start anew in another folder.",
        )


def only(chosen: Chosen, rows: I64) -> Chosen:
    """Return fewer people of the same crops: `rows` are places in `chosen.rows`."""
    return dataclasses.replace(chosen, rows=chosen.rows[rows], weight=chosen.weight[rows])


def first(people: People, count: int, *, times: int = 50) -> People:
    """Return a run over its first `count` people alone, judged by the same ones (--overfit).

    A pass shows them so many times, so that it is not judged after every step.
    """
    judge = only(people.learn, np.arange(min(count, len(people.learn))))
    learn = only(judge, np.tile(np.arange(len(judge)), times))
    key = hashlib.sha256(f"{people.key} first {len(judge)}".encode()).hexdigest()
    return dataclasses.replace(people, learn=learn, judge=judge, key=key, later=None)


def dry(people: People, *, batch: int) -> People:
    """Return a run whose validation is one batch (--fast-dev-run)."""
    if people.judge is None:
        return people
    judge = only(people.judge, np.arange(min(batch, len(people.judge))))
    return dataclasses.replace(people, judge=judge)
