"""Tracks of people in generated clips: `python -m benchmarks.tracking`.

Clips of scenes/systems/walks.yaml: three or four people who all walk, so that they pass before one
another. What a detector would spoil is done to their true boxes and joints, and in the last row a
network finds boxes and joints itself; then they are tracked by boxes alone, by poses and velocity,
and by poses and the pictures' flow. Prints a Markdown table; the exit status is 1 if poses do worse
than boxes on any true ones, however spoilt.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.proofs import ROOT
from synthstudio.api.model import Model
from synthstudio.core.images import decode_rgb
from synthstudio.core.rng import stream
from synthstudio.dataset.reader import Dataset
from synthstudio.evaluation.tracking import TrackedFrame, TrackScores, score_tracks
from synthstudio.generation import pipeline
from synthstudio.generation.stage import prepare
from synthstudio.inference.tracking import REPEATED, track_people
from synthstudio.models.smooth import overlaps, tracks
from synthstudio.recipe.schema.load import dump, load, parse

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
NOISE, GAP, EVERY = 0.03, 5, 3


@dataclass(frozen=True, kw_only=True)
class Sight:
    """A frame of a clip: boxes (P, 4), joints (P, J, 2) and scores (P, J) of whom a tracker is
    given, and who is there: `truth` (Q,), whose boxes are `true_boxes` (Q, 4), those of the P if
    None."""

    time: int
    truth: I64
    boxes: F64
    joints: F64
    scores: F64
    picture: NDArray[np.uint8]
    true_boxes: F64 | None = None


Clip = list[Sight]


def clips_of(folder: Path) -> Iterator[Clip]:
    """The clips of a data set; a joint's score is the visible share of its patch."""
    dataset = Dataset(folder)
    for _, rows in groupby(dataset.iter_frames(), key=lambda row: row["clip_id"]):
        clip = []
        for row in rows:
            people = dataset.people_of(row["index"])
            people = people[people.amodal_area_px > 0]
            clip.append(
                Sight(
                    time=row["clip_frame"],
                    truth=people.instance.astype(np.int64),
                    boxes=people.amodal_boxes_px,
                    joints=people.joints_px,
                    scores=people.shares[..., 0],
                    picture=decode_rgb(dataset.image_bytes_of(row), row["file_name"]),
                )
            )
        yield clip


def spoilt(clip: Clip, kind: str, number: int) -> Clip:
    """A clip as a detector might give it; `kind` is one of KINDS."""
    rng = stream(number, "tracking", kind)
    people = sorted({int(k) for s in clip for k in s.truth})
    away = {k: int(rng.integers(1, max(2, len(clip) - GAP))) for k in people}
    out = []
    for s in clip[:: EVERY if "third" in kind else 1]:
        gone = ["gap" in kind and 0 <= s.time - away[int(k)] < GAP for k in s.truth]
        rows = np.flatnonzero(~np.array(gone, bool))
        size = NOISE * np.sqrt(s.boxes[rows, 2:].prod(-1))[:, None] * ("noise" in kind)
        out.append(
            Sight(
                time=s.time,
                truth=s.truth[rows],
                boxes=s.boxes[rows] + size * rng.normal(size=(len(rows), 4)),
                joints=s.joints[rows] + size[..., None] * rng.normal(size=s.joints[rows].shape),
                scores=s.scores[rows],
                picture=s.picture,
            )
        )
    return out


def predicted(clip: Clip, model: Model) -> Clip:
    """A clip in which a network finds people and joints; a joint counts by its score and by how
    much of it is predicted to be seen, as in `predict`."""
    found = model.predict([s.picture for s in clip])
    visible = found.shares[..., 0]
    scores = found.joint_score * np.where(np.isfinite(visible), visible, 1)
    out = []
    for number, s in enumerate(clip):
        rows = found.picture == number
        out.append(
            replace(
                s,
                boxes=found.amodal_boxes_px[rows],
                joints=found.joints_px[rows],
                scores=scores[rows],
                true_boxes=s.boxes,
            )
        )
    return out


KINDS = {
    "true": "true poses",
    "noise": f"places off by {NOISE:.0%} of the person's size",
    "gap": f"everybody unseen for {GAP} frames at some time",
    "third": f"one frame of {EVERY}",
    "gap noise": "gaps and noise",
    "third gap noise": f"gaps and noise, one frame of {EVERY}",
}


def by_boxes(clip: Clip) -> list[I64]:
    """Tracks by the overlap of boxes."""
    return tracks([s.boxes for s in clip])


def by_poses(clip: Clip, *, flow: bool = False) -> list[I64]:
    """Tracks by poses, moved by velocity or by the pictures' flow."""
    return track_people(
        [s.boxes for s in clip],
        [s.joints for s in clip],
        [s.scores for s in clip],
        pictures=[s.picture for s in clip] if flow else None,
    )


TRACKERS: dict[str, Callable[[Clip], list[I64]]] = {
    "boxes": by_boxes,
    "poses, velocity": by_poses,
    "poses, flow": lambda clip: by_poses(clip, flow=True),
}


def judged(clips: list[Clip], tracker: Callable[[Clip], list[I64]]) -> TrackScores:
    """Track clips one by one and count over all."""
    frames = []
    for number, clip in enumerate(clips):
        for sight, names in zip(clip, tracker(clip), strict=True):
            there = names != REPEATED
            frames.append(
                TrackedFrame(
                    truth=sight.truth + 10_000 * number,
                    found=names[there] + 10_000 * number,
                    alike=overlaps(
                        sight.boxes if sight.true_boxes is None else sight.true_boxes,
                        sight.boxes[there],
                    ),
                )
            )
    return score_tracks(frames)


def make(folder: Path, *, clips: int, seed: int, workers: int) -> None:
    """Generate the clips."""
    path = ROOT / "scenes" / "systems" / "walks.yaml"
    written = dump(load(path))
    written["frames"] = clips * written["clip"]["frames"]
    written["seed"] = seed
    settings = prepare(parse(written, str(path)), assets=ROOT / "scenes", device="cpu")
    pipeline.generate(settings, folder, workers=workers)


def main() -> int:
    """Generate, spoil, track, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--model", default="default", help="whose predictions the last row has")
    options = parser.parse_args()
    worse = False
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "clips"
        make(made, clips=options.clips, seed=options.seed, workers=options.workers)
        clips = list(clips_of(made))
    print(f"| MOTA, IDF1, switches | sightings | {' | '.join(TRACKERS)} |")
    print(f"|{'---|' * (2 + len(TRACKERS))}")
    given = {
        words: [spoilt(clip, kind, number) for number, clip in enumerate(clips)]
        for kind, words in KINDS.items()
    }
    model = Model.load(options.model)
    given["boxes and joints found by a network"] = [predicted(clip, model) for clip in clips]
    for words, seen in given.items():
        found = [judged(seen, tracker) for tracker in TRACKERS.values()]
        cells = [f"{s.mota:.3f}, {s.idf1:.3f}, {s.switches}" for s in found]
        print(f"| {words} | {found[0].truth} | {' | '.join(cells)} |", flush=True)
        if words in KINDS.values():
            worse |= any(s.mota < found[0].mota or s.idf1 < found[0].idf1 for s in found[1:])
    return int(worse)


if __name__ == "__main__":
    sys.exit(main())
