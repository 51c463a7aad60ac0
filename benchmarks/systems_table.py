"""Every system at nano size on the same people: `make systems`, or

    python -m benchmarks.systems_table --size quick --seeds 1 --system hrnet

makes the people of scenes/systems/groups.yaml once, trains what is missing (a killed run goes on
where it stood), measures all on the same test people and writes the tables between the markers of
docs/systems.md, and a picture of a system at work. One system at a time by its name; the tables
have the systems that are ready.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import systems_runs, systems_text
from benchmarks.proofs import ROOT
from benchmarks.systems_runs import BLOCKS, SIZES, SYSTEMS, Job, Size, jobs
from synthstudio.api.model import Model
from synthstudio.core.images import encode_jpeg
from synthstudio.dataset.durable import canonical_json, write_file
from synthstudio.dataset.reader import Dataset
from synthstudio.evaluation.storage import Evaluation, read
from synthstudio.generation import pipeline
from synthstudio.generation.stage import prepare
from synthstudio.inference.sources import Boxes, SourceImage
from synthstudio.inference.write import drawn
from synthstudio.recipe.schema.load import dump, load, parse
from synthstudio.training.frame_answers import image_of

SCENE = ROOT / "scenes" / "systems" / "groups.yaml"
MARKS = ("<!-- systems: written by make systems -->", "<!-- end of systems -->")
_SHOWN, _TILE = 6, (240, 180)


def recipe(size: Size) -> dict[str, Any]:
    """The scene's recipe at a size."""
    text = dump(load(SCENE))
    width, height = size.image
    return {**text, "frames": size.frames, "image": text["image"] | {
        "width_px": width, "height_px": height}}  # fmt: skip


def folder_of(people: dict[str, Any], size: object, cache: Path) -> Path:
    """Where all of a size is kept: by what decides the people, a recipe, and the trainings."""
    about = dataclasses.asdict(size)  # type: ignore[call-overload]
    return cache / hashlib.sha256(canonical_json([people, about])).hexdigest()[:12]


def make_people(people: dict[str, Any], folder: Path, workers: int) -> Path:
    """Generate a recipe's people, or what is missing; return the data set's folder."""
    data = folder / "people"
    settings = prepare(parse(people), assets=ROOT, device="cpu")
    made = pipeline.generate(settings, data, workers=workers, resume=data.exists())
    print(f"{made.frames} frames with {made.people} people", flush=True)
    return data


def ready(folder: Path, seeds: int) -> dict[str, list[Evaluation]]:
    """The answers that are there, by row, in the order of the seeds."""
    found: dict[str, list[Evaluation]] = {}
    for job in jobs(SYSTEMS, seeds):
        if (kept := folder / "answers" / job.name).is_dir():
            found.setdefault(job.row, []).append(read(kept))
    return found


def write_page(page: Path, lines: Sequence[str], marks: tuple[str, str] = MARKS) -> None:
    """Put lines between the marks of a page; SystemExit without them."""
    text = page.read_text(encoding="utf-8")
    if any(text.count(mark) != 1 for mark in marks):
        raise SystemExit(f"{page} has not both of {marks}, once each")
    before, rest = text.split(marks[0])
    _, after = rest.split(marks[1])
    body = "\n".join(lines)
    write_file(page, f"{before}{marks[0]}\n{body}\n{marks[1]}{after}".encode())


def draw(folder: Path, data: Path, out: Path) -> list[str]:
    """Draw what the systems that are ready find in test frames, a row each; return their names.

    Those of one person's picture get the true boxes, and have the first of ORN, KPE and their own
    head that is ready.
    """
    dataset = Dataset(data)
    rows = [r for r in dataset.iter_frames() if r["split"] == "test"]
    chosen = rows[:: max(len(rows) // _SHOWN, 1)][: _SHOWN // 2]
    lines, names = [], []
    for system in SYSTEMS:
        blocks = ("",) if system in systems_runs.BOTTOM_UP else BLOCKS[::-1]
        each = [Job(system=system, block=block, seed=0) for block in blocks]
        files = {j.row: folder / "runs" / j.name / "last.safetensors" for j in each}
        name = next((row for row, file in files.items() if file.is_file()), None)
        if name is None:
            continue
        model, tiles = Model.load(files[name], device="cpu"), []
        for row in chosen:
            image = SourceImage(number=0, name="", rgb=image_of(dataset, row))
            boxes = dataset.people_of(row["index"]).amodal_boxes_px
            true = Boxes(xywh=boxes, score=np.ones(len(boxes)), measured=True)
            find = None if system in systems_runs.BOTTOM_UP else lambda image, true=true: true
            tile = drawn(image, list(model.persons([image], find, batch=64)), model.skeleton)
            tiles.append(cv2.resize(tile, _TILE, interpolation=cv2.INTER_AREA))
        cv2.putText(tiles[0], name, (6, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1)
        lines.append(np.concatenate(tiles, 1))
        names.append(name)
    if lines:
        write_file(out, encode_jpeg(np.concatenate(lines, 0), 85))
    return names


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=tuple(SIZES), default="full")
    parser.add_argument("--seeds", type=int, default=3, help="of top-down networks")
    parser.add_argument("--system", action="append", choices=SYSTEMS, help="only this one; repeat")
    parser.add_argument("--workers", type=int, default=1, help="processes that generate people")
    parser.add_argument("--processes", type=int, default=2, help="that train, of one thread each")
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "systems")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "systems.md")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "images" / "systems.jpg")
    options = parser.parse_args(words)
    size, began = SIZES[options.size], time.monotonic()
    people = recipe(size)
    folder = folder_of(people, size, options.cache)
    data = make_people(people, folder, options.workers)
    wanted = jobs(tuple(options.system or SYSTEMS), options.seeds)
    done = systems_runs.run_jobs(wanted, size, data, folder, processes=options.processes)
    for number, job in enumerate(done, 1):
        minutes = (time.monotonic() - began) / 60
        print(f"{number} of {len(wanted)}: {job.name}, {minutes:.1f} min", flush=True)
    runs = ready(folder, options.seeds)
    weights = {row: folder / "runs" / _job(row).name / "last.safetensors" for row in runs}
    costs = {row: systems_runs.cost(file, data, size) for row, file in weights.items()}
    command = f"python -m benchmarks.systems_table --size {options.size} --seeds {options.seeds}"
    about = (
        f"top-down networks learn {size.steps} steps of {size.batch} people, systems of whole "
        f"frames {size.frame_steps} steps of {size.frame_batch} frames."
    )
    lines = [
        *systems_text.notes(runs, command=command, about=about), "",
        *systems_text.table(runs, costs), "", *systems_text.differences(runs),
    ]  # fmt: skip
    if names := draw(folder, data, options.picture):
        words = f"{', '.join(names)} at work on three test frames"
        lines += ["", f"![{words}](images/{options.picture.name})"]
    write_page(options.page, lines)
    print("\n".join(lines))
    return 0


def _job(row: str) -> Job:
    system, _, block = row.partition(" ")
    assert not block or block in BLOCKS
    return Job(system=system, block=block, seed=0)


if __name__ == "__main__":
    sys.exit(main())
