"""The Done-when lines at their full size: `make soak`. Its log belongs in docs/evidence/.

Each check prints what it asked for and what it saw; the exit status is 1 if one did not hold.
Photos, cut-outs and panoramas are taken from ASSETS (default ../shared/data) where it exists.
"""

import argparse
import contextlib
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from benchmarks import physics, proofs, targets
from benchmarks.counterfactuals import counterfactuals
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.shards import hashed_files
from synthstudio.formats.coco.file import annotation_files
from synthstudio.formats.export import export
from synthstudio.generation import pipeline
from synthstudio.generation.audit import audit
from synthstudio.generation.plan import plan
from synthstudio.generation.stage import FrameGenerator, Settings, prepare
from synthstudio.recipe.schema.load import dump, load, parse

SCENES = proofs.ROOT / "scenes"
CROWDED: dict[str, Any] = {"targets": {"crowd_index": 0.8}, "people": {"count": [3, 6]}}
ABILITIES: dict[str, tuple[str, dict[str, Any]]] = {
    "targets-wrists": ("target_wrists.yaml", {}),
    "targets-causes": ("target_causes.yaml", {}),
    "crowd-index-0.8": ("target_crowd.yaml", CROWDED),
    "variants": ("counterfactuals.yaml", {}),
    "clips": ("clips.yaml", {}),
    "contacts": ("holding.yaml", {}),
    "quotas": ("quotas.yaml", {}),
}
"""What a scene can ask for: name -> scene, other fields of it."""
POSED = {
    "rooms.yaml": 700, "quickstart.yaml": 300, "close_ups.yaml": 200, "holding.yaml": 300,
    "target_bell.yaml": 250, "clips.yaml": 96, "crowd.yaml": 60, "target_crowd.yaml": 94,
}  # fmt: skip
"""Frames of each scene whose people are posed."""
Check = Callable[[Path, Path], tuple[bool, str]]


def settings_of(name: str, *, frames: int, more: dict[str, Any] | None = None) -> Settings:
    """The settings of a scene with another number of frames and other fields."""
    path = SCENES / name
    written = {**dump(load(path)), "frames": frames}
    for key, value in (more or {}).items():
        written[key] = {**written.get(key, {}), **value}
    return prepare(parse(written, str(path)), assets=SCENES, device="cpu")


def same_bytes(folder: Path, assets: Path) -> tuple[bool, str]:
    """200 frames of photo_backdrop: 1 and 2 workers, two runs, three parts merged."""
    settings = proofs.settings_for(SCENES / "photo_backdrop.yaml", assets=assets, frames=200)
    return _same(proofs.made_in_every_way(settings, folder))


def _same(ways: dict[str, dict[str, str]]) -> tuple[bool, str]:
    first = ways["one worker"]
    differing = [way for way, tree in ways.items() if tree != first]
    return not differing, f"{len(first)} hashed files, {len(ways)} ways, differing: {differing}"


def kills(folder: Path, assets: Path) -> tuple[bool, str]:
    """Kill -9 of parent, worker and group at every event and ten random moments, then resume."""
    frames, scene = 24, SCENES / "quickstart.yaml"
    settings = proofs.settings_for(scene, assets=SCENES, frames=frames)
    whole = folder / "whole"
    pipeline.generate(settings, whole, workers=2, frames_per_shard=proofs.FRAMES_PER_SHARD)
    expected = hashed_files(whole)
    wrong = []
    killed = proofs.kill_plan(1, random_moments=10, frames=frames)
    for number, kill in enumerate(killed):
        out = folder / f"k{number}"
        made = proofs.killed_and_resumed(scene, SCENES, out, frames=frames, kill=kill, workers=2)
        wrong += [kill] if made != expected else []
    return not wrong, f"{len(killed)} kills, each resumed; bytes differ after: {wrong}"


def any_frame(folder: Path, assets: Path) -> tuple[bool, str]:
    """`frame` makes every tenth of the 200 stored frames again, byte by byte."""
    out = folder / "set"
    settings = proofs.settings_for(SCENES / "photo_backdrop.yaml", assets=assets, frames=200)
    pipeline.generate(settings, out, workers=2)
    held = proofs.replayed(out, range(0, 200, 10))
    wrong = {index: output for index, output in held.items() if output != "same bytes"}
    return not wrong, f"{len(held)} frames made again, not the same: {wrong}"


def second_oracle(folder: Path, assets: Path) -> tuple[bool, str]:
    """The audit over 500 frames, about 1,000 people at least 32 px tall."""
    frames = {"photo_backdrop.yaml": 300, "close_ups.yaml": 150, "crowd.yaml": 50}
    passed, people, text = _audited(folder, {
        name: proofs.settings_for(SCENES / name, assets=assets, frames=count)
        for name, count in frames.items()
    })  # fmt: skip
    return passed and people >= 1000, text


def _audited(folder: Path, runs: dict[str, Settings]) -> tuple[bool, int, str]:
    """Whether the audit holds on the frames of each of `runs`, of how many people, a report."""
    lines, passed, people = [], True, 0
    for name, settings in runs.items():
        out = folder / name
        pipeline.generate(settings, out, workers=2)
        tally = audit(out, settings, workers=2)
        found = tally.report()
        people += found["people"]
        passed &= bool(found["passed"])
        lines += [f"{name}: {found}", *(f"    {finding}" for finding in tally.findings[:10])]
    return passed, people, "\n  ".join([*lines, f"people in all: {people}"])


def flat_memory(folder: Path, assets: Path) -> tuple[bool, str]:
    """A worker's memory over 2,000 frames."""
    settings = proofs.settings_for(SCENES / "quickstart.yaml", assets=assets, frames=2000)
    held = proofs.memory(settings, frames=2000, marks=(500, 1000, 1500, 2000))
    return held[2000] / held[1000] < 1.05, f"MB after frames: {held}"


def plan_holds(folder: Path, assets: Path) -> tuple[bool, str]:
    """--plan is within 25 % of the run it foretells."""
    settings = proofs.settings_for(SCENES / "quickstart.yaml", assets=assets, frames=1500)
    foretold = plan(settings, near=folder / "planned", workers=2)
    start = time.monotonic()
    made = pipeline.generate(settings, folder / "planned", workers=2)
    took = time.monotonic() - start
    size = sum(p.stat().st_size for p in made.folder.rglob("*") if p.is_file())
    time_off, disk_off = foretold.seconds / took - 1, foretold.disk_bytes / size - 1
    text = f"time {took:.0f} s, foretold {time_off:+.1%}; disk {size / 1e6:.1f} MB, {disk_off:+.1%}"
    return abs(time_off) <= 0.25 and abs(disk_off) <= 0.25, text


def coco_scores_itself(folder: Path, assets: Path) -> tuple[bool, str]:
    """Pycocotools gives ground truth as detections 1.000 for keypoints, boxes and masks."""
    settings = proofs.settings_for(SCENES / "crowd.yaml", assets=assets, frames=40)
    pipeline.generate(settings, folder / "crowd", workers=2)
    export("coco", folder / "crowd", folder / "coco")
    sigmas = get_skeleton(Dataset(folder / "crowd").identity.skeleton).sigmas
    each = [_scores(file, sigmas) for file in annotation_files(folder / "coco")]
    good = all(abs(s - 1) < 1e-9 for scores, _ in each for s in scores.values())
    return good, f"{[scores for scores, _ in each]}, most in a frame {max(m for _, m in each)}"


def _scores(file: Path, sigmas: Any) -> tuple[dict[str, float], int]:
    """AP of ground truth as detections by kind, and the most people in an image."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(file))
        maximum = max(len(truth.getAnnIds([i])) for i in truth.getImgIds())
        found = [{**a, "score": 1.0} for a in truth.dataset["annotations"]]
        detections = truth.loadRes(found)
        scores = {}
        for kind in ("keypoints", "bbox", "segm"):
            judge = COCOeval(truth, detections, kind)
            judge.params.maxDets = [maximum] if kind == "keypoints" else [1, 10, maximum]
            if kind == "keypoints":
                judge.params.kpt_oks_sigmas = sigmas
            judge.evaluate()
            judge.accumulate()
            precision = judge.eval["precision"][:, :, :, 0, -1]
            scores[kind] = float(precision[precision > -1].mean())
    return scores, maximum


def clean_against_occluded(folder: Path, assets: Path) -> tuple[bool, str]:
    """320 pairs with objects, many with cut-outs: plain, room, panorama, photo behind them."""
    backdrops: tuple[dict[str, object], ...] = (
        {"kind": "plain"},
        {"kind": "room"},
        {"kind": "hdri", "folder": "hdri"},
        {"kind": "photo", "folder": "backgrounds", "ground": "any"},
    )
    scene = SCENES / "counterfactuals.yaml"
    lines, held, pairs = [], True, 0
    for seed, backdrop in enumerate(backdrops, 31):
        wish = {
            **dump(load(scene)),
            "seed": seed,
            "backdrop": backdrop,
            "variants": {"clean": 1, "occluder": 1},
            "cutouts": {"folder": "occluders", "size": "share", "count": [0, 2]},
        }
        settings = prepare(parse(wish, str(scene)), assets=assets, device="cpu")
        tally = counterfactuals(FrameGenerator(settings), range(40))
        held &= not tally.faults and tally.hidden > 0 and tally.with_cutouts > 0
        pairs += tally.pairs
        lines.append(f"{backdrop['kind']}: {tally.report()}")
    return held and pairs >= 300, "\n  ".join(lines)


def abilities_bytes(folder: Path, assets: Path) -> tuple[bool, str]:
    """Targets, variants, clips, contacts, quotas, crowds: the same bytes in four ways."""
    lines, held = [], True
    for name, (scene, more) in ABILITIES.items():
        settings = settings_of(scene, frames=48, more=more)
        same, text = _same(proofs.made_in_every_way(settings, folder / name))
        held &= same
        lines.append(f"{name}: {text}")
    return held, "\n  ".join(lines)


def abilities_oracle(folder: Path, assets: Path) -> tuple[bool, str]:
    """The audit on the same abilities."""
    runs = {n: settings_of(s, frames=64, more=more) for n, (s, more) in ABILITIES.items()}
    passed, _, text = _audited(folder, runs)
    return passed, text


def physics_holds(folder: Path, assets: Path) -> tuple[bool, str]:
    """2,000 frames: nothing through anything, feet on the floor, joints within limits."""
    total, lines = physics.Report(), []
    for name, count in POSED.items():
        stage = FrameGenerator(settings_of(name, frames=count))
        report = physics.check(stage, (pipeline.draw_spec(stage, i) for i in range(count)))
        lines.append(f"{name}\n    {report.text()}".replace("\n", "\n    "))
        total = physics.added(total, report)
    lines.append(f"all\n    {total.text()}".replace("\n", "\n    "))
    return total.passed, "\n  ".join(lines)


def targets_hold(folder: Path, assets: Path) -> tuple[bool, str]:
    """Five targets over 1,000 people each, met with the search and none without."""
    lines, held = [targets.HEAD], True
    for search in (True, False):
        lines.append("with the search" if search else "by luck (negative control)")
        for name in targets.SCENES:
            got = targets.outcome(name, folder, people=1000, search=search)
            held &= search != bool(got.missed)
            lines += [targets.row(name, got), *(f"    {line}" for line in got.missed)]
    return held, "\n  ".join(lines)


def reviewer(folder: Path, assets: Path) -> tuple[bool, str]:
    """200 people reviewed by keyboard in a browser: the store and COCO hold exactly that."""
    recipe = parse({
        "name": "reviewed", "frames": 130, "seed": 8, "skeleton": "coco17",
        "variants": {"clean": 1}, "people": {"count": 2},
        "objects": [{"kind": "procedural", "count": 2}], "backdrop": {"kind": "room"},
    })  # fmt: skip
    pipeline.generate(prepare(recipe, assets=folder, device="cpu"), folder / "set", workers=2)
    given = {"SYNTHSTUDIO_REVIEW_PEOPLE": "200", "SYNTHSTUDIO_REVIEW_SET": str(folder / "set")}
    done = _tested("tests/studio/test_review_keyboard.py", given)
    return done.returncode == 0, "200 people" if done.returncode == 0 else done.stdout[-3000:]


def reviewers(folder: Path, assets: Path) -> tuple[bool, str]:
    """Eight reviewers for ten minutes on SQLite and on PostgreSQL while everything breaks."""
    log = folder / "log"
    given = {"SYNTHSTUDIO_REVIEWERS_S": "600", "SYNTHSTUDIO_REVIEWERS_LOG": str(log)}
    given |= {"SYNTHSTUDIO_REQUIRE": "chromium,postgres"}
    done = _tested("tests/studio/test_eight_reviewers.py", given)
    lines = log.read_text().splitlines() if log.is_file() else []
    held = done.returncode == 0 and len(lines) == 2
    return held, "\n  ".join(lines) + ("" if held else done.stdout[-3000:])


def _tested(file: str, given: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "", file],
        cwd=proofs.ROOT,
        env=os.environ | given,
        capture_output=True,
        text=True,
        check=False,
    )


CHECKS: dict[str, Check] = {
    "same bytes": same_bytes,
    "kills": kills,
    "any frame": any_frame,
    "second oracle": second_oracle,
    "flat memory": flat_memory,
    "plan": plan_holds,
    "coco": coco_scores_itself,
    "counterfactuals": clean_against_occluded,
    "targets": targets_hold,
    "physics": physics_holds,
    "abilities: same bytes": abilities_bytes,
    "abilities: second oracle": abilities_oracle,
    "reviewer": reviewer,
    "reviewers": reviewers,
}


def main() -> int:
    """Run the checks named on the command line, or all; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checks", nargs="*", choices=[[], *CHECKS], default=[])
    parser.add_argument("--assets", type=Path, default=proofs.ROOT.parent / "shared" / "data")
    arguments = parser.parse_args()
    failed, names = 0, arguments.checks or list(CHECKS)
    for name in names:
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            held, output = CHECKS[name](Path(folder), arguments.assets)
        failed += not held
        took = time.monotonic() - start
        print(f"{'held  ' if held else 'FAILED'} {name} ({took:.0f} s)\n  {output}", flush=True)
    print(f"{len(names) - failed} held, {failed} failed; {os.cpu_count()} cores")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
