"""Training a lifter of clips (models/temporal_lifter.py) on the labels of a data set's clips.

As training/lifting.py, in which people, noise and measures of single frames are. Letters: P people
in frames, B windows, T frames of a window, J joints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from synthstudio.core.errors import ModelError
from synthstudio.core.rng import Generator, stream
from synthstudio.core.spec import Split
from synthstudio.dataset.reader import Dataset
from synthstudio.evaluation.localization import acceleration_errors
from synthstudio.models.temporal_lifter import TemporalLifter
from synthstudio.training.lifting import (
    Drawn,
    LiftingConfig,
    LiftingPeople,
    Noise,
    fit,
    lifting_metrics,
    people_of_rows,
    rows_to_lift,
)

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class LiftingClips:
    """P sightings. Who is in which clip `track` (P,) says, in which of its frames `time` (P,)."""

    people: LiftingPeople
    track: I64
    time: I64


@dataclass(frozen=True, kw_only=True)
class TemporalConfig(LiftingConfig):
    """How a lifter of clips is trained; a batch is counted in windows of `frames`.

    `memory`: how alike the noise of a joint is in a frame and the next, as of a network that errs
    alike in pictures that are alike. `dropped`: how many frames have no sighting.
    """

    batch: int = 32
    lr: float = 2e-3
    frames: int = 27
    memory: float = 0.8
    dropped: float = 0.05


def lifting_clips(dataset: Dataset, *, split: Split | None = None) -> LiftingClips:
    """The people of a data set's clips, or of one split; as `lifting_people`.

    Groups are clips. ModelError when there is nobody in a clip.
    """
    rows = [
        (frame, person)
        for frame, person in rows_to_lift(dataset, split=split)
        if frame["clip_id"] is not None and person["track_id"] is not None
    ]
    if not rows:
        raise ModelError(
            "nobody to lift",
            where=f"{dataset.place}, split {split or 'any'}",
            expected="people of clips, with labelled joints and kinematic_joints_world_m",
            got="none",
            then="Generate clips (scenes/clips.yaml), or take another split.",
        )
    names = [f"{frame['clip_id']}\n{person['track_id']}" for frame, person in rows]
    return LiftingClips(
        people=people_of_rows(rows, dataset.skeleton),
        track=np.unique(names, return_inverse=True)[1].astype(np.int64),
        time=np.array([frame["clip_frame"] for frame, _ in rows], np.int64),
    )


def observed_clips(
    xy: F64, visible: Bools, noise: Noise, rng: Generator, *, memory: float
) -> tuple[F64, F64]:
    """What a network would say of windows (B, T, J, 2) and (B, T, J), as `lifting.observed`.

    Each frame alone has `noise`; from frame to frame it is an autoregression with the factor
    `memory`.
    """
    drawn = rng.normal(size=(*visible.shape, 4))
    for t in range(1, drawn.shape[1]):
        drawn[:, t] = memory * drawn[:, t - 1] + np.sqrt(1 - memory**2) * drawn[:, t]
    chance = ndtr(drawn[..., 2:])
    sd = np.where(visible, noise.visible, noise.hidden)
    seen = xy + drawn[..., :2] * sd[..., None]
    seen[~visible & (chance[..., 0] < noise.missing)] = np.nan
    said = visible ^ (chance[..., 1] < noise.misjudged)
    return seen, said.astype(np.float64)


def timeline(clips: LiftingClips) -> I64:
    """(K, T) the row of each of K tracks in each frame from its first on, -1 without one."""
    tracks, number = np.unique(clips.track, return_inverse=True)
    first = np.full(len(tracks), np.iinfo(np.int64).max)
    np.minimum.at(first, number, clips.time)
    at = clips.time - first[number]
    table = np.full((len(tracks), int(at.max()) + 1), -1, np.int64)
    table[number, at] = np.arange(len(at))
    return table


def observed_rows(
    clips: LiftingClips, noise: Noise, rng: Generator, *, memory: float
) -> tuple[F64, F64]:
    """`observed_clips` of whole tracks, in the people's order: (P, J, 2) and (P, J)."""
    table, people = timeline(clips), clips.people
    there = table >= 0
    line = observed_clips(people.xy[table], people.visible[table], noise, rng, memory=memory)
    xy, visible = np.empty(people.xy.shape), np.empty(people.visible.shape)
    xy[table[there]], visible[table[there]] = line[0][there], line[1][there]
    return xy, visible


def train_temporal_lifter(clips: LiftingClips, config: TemporalConfig) -> TemporalLifter:
    """Train a lifter of clips by the squared error of the joints whose place in 3D is known.

    Windows begin and end anywhere about a sighting, so beyond the ends of clips too. The same clips
    and config give the same weights. ModelError for fewer than two people in frames.
    """
    people, table = clips.people, timeline(clips)
    places = np.argwhere(table >= 0)

    def draw(step: int) -> Drawn:
        rng = stream(config.seed, "temporal lifting", step)
        rows = _windows(table, places, rng, config)
        there = rows >= 0
        xy, visible = observed_clips(
            people.xy[rows], people.visible[rows], config.noise, rng, memory=config.memory
        )
        xy[~there | (rng.random(rows.shape) < config.dropped)] = np.nan
        return Drawn(xy=xy, visible=visible, rows=rows, there=there)

    joints = len(people.skeleton.joints)
    return fit(
        lambda: TemporalLifter(joints, width=config.width, blocks=config.blocks),
        people,
        draw,
        config,
    )


def _windows(table: I64, places: I64, rng: Generator, config: TemporalConfig) -> I64:
    """(B, T) rows of windows about drawn sightings, -1 where there is none."""
    track, at = places[rng.integers(0, len(places), config.batch)].T
    begin = at - rng.integers(0, config.frames, config.batch)
    frames = begin[:, None] + np.arange(config.frames)
    inside = (frames >= 0) & (frames < table.shape[1])
    return np.where(inside, table[track[:, None], np.where(inside, frames, 0)], -1)


def clip_metrics(predicted_m: F64, clips: LiftingClips) -> dict[str, dict[str, float]]:
    """`lifting_metrics` and the error of acceleration, millimetres per frame and frame.

    Visible and hidden are joints that are so in the middle one of three frames.
    """
    people = clips.people
    out = lifting_metrics(predicted_m, people)
    errors = acceleration_errors(predicted_m, people.xyz_m, track=clips.track, time=clips.time)
    placed = np.asarray(np.isfinite(people.xy).all(-1))
    subsets = {
        "all": np.ones_like(placed),
        "visible": placed & people.visible,
        "hidden": placed & ~people.visible,
    }
    for name, joints in subsets.items():
        known = errors[joints & np.isfinite(errors)]
        out[name]["acceleration_mm"] = float(known.mean()) * 1000 if len(known) else float("nan")
    return out
