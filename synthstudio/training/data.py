"""The people of a run: crops of one or more data sets, checked before the first step."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.errors import ModelError, explain
from synthstudio.core.labels import STATE_HIDDEN, STATE_VISIBLE
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import Skeleton
from synthstudio.training.batches import Frame
from synthstudio.training.config import Config, Source
from synthstudio.training.crops import Crops, Pictures, Taken, take
from synthstudio.training.networks import cells

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


@dataclass(frozen=True, kw_only=True)
class People:
    """What a run learns from. `key` names all of it; `balance` (4,) weighs rare causes up."""

    learn: Chosen
    judge: Chosen | None
    skeleton: Skeleton
    frame: Frame
    key: str
    balance: F64

    @property
    def train(self) -> Crops:
        """Return the crops to learn from."""
        return self.learn.crops

    def order(self, seed: int, epoch: int, *, reach: float) -> I64:
        """Return the rows of an epoch: those with an occluded fraction up to `reach`, shuffled."""
        fraction = np.nan_to_num(self.learn.crops.fraction[self.learn.rows])
        allowed = fraction <= reach
        if not allowed.any():
            allowed = fraction <= fraction.min()
        rows, weight = self.learn.rows[allowed], self.learn.weight[allowed]
        rng = stream(seed, "order", epoch)
        if np.ptp(weight) == 0:
            return rng.permutation(rows)
        return rng.choice(rows, len(rows), p=weight / weight.sum())


def gather(
    config: Config, *, cache: Path, say: Callable[[str], None],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> People:  # fmt: skip
    """Return the people that a config names, cut out once; ModelError when sets do not fit."""
    learn, key, bones = join(config.train, config, cache, progress)
    judge = None
    if config.validate_on:
        judge, other_key, other = join(config.validate_on, config, cache, progress)
        key = hashlib.sha256(f"{key} {other_key}".encode()).hexdigest()
        if other.name != bones.name:
            raise _skeletons(bones, other)
    high, wide = config.network.size
    say(f"{len(learn)} people to learn from, {0 if judge is None else len(judge)} to judge by")
    return People(
        learn=learn, judge=judge, skeleton=bones, key=key, balance=_balance(learn),
        frame=Frame(size=(high, wide), cells=cells(config.network), skeleton=bones),
    )  # fmt: skip


def join(
    sources: Sequence[Source], config: Config, cache: Path, progress: Callable[[int, int], None]
) -> tuple[Chosen, str, Skeleton]:
    """Return the people of several data sets, what names them all, and their skeleton."""
    taken = [
        take(Path(s.dataset), size=config.network.size, cache=cache, progress=progress)
        for s in sources
    ]
    for other in taken[1:]:
        if other.skeleton.name != taken[0].skeleton.name:
            raise _skeletons(taken[0].skeleton, other.skeleton)
    rows, weights, start = [], [], 0
    for source, one in zip(sources, taken, strict=True):
        own = _allowed(source, one)
        rows.append(own + start)
        weights.append(np.full(len(own), source.weight))
        start += len(one.crops)
    crops = taken[0].crops if len(taken) == 1 else _end_to_end([t.crops for t in taken])
    key = hashlib.sha256("".join(t.key for t in taken).encode()).hexdigest()
    chosen = Chosen(crops=crops, rows=np.concatenate(rows), weight=np.concatenate(weights))
    return chosen, key, taken[0].skeleton


def _skeletons(a: Skeleton, b: Skeleton) -> ModelError:
    return ModelError(
        explain("the data sets have different skeletons", where="train, validate_on",
                expected=a.name, got=b.name,
                then="Convert one: synthstudio export --skeleton, then import.")
    )  # fmt: skip


def _allowed(source: Source, taken: Taken) -> I64:
    crops = taken.crops
    use = np.ones(len(crops), bool)
    if source.splits:
        use &= np.isin(crops.split, source.splits)
    if source.variants:
        use &= np.isin(crops.variant, source.variants)
    if not use.any():
        raise ModelError(
            explain(
                "nobody is left to take", where=source.dataset,
                expected=f"splits {source.splits or 'any'}, variants {source.variants or 'any'}",
                got=f"splits {sorted(set(crops.split.tolist()))}, "
                f"variants {sorted(set(crops.variant.tolist()))}",
            )
        )  # fmt: skip
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
    known = np.isin(state, (STATE_HIDDEN, STATE_VISIBLE)) & np.isfinite(xy).all(-1)
    where = "labels of the training people"
    if not known.any():
        raise ModelError(explain("no joint is labelled", where=where))
    if not (known & (state == STATE_VISIBLE)).any():
        raise ModelError(
            explain("every labelled joint is hidden", where=where, expected="some visible ones",
                    then="Check how the file marks visibility (v=2 is visible).")
        )  # fmt: skip
    spread = np.array([np.nanstd(np.where(k[..., None], p, np.nan), axis=0).max()
                       for p, k in zip(xy, known, strict=True) if k.sum() > 1])  # fmt: skip
    if len(spread) and np.median(spread) < 1:
        raise ModelError(
            explain("most people's joints lie at one point", where=where,
                    then="Check the coordinates with synthstudio validate.")
        )  # fmt: skip
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
            explain("the data changed since this run began", where=str(out),
                    expected=f"crops {before[:16]}", got=now[:16],
                    then="Bring the data set back, or start anew in another folder.")
        )  # fmt: skip


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
    return dataclasses.replace(people, learn=learn, judge=judge, key=key)


def dry(people: People, *, batch: int) -> People:
    """Return a run whose validation is one batch (--fast-dev-run)."""
    if people.judge is None:
        return people
    judge = only(people.judge, np.arange(min(batch, len(people.judge))))
    return dataclasses.replace(people, judge=judge)
