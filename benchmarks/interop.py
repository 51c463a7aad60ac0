"""Our exports read by software that nobody here wrote: `make interop`.

Each tool gets an environment of its own in .cache/interop/ (PyPI is needed once, about 2 GB). A
small generated set is exported, benchmarks/readers/TOOL_reader.py reads it there and prints joints
and flags, and they are held against the rows, joint by joint and flag by flag. The log belongs in
docs/evidence/, the table in docs/interop.md. The exit status is 1 if a tool that ran read something
else, or fewer than six ran.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import proofs
from synthstudio.core.labels import STATE_HIDDEN, STATE_VISIBLE
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.formats.export import export
from synthstudio.generation import pipeline

ROOT = proofs.ROOT
CACHE = ROOT / ".cache" / "interop"
READERS = ROOT / "benchmarks" / "readers"
FRAMES = 12
LEAST = 6
# No other torch than the locked one, and none of the packages that would bring one along.
CONSTRAINTS = "torch==2.13.0\ntorchvision<0\ntorchaudio<0\n"


@dataclass(frozen=True)
class Tool:
    """What pip installs, in order; `tolerance_px` is what the tool itself rounds to."""

    installs: tuple[tuple[str, ...], ...]
    tolerance_px: float
    note: str = ""


TOOLS: dict[str, Tool] = {
    "datumaro": Tool(
        (("datumaro",),),
        0.006,
        "rounds to 0.01 px; takes a CVAT skeleton for "
        "single points and does not read `outside` of pictures; no YOLO pose (the "
        "fork that has it is not on PyPI)",
    ),
    "supervision": Tool((("supervision",),), 0.001, "boxes and masks; loads no keypoints"),
    "fiftyone": Tool((("fiftyone",),), 1e-6, "COCO importer, without its database"),
    "webdataset": Tool((("webdataset", "pillow"),), 1e-9),
    "datasets": Tool((("datasets", "pillow"),), 1e-9),
    "label-studio": Tool(
        (("label-studio-sdk",),), 1e-6, "its converter writes v=2 for every keypoint that is there"
    ),
    "ultralytics": Tool(
        (
            (
                "torch==2.13.0",
                "numpy",
                "opencv-python-headless",
                "pillow",
                "pyyaml",
                "requests",
                "psutil",
                "polars",
                "scipy",
                "matplotlib",
            ),
            ("--no-deps", "ultralytics", "ultralytics-thop"),
        ),
        0.001,
        "its training's own label reader, in float32; torchvision is not installed",
    ),
}
DISTRIBUTIONS = {"label-studio": "label-studio-sdk"}


@dataclass
class Outcome:
    """What a tool read of one format."""

    tool: str
    form: str
    people: int = 0
    joints: int = 0
    largest_px: float = 0.0
    flags: int = 0
    flags_wrong: int = 0
    boxes: int = 0
    masks: int = 0
    problems: list[str] = field(default_factory=list)

    def row(self, tool: Tool, version: str) -> str:
        """Return it as a row of the table."""
        what = (
            f"{self.joints} joints, {self.flags} flags"
            if self.joints
            else (f"{self.boxes} boxes, {self.masks} masks")
        )
        held = "; ".join(self.problems) or f"all; largest {self.largest_px:.1g} px"
        cells = (f"{self.tool} {version}", self.form, str(self.people), what, held, tool.note)
        return f"| {' | '.join(cells)} |"


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
                print(f"| {name} | | | not installed | {error} | |", flush=True)
            for outcome in outcomes:
                print(outcome.row(TOOLS[name], _version(name)), flush=True)
            good = bool(outcomes) and not any(o.problems for o in outcomes)
            ran, bad = ran + good, bad or (not error and not good)
            print(f"  {name}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    print(f"{ran} of {len(names)} tools read what was written")
    return int(bad or (names == list(TOOLS) and ran < LEAST))


def _exported(folder: Path) -> Dataset:
    settings = proofs.settings_for(
        ROOT / "scenes" / "close_ups.yaml", assets=ROOT / "scenes", frames=FRAMES
    )
    pipeline.generate(settings, folder / "set", workers=1)
    for form in ("coco", "yolo", "cvat", "webdataset", "huggingface", "label-studio"):
        export(form, folder / "set", folder / form)
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
        made = subprocess.run(
            [
                str(place / "bin/pip"),
                "install",
                "-q",
                "--disable-pip-version-check",
                "-c",
                str(CACHE / "constraints.txt"),
                *packages,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
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
    made = subprocess.run(
        [str(CACHE / name / "bin/python"), str(script), str(folder), str(scratch), str(joints)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(scratch), "PYTHONPATH": ""},
    )
    if made.returncode:
        said = " ".join(made.stderr.split())[-300:]
        return [Outcome(name, "", problems=[f"ended with {made.returncode}: {said}"])]
    found = json.loads(made.stdout.strip().splitlines()[-1])
    return [compare(name, form, read, dataset) for form, read in found.items()]


def compare(name: str, form: str, read: dict[str, Any], dataset: Dataset) -> Outcome:
    """Hold what a tool read of a format against the rows of the data set."""
    outcome = Outcome(name, form)
    tolerance = TOOLS[name].tolerance_px
    for frame in dataset.iter_frames(["index"]):
        stem = f"{frame['index']:06d}"
        rows = dataset.instances(frame["index"])
        kept = rows if read.get("all_people") else [r for r in rows if r["modal_area_px"] >= 16]
        got = read.get("frames", read.get("boxes")).get(stem, [])
        if len(got) != len(kept):
            outcome.problems.append(f"{stem}: {len(got)} people, not {len(kept)}")
            continue
        for row, person in zip(kept, got, strict=True):
            outcome.people += 1
            if "boxes" in read:
                _compare_box(outcome, row, person, tolerance)
            else:
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


def _compare_box(
    outcome: Outcome, row: dict[str, Any], person: dict[str, Any], tolerance: float
) -> None:
    x, y, w, h = row["modal_box_px"]
    away = max(abs(a - b) for a, b in zip(person["box"], (x, y, x + w, y + h), strict=True))
    outcome.boxes += 1
    outcome.largest_px = max(outcome.largest_px, away)
    if person["area"] is not None:
        outcome.masks += 1
        if person["area"] != row["modal_area_px"]:
            outcome.problems.append(f"a mask of {person['area']} px, not {row['modal_area_px']}")


def _version(name: str) -> str:
    package = DISTRIBUTIONS.get(name, name)
    code = f"from importlib.metadata import version; print(version({package!r}))"
    made = subprocess.run(
        [str(CACHE / name / "bin/python"), "-c", code], capture_output=True, text=True, check=True
    )
    return made.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
