"""What must not change, held against a base commit: `make golden BASE=COMMIT`.

A checkout of the base and a copy of the working tree run the same commands on this machine with
this Python; what they stored, printed and refused is compared. What the base gave is kept below
.cache/golden, so a second run costs one side alone. Differences that are meant stand in
golden_expected.yaml; one of labels can not be meant. `--write-tests` keeps in tests/golden what no
processor can change: options and keys of --json.
"""

import argparse
import fnmatch
import hashlib
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks import golden_checks, golden_digest
from benchmarks.golden_checks import CHECKS, QUICK
from benchmarks.golden_digest import Facts
from benchmarks.golden_sides import INPUTS, ROOT, Job, Side, need, run_jobs, sides
from benchmarks.small_inputs import pairs_recipe, write_json

HERE = Path(__file__).parent
EXPECTED = HERE / "golden_expected.yaml"
CACHE = ROOT / ".cache" / "golden"
STORED = ROOT / "tests" / "golden"
BASE = "a8a9d48a"
PROGRAM = "versions.synthstudio"
"""What a data set's identity says of the program itself: another release may say another."""
EACH, MAX = 4, 60  # differences of one file that are shown, and of one check
GROWS = ("commands/", "json/", "values/")
"""Facts that the new side may have more of: commands, options and keys that are added."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A difference that is meant: a glob on its key, and why."""

    what: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a check came to: differences nobody meant, those that are meant with their reasons."""

    unlisted: dict[str, tuple[Any, Any]]
    listed: dict[str, str] = field(default_factory=dict)
    program: int = 0


def read_expected(path: Path = EXPECTED) -> tuple[Expected, ...]:
    """The differences that are meant; SystemExit for one that could hide labels."""
    found = []
    for entry in yaml.safe_load(path.read_text(encoding="utf-8")) or []:
        if set(entry) != {"what", "reason"} or not str(entry["reason"]).strip():
            raise SystemExit(f"{path.name}: an entry has `what` and `reason`: {entry}")
        if golden_digest.allows_labels(entry["what"]):
            raise SystemExit(f"{path.name}: {entry['what']!r} would allow a difference of labels")
        found.append(Expected(what=entry["what"], reason=entry["reason"]))
    return tuple(found)


def compare(base: Facts, new: Facts, expected: tuple[Expected, ...]) -> Outcome:
    """Sort the differences of two sides into meant ones and others."""
    unlisted: dict[str, tuple[Any, Any]] = {}
    listed: dict[str, str] = {}
    program = 0
    for key, pair in golden_digest.differences(base, new).items():
        if key.partition(":")[2].endswith(PROGRAM):
            program += 1
        elif pair[0] is not None or not key.startswith(GROWS):
            reason = next((e.reason for e in expected if fnmatch.fnmatchcase(key, e.what)), None)
            if reason is None or golden_digest.is_label(key):
                unlisted[key] = pair
            else:
                listed[key] = reason
    return Outcome(unlisted=unlisted, listed=listed, program=program)


def base_facts(name: str, side: Side, frames: int) -> Facts:
    """The base's facts of a check, kept until the harness changes."""
    harness = b"".join(path.read_bytes() for path in sorted(HERE.glob("golden_*.py")))
    mark = hashlib.sha256(f"{frames}".encode() + harness).hexdigest()[:12]
    path = side.work.parent / "facts" / f"{name}-{mark}.json"
    if not path.is_file():
        found = CHECKS[name](side, frames)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(found, indent=0, sort_keys=True), encoding="utf-8")
    facts: Facts = json.loads(path.read_text(encoding="utf-8"))
    return facts


def details(outcome: Outcome) -> list[str]:
    """Lines for differences that nobody meant: failures first, a few of each file."""
    lines: list[str] = []
    shown: Counter[str] = Counter()
    for key in sorted(outcome.unlisted, key=lambda key: (not key.endswith(":status"), key)):
        path = key.partition(":")[0]
        shown[path] += 1
        if shown[path] > EACH or len(lines) >= MAX:
            continue
        label = " [labels]" if golden_digest.is_label(key) else ""
        was, now = (
            "absent" if value is None else str(value)[:100] for value in outcome.unlisted[key]
        )
        lines.append(f"  {key}{label}: {was} -> {now}")
    left = len(outcome.unlisted) - len(lines)
    return [*lines, f"  and {left} more, in all of {len(shown)} files or commands"][: MAX + 1]


# Kept in tests/golden ---------------------------------------------------------------------


def small(folder: Path) -> dict[str, Any]:
    """What each file of tests/golden holds, gathered anew from the working tree."""
    side = Side(name="tree", root=ROOT, work=folder / "tree")
    for place in (side.work, side.inputs):
        place.mkdir()
    (side.work / "inputs").symlink_to(INPUTS)
    write_json(side.inputs / "pairs.yaml", pairs_recipe(6))
    lines = ("generate pairs.yaml --out pairs", "export pairs --out coco")
    jobs = [Job(name=line, arguments=tuple(line.split()), folder=INPUTS) for line in lines]
    need(run_jobs(side, jobs), side)
    commands: dict[str, list[str]] = {}
    for key in sorted(golden_checks.surface(side, 0)):
        command, _, option = key.removeprefix("commands/").partition(":")
        if option.startswith("-"):
            commands.setdefault(command, []).append(option)
    printed = golden_checks.run_json(side, QUICK)
    return {
        "commands": commands,
        "keys": {name: golden_digest.key_types(v.output) for name, v in sorted(printed.items())},
    }


def stored() -> dict[str, Any]:
    """What tests/golden holds."""
    return {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in STORED.glob("*.json")}


def write_tests() -> None:
    """Write tests/golden anew."""
    with tempfile.TemporaryDirectory() as folder:
        for name, value in small(Path(folder)).items():
            text = json.dumps(value, indent=0, sort_keys=True) + "\n"
            (STORED / f"{name}.json").write_text(text, encoding="utf-8")


def main() -> int:
    """Compare, and return the exit status: 1 on a difference that is not listed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--base", default=BASE, help="the commit to compare with")
    parser.add_argument("--new", type=Path, default=ROOT, help="the working tree to compare")
    parser.add_argument("--only", action="append", choices=list(CHECKS), help="may be repeated")
    parser.add_argument("--frames", type=int, default=24, help="frames of each recipe")
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--write-tests", action="store_true", help="write tests/golden anew")
    options = parser.parse_args()
    if options.write_tests:
        write_tests()
        return 0
    pair = sides(options.base, options.cache.resolve(), new=options.new.resolve())
    expected = read_expected()
    golden_checks.make_inputs(pair[0], options.frames)
    reasons, failed = set(), False
    for name in options.only or CHECKS:
        start = time.monotonic()
        had = base_facts(name, pair[0], options.frames)
        has = json.loads(json.dumps(CHECKS[name](pair[1], options.frames)))
        found = compare(had, has, expected)
        counts = f"{len(had)} facts, {len(found.unlisted)} differ, {len(found.listed)} meant, "
        counts += f"{found.program} of the program"
        print(f"{name}: {counts}; {time.monotonic() - start:.0f} s")
        for line in details(found) if found.unlisted else ():
            print(line)
        reasons |= set(found.listed.values())
        failed |= bool(found.unlisted)
    for reason in sorted(reasons):
        print(f"meant: {reason}")
    print(f"{'DIFFERENT from' if failed else 'equal to'} {options.base}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
