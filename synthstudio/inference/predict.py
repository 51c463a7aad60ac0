"""A network asked about pictures that nobody labelled: boxes in, joints and what hides them out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthstudio.core.errors import FormatError
from synthstudio.core.labels import SHARES
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.visibility import is_visible
from synthstudio.inference.boxes import Find
from synthstudio.inference.sources import Boxes, Picture
from synthstudio.models.contract import PoseMaps, maps_of
from synthstudio.models.heatmaps import expected_hits, find_peaks
from synthstudio.models.smooth import smooth, tracks
from synthstudio.training import memory
from synthstudio.training.crops import cut, window

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
TRUNCATED = "truncated"
_PRESENT = 0.5
_APART = 2
"""Cells around a peak in which no other one is told of."""
_LARGEST = 2
"""A box that somebody drew or detected may be so many times the picture's longer side, not more:
it belongs to another picture."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """What a network says of one person. Letters: J joints; places are continuous pixels.

    `shares` (J, 4): visible, hidden by self, person, object; `quality` (J,): the OKS to expect;
    `present` (J,): the chance that the joint lies in the picture. NaN: the block does not say.
    `instance`: who it is, where the source says so. `track`: the same in all frames of a clip.
    `peaks` (J, K, 3): the highest separate peaks of each joint's map, x y and the map's value
    there, NaN where there are fewer; K is 0 unless they were asked for.
    """

    picture: int
    name: str
    instance: int | None
    box: F64  # (4,) x y w h
    box_score: float
    xy: F64  # (J, 2)
    score: F64  # (J,) the chance to be right that the maps give
    shares: F64
    quality: F64
    present: F64
    sequence: str = ""
    time: int = 0
    track: int | None = None
    peaks: F64 = field(default_factory=lambda: np.zeros((0, 0, 3)))

    @property
    def sureness(self) -> float:
        """Return the person's score: the expected OKS, or the maps' chance, times the box's."""
        told = np.isfinite(self.quality).all()
        return float(np.clip((self.quality if told else self.score).mean() * self.box_score, 0, 1))

    @property
    def causes(self) -> tuple[str | None, ...]:
        """Return what hides each joint, a word of core.labels.SHARES; None: it does not say."""
        return tuple(map(_cause, self.shares, self.present))


def _cause(shares: F64, present: float) -> str | None:
    if present < _PRESENT:  # NaN is not
        return TRUNCATED
    if not np.isfinite(shares).all():
        return None
    if is_visible(shares[0]):
        return SHARES[0]
    return SHARES[1 + int(shares[1:].argmax())]


def predict(  # noqa: PLR0913 - one parameter per thing to choose
    net: nn.Module,
    pictures: Iterable[Picture],
    find: Find,
    *,
    size: tuple[int, int],
    skeleton: Skeleton,
    batch: int = 64,
    flip: bool = False,
    peaks: int = 0,
    progress: Callable[[int], None] = lambda done: None,
) -> Iterator[Person]:
    """Yield everybody that `find` finds in the pictures, in their order.

    Crops of `size` (H, W) of the network go through it `batch` at a time, over the edges of
    pictures. `flip`: also ask about the mirrored crop (the flip test). `peaks`: how many separate
    peaks of each map to tell besides. FormatError for a box that
    is no place in its picture; ModelError when the memory does not hold a batch.
    """
    device = next(net.parameters()).device
    turn = torch.from_numpy(skeleton.flip).to(device) if flip else None
    waiting: list[_Asked] = []
    for done, picture in enumerate(pictures, 1):
        waiting += _asked(picture, find(picture), size)
        while len(waiting) >= batch:
            yield from _answered(net, waiting[:batch], size, turn, device, peaks)
            waiting = waiting[batch:]
        progress(done)
    if waiting:
        yield from _answered(net, waiting, size, turn, device, peaks)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    picture: Picture  # without its pixels
    instance: int | None
    box: F64
    box_score: float
    crop: U8


def _asked(picture: Picture, boxes: Boxes, size: tuple[int, int]) -> list[_Asked]:
    plain = dataclasses.replace(picture, rgb=np.zeros((0, 0, 3), np.uint8), boxes=None)
    high, wide = picture.rgb.shape[:2]
    out = []
    for p, box in enumerate(boxes.xywh):
        touches = (box[:2] < [wide, high]).all() and (box[:2] + box[2:] > 0).all()
        large = not boxes.measured and box[2:].max() > _LARGEST * max(wide, high)
        if not touches or large:
            raise FormatError(
                "this box is no place in the picture",
                where=f"{picture.name}, box {p}",
                expected=f"x y w h inside {wide} x {high}",
                got=", ".join(f"{v:g}" for v in box),
                then="Do boxes and pictures belong together?",
            )
        x, y, w, _ = window(box, size)
        out.append(
            _Asked(
                picture=plain,
                box=box,
                box_score=float(boxes.score[p]),
                instance=None if boxes.instance is None else boxes.instance[p],
                crop=cut(picture.rgb, np.array([x, y]), size[1] / w, size),
            )
        )
    return out


def _answered(
    net: nn.Module,
    asked: list[_Asked],
    size: tuple[int, int],
    turn: Tensor | None,
    device: torch.device,
    peaks: int,
) -> Iterator[Person]:
    pixels = np.stack([a.crop for a in asked]).transpose(0, 3, 1, 2)
    then = "Ask for smaller ones with --batch."
    with memory.enough(device, got=f"{len(asked)} crops", then=then), torch.inference_mode():
        images = torch.from_numpy(np.ascontiguousarray(pixels)).to(device)
        maps, said = maps_of(net, images, flip=turn)
        found = expected_hits(maps)
        tops = find_peaks(maps, count=peaks, reach=_APART) if peaks else None
    cell = size[1] / maps.shape[-1]
    xy = found.xy.double().cpu().numpy() * cell
    score = found.score.double().cpu().numpy()
    more = _sayings(said, score.shape)
    others = np.zeros((*score.shape, 0, 3))
    if tops is not None:
        told = (tops.xy.double() * cell, tops.score.double()[..., None])
        others = torch.cat(told, -1).cpu().numpy()
    for k, one in enumerate(asked):
        x, y, w, _ = window(one.box, size)
        scale = w / size[1]
        yield Person(
            picture=one.picture.number,
            name=one.picture.name,
            instance=one.instance,
            box=one.box,
            box_score=one.box_score,
            xy=xy[k] * scale + [x, y],
            score=score[k],
            shares=more["shares"][k],
            quality=more["quality"][k],
            present=more["present"][k],
            sequence=one.picture.sequence,
            time=one.picture.time,
            peaks=others[k] * [scale, scale, 1] + [x, y, 0],
        )


def _sayings(said: PoseMaps, shape: tuple[int, ...]) -> dict[str, F64]:
    def plain(value: Tensor | None, more: tuple[int, ...] = ()) -> F64:
        if value is None:
            return np.full((*shape, *more), np.nan)
        value = value.double()
        told = torch.softmax(value, -1) if more else torch.sigmoid(value)
        return np.asarray(told.cpu().numpy(), np.float64)

    return {
        "shares": plain(said.shares, (4,)),
        "quality": plain(said.quality),
        "present": plain(said.presence),
    }


def smoothed(people: list[Person], *, frames: int) -> list[Person]:
    """Return the same people with places smoothed along time, and the number of their track.

    Only people of clips and videos change. Where the source does not say who is who, boxes that
    overlap from frame to frame are one person. `frames`: the filter's window, odd; below 3 only
    tracks are numbered.
    """
    out = list(people)
    by_sequence: dict[str, list[int]] = {}
    for k, person in enumerate(people):
        if person.sequence:
            by_sequence.setdefault(person.sequence, []).append(k)
    for rows in by_sequence.values():
        for track, own in _tracked(people, rows).items():
            times = np.array([people[k].time for k in own])
            xy = np.stack([people[k].xy for k in own])
            sure = np.stack([people[k].score for k in own])
            xy = smooth(xy, sure, at=times, window=frames)
            for at, k in enumerate(own):
                out[k] = dataclasses.replace(people[k], xy=xy[at], track=track)
    return out


def _tracked(people: list[Person], rows: list[int]) -> dict[int, list[int]]:
    """Return track -> rows in the order of time."""
    rows = sorted(rows, key=lambda k: people[k].time)
    found: dict[int, list[int]] = {}
    if all(people[k].instance is not None for k in rows):
        for k in rows:
            found.setdefault(int(people[k].instance or 0), []).append(k)
        return found
    times = range(people[rows[0]].time, people[rows[-1]].time + 1)
    at: dict[int, list[int]] = {t: [] for t in times}
    for k in rows:
        at[people[k].time].append(k)
    boxes = [np.array([people[k].box for k in at[t]]).reshape(-1, 4) for t in times]
    for t, names in zip(times, tracks(boxes), strict=True):
        for k, name in zip(at[t], names, strict=True):
            found.setdefault(int(name), []).append(k)
    return found
