"""How people are followed live: `python -m benchmarks.live [--run RUN]`.

A clip of 300 pictures with two people, one who walks to and fro and one who stands, is generated
(a fixed camera, 30 pictures a second, the noise of a sensor). A nano network that is trained for a
few minutes on other people (or `--run`) is exported, and the clip goes through `live` by ONNX
Runtime at its own pace. Prints latency from a picture's arrival to its answer and what was missed;
then, from every picture and against the truth, how much still joints jitter and how far those who
move lag, with the one-euro filter and without. The exit status is 1 if p95 is not under 40 ms,
jitter not under half, or lag not under 2 pictures.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

import synthstudio as ss
from benchmarks.proofs import ROOT
from synthstudio.api.live import run_live
from synthstudio.api.recipes import scene_file
from synthstudio.core.visibility import is_visible
from synthstudio.generation import pipeline
from synthstudio.generation.stage import prepare
from synthstudio.recipe.schema.load import dump, load, parse

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
FPS, PICTURES, SEED = 30, 300, 3
P95_MS, JITTER_RATIO, LAG = 40.0, 0.5, 2.0
STILL_PX, MOVING = 0.05, 0.004
"""Pixels a picture below which a joint stands; sizes of the person a picture from which it moves
(0.12 a second)."""
OFF = 0.15
"""Sizes of a person within which somebody found, in the mean of joints, is taken for them."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A video and its truth: `joints` (T, P, J, 2) px, `visible` (T, P, J), `boxes` (T, P, 4)."""

    video: Path
    joints: F64
    visible: F64
    boxes: F64


@dataclass(frozen=True, kw_only=True)
class Steadiness:
    """Jitter of still joints in pixels (root mean square of its second differences: 2.45 times that
    of white noise), lag of moving ones in pictures, mean error
    in pixels, share of people found."""

    jitter_px: float
    lag: float
    error_px: float
    found: float


def to_and_fro(text: str, seconds: float) -> str:
    """A BVH recording played forwards, backwards, forwards ... for so long."""
    head, _, motion = text.partition("MOTION")
    count, step, *rows = motion.strip().splitlines()
    step_s = float(step.split(":")[1])
    there = rows[: int(count.split(":")[1])]
    loop = there + there[-2:0:-1]
    long = [loop[k % len(loop)] for k in range(round(seconds / step_s) + 2)]
    return f"{head}MOTION\nFrames: {len(long)}\n{step}\n" + "\n".join(long) + "\n"


def make_clip(folder: Path, *, pictures: int, seed: int, workers: int, height: int = 240) -> Clip:
    """Generate the clip and write it as a video beside its data set."""
    motions = folder / "motions"
    motions.mkdir(parents=True)
    stroll = (ROOT / "scenes" / "motions" / "stroll.bvh").read_text()
    (motions / "stroll.bvh").write_text(to_and_fro(stroll, pictures / FPS + 1))
    written = dump(load(ROOT / "scenes" / "clips.yaml"))
    written["frames"], written["seed"] = pictures, seed
    written["image"] |= {"width_px": height * 4 // 3, "height_px": height}
    written["clip"] = {"frames": pictures, "fps": FPS, "camera": "fixed"}
    written["motion"]["share"] = 0.5
    written["people"]["count"] = 2
    settings = prepare(parse(written, "clip"), assets=folder, device="cpu")
    pipeline.generate(settings, folder / "people", workers=workers)
    return read_clip(folder)


def read_clip(folder: Path) -> Clip:
    """The clip of a folder that `make_clip` filled; its video is written anew."""
    frames = list(ss.Dataset(folder / "people"))
    high, wide = frames[0].image.shape[:2]
    code = cv2.VideoWriter.fourcc(*"MJPG")
    video = cv2.VideoWriter(str(folder / "clip.avi"), cv2.CAP_FFMPEG, code, FPS, (wide, high))
    for frame in frames:
        video.write(cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
    video.release()
    return Clip(
        video=folder / "clip.avi",
        joints=np.stack([f.people.joints_px for f in frames]),
        visible=np.stack([f.people.visible_share for f in frames]),
        boxes=np.stack([f.people.amodal_boxes_px for f in frames]),
    )


def answers(model: ss.Model, clip: Clip, *, smooth: bool) -> tuple[F64, I64]:
    """(T, P, J, 2) what is found of each of the clip's people, and the track (T, P) that it is of.

    NaN and -1 where nobody found is within OFF of their size, as when one hides the other.
    """
    found = np.full(clip.joints.shape, np.nan)
    track = np.full(clip.joints.shape[:2], -1, np.int64)
    options = {"boxes": clip.boxes[0], "least": 0.0, "smooth": smooth}
    for t, picture in enumerate(ss.live(model, clip.video, **options)):
        people = picture.people
        apart = np.linalg.norm(clip.joints[t][:, None] - people.joints_px[None], axis=-1).mean(-1)
        apart /= clip.boxes[t, :, 2:].max(-1)[:, None]
        for p, k in zip(*linear_sum_assignment(apart), strict=True):
            if apart[p, k] <= OFF:
                found[t, p], track[t, p] = people.joints_px[k], people.instance[k]
    return found, track


def steadiness(found: F64, track: I64, clip: Clip) -> Steadiness:
    """Measure found joints against the truth, by those whose patch is mostly seen."""
    size = clip.boxes[..., 2:].max(-1)[..., None]
    step = np.linalg.norm(np.gradient(clip.joints, axis=0), axis=-1)
    seen = is_visible(clip.visible) & np.isfinite(found).all(-1)
    still = seen & (step < STILL_PX)
    same = (track[2:] == track[1:-1]) & (track[1:-1] == track[:-2])
    rows = still[2:] & still[1:-1] & still[:-2] & same[..., None]
    second = (found[2:] - 2 * found[1:-1] + found[:-2])[rows]
    moving = seen & (step > MOVING * size)
    return Steadiness(
        jitter_px=float(np.sqrt((second**2).mean())),
        lag=_lag(found, clip.joints, moving),
        error_px=float(np.linalg.norm(found - clip.joints, axis=-1)[seen].mean()),
        found=float((track >= 0).mean()),
    )


def _lag(found: F64, truth: F64, moving: NDArray[np.bool_]) -> float:
    """How many pictures of its way what is found is behind, by least squares over joints that move.

    People who walk to and fro make errors that point one way cancel.
    """
    way = np.gradient(truth, axis=0)[moving]
    return float(((truth - found)[moving] * way).sum() / (way**2).sum())


def train(folder: Path, *, frames: int, minutes: float, workers: int) -> Path:
    """A nano network of scenes/training/nano.yaml, trained on people of scenes/people.yaml."""
    path = scene_file("people.yaml")
    people = parse(dump(load(path)) | {"frames": frames}, str(path))
    settings = prepare(people, assets=path.parent, device="cpu")
    pipeline.generate(settings, folder / "people", workers=workers)
    written = yaml.safe_load(scene_file("training/nano.yaml").read_text())
    for source in (*written["train"], *written["val"]):
        source["dataset"] = str(folder / "people")
    written |= {"epochs": 1000, "minutes": minutes}
    config = folder / "nano.yaml"
    config.write_text(yaml.safe_dump(written))
    ss.train(config, out=folder / "run")
    return folder / "run"


def report(model: Path, clip: Clip) -> bool:
    """Print the figures; whether all hold."""
    timed = run_live(model, clip.video, boxes=clip.boxes[0], realtime=True, window=False)
    print(
        f"{timed['pictures']} pictures at {FPS} a second, {timed['missed']} missed: p50 "
        f"{timed['latency_p50_ms']:.1f} ms, p95 {timed['latency_p95_ms']:.1f} ms from picture to "
        f"answer, {timed['most_people']} people",
        flush=True,
    )
    net = ss.Model.load(model)
    with_it, without = (steadiness(*answers(net, clip, smooth=s), clip) for s in (True, False))
    print("| one-euro filter | jitter of still joints, px | lag, pictures | error, px | found |")
    print("|---|---|---|---|---|")
    for name, found in (("with", with_it), ("without", without)):
        cells = (
            f"{found.jitter_px:.3f} | {found.lag:.2f} | {found.error_px:.2f} | {found.found:.0%}"
        )
        print(f"| {name} | {cells} |")
    ratio = with_it.jitter_px / without.jitter_px
    more = with_it.lag - without.lag
    print(f"jitter with the filter is {ratio:.2f} of that without, lag {more:.2f} pictures more")
    return timed["latency_p95_ms"] < P95_MS and ratio < JITTER_RATIO and with_it.lag < LAG


def main() -> int:
    """Generate, train unless a run is given, follow, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, help="a run or an .onnx file instead of training one")
    parser.add_argument("--clip", type=Path, help="the folder of a clip that was made before")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--pictures", type=int, default=PICTURES)
    parser.add_argument("--frames", type=int, default=400, help="of people to train on")
    parser.add_argument("--minutes", type=float, default=8, help="of training")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for model in _model(options, folder):
            if options.clip is not None and (options.clip / "people").is_dir():
                clip = read_clip(options.clip)
            else:
                clip = make_clip(
                    options.clip or folder / "clip",
                    pictures=options.pictures,
                    seed=options.seed,
                    workers=options.workers,
                )
            return 0 if report(model, clip) else 1
    return 1


def _model(options: argparse.Namespace, folder: Path) -> Iterator[Path]:
    run = options.run
    if run is None:
        run = train(folder, frames=options.frames, minutes=options.minutes, workers=options.workers)
    if run.suffix != ".onnx":
        ss.Model.load(run, device="cpu").export(folder / "model.onnx")
        run = folder / "model.onnx"
    yield run


if __name__ == "__main__":
    sys.exit(main())
