"""The part of `make golden` that no processor can change, small enough for the tests.

Keys of --json, counts, verdicts on hostile files, and what a format brings back are kept as JSON
in tests/golden; bytes are not, for another processor may round otherwise.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from benchmarks import (
    golden_case,
    golden_corpus,
    golden_frames,
    golden_json,
    golden_sides,
    golden_verdicts,
)
from benchmarks.golden_digest import folder_facts, key_types
from benchmarks.golden_inputs import INSIDE, make_flat, pairs_recipe
from benchmarks.golden_sides import ROOT, Context, Job, Side

STORED = ROOT / "tests" / "golden"
FRAMES = 6
ABSENT = ("others", "/occlude", "/orn", "/kpe", "evaluation-", "/few")
"""Inputs that the small version does not make: commands that need them are left out."""
LEFT_OUT = ("preview", "preview moment", "frame", "report", "coverage written")
"""Commands that draw: seconds each, on every run of the tests."""
CASES = ("recipe-", "call-", "coco-", "cvat-", "yolo-", "tar-", "hf-", "set-", "query-", "config-")


def small(folder: Path) -> dict[str, Any]:
    """Return what each file of tests/golden holds, gathered anew from the working tree."""
    side = Side(name="tree", root=ROOT, work=folder / "tree")
    (side.work / "json").mkdir(parents=True)
    side.inputs.mkdir()
    (side.work / "inputs").symlink_to("../inputs")
    golden_sides.checked_package(side)
    context = Context(frames=FRAMES, workers=1, shared=folder / "none", say=lambda text: None)
    made = _inputs(side, context)
    return {
        "commands": _commands(side, context),
        "counts": made,
        "keys": _keys(side, context),
        "round_trips": _round_trips(side, context),
        "verdicts": _verdicts(side, context),
    }


def _inputs(side: Side, context: Context) -> dict[str, Any]:
    """Generate the pairs and export them; return what was counted."""
    recipe = pairs_recipe(FRAMES)
    (side.inputs / "pairs.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    words = ("generate", "pairs.yaml", "--out", "pairs", "--json")
    jobs = [Job(name="generate", arguments=words, folder=INSIDE)]
    jobs.append(Job(name="export", arguments=("export", "pairs", "--out", "coco"), folder=INSIDE))
    verdicts = golden_sides.run_jobs(side, jobs, context)
    golden_sides.need(verdicts, side)
    make_flat(side.inputs / "coco")
    reported = verdicts["generate"].output
    return {name: reported[name] for name in ("frames", "people", "failed", "made")}


def _commands(side: Side, context: Context) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key in sorted(golden_json.surface(side, context)):
        command, _, option = key.removeprefix("commands/").partition(":")
        if option.startswith("-"):
            found.setdefault(command, []).append(option)
    return found


def _keys(side: Side, context: Context) -> dict[str, dict[str, str]]:
    chosen = {
        name: words
        for name, words in golden_json.QUICK.items()
        if name not in LEFT_OUT and not any(part in word for word in words for part in ABSENT)
    }
    jobs = golden_json.jobs_of(chosen, side)
    verdicts = golden_sides.run_jobs(side, jobs, context)
    failed = {name: v.stderr for name, v in verdicts.items() if v.error or v.status not in (0, 1)}
    assert not failed, failed
    return {name: key_types(verdict.output) for name, verdict in sorted(verdicts.items())}


def _round_trips(side: Side, context: Context) -> dict[str, list[str]]:
    """Return which columns of people each format brings back as they were exported."""
    jobs: list[Job] = []
    for form in golden_frames.FORMATS:
        jobs += golden_frames.there_and_back("pairs", form)
    golden_sides.run_jobs(side, jobs, context)
    facts = folder_facts(side.inputs / "pairs", "set/pairs")
    for form in golden_frames.FORMATS:
        name = f"imports/pairs-{form}"
        facts |= folder_facts(side.work / name, f"exports/{name}")
    return golden_frames.round_trips(facts)


def _verdicts(side: Side, context: Context) -> dict[str, str]:
    """Return status and class of error of each command on each hostile file that draws nothing."""
    cases = [*golden_corpus.cases_of_files(), *golden_corpus.cases_of_sets(side.inputs)]
    chosen = [case for case in cases if case.name.startswith(CASES)]
    corpus = side.work.parent / "corpus"
    golden_case.write(corpus, chosen)
    (side.work / "verdicts" / "out").mkdir(parents=True)
    jobs = golden_verdicts.jobs(chosen, corpus)
    jobs = [job for job in jobs if "--plan" not in job.arguments and not _again(job)]
    verdicts = golden_sides.run_jobs(side, jobs, context)
    return {
        name: f"{golden_verdicts.verdict_of(verdict)} {verdict.error}".strip()
        for name, verdict in sorted(verdicts.items())
    }


def _again(job: Job) -> bool:
    """Return whether a damaged thing is asked by a command after one that tells enough."""
    kind, command = job.name.partition("-")[0], job.arguments[0]
    return command not in {"set": ("stats", "export"), "coco": ("import",)}.get(kind, (command,))


def stored() -> dict[str, Any]:
    """Return what tests/golden holds."""
    return {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in STORED.glob("*.json")}


def write(folder: Path) -> list[Path]:
    """Write tests/golden anew; return its files."""
    gathered, paths = small(folder), []
    shutil.rmtree(STORED, ignore_errors=True)
    STORED.mkdir()
    for name, value in gathered.items():
        path = STORED / f"{name}.json"
        path.write_text(json.dumps(value, indent=0, sort_keys=True) + "\n", encoding="utf-8")
        paths.append(path)
    return paths
