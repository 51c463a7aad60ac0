"""The visibility of people in a photo with a candidate object in front, for the search.

A `PhotoVisibility` is one person at a low resolution, a `Card` the outline of an object; a card is
moved and its alpha sampled. Pixels are counted and alpha averaged over a joint's patch as in the
labels (label/photo.py), so the search's results equal the labels within the resolution. Letters:
J joints, n points a joint, H, W a grid.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from synthstudio.core.arrays import F32, F64, I32, Bool, Intp
from synthstudio.core.photo import PhotoPerson
from synthstudio.core.visibility import is_visible, occluded_fraction
from synthstudio.recipe.search.goals import OBJECT, VISIBLE

Places = Intp
SAMPLES = 96
"""Maximum of a grid's rows and columns."""
_POINTS = 24
_GOLDEN_RAD = math.pi * (3 - math.sqrt(5))
_OPAQUE = 0.5
_FAR_PX = -1e9


@dataclass(frozen=True, kw_only=True, eq=False)
class Card:
    """The outline of a paste; a sample is `per_px` photo pixels wide and high."""

    alpha: F32  # (h, w) 0..1
    left_px: float
    top_px: float
    per_px: float
    origin: Card | None = None  # this card before it was moved

    @property
    def right_px(self) -> float:
        return self.left_px + self.alpha.shape[1] * self.per_px

    def moved(self, x_px: float) -> Card:
        left_px, origin = self.left_px + x_px, self.origin or self
        return dataclasses.replace(self, left_px=left_px, origin=origin)

    def rows(self, y_px: F64) -> Places:
        """The rows of the card at heights in the photo; -1 beyond it."""
        return _places(y_px, self.top_px, self.per_px, self.alpha.shape[0])

    def columns(self, x_px: F64) -> Places:
        """The columns of the card at places in the photo; -1 beyond it."""
        return _places(x_px, self.left_px, self.per_px, self.alpha.shape[1])

    def at(self, px: F64, shifts_px: F64 | float = 0.0) -> F32:
        """Return (...) alpha at places (..., 2), the card moved to the right by each shift."""
        rows = self.rows(px[..., 1])
        columns = _places(px[..., 0], self.left_px + shifts_px, self.per_px, self.alpha.shape[1])
        found = self.alpha[np.maximum(rows, 0), np.maximum(columns, 0)]
        return np.where((rows >= 0) & (columns >= 0), found, np.float32(0))

    def area_px(self, width: int, height: int) -> float:
        """How many pixels of a picture it covers."""
        i = _inside(self.top_px, self.per_px, self.alpha.shape[0], height)
        j = _inside(self.left_px, self.per_px, self.alpha.shape[1], width)
        covered = np.zeros_like(self.alpha)
        covered[i, j] = self.alpha[i, j]
        return float(covered.sum() * self.per_px**2)


def _inside(start: float, per: float, count: int, size: int) -> slice:
    """Which of a card's rows or columns have their centre in the picture."""
    at = start + (np.arange(count) + 0.5) * per
    return slice(*np.searchsorted(at, (0, size)))


def _places(px: F64, start: F64 | float, per: float, count: int) -> Places:
    found = np.floor((px - start) / per).astype(np.intp)
    return np.where((found >= 0) & (found < count), found, -1)


@dataclass(frozen=True, kw_only=True, eq=False)
class PhotoVisibility:
    """The visible part of one person behind the cards so far."""

    person: PhotoPerson
    x_px: F64  # (W,) centres of the grid
    y_px: F64  # (H,)
    alone: Bool  # (H, W) the person's own mask
    area: int
    points_px: F64  # (J, n, 2), far away where unlabelled
    weights: F64  # (J, n) sum 1 a joint, 0 for points outside the mask
    before: PhotoVisibility | None = None  # without the last card
    card: Card | None = None

    @cached_property
    def extent_px(self) -> tuple[float, float, float, float]:
        """X0, y0, x1, y1 of all that a card can hide, with a margin of one pixel."""
        points = self.points_px[(self.points_px > _FAR_PX).all(axis=-1)]
        ends = np.stack([self.x_px[[0, -1]], self.y_px[[0, -1]]], axis=1)
        every = np.concatenate([points, ends])
        (x0, y0), (x1, y1) = every.min(axis=0) - 1, every.max(axis=0) + 1
        return float(x0), float(y0), float(x1), float(y1)

    def near(self, card: Card) -> bool:
        x0, y0, x1, y1 = self.extent_px
        bottom_px = card.top_px + card.alpha.shape[0] * card.per_px
        return card.left_px < x1 and card.right_px > x0 and card.top_px < y1 and bottom_px > y0

    @cached_property
    def shown(self) -> Bool:
        """Return (H, W) which samples are visible."""
        if self.before is None or self.card is None:
            return self.alone
        rows, i = _within(self.card.rows(self.y_px))
        columns, j = _within(self.card.columns(self.x_px))
        shown = self.before.shown.copy()
        shown[i, j] &= self.card.alpha[rows[:, None], columns] < _OPAQUE
        return shown

    @cached_property
    def shown_area(self) -> int:
        if self.before is None or self.card is None:
            return self.area
        taken = _hidden_columns(self.before, self.card.origin or self.card)
        return self.before.shown_area - int(taken[self.card.columns(self.x_px), self.places].sum())

    @cached_property
    def places(self) -> Places:
        """Return (W,) the columns of the grid."""
        return np.arange(len(self.x_px))

    @cached_property
    def occluded_fraction(self) -> float:
        return occluded_fraction(self.shown_area, self.area)

    @cached_property
    def visibility(self) -> F64:
        """Return (J, n) the visibility of each point."""
        if self.before is None or self.card is None:
            return np.ones(self.weights.shape)
        return np.asarray(self.before.visibility * (1 - self.card.at(self.points_px)))

    @cached_property
    def causes(self) -> I32:
        """Return (J,) places in goals.CAUSES: hidden by an object, or visible; as annotated."""
        return self.causes_of(self.visibility)

    def causes_of(self, visibility: F64) -> I32:
        """Return (..., J) causes of joints from their points' visibility (..., J, n)."""
        seen = is_visible((self.weights * visibility).sum(axis=-1))
        return np.where(seen & self.person.seen, VISIBLE, OBJECT).astype(np.int32)


def as_annotated(person: PhotoPerson) -> PhotoVisibility:
    h, w = person.mask.shape
    step = max(1.0, max(h, w) / SAMPLES)
    rows = np.minimum(np.arange(step / 2, h, step), h - 1)
    columns = np.minimum(np.arange(step / 2, w, step), w - 1)
    shown = person.mask[np.ix_(rows.astype(int), columns.astype(int))]
    k = np.arange(_POINTS)
    spiral = np.sqrt((k + 0.5) / _POINTS)[:, None] * np.stack(
        [np.cos(k * _GOLDEN_RAD), np.sin(k * _GOLDEN_RAD)], axis=1
    )
    points = person.joints_px[:, None] + spiral * person.radius_px[:, None, None]
    points = np.nan_to_num(points, nan=_FAR_PX)
    at = points - (person.left_px, person.top_px)
    inside = ((at >= 0) & (at < (w, h))).all(axis=-1)
    i = np.where(inside, at[..., 1], 0).astype(int)
    j = np.where(inside, at[..., 0], 0).astype(int)
    own = inside & person.mask[i, j]
    own |= ~own.any(axis=1, keepdims=True)
    return PhotoVisibility(
        person=person,
        x_px=person.left_px + columns,
        y_px=person.top_px + rows,
        alone=shown,
        area=int(shown.sum()),
        points_px=points,
        weights=own / own.sum(axis=1, keepdims=True),
    )


def behind(before: PhotoVisibility, card: Card) -> PhotoVisibility:
    return dataclasses.replace(before, before=before, card=card) if before.near(card) else before


def _within(places: Places) -> tuple[Places, slice]:
    """The places that lie on a card, which follow one another, and where they are."""
    found = np.flatnonzero(places >= 0)
    part = slice(found[0], found[-1] + 1) if len(found) else slice(0)
    return places[part], part


def fractions(before: PhotoVisibility, card: Card, shifts_px: F64) -> F64:
    """Return (S,) the occluded fraction with the card moved to the right by each shift."""
    columns = card.columns(before.x_px - shifts_px[:, None])
    taken = _hidden_columns(before, card.origin or card)[columns, before.places].sum(axis=1)
    return np.asarray(1 - (before.shown_area - taken) / max(1, before.area))


def causes(before: PhotoVisibility, card: Card, shifts_px: F64) -> I32:
    """Return (J, S) the joints' causes with the card moved to the right by each shift."""
    visibility = before.visibility * (1 - card.at(before.points_px, shifts_px[:, None, None]))
    return before.causes_of(visibility).T


@lru_cache(maxsize=32)
def _hidden_columns(before: PhotoVisibility, card: Card) -> F64:
    """(w + 1, W) samples of a grid's column that a card's column hides; last row: no column."""
    rows, i = _within(card.rows(before.y_px))
    solid = (card.alpha[rows] >= _OPAQUE).astype(np.float32)
    taken = np.zeros((solid.shape[1] + 1, before.alone.shape[1]))
    taken[:-1] = solid.T @ before.shown[i].astype(np.float32)
    return taken
