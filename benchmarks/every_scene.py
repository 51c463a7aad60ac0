"""Do the promises hold on every scene of the project? `make scenes`.

Of each scene's first frames: made by one worker and by two they have the same bytes; every eighth,
made again alone by `frame`, has them too; `audit` (rays instead of a raster) finds no joint in
another state or place. Of more frames, drawn and posed without pictures until there are people
enough to tell one in a hundred: at most one in a hundred goes through anything or itself, feet
stand and joints keep their limits (benchmarks.physics). Targets have a table of their own:
benchmarks.targets.

    python -m benchmarks.every_scene [--frames 24] [--posed 60] [--people 200] [SCENE ...]
"""

import argparse
import itertools
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import physics, proofs
from synthstudio.core.spec import FrameSpec
from synthstudio.dataset.durable import write_file
from synthstudio.dataset.shards import hashed_files
from synthstudio.generation import pipeline
from synthstudio.generation.audit import audit
from synthstudio.generation.stage import FrameGenerator, Settings
from synthstudio.recipe.schema.load import load

SCENES = proofs.ROOT / "scenes"
LOG = proofs.ROOT / "docs" / "evidence" / "scenes.log"
NO_FRAMES = ("occlude",)
"""Occludes photos that are there already and draws nobody."""
_EVERY = 8
_MAX = 10
"""Times as many frames as asked are posed at most, for people in them."""
HEAD = (
    f"{'scene':24} {'frames':>6} {'bytes':>6} {'alone':>6} {'people':>6} {'joints':>6} {'wrong':>6}"
    f" {'posed':>6} {'people':>6} {'through':>8} {'itself':>7} {'feet':>5} {'limits':>6} {'air':>4}"
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one scene's frames were found to be."""

    scene: str
    frames: int
    same: bool
    alone: int  # frames made again that differ
    audited: dict[str, object]
    posed: physics.Report
    findings: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return self.same and not self.alone and bool(self.audited["passed"]) and self.posed.passed

    def row(self) -> str:
        """The outcome as a line under HEAD."""
        p, found = self.posed, self.audited
        return (
            f"{self.scene:24} {self.frames:6} {'same' if self.same else 'DIFFER':>6} "
            f"{'same' if not self.alone else self.alone:>6} {found['people']:6} "
            f"{found['joints']:6} {found['state_differs']:6} {p.frames:6} {p.people:6} "
            f"{p.through:8} {p.itself:7} {p.floating:5} {p.beyond:6} {p.hanging:4}"
        )


def scenes() -> dict[str, Path]:
    """Every scene that draws frames, by name: those for networks are in scenes/training."""
    files = sorted(p for p in SCENES.rglob("*.yaml") if p.parent.name != "training")
    named = {p.relative_to(SCENES).with_suffix("").as_posix(): p for p in files}
    return {name: p for name, p in named.items() if name not in NO_FRAMES}


def assets_of(scene: Path, folder: Path) -> Path:
    """Where the folders that a scene names are: below scenes/, else below `folder`."""
    named = load(scene).folders.values()
    return SCENES if all((SCENES / name).is_dir() for name in named) else folder


def posed(stage: FrameGenerator, *, frames: int, people: int) -> Iterator[FrameSpec]:
    """Yield the first frames of a scene: so many at least, and so many people."""
    seen = 0
    for index in itertools.count():
        if index >= frames and (seen >= people or index >= _MAX * frames):
            return
        spec = pipeline.draw_spec(stage, index)
        seen += len(spec.people)
        yield spec


def outcome(name: str, settings: Settings, folder: Path, *, frames: int, people: int) -> Outcome:
    """Make, make again and audit a scene's frames, as many as `settings` says, and pose `frames`
    of them or more, with so many people."""
    one, two = folder / "one", folder / "two"
    for out, workers in ((one, 1), (two, 2)):
        pipeline.generate(settings, out, workers=workers, frames_per_shard=proofs.FRAMES_PER_SHARD)
    made = settings.recipe.frames
    again = proofs.replayed(two, range(0, made, _EVERY))
    tally = audit(two, settings, workers=2)
    stage = FrameGenerator(settings)
    report = physics.check(stage, posed(stage, frames=frames, people=people))
    return Outcome(
        scene=name,
        frames=made,
        same=hashed_files(one) == hashed_files(two),
        alone=sum(held != "same bytes" for held in again.values()),
        audited=tally.report(),
        posed=report,
        findings=(*tally.findings[:5], *report.findings[:8]),
    )


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=24, help="made twice and audited")
    parser.add_argument("--posed", type=int, default=60, help="drawn and posed, or more")
    parser.add_argument("--people", type=int, default=200, help="so many posed at least")
    parser.add_argument("--assets", type=Path, default=proofs.ROOT.parent / "shared" / "data")
    parser.add_argument("--log", type=Path, default=LOG)
    parser.add_argument("scene", nargs="*", help="by name, as wild or challenges/dark; all")
    options = parser.parse_args(words)
    known = scenes()
    if unknown := sorted(set(options.scene) - set(known)):
        parser.error(f"no such scene: {', '.join(unknown)}; there are {', '.join(known)}")
    failed = []
    sizes = f"--frames {options.frames} --posed {options.posed} --people {options.people}"
    lines = [" ".join(["$ python -m benchmarks.every_scene", sizes, *options.scene])]

    def log(text: str) -> None:
        lines.append(text)
        print(text, flush=True)

    log(HEAD)
    for name in options.scene or known:
        assets = assets_of(known[name], options.assets)
        settings = proofs.settings_for(known[name], assets=assets, frames=options.frames)
        with tempfile.TemporaryDirectory() as scratch:
            posed_most = {"frames": options.posed, "people": options.people}
            got = outcome(name, settings, Path(scratch), **posed_most)
        log(got.row())
        for finding in got.findings:
            log(f"    {finding}")
        failed += [] if got.passed else [name]
    log(f"not held: {', '.join(failed) or 'nothing'}")
    write_file(options.log, ("\n".join(lines) + "\n").encode())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
