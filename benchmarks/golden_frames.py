"""Checks of stored bytes: every recipe's frames, photos occluded, exports and what comes back."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from benchmarks.golden_digest import Facts, digest, folder_facts, json_parts
from benchmarks.golden_inputs import make_flat
from benchmarks.golden_sides import INPUTS, Context, Job, Side, Verdict, need, run_batches

OCCLUDE = "occlude"
FORMATS = ("coco", "crowdpose", "ochuman", "yolo", "cvat", "webdataset", "huggingface")
FORMATS += ("label-studio", "mpii", "lsp", "h36m")
SOURCES = ("pairs", OCCLUDE)
"""Sets of the base that are exported: rendered pairs, and photos with occluders."""


def recipes(scenes: Path) -> dict[str, Path]:
    """Return the recipes of frames below a folder by name; configs of trainings are none."""
    found = {}
    for path in sorted([*scenes.glob("*.yaml"), *scenes.glob("training/*.yaml")]):
        reported = yaml.safe_load(path.read_text(encoding="utf-8"))
        if isinstance(reported, dict) and "train" not in reported and "network" not in reported:
            found[path.relative_to(scenes).with_suffix("").as_posix()] = path
    return found


def frames(side: Side, context: Context) -> Facts:
    """Make the frames of the base's recipes; of this side's own the fields are facts."""
    sets = side.work / "sets"
    shutil.rmtree(sets, ignore_errors=True)
    own, old = recipes(side.scenes), recipes(side.work.parent / "base-scenes")
    jobs = [_generate(name, path, f"sets/{name}", context) for name, path in old.items()]
    verdicts = run_batches(side, [[job] for job in jobs], context, free=True)
    if side.name == "base":
        need(verdicts, side)  # two failures alike would prove nothing
    found: Facts = {}
    for name, path in own.items():
        fields = json_parts(yaml.safe_load(path.read_text(encoding="utf-8")))
        found |= {f"recipes/{name}.yaml:{field}": value for field, value in fields.items()}
    for name in old:
        found |= _set_facts(sets / name, f"frames/{name}", verdicts[name], notes=1)
    others = (p for p in side.scenes.rglob("*") if p.is_file() and p.suffix != ".yaml")
    for path in others:
        if path.name != "schema.json":
            name = path.relative_to(side.scenes).as_posix()
            found[f"frames/scenes/{name}"] = digest(path.read_bytes())
    return found


def _generate(name: str, recipe: Path, out: str, context: Context) -> Job:
    assets = f"{INPUTS}/assets"
    if Path(name).name == OCCLUDE:
        people = f"{INPUTS}/people"
        words: tuple[str, ...] = ("occlude", f"{people}/coco.json", "--images", f"{people}/images")
        words += ("--recipe", str(recipe), "--each", "1")
    else:
        words = ("generate", str(recipe), "--frames", str(context.frames))
    words += ("--assets", assets, "--out", out, "--device", "cpu", "--json")
    return Job(name=name, arguments=words, limit_s=600)


def _set_facts(folder: Path, name: str, verdict: Verdict, *, notes: int = 0) -> Facts:
    """Return the facts of a set; more than so many notes of deprecation are one too."""
    output = sum("deprecat" in line.lower() for line in verdict.stderr.splitlines())
    reported = verdict.output or {}
    found: Facts = {
        f"{name}/command:status": verdict.status,
        f"{name}/command:notes": max(output - notes, 0),
        f"{name}/command:counts": [
            reported.get(k) for k in ("frames", "people", "failed", "unmet")
        ],
    }
    return found | (folder_facts(folder, name) if folder.is_dir() else {})


def exports(side: Side, context: Context) -> Facts:
    """Export sets of the base in every format, and take in again what was written."""
    for name in ("exports", "imports", "replayed"):
        shutil.rmtree(side.work / name, ignore_errors=True)
    jobs: list[Job] = []
    for source in SOURCES:
        for form in FORMATS:
            jobs += there_and_back(source, form)
    jobs += there_and_back("pairs", "coco", "--polygons", name="coco-polygons")
    for bones in ("coco17", "mpii16", "crowdpose14", "h36m17", "lsp14", "ochuman19"):
        jobs += there_and_back("pairs", "coco", "--skeleton", bones, name=f"coco-{bones}")
    jobs += [
        Job(name=f"frame/{k}", arguments=("frame", f"{INPUTS}/pairs", str(k), "--json"))
        for k in (0, 1, 7)
    ]
    half = len(FORMATS) * 2
    verdicts = run_batches(side, [jobs[:half], jobs[half:]], context)
    found: Facts = {}
    for job in jobs:
        verdict = verdicts[job.name]
        name = job.name if job.name.startswith("frame/") else _out(job)
        found[f"exports/{name}:status"] = [verdict.status, verdict.error]
        if job.name.startswith("frame/"):
            found[f"exports/{name}:agreement"] = verdict.output
        elif (side.work / name).is_dir():
            make_flat(side.work / name, images=True)
            found |= folder_facts(side.work / name, f"exports/{name}")
    return found


def there_and_back(source: str, form: str, *more: str, name: str = "") -> list[Job]:
    """Return the export of a set of the base and the import of what that wrote."""
    name = f"{source}-{name or form}"
    made, taken = f"exports/{name}", f"imports/{name}"
    where = f"{INPUTS}/{source}"
    export: tuple[str, ...] = ("export", where, "--format", form, "--out", made, *more, "--json")
    back: tuple[str, ...] = ("import", made, "--format", form, "--out", taken, "--json")
    return [Job(name=made, arguments=export), Job(name=taken, arguments=back)]


def _out(job: Job) -> str:
    return job.arguments[job.arguments.index("--out") + 1]


def round_trips(facts: Facts) -> dict[str, Any]:
    """Return which columns of people a format brings back as they were exported."""
    columns = {
        key.partition("instances.parquet:")[2]: value
        for key, value in facts.items()
        if key.startswith("set/") and "instances.parquet:" in key
    }
    found: dict[str, Any] = {}
    for key, value in facts.items():
        head, _, column = key.partition("/shards/00000/instances.parquet:")
        if column and head.startswith("exports/imports/"):
            if columns.get(column) == value:
                found.setdefault(head.removeprefix("exports/imports/"), []).append(column)
    return {name: sorted(held) for name, held in sorted(found.items())}
