"""What `make golden` gathers of a side: frames, exports, commands, --json.

`frames` and `exports` hold bytes and labels; the inputs of all checks are made by the base, once.
"""

import hashlib
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import yaml

from benchmarks.golden_digest import Facts, folder_facts, json_parts, key_types, tensors
from benchmarks.golden_sides import INPUTS, Job, Side, Verdict, need, run_batches, run_jobs
from benchmarks.small_inputs import (
    make_assets,
    make_people,
    pairs_recipe,
    training_config,
    write_json,
)

FORMATS = ("coco", "crowdpose", "ochuman", "yolo", "cvat", "webdataset", "huggingface")
FORMATS += ("label-studio", "mpii", "lsp", "h36m")
SKELETONS = ("coco17", "mpii16", "crowdpose14", "h36m17", "lsp14", "ochuman19")
GROUPS = ("", "review", "experiment", "assets")
COCO_FILE = "annotations/person_keypoints_train.json"
_OPTION = re.compile(r"^\s+(?:-\w, )?(--[a-z][a-z-]*)(?: / (--[a-z-]+))?(?:\s+<([^>]*)>?)?", re.M)
_COMMAND = re.compile(r"^  ([a-z][a-z-]*)\s", re.M)
_UNSTEADY = re.compile(
    r"second|latency|time|bytes|_ms\b|waited|memory|rate|date|folder|\bout\b|per_s"
)
"""Keys whose values tell of the machine or of paths."""


# Inputs -----------------------------------------------------------------------------------


def make_inputs(base: Side, frames: int) -> None:
    """Make the inputs of both sides once: `.whole` says that they are complete."""
    folder = base.inputs
    sources = (Path(__file__), Path(__file__).with_name("small_inputs.py"))
    text = f"{frames}".encode() + b"".join(path.read_bytes() for path in sources)
    mark, whole = hashlib.sha256(text).hexdigest(), folder / ".whole"
    if whole.is_file() and whole.read_text(encoding="utf-8") == mark:
        return
    shutil.rmtree(folder, ignore_errors=True)
    make_assets(folder / "assets", base.scenes)
    make_people(folder / "people", photos=max(8, frames // 2))
    make_people(folder / "few", photos=4)
    write_json(folder / "pairs.yaml", pairs_recipe(24))
    write_json(folder / "others.yaml", {**pairs_recipe(8), "seed": 6, "name": "others"})
    write_json(folder / "orn.yaml", training_config("../inputs/pairs", steps=12))
    kpe = {"head": "kpe", "size": [48, 36], "widths": [8, 12], "width": 16}
    write_json(folder / "kpe.yaml", training_config("../inputs/pairs", steps=12, network=kpe))
    occlude = "occlude few/coco.json --images few/images --assets assets --each 1 --device cpu "
    occlude += f"--recipe {base.scenes}/occlude.yaml --out occlude"
    first = ["generate pairs.yaml --out pairs", "generate others.yaml --out others", occlude]
    then = ["export pairs --out coco"]
    for block in ("orn", "kpe"):
        then += [f"train {block}.yaml --out {block}"]
        then += [f"evaluate {block} pairs --out evaluation-{block}"]
    for lines in (first, then):
        jobs = [Job(name=w, arguments=tuple(w.split()), folder=INPUTS) for w in lines]
        need(run_jobs(base, jobs), base)
    whole.write_text(mark, encoding="utf-8")


# Bytes and labels -------------------------------------------------------------------------


def recipes(scenes: Path) -> dict[str, Path]:
    """The recipes of frames below a folder by name; configs of trainings are none."""
    found = {}
    for path in sorted(scenes.glob("*.yaml")):
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
        if isinstance(fields, dict) and "train" not in fields and "network" not in fields:
            found[path.stem] = path
    return found


def frames(side: Side, count: int) -> Facts:
    """Make the frames of the base's recipes; of this side's own the fields are facts."""
    sets = side.work / "sets"
    shutil.rmtree(sets, ignore_errors=True)
    base_scenes = side.work.parent / "base-scenes"
    if side.name == "base":
        shutil.rmtree(base_scenes, ignore_errors=True)
        shutil.copytree(side.scenes, base_scenes)
    old, jobs = recipes(base_scenes), []
    for name, path in old.items():
        if name == "occlude":
            words = f"occlude {INPUTS}/people/coco.json --images {INPUTS}/people/images "
            words += f"--recipe {path} --each 1"
        else:
            words = f"generate {path} --frames {count}"
        words += f" --assets {INPUTS}/assets --out sets/{name} --device cpu --json"
        jobs.append(Job(name=name, arguments=tuple(words.split())))
    verdicts = run_batches(side, [jobs[::2], jobs[1::2]])
    if side.name == "base":
        need(verdicts, side)
    found: Facts = {}
    for name, path in recipes(side.scenes).items():
        fields = json_parts(yaml.safe_load(path.read_text(encoding="utf-8")))
        found |= {f"recipes/{name}.yaml:{field}": value for field, value in fields.items()}
    for name in old:
        counts = verdicts[name].output or {}
        found[f"frames/{name}/command:status"] = verdicts[name].status
        found[f"frames/{name}/command:counts"] = [
            counts.get(key) for key in ("frames", "people", "failed", "unmet")
        ]
        if (sets / name).is_dir():
            found |= folder_facts(sets / name, f"frames/{name}")
    return found


def exports(side: Side, count: int) -> Facts:
    """Export sets of the base in every format, and take in again what was written."""
    for name in ("exports", "imports"):
        shutil.rmtree(side.work / name, ignore_errors=True)
    jobs: list[Job] = []
    for source in ("pairs", "occlude"):
        for form in FORMATS:
            jobs += there_and_back(source, form)
    jobs += there_and_back("pairs", "coco", "--polygons", name="coco-polygons")
    for bones in SKELETONS:
        jobs += there_and_back("pairs", "coco", "--skeleton", bones, name=f"coco-{bones}")
    again = [
        Job(name=f"frame/{k}", arguments=("frame", f"{INPUTS}/pairs", str(k), "--json"))
        for k in (0, 1, 7)
    ]
    half = len(FORMATS) * 2
    verdicts = run_batches(side, [jobs[:half], [*jobs[half:], *again]])
    found: Facts = {}
    for job in jobs:
        verdict = verdicts[job.name]
        found[f"exports/{job.name}:status"] = [verdict.status, verdict.error]
        if (side.work / job.name).is_dir():
            found |= folder_facts(side.work / job.name, f"exports/{job.name}")
    return found | {f"exports/{job.name}:agreement": verdicts[job.name].output for job in again}


def there_and_back(source: str, form: str, *more: str, name: str = "") -> list[Job]:
    """The export of a set of the base and the import of what that wrote, named by their folders."""
    name = f"{source}-{name or form}"
    made, taken, where = f"exports/{name}", f"imports/{name}", f"{INPUTS}/{source}"
    export = ("export", where, "--format", form, "--out", made, *more, "--json")
    back = ("import", made, "--format", form, "--out", taken, "--json")
    return [Job(name=made, arguments=export), Job(name=taken, arguments=back)]


# The command line -------------------------------------------------------------------------

DB = "--db sqlite:///review.db"
PHOTOS = "{in}/few/coco.json --images {in}/few/images"
QUICK = {
    "stats": "stats {in}/pairs",
    "coverage": "coverage {in}/pairs",
    "export": "export {in}/pairs --out coco",
    "import": "import coco --out imported",
    "filter count": "filter {in}/pairs 'left_wrist hidden' --count",
    "filter": "filter {in}/pairs 'occluded > 0.2' --out filtered",
    "filter people": "filter {in}/pairs 'occluded > 0.2' --keep-people --out kept",
    "filter fields": "filter {in}/pairs --fields",
    "split check": "split {in}/pairs --check",
    "split": "split {in}/pairs --table splits.csv --out split",
    "validate": "validate {in}/pairs",
    "validate coco": f"validate {{in}}/coco/{COCO_FILE}",
    "validate fix": f"validate {{in}}/coco/{COCO_FILE} --fix fixed.json",
    "review import": f"review import {{in}}/pairs coco --by anna {DB}",
    "review check": f"review check {{in}}/pairs --no-audit {DB}",
    "review stats": f"review stats {{in}}/pairs {DB}",
    "review history": f"review history {{in}}/pairs {DB}",
    "review history check": f"review history {{in}}/pairs --check {DB}",
    "review export": f"review export {{in}}/pairs --only all --out reviewed {DB}",
    "review members": f"review members --set anna --role lead {DB}",
    "review backup": f"review backup --out copy.db {DB}",
}
"""Commands on `pairs` and its export alone: what tests/golden keeps the keys of."""
MORE = {
    "stats of photos": "stats {in}/occlude",
    "coverage written": "coverage {in}/pairs --write next.yaml --at-least 3",
    "diff": "diff {in}/pairs {in}/others",
    "merge": "merge {in}/pairs {in}/others --sets --out merged",
    "validate photos": f"validate {PHOTOS}",
    "report": "report {in}/pairs --out report.html",
    "frame": "frame {in}/pairs 3 --out f.jpg --drawn d.png",
    "preview": "preview {in}/pairs.yaml --out p.png",
    "preview moment": "preview {in}/pairs.yaml --moment --out m.png",
    "audit": "audit {in}/pairs --frames 8",
    "generate": "generate {in}/pairs.yaml --frames 4 --out made",
    "generate plan": "generate {in}/pairs.yaml --frames 200 --plan",
    "demo": "demo --frames 4 --out demo --workers 1",
    "occlude": f"occlude {PHOTOS} --recipe {{scenes}}/occlude.yaml --assets {{in}}/assets "
    "--each 1 --out occluded",
}
NETWORKS = {
    "train": "train {in}/orn.yaml --out run",
    "evaluate": "evaluate {in}/orn {in}/pairs --out evaluated",
    "evaluate flip": "evaluate {in}/kpe {in}/pairs --flip --out flipped",
    "compare": "compare {in}/evaluation-orn {in}/evaluation-kpe",
    "suggest": "suggest {in}/evaluation-orn --out suggested.yaml",
    "predict": "predict {in}/orn {in}/pairs --out predicted",
    "predict photos": f"predict {{in}}/orn {PHOTOS} --out found --peaks 2 --device cpu",
    "experiment real": "experiment real --annotations {in}/people/coco.json --images "
    "{in}/people/images --cutouts {in}/assets/occluders --pretrain {in}/pairs --seeds 1 --steps 2 "
    "--out experiment",
}
VALUES = {*QUICK, *MORE, "compare", "evaluate", "evaluate flip", "suggest"} - {
    *("review backup", "review history", "review members", "export", "import", "report"),
    *("generate plan", "demo", "frame", "preview", "preview moment"),
}
"""Commands whose values are compared too, where they do not tell of time or place."""


def surface(side: Side, count: int) -> Facts:
    """Which options each command takes, and the choices of each."""
    groups = [Job(name=group, arguments=(*group.split(), "--help")) for group in GROUPS]
    names = []
    for group, verdict in run_jobs(side, groups).items():
        commands = verdict.stdout.partition("Commands:")[2]
        names += [f"{group} {name}".strip() for name in _COMMAND.findall(commands)]
    jobs = [Job(name=n, arguments=(*n.split(), "--help")) for n in names if n not in GROUPS]
    found: Facts = {}
    for name, verdict in run_jobs(side, jobs).items():
        found[f"commands/{name}:there"] = verdict.status
        for option, other, kind in _OPTION.findall(verdict.stdout.partition("Options:")[2]):
            found |= {f"commands/{name}:{each}": kind for each in (option, other) if each}
    return found


def outputs(side: Side, count: int) -> Facts:
    """Run commands with --json once; keys with types, steady values, and what `train` learnt."""
    verdicts = run_json(side, NETWORKS, QUICK | MORE)
    if side.name == "base":
        need(verdicts, side, statuses=(0, 1))
    weights = side.work / "json" / "run" / "last.safetensors"
    found: Facts = {f"weights/run:{name}": held for name, held in tensors(weights).items()}
    for name, verdict in verdicts.items():
        found[f"json/{name}:status"] = [verdict.status, verdict.error]
        found |= {f"json/{name}:{path}": kind for path, kind in key_types(verdict.output).items()}
        if name in VALUES:
            values = json_parts(verdict.output).items()
            found |= {
                f"values/{name}:{path}": d for path, d in values if not _UNSTEADY.search(path)
            }
    return found


def run_json(side: Side, *batches: dict[str, str]) -> dict[str, Verdict]:
    """Run commands that print JSON in a folder of their own."""
    shutil.rmtree(side.work / "json", ignore_errors=True)
    (side.work / "json").mkdir()
    fill = {"in": INPUTS, "scenes": str(side.scenes)}
    jobs = [
        [
            Job(name=name, arguments=(*shlex.split(line.format(**fill)), "--json"), folder="json")
            for name, line in batch.items()
        ]
        for batch in batches
    ]
    return run_batches(side, jobs)


CHECKS: dict[str, Callable[[Side, int], Facts]] = {
    "frames": frames,
    "exports": exports,
    "commands": surface,
    "json": outputs,
}
