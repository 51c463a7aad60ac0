"""Checks of `make soak` on what a scene can ask for: targets, variants, clips, contacts, crowds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import physics, proofs, targets
from synthstudio.generation import pipeline
from synthstudio.generation.audit import audit
from synthstudio.generation.stage import Settings, Stage, prepare
from synthstudio.recipe.schema.load import dump, load, parse

SCENES = proofs.ROOT / "scenes"
CROWDED: dict[str, Any] = {"targets": {"crowd_index": 0.8}, "people": {"count": [3, 6]}}


def settings_of(
    name: str, *, frames: int, assets: Path = SCENES, more: dict[str, Any] | None = None
) -> Settings:
    """Return the settings of a scene with another number of frames and other fields."""
    path = SCENES / name
    written = {**dump(load(path)), "frames": frames}
    for key, value in (more or {}).items():
        written[key] = {**written.get(key, {}), **value}
    return prepare(parse(written, str(path)), assets=assets, device="cpu")


def abilities(frames: int) -> dict[str, Settings]:
    """Return a run of each ability: name -> settings."""
    return {
        "targets: wrists": settings_of("target_wrists.yaml", frames=frames),
        "targets: causes": settings_of("target_causes.yaml", frames=frames),
        "crowd index 0.8": settings_of("target_crowd.yaml", frames=frames, more=CROWDED),
        "variants": settings_of("counterfactuals.yaml", frames=frames),
        "clips": settings_of("clips.yaml", frames=frames),
        "contacts": settings_of("holding.yaml", frames=frames),
        "quotas": settings_of("quotas.yaml", frames=frames),
    }


def same_bytes_of_abilities(folder: Path, *, frames: int, kill: bool) -> tuple[bool, str]:
    """Make each ability with 1 and 2 workers, again, in parts, and after a kill."""
    lines, held = [], True
    for name, settings in abilities(frames).items():
        own = folder / name.replace(" ", "-").replace(":", "")
        ways = proofs.made_in_every_way(settings, own)
        if kill:
            ways["killed and resumed"] = proofs.killed_run(settings, own / "killed")
        first = ways["one worker"]
        differing = [way for way, tree in ways.items() if tree != first]
        held &= not differing
        lines.append(f"{name}: {len(first)} files, {len(ways)} ways, differing: {differing}")
    return held, "\n  ".join(lines)


def oracle_on_abilities(folder: Path, *, frames: int) -> tuple[bool, str]:
    """Audit each ability's frames."""
    lines, held = [], True
    for name, settings in abilities(frames).items():
        out = folder / name.replace(" ", "-").replace(":", "")
        pipeline.generate(settings, out, workers=2)
        tally = audit(out, settings, workers=2)
        found = tally.report()
        held &= bool(found["passed"])
        lines.append(f"{name}: {found}")
        lines += [f"    {finding}" for finding in tally.findings[:10]]
    return held, "\n  ".join(lines)


def physical(*, frames: dict[str, int], assets: Path) -> tuple[bool, str]:
    """Nothing goes through anything, feet stand, joints stay within their limits."""
    total, lines = physics.Report(), []
    for name, count in frames.items():
        settings = settings_of(name, frames=count, assets=assets if assets.is_dir() else SCENES)
        stage = Stage(settings)
        report = physics.check(stage, (pipeline.draw_spec(stage, i) for i in range(count)))
        lines.append(f"{name}\n    {report.text()}".replace("\n", "\n    "))
        total = physics.added(total, report)
    lines.append(f"all\n    {total.text()}".replace("\n", "\n    "))
    return total.passed, "\n  ".join(lines)


def targets_met(folder: Path, *, people: int) -> tuple[bool, str]:
    """Five targets, met with the search and none without."""
    lines, held = [targets.HEAD], True
    for search in (True, False):
        lines.append("with the search" if search else "by luck (negative control)")
        for name in targets.SCENES:
            got = targets.outcome(name, folder, people=people, search=search)
            held &= search != bool(got.missed)
            lines += [targets.row(name, got), *(f"    {line}" for line in got.missed)]
    return held, "\n  ".join(lines)
