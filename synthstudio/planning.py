"""How long a run will take and how much disk it needs, measured on this machine."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthstudio.dataset.durable import disk_errors
from synthstudio.pipeline import OnProgress, generate
from synthstudio.stage import Settings

SAMPLE_SHARDS = 3  # a worker's; the first pays for empty caches, as it does in the run
SAMPLE_FRAMES = 12  # a shard's


@dataclass(frozen=True, kw_only=True)
class Plan:
    """An estimate, made by a sample of the run itself."""

    frames: int
    workers: int
    frames_per_second: float
    start_s: float
    bytes_per_frame: float

    @property
    def seconds(self) -> float:
        """Return how long the whole run takes."""
        return self.start_s + self.frames / self.frames_per_second

    @property
    def disk_bytes(self) -> float:
        """Return how much the whole run writes."""
        return self.frames * self.bytes_per_frame

    def as_json(self) -> dict[str, Any]:
        """Return it for --json."""
        return {
            "frames": self.frames,
            "workers": self.workers,
            "frames_per_second": round(self.frames_per_second, 3),
            "seconds": round(self.seconds, 1),
            "disk_bytes": round(self.disk_bytes),
        }

    def text(self) -> str:
        """Return it as a line."""
        minutes, seconds = divmod(round(self.seconds), 60)
        return (
            f"{self.frames} frames with {self.workers} workers: {self.frames_per_second:.1f} "
            f"frames/s, {minutes} min {seconds} s, {self.disk_bytes / 1e6:.0f} MB"
        )


def plan(
    settings: Settings, *, near: Path, workers: int, on_progress: OnProgress | None = None
) -> Plan:
    """Make a sample of the recipe's frames beside the folder `near` and scale it up.

    The sample is the recipe's own first frames, made by as many workers as the run will have
    and deleted afterwards.
    """
    wanted = settings.recipe.frames
    sample = min(wanted, SAMPLE_SHARDS * SAMPLE_FRAMES * workers)
    recipe = settings.recipe.model_copy(update={"frames": sample})
    with disk_errors(near):
        near.parent.mkdir(parents=True, exist_ok=True)
    rates: list[float] = []

    def watch(done: int, total: int, per_second: float) -> None:
        rates.append(per_second)
        if on_progress is not None:
            on_progress(done, total, per_second)

    with tempfile.TemporaryDirectory(prefix=".plan-", dir=near.parent) as folder:
        made = generate(
            Settings(**{**vars(settings), "recipe": recipe}),
            Path(folder) / "sample",
            workers=workers,
            frames_per_shard=SAMPLE_FRAMES,
            on_progress=watch,
        )
        shards = Path(folder) / "sample" / "shards"
        size = sum(path.stat().st_size for path in shards.rglob("*") if path.is_file())
    rate = rates[-1]
    return Plan(
        frames=wanted,
        workers=workers,
        frames_per_second=rate,
        start_s=max(0.0, made.seconds - sample / rate),
        bytes_per_frame=size / sample,
    )
