"""The review check: what a store's events add up to, put in by this side and by the base."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from benchmarks.golden_digest import Facts, folder_facts, json_parts
from benchmarks.golden_inputs import make_flat
from benchmarks.golden_sides import INPUTS, Context, Job, Side, python, run_jobs

EDITS = Path(__file__).with_name("golden_edits.py")
FORMS = ("dataset", "coco", "yolo", "cvat", "label-studio")
ONLY = ("approved", "touched", "all")
UNSTEADY = frozenset({"when", "client", "at", "time", "date"})


def review(side: Side, context: Context) -> Facts:
    """Edit a set of the base, take in corrections, and ask what all of it came to."""
    work = side.work / "review"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    words = [str(EDITS), f"{INPUTS}/pairs", f"sqlite:///{work / 'own.db'}"]
    done = python(side, words)
    if done.returncode and side.name == "base":
        raise SystemExit(f"base: the edits failed: {done.stderr[-2000:]}")
    if done.returncode:
        return {"review/own/edits:status": done.stderr.strip().splitlines()[-1:]}
    found: Facts = {
        f"review/own/edits:{k:02}": line for k, line in enumerate(json.loads(done.stdout))
    }
    kept = side.work.parent / "base" / "review" / "kept.db"  # as it is before the import
    if side.name == "base":
        shutil.copyfile(work / "own.db", kept)
    shutil.copyfile(kept, work / "base.db")
    for store in ("own", "base"):  # a store of the base must be read by both
        found |= _asked(side, context, store)
    return found


def _asked(side: Side, context: Context, store: str) -> Facts:
    """Return what commands say of a store, and what they export of it."""
    db = ("--db", f"sqlite:///{store}.db")
    pairs = f"{INPUTS}/pairs"
    corrected = side.work / "review" / "corrected"
    _correct(side.inputs / "coco", corrected)

    def job(name: str, command: str, *words: str) -> Job:
        arguments = ("review", command, pairs, *words, *db, "--json")
        return Job(name=name, arguments=arguments, folder="review")

    requested = [job("edited stats", "stats"), job("edited history", "history")]
    requested.append(job("import", "import", "corrected", "--by", "otto"))
    requested += [job("stats", "stats"), job("history", "history", "--limit", "1000")]
    requested += [job("history of one", "history", "--frame", "0", "--instance", "1")]
    requested += [job("history of anna", "history", "--who", "anna")]
    requested += [job("replay", "history", "--check"), job("check", "check", "--no-audit")]
    outs = {}
    for form in FORMS:
        for only in ONLY:
            out = f"{store}-{form}-{only}"
            outs[out] = job(out, "export", "--format", form, "--only", only, "--out", out)
    verdicts = run_jobs(side, [*requested, *outs.values()], context)
    found: Facts = {}
    for name, verdict in verdicts.items():
        key = f"review/{store}/{name}"
        found[f"{key}:status"] = [verdict.status, verdict.error]
        parts = json_parts(_steady(verdict.output)).items()
        found |= {f"{key}:{path}": value for path, value in parts}
    for out in outs:
        if (side.work / "review" / out).is_dir():
            make_flat(side.work / "review" / out, images=True)
            found |= folder_facts(side.work / "review" / out, f"review/{out}")
    return found


def _steady(value: Any) -> Any:
    """Return what was printed without times and the random names of clients."""
    if isinstance(value, dict):
        return {k: _steady(v) for k, v in value.items() if k not in UNSTEADY}
    return [_steady(v) for v in value] if isinstance(value, list) else value


def _correct(coco: Path, folder: Path) -> None:
    """Copy a COCO export and move joints in it, as another tool would."""
    if folder.is_dir():
        return
    shutil.copytree(coco, folder)
    path = folder / "annotations.json"
    reported = json.loads(path.read_text(encoding="utf-8"))
    for number, person in enumerate(reported["annotations"]):
        if number % 4 == 0:
            person["keypoints"][0] += 3.5
            person["keypoints"][1] -= 1.25
        if number % 6 == 5:
            person["keypoints"][27:30] = [0, 0, 0]
    del reported["annotations"][7]
    path.write_text(json.dumps(reported), encoding="utf-8")
