"""Estimate of a run's time and disk space, measured on this machine."""

import dataclasses
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthstudio.core.progress import OnProgress
from synthstudio.dataset.durable import disk_errors
from synthstudio.dataset.manifest import FRAMES_PER_SHARD
from synthstudio.generation.engines import LOCAL, Engine
from synthstudio.generation.pipeline import generate
from synthstudio.generation.stage import Settings

SAMPLE_SHARDS = 48  # per worker
SHARD_FRAMES = 4  # at least one of them complete
LONGEST_S = 4.0  # from the first frame on
_SHARD_BYTES = 25_000  # tables of a shard without rows


class _Measured(Exception):
    """Raised inside the sample's run to end it after enough measurements."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """An estimate, made by a sample of the run itself."""

    frames: int
    workers: int
    frames_per_second: float  # once caches are full
    seconds: float  # the whole run, start and empty caches included
    bytes_per_frame: float

    @property
    def disk_bytes(self) -> float:
        return self.frames * self.bytes_per_frame

    def as_json(self) -> dict[str, Any]:
        return {
            "frames": self.frames,
            "workers": self.workers,
            "frames_per_second": round(self.frames_per_second, 3),
            "seconds": round(self.seconds, 1),
            "disk_bytes": round(self.disk_bytes),
        }

    def text(self) -> str:
        minutes, seconds = divmod(round(self.seconds), 60)
        return (
            f"{self.frames} frames with {self.workers} workers: {self.frames_per_second:.1f} "
            f"frames/s, {minutes} min {seconds} s, {self.disk_bytes / 1e6:.0f} MB"
        )


def plan(
    settings: Settings,
    *,
    near: Path,
    workers: int,
    engine: Engine = LOCAL,
    on_progress: OnProgress | None = None,
) -> Plan:
    """Make a sample of the recipe's frames beside the folder `near` and scale it up.

    The sample is the recipe's own first frames, made by the run's number of workers
    and deleted afterwards: some seconds of them. Its first two thirds fill caches (clothes that
    not yet in use); the last third gives the rate of the rest.
    """
    frames = settings.recipe.frames
    sample = min(frames, SAMPLE_SHARDS * SHARD_FRAMES * workers)
    recipe = settings.recipe.model_copy(update={"frames": sample})
    with disk_errors(near):
        near.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    seen = [(0.0, 0)]  # seconds, frames done

    with tempfile.TemporaryDirectory(prefix=".plan-", dir=near.parent) as folder:
        out = Path(folder) / "sample"
        size = 0.0

        def watch(done: int, total: int, per_second: float) -> None:
            nonlocal size
            seen.append((time.monotonic() - start, done))
            if on_progress is not None:
                on_progress(done, total, per_second)
            first_s = next((at for at, count in seen if count), seen[-1][0])
            if seen[-1][0] - first_s > LONGEST_S and done > SHARD_FRAMES * workers:
                size = _bytes_per_frame(out)
                raise _Measured

        with suppress(_Measured):
            generate(
                dataclasses.replace(settings, recipe=recipe),
                out,
                workers=workers,
                engine=engine,
                frames_per_shard=SHARD_FRAMES,
                on_progress=watch,
            )
            size = _bytes_per_frame(out)
    end_s, done = seen[-1]
    warm_s, warm = next(point for point in seen if point[1] >= done * 2 / 3)
    rate = (done - warm) / (end_s - warm_s) if done > warm else done / end_s
    return Plan(
        frames=frames,
        workers=workers,
        frames_per_second=rate,
        seconds=end_s if frames <= done else warm_s + (frames - warm) / rate,
        bytes_per_frame=size,
    )


def _bytes_per_frame(out: Path) -> float:
    """Bytes of a frame on disk: its pictures, and its part of complete shards' tables."""
    shards = out / "shards"
    pictures = [path for path in shards.rglob("*") if path.suffix in (".jpg", ".png")]
    images = sum(path.suffix == ".jpg" for path in pictures)
    complete = len(list(shards.glob("[0-9]*/images/*.jpg")))
    tables = [p.stat().st_size for p in shards.glob("[0-9]*/*") if p.is_file()]
    rows = sum(tables) - _SHARD_BYTES * len(list(shards.glob("[0-9]*/shard.json")))
    of_pictures = sum(path.stat().st_size for path in pictures) / max(1, images)
    return of_pictures + rows / max(1, complete) + _SHARD_BYTES / FRAMES_PER_SHARD
