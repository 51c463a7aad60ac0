"""What must not change, held against a base commit: `make golden BASE=COMMIT`.

A checkout of the base and a copy of the working tree run the same commands on this machine with
this Python; what they stored, printed and refused is compared. What the base gave is kept below
.cache/golden, so a second run costs one side alone. Differences that are meant stand in
golden_expected.yaml; one of labels can not be meant.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from benchmarks import (
    golden_case,
    golden_digest,
    golden_frames,
    golden_inputs,
    golden_json,
    golden_review,
    golden_sides,
    golden_small,
    golden_training,
    golden_verdicts,
)
from benchmarks.golden_digest import Facts
from benchmarks.golden_sides import ROOT, Context, Side

EXPECTED = Path(__file__).with_name("golden_expected.yaml")
LOG = ROOT / "docs" / "evidence" / "golden.log"
CACHE = ROOT / ".cache" / "golden"
BASE = "953e850"
SHARED_CODE = ("golden_sides.py", "golden_driver.py", "golden_digest.py", "golden_inputs.py")
PROGRAM = ("versions.synthstudio",)
"""What a data set's identity says of the program itself: another release may say another."""
EACH, MOST = 4, 60
"""So many differences of one file are shown, and of one check."""
GROWS = ("commands/", "json/", "values/")
"""Facts that the new side may have more of: commands, options and keys that are added."""
ADDED = ("kinematic_joints_world_m", "keypoints_3d_kinematic_world_m")
"""A column that the base's rows do not have, and its name in COCO files."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """A part of the comparison: what it gathers of a side, and the files whose change renews it."""

    gather: Callable[[Side, Context], Facts]
    sources: tuple[str, ...]


CHECKS: dict[str, Check] = {
    "frames": Check(gather=golden_frames.frames, sources=("golden_frames.py",)),
    "exports": Check(gather=golden_frames.exports, sources=("golden_frames.py",)),
    "commands": Check(gather=golden_json.surface, sources=("golden_json.py",)),
    "json": Check(gather=golden_json.outputs, sources=("golden_json.py",)),
    "training": Check(gather=golden_training.training, sources=("golden_training.py",)),
    "verdicts": Check(
        gather=golden_verdicts.verdicts, sources=("golden_verdicts.py", *golden_case.SOURCES)
    ),
    "review": Check(gather=golden_review.review, sources=("golden_review.py", "golden_edits.py")),
}


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A difference that is meant: a glob on its key, and why."""

    what: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a check came to."""

    name: str
    facts: int
    seconds: float
    unlisted: dict[str, tuple[Any, Any]]
    listed: dict[str, str] = field(default_factory=dict)
    program: int = 0
    wording: int = 0
    notes: tuple[str, ...] = ()


def read_expected(path: Path = EXPECTED) -> tuple[Expected, ...]:
    """Return the differences that are meant; SystemExit for one that could hide labels."""
    entries = yaml.safe_load(path.read_text(encoding="utf-8")) or []
    found = []
    for entry in entries:
        if set(entry) != {"what", "reason"} or not str(entry["reason"]).strip():
            raise SystemExit(f"{path.name}: an entry has `what` and `reason`: {entry}")
        if golden_digest.allows_labels(entry["what"]):
            raise SystemExit(f"{path.name}: {entry['what']!r} would allow a difference of labels")
        found.append(Expected(what=entry["what"], reason=entry["reason"]))
    return tuple(found)


def compare(name: str, base: Facts, new: Facts, expected: tuple[Expected, ...]) -> Outcome:
    """Sort the differences of two sides into meant ones and others."""
    unlisted: dict[str, tuple[Any, Any]] = {}
    listed: dict[str, str] = {}
    program = wording = 0
    for key, pair in golden_digest.differences(base, new).items():
        part = key.partition(":")[2]
        if part.endswith(PROGRAM):
            program += 1
            continue
        if key.startswith("wording/"):
            wording += 1
            continue
        if pair[0] is None and (key.startswith(GROWS) or any(name in part for name in ADDED)):
            continue
        reason = next((e.reason for e in expected if fnmatch.fnmatchcase(key, e.what)), None)
        if reason is None or golden_digest.is_label(key):
            unlisted[key] = pair
        else:
            listed[key] = reason
    return Outcome(
        name=name,
        facts=len(base),
        seconds=0,
        unlisted=unlisted,
        listed=listed,
        program=program,
        wording=wording,
    )


def sides(base: str, cache: Path, *, new: Path = ROOT) -> tuple[Side, Side]:
    """Return the base commit's side and that of the working tree, both checked."""
    commit = golden_sides.commit_of(base)
    home = cache / f"{commit[:12]}-{golden_sides.machine_key()}"
    root = golden_sides.checkout(commit, cache / f"base-{commit[:12]}")
    here = golden_sides.snapshot(home / "new-tree", new)
    pair = (
        Side(name="base", root=root, work=home / "base"),
        Side(name="new", root=here, work=home / "new"),
    )
    for side in pair:
        side.work.mkdir(parents=True, exist_ok=True)
        link = side.work / "inputs"  # so that INPUTS holds in a folder of `work` as well
        if not link.is_symlink():
            link.symlink_to("../inputs")
        golden_sides.checked_package(side)
    scenes = home / "base-scenes"
    if not scenes.is_dir():
        shutil.copytree(root / "scenes", scenes)
    return pair


def base_facts(name: str, side: Side, context: Context) -> tuple[Facts, bool]:
    """Return the base's facts of a check, and whether they were there already."""
    check = CHECKS[name]
    reported = "".join(
        Path(__file__).with_name(file).read_text(encoding="utf-8")
        for file in (*SHARED_CODE, *check.sources)
    )
    mark = hashlib.sha256(f"{context.frames} {context.shared} {reported}".encode()).hexdigest()[:12]
    path = side.work.parent / "facts" / f"{name}-{mark}.json"
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8")), True
    found = check.gather(side, context)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=0, sort_keys=True), encoding="utf-8")
    return found, False


def run(names: list[str], pair: tuple[Side, Side], context: Context) -> list[Outcome]:
    """Run checks one after the other on both sides."""
    base, new = pair
    expected = read_expected()
    golden_inputs.make_inputs(base, context)
    outcomes = []
    for name in names:
        start = time.monotonic()
        had, kept = base_facts(name, base, context)
        middle = time.monotonic()
        has = json.loads(json.dumps(CHECKS[name].gather(new, context)))
        found = compare(name, json.loads(json.dumps(had)), has, expected)
        end = time.monotonic()
        notes = ["base kept" if kept else f"base {middle - start:.0f} s"]
        notes.append(f"new {end - middle:.0f} s")
        outcome = replace(found, seconds=end - start, notes=tuple(notes))
        outcomes.append(outcome)
        verdict = "DIFFERS" if outcome.unlisted else "equal"
        context.say(f"{name}: {verdict}, {outcome.facts} facts, {', '.join(notes)}")
        for line in _details(outcome, pair):
            context.say(f"  {line}")
    return outcomes


def _details(outcome: Outcome, pair: tuple[Side, Side]) -> list[str]:
    """Return lines for differences that nobody meant: failures first, a few of each file."""
    lines: list[str] = []
    reported: Counter[str] = Counter()
    places = [side.work / ("sets" if outcome.name == "frames" else "") for side in pair]
    for key in sorted(outcome.unlisted, key=lambda key: (not key.endswith(":status"), key)):
        path = key.partition(":")[0]
        reported[path] += 1
        if reported[path] > EACH or len(lines) >= MOST:
            continue
        label = " [labels]" if golden_digest.is_label(key) else ""
        was, now = outcome.unlisted[key]
        why = golden_digest.explain(key.partition("/")[2], *places)
        lines.append(f"{key}{label}: {why or f'{_short(was)} -> {_short(now)}'}")
    left = len(outcome.unlisted) - len(lines)
    return (
        [*lines, f"and {left} more, in all of {len(reported)} files or commands"] if left else lines
    )


def _short(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) < 100 else text[:97] + "..."


def summary(outcomes: list[Outcome]) -> list[str]:
    """Return a table, a line for each check."""
    heads = ("facts", "differ", "meant", "program", "wording", "seconds")
    lines = [f"{'check':<12}" + "".join(f"{head:>9}" for head in heads)]
    for one in outcomes:
        counts = (one.facts, len(one.unlisted), len(one.listed), one.program, one.wording)
        row = "".join(f"{count:>9}" for count in (*counts, round(one.seconds)))
        lines.append(f"{one.name:<12}{row}")
    reasons = {reason for one in outcomes for reason in one.listed.values()}
    lines += [f"meant: {reason}" for reason in sorted(reasons)]
    return lines


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--base", default=BASE, help="the commit to compare with")
    parser.add_argument("--new", type=Path, default=ROOT, help="the working tree to compare")
    parser.add_argument("--only", action="append", choices=list(CHECKS), help="may be repeated")
    parser.add_argument("--frames", type=int, default=24, help="frames of each recipe")
    parser.add_argument("--workers", type=int, default=2, choices=[1, 2], help="processes at once")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.add_argument("--write-tests", action="store_true", help="write tests/golden anew")
    parser.add_argument("--log", action="store_true", help="write docs/evidence/golden.log too")
    return parser.parse_args()


def main() -> int:
    """Compare, and return the exit status: 1 on a difference that is not listed."""
    requested = _arguments()
    lines: list[str] = []

    def say(text: str) -> None:
        lines.append(text)
        print(text, file=sys.stderr if requested.json else sys.stdout, flush=True)

    if requested.write_tests:
        with tempfile.TemporaryDirectory() as folder:
            for path in golden_small.write(Path(folder)):
                say(f"{path} ({path.stat().st_size} bytes)")
        return 0
    context = Context(
        frames=requested.frames,
        workers=requested.workers,
        shared=requested.shared.resolve(),
        say=say,
    )
    start = time.monotonic()
    pair = sides(requested.base, requested.cache.resolve(), new=requested.new.resolve())
    outcomes = run(requested.only or list(CHECKS), pair, context)
    for line in summary(outcomes):
        say(line)
    failed = any(one.unlisted for one in outcomes)
    took = f"{time.monotonic() - start:.0f} s on {os.cpu_count()} cores"
    say(f"{'DIFFERENT from' if failed else 'equal to'} {requested.base}, {took}")
    if requested.json:
        print(json.dumps([vars(one) for one in outcomes], sort_keys=True))
    if requested.log:
        LOG.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
