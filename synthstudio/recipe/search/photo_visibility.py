"""How much of people in a photo would be hidden if a thing lay there: what the search looks at.

A `PhotoVisibility` is one person at a low resolution, a `Card` the outline of a thing; a card is
moved about and its alpha looked up. Pixels count and alpha is averaged over a joint's patch as
the labels do it (label/photo.py), so what is found is what the labels say, within the
resolution. Letters: J joints, n points a joint, H, W a grid.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from synthstudio.core.photo import PhotoPerson
from synthstudio.core.scene import F32, F64, I32, Bool
from synthstudio.core.visibility import is_visible, occluded_fraction
from synthstudio.recipe.search.goals import OBJECT, VISIBLE

SAMPLES = 96
"""Rows or columns of a person's grid, whichever are more."""
_POINTS = 24
_GOLDEN_RAD = math.pi * (3 - math.sqrt(5))
_OPAQUE = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class Card:
    """The outline of what is to be pasted; a sample is `per_px` photo pixels wide and high."""

    alpha: F32  # (h, w) 0..1
    left_px: float
    top_px: float
    per_px: float

    @property
    def right_px(self) -> float:
        return self.left_px + self.alpha.shape[1] * self.per_px

    def moved(self, x_px: float, y_px: float = 0.0) -> Card:
        return dataclasses.replace(self, left_px=self.left_px + x_px, top_px=self.top_px + y_px)

    def rows(self, y_px: F64) -> I32:
        """Return the rows of the card at heights in the photo; -1 beyond it."""
        return _places(y_px, self.top_px, self.per_px, self.alpha.shape[0])

    def columns(self, x_px: F64) -> I32:
        """Return the columns of the card at places in the photo; -1 beyond it."""
        return _places(x_px, self.left_px, self.per_px, self.alpha.shape[1])

    def grid(self, x_px: F64, y_px: F64) -> F32:
        """Return (H, W) alpha at rows y (H,) and columns x (W,)."""
        rows, columns = self.rows(y_px), self.columns(x_px)
        found = self.alpha[np.ix_(np.maximum(rows, 0), np.maximum(columns, 0))]
        return np.where((rows[:, None] >= 0) & (columns >= 0), found, np.float32(0))

    def at(self, px: F64) -> F32:
        """Return (...) alpha at places (..., 2)."""
        rows, columns = self.rows(px[..., 1]), self.columns(px[..., 0])
        found = self.alpha[np.maximum(rows, 0), np.maximum(columns, 0)]
        return np.where((rows >= 0) & (columns >= 0), found, np.float32(0))

    def area_px(self, width: int, height: int) -> float:
        """Return how many pixels of a picture it covers."""
        x = self.left_px + (np.arange(self.alpha.shape[1]) + 0.5) * self.per_px
        y = self.top_px + (np.arange(self.alpha.shape[0]) + 0.5) * self.per_px
        inside = ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))
        return float((self.alpha * inside).sum() * self.per_px**2)


def _places(px: F64, start: float, per: float, count: int) -> I32:
    found = np.floor((px - start) / per)
    return np.where((found >= 0) & (found < count), found, -1).astype(np.int32)


@dataclass(frozen=True, kw_only=True, eq=False)
class PhotoVisibility:
    """What is seen of one person behind the cards so far."""

    person: PhotoPerson
    x_px: F64  # (W,) centres of the grid
    y_px: F64  # (H,)
    shown: Bool  # (H, W)
    area: int
    points_px: F64  # (J, n, 2)
    weights: F64  # (J, n) sum 1 a joint, 0 for points outside the mask
    left: F64  # (J, n) how much of each point is seen

    @property
    def occluded_fraction(self) -> float:
        """Return the share of the annotated mask that is hidden."""
        return occluded_fraction(int(self.shown.sum()), self.area)

    @property
    def causes(self) -> I32:
        """Return (J,) places in goals.CAUSES: hidden by a thing, or visible; as annotated."""
        seen = is_visible((self.weights * self.left).sum(axis=1))
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
    at = np.nan_to_num(points, nan=-1e9) - (person.left_px, person.top_px)
    inside = ((at >= 0) & (at < (w, h))).all(axis=-1)
    i = np.where(inside, at[..., 1], 0).astype(int)
    j = np.where(inside, at[..., 0], 0).astype(int)
    own = inside & person.mask[i, j]
    own |= ~own.any(axis=1, keepdims=True)
    return PhotoVisibility(
        person=person,
        x_px=person.left_px + columns,
        y_px=person.top_px + rows,
        shown=shown,
        area=int(shown.sum()),
        points_px=points,
        weights=own / own.sum(axis=1, keepdims=True),
        left=np.ones(own.shape),
    )


def behind(before: PhotoVisibility, card: Card) -> PhotoVisibility:
    """What is seen with a card before it."""
    hidden = card.grid(before.x_px, before.y_px) >= _OPAQUE
    points = np.nan_to_num(before.points_px, nan=-1e9)
    return dataclasses.replace(
        before, shown=before.shown & ~hidden, left=before.left * (1 - card.at(points))
    )


def fractions(before: PhotoVisibility, card: Card, shifts_px: F64) -> F64:
    """Return (S,) the occluded fraction with the card moved to the right by each shift."""
    rows = card.rows(before.y_px)
    solid = np.zeros((len(rows), card.alpha.shape[1] + 1), np.bool_)
    solid[rows >= 0, :-1] = card.alpha[rows[rows >= 0]] >= _OPAQUE  # last column: beyond it
    now = int(before.shown.sum())
    out = np.empty(len(shifts_px))
    for k, shift in enumerate(shifts_px):
        taken = solid[:, card.columns(before.x_px - shift)] & before.shown
        out[k] = 1 - (now - int(taken.sum())) / max(1, before.area)
    return out
