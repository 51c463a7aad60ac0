"""Our exports read by software that nobody here wrote, by its own defaults: `make interop`.

Each tool gets an environment of its own in .cache/interop/ (PyPI and GitHub are needed once, about
6 GB). A small generated set with three splits is exported, benchmarks/readers/TOOL_reader.py reads
it there as the tool's documentation shows first, from the folder as it was exported, and prints
joints and flags, and they are held against the rows, joint by joint and flag by flag. The log
belongs in docs/evidence/, the table in docs/research/readers.md. The exit status is 1 if a tool
that ran read something else, or fewer than MIN ran.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks import proofs
from synthstudio.core.labels import STATE_HIDDEN, STATE_VISIBLE
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.formats.export import export
from synthstudio.generation import pipeline
from synthstudio.generation.stage import prepare
from synthstudio.recipe.schema.load import dump, load, parse

ROOT = proofs.ROOT
CACHE = ROOT / ".cache" / "interop"
READERS = ROOT / "benchmarks" / "readers"
_COCO17 = 17
"""The first joints of coco23 are COCO's."""
FRAMES = 24
SPLITS = {"train": 0.5, "val": 0.25, "test": 0.25}
MIN = 7
FORMATS = ("coco", "yolo", "cvat", "webdataset", "huggingface", "label-studio")
# No other torch than the locked one.
CONSTRAINTS = "torch==2.13.0\n"


@dataclass(frozen=True)
class Tool:
    """What pip installs, in order; `call`: how the tool opens a folder or its parts.

    `tolerance_px` is what the tool itself rounds to; `note` what it does not hold, with its issue.
    """

    installs: tuple[tuple[str, ...], ...]
    call: str
    tolerance_px: float = 1e-9
    note: str = ""


def _source(name: str, commit: str) -> str:
    return f"git+https://github.com/{name}@{commit}"


TOOLS: dict[str, Tool] = {
    "pycocotools": Tool((("pycocotools",),), "`COCO(json)`"),
    "fiftyone": Tool(
        (("fiftyone", "pycocotools"),),
        "`Dataset.from_dir(COCODetectionDataset, data_path, labels_path)`",
        1e-6,
        "no place of a joint with v=0 (NaN, as it stores every unlabelled one)",
    ),
    "datumaro-cvat": Tool(
        ((_source("cvat-ai/datumaro", "8970bb7b13d4856d46cdb80a702772dac93a8041"),),),
        "`Dataset.import_from(folder)`",
        0.006,
        "rounds to 0.01 px; any key of data.yaml that it does not know is a split "
        "(cvat-ai/cvat#8958): so there is no `kpt_names`",
    ),
    "detectron2": Tool(
        (
            ("torch==2.13.0", "torchvision", "setuptools", "opencv-python-headless"),
            (
                "--no-build-isolation",
                _source("facebookresearch/detectron2", "02b5c4e295e990042a714712c21dc79b731e8833"),
            ),
        ),
        "`register_coco_instances(name, {}, json, images)`",
    ),
    "mmpose": Tool(
        (
            ("torch==2.13.0", "torchvision", "mmengine", "mmcv-lite", "xtcocotools", "numpy<2"),
            ("json_tricks", "munkres", "scipy", "matplotlib", "pillow", "six"),
            ("opencv-python<4.12",),
            (
                "--no-deps",
                "--no-build-isolation",
                _source("open-mmlab/mmpose", "759b39c13fea6ba094afc1fa932f51dc1b11cbf9"),
            ),
        ),
        "`CocoDataset(ann_file, data_root, data_prefix)`",
        1e-4,
        "17 joints (`--skeleton coco17`); its loader makes v=2 to 1 (`base_coco_style_dataset.py`)",
    ),
    "webdataset": Tool((("webdataset", "pillow"),), '`WebDataset(tars).decode("rgb8")`'),
    "datasets": Tool((("datasets", "pillow"),), "`load_dataset(folder)`"),
    "label-studio": Tool(
        (("label-studio-sdk",),),
        "`Converter(config, out).convert_to_yolo(tasks)`",
        1e-6,
        "it writes v=2 for every keypoint that is there (HumanSignal/label-studio#2851)",
    ),
    "ultralytics": Tool(
        (("torch==2.13.0", "ultralytics"),),
        '`build_yolo_dataset` of `train(data="data.yaml")`',
        0.001,
        "float32",
    ),
}


@dataclass
class Outcome:
    """What a tool read of one format."""

    tool: str
    form: str
    version: str = ""
    people: int = 0
    joints: int = 0
    largest_px: float = 0.0
    flags: int = 0
    flags_wrong: int = 0
    problems: list[str] = field(default_factory=list)

    def row(self, tool: Tool) -> str:
        """Return it as a row of the table."""
        what = f"{self.joints} joints, {self.flags} flags"
        held = "; ".join(self.problems) or f"all; largest {self.largest_px:.1g} px"
        cells = (f"{self.tool} {self.version}", self.form, f"by default: {tool.call}")
        return f"| {' | '.join((*cells, str(self.people), what, held, tool.note))} |"


def main() -> int:
    """Run every tool; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tools", nargs="*", choices=[[], *TOOLS], help="default: all")
    names = parser.parse_args().tools or list(TOOLS)
    ran, bad = 0, False
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        dataset = _exported(folder)
        print(f"{dataset.frames} frames, {dataset.people} people, {dataset.identity.skeleton}")
        for name in names:
            began = time.perf_counter()
            error = install(name)
            outcomes = [] if error else run(name, folder, dataset)
            if error:
                print(f"| {name} | | not installed: {error} | | | | |", flush=True)
            for outcome in outcomes:
                print(outcome.row(TOOLS[name]), flush=True)
            good = bool(outcomes) and not any(o.problems for o in outcomes)
            ran, bad = ran + good, bad or (not error and not good)
            print(f"  {name}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    print(f"{ran} of {len(names)} tools read what was written")
    return int(bad or (names == list(TOOLS) and ran < MIN))


def _exported(folder: Path) -> Dataset:
    scenes = ROOT / "scenes"
    recipe = parse({**dump(load(scenes / "close_ups.yaml")), "frames": FRAMES, "splits": SPLITS})
    settings = prepare(recipe, assets=scenes, device="cpu")
    pipeline.generate(settings, folder / "set", workers=1)
    for form in FORMATS:
        export(form, folder / "set", folder / form)
    export("coco", folder / "set", folder / "coco17", skeleton="coco17")
    return Dataset(folder / "set")


def install(name: str) -> str:
    """Make a tool's environment if it is not there; return why it could not be."""
    place = CACHE / name
    done = place / ".ready"
    if done.is_file():
        return ""
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / "constraints.txt").write_text(CONSTRAINTS)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
    for packages in TOOLS[name].installs:
        pip = [str(place / "bin/pip"), "install", "-q", "--disable-pip-version-check", "-c"]
        words = [*pip, str(CACHE / "constraints.txt"), *packages]
        made = subprocess.run(words, capture_output=True, text=True, check=False)
        if made.returncode:
            return " ".join(made.stderr.split())[-300:] or f"pip ended with {made.returncode}"
    done.touch()
    return ""


def run(name: str, folder: Path, dataset: Dataset) -> list[Outcome]:
    """Let a tool read the exports in its environment, and compare."""
    scratch = folder / f"scratch-{name}"
    scratch.mkdir()
    script = READERS / f"{name.replace('-', '_')}_reader.py"
    joints = len(get_skeleton(dataset.identity.skeleton).joints)
    own = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(scratch), "HOME": str(scratch), "PYTHONPATH": ""}
    words = [CACHE / name / "bin/python", script, folder, scratch, str(joints)]
    made = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=600, env={**os.environ, **own}
    )
    if made.returncode:
        error = " ".join(made.stderr.split())[-300:]
        return [Outcome(name, "", problems=[f"ended with {made.returncode}: {error}"])]
    found = json.loads(made.stdout.strip().splitlines()[-1])
    version = found.pop("version")
    outcomes = [compare(name, form, read, dataset) for form, read in found.items()]
    return [replace(outcome, version=version) for outcome in outcomes]


def compare(name: str, form: str, read: dict[str, Any], dataset: Dataset) -> Outcome:
    """Hold what a tool read of a format against the rows of the data set."""
    outcome = Outcome(name, form)
    tolerance = TOOLS[name].tolerance_px
    for frame in dataset.iter_frames(["index"]):
        stem = f"{frame['index']:06d}"
        rows = dataset.instances(frame["index"])
        kept = rows if read.get("all_people") else [r for r in rows if r["modal_area_px"] >= 16]
        if read.get("labelled_only"):
            kept = [r for r in kept if any(s > 0 for s in r["state"][:_COCO17])]
        got = read["frames"].get(stem, [])
        if len(got) != len(kept):
            outcome.problems.append(f"{stem}: {len(got)} people, not {len(kept)}")
            continue
        for row, person in zip(kept, got, strict=True):
            outcome.people += 1
            _compare_joints(outcome, row, person, read)
    if outcome.largest_px > tolerance:
        outcome.problems.append(f"a joint is {outcome.largest_px:.3g} px off")
    if outcome.flags_wrong:
        outcome.problems.append(f"{outcome.flags_wrong} of {outcome.flags} flags differ")
    if not outcome.people:
        outcome.problems.append("nobody was read")
    return outcome


def _compare_joints(
    outcome: Outcome, row: dict[str, Any], person: Sequence[Sequence[Any]], read: dict[str, Any]
) -> None:
    shift = 0.5 if read["rule"] == "index" else 0.0
    px = row["joints_px"]
    if outcome.form == "coco17":
        px, row = px[: 2 * _COCO17], {**row, "state": row["state"][:_COCO17]}
    if len(person) != len(row["state"]):
        outcome.problems.append(f"{len(person)} joints, not {len(row['state'])}")
        return
    for (x, y, v), state, u, w in zip(person, row["state"], px[::2], px[1::2], strict=True):
        labelled = state in (STATE_HIDDEN, STATE_VISIBLE)
        if labelled or read.get("all_people"):
            outcome.joints += 1
            away = max(abs(x + shift - u), abs(y + shift - w))
            outcome.largest_px = max(outcome.largest_px, away)
        elif not read.get("outside", True):
            continue
        wanted = state if labelled else 0
        if not read.get("hidden", True):
            v, wanted = min(v, 1), min(wanted, 1)
        outcome.flags += 1
        outcome.flags_wrong += v != wanted


if __name__ == "__main__":
    sys.exit(main())
