"""The Done-when lines at their full size: `make soak`. Its log belongs in docs/evidence/.

Each check prints what it asked for and what it saw; the exit status is 1 if one did not hold.
Photos, cut-outs and panoramas are taken from ASSETS (default ../shared/data) where it exists.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import abilities, proofs
from benchmarks.counterfactuals import counterfactuals
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.shards import hashed_files
from synthstudio.formats.coco.file import annotation_files
from synthstudio.formats.export import export
from synthstudio.generation import pipeline
from synthstudio.generation.audit import audit
from synthstudio.generation.stage import Stage, prepare
from synthstudio.recipe.schema.load import dump, load, parse

SCENES = proofs.ROOT / "scenes"
Check = Callable[[Path, Path], tuple[bool, str]]


def same_bytes(folder: Path, assets: Path) -> tuple[bool, str]:
    """200 frames of photo_backdrop: 1 and 2 workers, two runs, three parts merged."""
    settings = proofs.settings_for(SCENES / "photo_backdrop.yaml", assets=assets, frames=200)
    ways = proofs.made_in_every_way(settings, folder)
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
    plan = proofs.kill_plan(1, random_moments=10, frames=frames)
    wrong = []
    for number, kill in enumerate(plan):
        made = proofs.killed_and_resumed(
            scene, SCENES, folder / f"k{number}", frames=frames, kill=kill, workers=2
        )
        if made != expected:
            wrong.append(kill)
    return not wrong, f"{len(plan)} kills, each resumed; bytes differ after: {wrong}"


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
    lines, passed, total = [], True, 0
    for scene, frames in (
        ("photo_backdrop.yaml", 300),
        ("close_ups.yaml", 150),
        ("crowd.yaml", 50),
    ):
        out = folder / scene
        settings = proofs.settings_for(SCENES / scene, assets=assets, frames=frames)
        pipeline.generate(settings, out, workers=2)
        tally = audit(out, settings, workers=2)
        found = tally.report()
        total += found["people"]
        passed &= found["passed"]
        lines.append(f"{scene}: {found}")
        lines += [f"    {finding}" for finding in tally.findings[:10]]
    lines.append(f"people in all: {total}")
    return passed and total >= 1000, "\n  ".join(lines)


def flat_memory(folder: Path, assets: Path) -> tuple[bool, str]:
    """A worker's memory over 2,000 frames."""
    settings = proofs.settings_for(SCENES / "quickstart.yaml", assets=assets, frames=2000)
    held = proofs.memory(settings, frames=2000, marks=(500, 1000, 1500, 2000))
    growth = held[2000] / held[1000]
    return growth < 1.05, f"MB after frames: {held}"


def plan_holds(folder: Path, assets: Path) -> tuple[bool, str]:
    """--plan is within 25 % of the run it foretells."""
    from synthstudio.generation.plan import plan

    settings = proofs.settings_for(SCENES / "quickstart.yaml", assets=assets, frames=1500)
    foretold = plan(settings, near=folder / "planned", workers=2)
    start = time.monotonic()
    made = pipeline.generate(settings, folder / "planned", workers=2)
    took = time.monotonic() - start
    size = sum(p.stat().st_size for p in made.folder.rglob("*") if p.is_file())
    time_off, disk_off = foretold.seconds / took - 1, foretold.disk_bytes / size - 1
    output = (
        f"time {took:.0f} s, foretold {time_off:+.1%}; disk {size / 1e6:.1f} MB, {disk_off:+.1%}"
    )
    return abs(time_off) <= 0.25 and abs(disk_off) <= 0.25, output


def coco_scores_itself(folder: Path, assets: Path) -> tuple[bool, str]:
    """Pycocotools gives ground truth as detections 1.000 for keypoints, boxes and masks."""
    out = folder / "crowd"
    settings = proofs.settings_for(SCENES / "crowd.yaml", assets=assets, frames=40)
    pipeline.generate(settings, out, workers=2)
    export("coco", out, folder / "coco")
    each = [_scores(file, sigmas(out)) for file in annotation_files(folder / "coco")]
    good = all(abs(s - 1) < 1e-9 for scores, _ in each for s in scores.values())
    return good, f"{[scores for scores, _ in each]}, most in a frame {max(m for _, m in each)}"


def _scores(file: Path, of_joints: Any) -> tuple[dict[str, float], int]:
    """AP of ground truth as detections by kind, and the most people in an image."""
    import contextlib
    import io

    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(file))
        most = max(len(truth.getAnnIds([i])) for i in truth.getImgIds())
        found = [{**a, "score": 1.0} for a in truth.dataset["annotations"]]
        detections = truth.loadRes(found)
        scores = {}
        for kind in ("keypoints", "bbox", "segm"):
            judge = COCOeval(truth, detections, kind)
            judge.params.maxDets = [most] if kind == "keypoints" else [1, 10, most]
            if kind == "keypoints":
                judge.params.kpt_oks_sigmas = of_joints
            judge.evaluate()
            judge.accumulate()
            precision = judge.eval["precision"][:, :, :, 0, -1]
            scores[kind] = float(precision[precision > -1].mean())
    return scores, most


def sigmas(folder: Path) -> object:
    """Return the sigmas of a data set's skeleton."""
    from synthstudio.core.skeleton import get_skeleton

    return get_skeleton(Dataset(folder).identity.skeleton).sigmas


def clean_against_occluded(folder: Path, assets: Path) -> tuple[bool, str]:
    """320 pairs with things, many with cut-outs: plain, room, panorama, photo behind them."""
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
        tally = counterfactuals(Stage(settings), range(40))
        held &= not tally.faults and tally.hidden > 0 and tally.with_cutouts > 0
        pairs += tally.pairs
        lines.append(f"{backdrop['kind']}: {tally.report()}")
    return held and pairs >= 300, "\n  ".join(lines)


def abilities_bytes(folder: Path, assets: Path) -> tuple[bool, str]:
    """Targets, variants, clips, contacts, quotas, crowds: the same bytes in five ways."""
    return abilities.same_bytes_of_abilities(folder, frames=48, kill=True)


def abilities_oracle(folder: Path, assets: Path) -> tuple[bool, str]:
    """The audit on the same abilities."""
    return abilities.oracle_on_abilities(folder, frames=64)


def physics_holds(folder: Path, assets: Path) -> tuple[bool, str]:
    """2,000 frames: nothing through anything, feet on the floor, joints within limits."""
    frames = {
        "rooms.yaml": 700, "quickstart.yaml": 300, "close_ups.yaml": 200, "holding.yaml": 300,
        "target_bell.yaml": 250, "clips.yaml": 96, "crowd.yaml": 60, "target_crowd.yaml": 94,
    }  # fmt: skip
    return abilities.physical(frames=frames, assets=SCENES)


def targets_hold(folder: Path, assets: Path) -> tuple[bool, str]:
    """Five targets over 1,000 people each, and the same by luck."""
    return abilities.targets_met(folder, people=1000)


def reviewer(folder: Path, assets: Path) -> tuple[bool, str]:
    """200 people reviewed by keyboard in a browser: the store and COCO hold exactly that."""
    people = 200
    recipe = parse(
        {
            "name": "reviewed",
            "frames": 130,
            "seed": 8,
            "skeleton": "coco17",
            "variants": {"clean": 1},
            "people": {"count": 2},
            "things": [{"kind": "procedural", "count": 2}],
            "backdrop": {"kind": "room"},
        }
    )
    pipeline.generate(prepare(recipe, assets=folder, device="cpu"), folder / "set", workers=2)
    reported = {"SYNTHSTUDIO_REVIEW_PEOPLE": str(people), "SYNTHSTUDIO_REVIEW_SET": folder / "set"}
    test = "tests/studio/test_review_keyboard.py"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", test],
        cwd=proofs.ROOT,
        env=os.environ | reported,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode == 0, f"{people} people" + (
        done.stdout[-3000:] if done.returncode else ""
    )


def reviewers(folder: Path, assets: Path) -> tuple[bool, str]:
    """Eight reviewers for ten minutes on SQLite and on PostgreSQL while everything breaks."""
    log = folder / "log"
    reported = {"SYNTHSTUDIO_REVIEWERS_S": "600", "SYNTHSTUDIO_REVIEWERS_LOG": str(log)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/studio/test_eight_reviewers.py"],
        cwd=proofs.ROOT,
        env=os.environ | reported | {"SYNTHSTUDIO_REQUIRE": "chromium,postgres"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = log.read_text().splitlines() if log.is_file() else []
    held = done.returncode == 0 and len(lines) == 2
    return held, "\n  ".join(lines) + ("" if held else done.stdout[-3000:])


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
    failed = 0
    for name in arguments.checks or CHECKS:
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            held, output = CHECKS[name](Path(folder), arguments.assets)
        failed += not held
        took = time.monotonic() - start
        print(f"{'held  ' if held else 'FAILED'} {name} ({took:.0f} s)\n  {output}", flush=True)
    print(
        f"{len(arguments.checks or CHECKS) - failed} held, {failed} failed; {os.cpu_count()} cores"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
