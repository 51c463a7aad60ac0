"""What the project promises, as checks of any size: small in the tests, full in `make soak`."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from synthstudio.core.rng import stream
from synthstudio.dataset.merge import merge
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.shards import hashed_files
from synthstudio.generation import pipeline, replay
from synthstudio.generation.stage import FrameGenerator, Settings, prepare, settings_of
from synthstudio.recipe.schema.load import dump, load, parse

ROOT = Path(__file__).resolve().parents[1]
FRAMES_PER_SHARD = 8
EVENTS = ("before-first-shard", "frame-written", "shard-written")
EVENTS += ("before-rename", "after-rename", "before-index")
IN_WORKERS = ("frame-written", "shard-written")
VICTIMS = ("self", "parent", "group")


@dataclass(frozen=True, kw_only=True)
class KillAt:
    """An event hook that kills with -9 at the n-th time that `event` is heard in a process."""

    event: str
    nth: int
    victim: str
    heard: list[str]

    def __call__(self, event: str) -> None:
        """Hear an event; at the right one, do not return."""
        if event != self.event:
            return
        self.heard.append(event)
        if len(self.heard) == self.nth:
            if self.victim == "group":
                os.killpg(os.getpgrp(), signal.SIGKILL)
            os.kill(os.getppid() if self.victim == "parent" else os.getpid(), signal.SIGKILL)


def settings_for(scene: Path, *, assets: Path, frames: int, device: str = "cpu") -> Settings:
    """Return the settings of a scene with another number of frames.

    Photos may lack sidecars, as the sample ones do.
    """
    fields = {**dump(load(scene)), "frames": frames}
    for choice in fields["backdrop"].get("choices", ()):
        if choice["backdrop"]["kind"] == "photo":
            choice["backdrop"]["ground"] = "any"
    return prepare(parse(fields, str(scene)), assets=assets, device=device)


def made_in_every_way(settings: Settings, folder: Path) -> dict[str, dict[str, str]]:
    """Make the same data set with 1 and 2 workers, twice, and in three merged parts."""

    def run(name: str, workers: int, part: tuple[int, int] | None = None) -> Path:
        out = folder / name
        pipeline.generate(
            settings, out, workers=workers, part=part, frames_per_shard=FRAMES_PER_SHARD
        )
        return out

    ways = {"one worker": hashed_files(run("one", 1)), "two workers": hashed_files(run("two", 2))}
    ways["a second run"] = hashed_files(run("again", 1))
    parts = [run(f"part{k}", 1, (k, 3)) for k in (1, 2, 3)]
    merge(parts, folder / "merged")
    ways["three parts merged"] = hashed_files(folder / "merged")
    return ways


def kill_plan(seed: int, *, random_moments: int, frames: int) -> list[tuple[str, int, str]]:
    """Return (event, n-th, victim): every event with every victim, and some random ones."""
    plan = [(e, 1, v) for e in EVENTS for v in VICTIMS if v != "parent" or e in IN_WORKERS]
    rng = stream(seed, "kills")
    # An event in a worker is counted within one shard: its hook arrives with the job.
    maximum = {
        "frame-written": FRAMES_PER_SHARD,
        "shard-written": 1,
        "before-rename": frames // FRAMES_PER_SHARD,
        "after-rename": frames // FRAMES_PER_SHARD,
    }
    for _ in range(random_moments):
        event = str(rng.choice(sorted(maximum)))
        victim = str(rng.choice(["self", "group"]))
        plan.append((event, int(rng.integers(1, maximum[event] + 1)), victim))
    return plan


def killed_and_resumed(
    scene: Path, assets: Path, out: Path, *, frames: int, kill: tuple[str, int, str], workers: int
) -> dict[str, str]:
    """Start a run that is killed, see that it died, resume it; return the files' hashes."""
    event, nth, victim = kill
    arguments = map(str, (scene, assets, out, frames, workers, event, nth, victim))
    died = subprocess.run(
        [sys.executable, "-c", "from benchmarks import proofs; proofs.main()", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    by_worker = {"self": "killed by SIGKILL", "parent": "exit code 255"}.get(victim)  # fork server
    if died.returncode != -signal.SIGKILL and (not by_worker or by_worker not in died.stderr):
        raise AssertionError(f"the run was not killed at {kill}: {died.stderr[-2000:]}")
    settings = settings_for(scene, assets=assets, frames=frames)
    pipeline.generate(
        settings, out, workers=workers, resume=True, frames_per_shard=FRAMES_PER_SHARD
    )
    return hashed_files(out)


def replayed(folder: Path, indices: Sequence[int]) -> dict[int, str]:
    """Return what `synthstudio frame` says of each index."""
    dataset = Dataset(folder)
    stage = FrameGenerator(settings_of(dataset, device="cpu"))
    layers = stage.settings.recipe.layers
    found = {}
    for index in indices:
        frame = pipeline.make_frame(stage, dataset.spec(index), layers=layers)
        found[index] = replay.compare(dataset, index, frame).held
    return found


def memory(settings: Settings, *, frames: int, marks: Sequence[int]) -> dict[int, float]:
    """Return the megabytes this process holds after each of `marks` frames."""
    stage, held = FrameGenerator(settings), {}
    for index in range(frames):
        pipeline.make_frame(stage, pipeline.draw_spec(stage, index))
        if index + 1 in marks:
            held[index + 1] = psutil.Process().memory_info().rss / 1e6
    return held


def main() -> None:
    """Run `generate` with a KillAt hook: the process that `killed_and_resumed` starts. Workers
    import the hook from here, so this may not be `__main__`."""
    scene, assets, out, frames, workers, event, nth, victim = sys.argv[1:]
    settings = settings_for(Path(scene), assets=Path(assets), frames=int(frames))
    pipeline.generate(
        settings,
        Path(out),
        workers=int(workers),
        frames_per_shard=FRAMES_PER_SHARD,
        on_event=KillAt(event=event, nth=int(nth), victim=victim, heard=[]),
    )
