"""What is run: the commands that write, the world that they read, and what they leave.

A command is words for the command line, with OUT for what it writes; `again` continues it.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

from benchmarks.small_inputs import (
    make_assets,
    make_people,
    pairs_recipe,
    training_config,
    write_json,
)
from synthstudio.formats import FORMATS

COCO_FILE = "annotations/person_keypoints_train.json"
SCENES = Path(__file__).resolve().parents[2] / "scenes"
UNHASHED = ("run.lock", "run.log", "log.csv", "config.yaml", "state.safetensors")
"""Files that may say when, where, how often and how long."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """`words`: of the command line, run in a folder with links to the world; `again`: more words
    where something is begun. `out`: what it writes. `resumes`: the same command goes on."""

    name: str
    words: tuple[str, ...]
    again: tuple[str, ...] = ()
    out: str = "out"
    resumes: bool = False


def _command(name: str, *words: str, **more: object) -> Command:
    return Command(name=name, words=words, **more)  # type: ignore[arg-type]


RESUME = ("--resume",)
COMMANDS = (
    _command("generate", *("generate", "pairs.yaml", "--out", "out"), again=RESUME),
    _command(
        "generate with 2 workers",
        *("generate", "pairs.yaml", "--out", "out", "--workers", "2"),
        again=RESUME,
    ),
    _command(
        "occlude",
        *("occlude", "people/coco.json", "--images", "people/images", "--recipe", "occlude.yaml"),
        *("--assets", "assets", "--each", "1", "--out", "out"),
        again=RESUME,
    ),
    _command("import", "import", "coco", "--out", "out"),
    _command("import-photos VIDEO", "import-photos", "film.avi", "--every", "3", "--out", "out"),
    *(
        _command(f"export {name}", "export", "set", "--format", name, "--out", "out")
        for name in FORMATS
    ),
    _command("filter", "filter", "set", "frame >= 1", "--out", "out", again=RESUME),
    _command("split", "split", "set", "--by", "group", "--out", "out", resumes=True),
    _command("merge --sets", "merge", "--sets", "set", "other", "--out", "out", again=RESUME),
    _command("merge", "merge", "part1", "part2", "--out", "out", again=RESUME),
    _command("validate --fix SET", "validate", "set", "--fix", "out", resumes=True),
    _command(
        "validate --fix COCO",
        *("validate", f"coco/{COCO_FILE}", "--images", "coco/images/train", "--fix", "out"),
    ),
    _command("report", "report", "set", "--out", "out"),
    _command(
        "review import",
        *("review", "import", "set", "corrected", "--by", "anna", "--db", "sqlite:///out"),
        resumes=True,
    ),
    _command(
        "review export",
        *("review", "export", "set", "--only", "all", "--db", "sqlite:///review.db"),
        *("--out", "out"),
    ),
    _command("train", "train", "run.yaml", "--out", "out", again=RESUME),
    _command("predict", "predict", "network", "set", "--out", "out", "--draw", "2"),
)


def make(folder: Path, *, make_set: Callable[[Path], object] | None = None) -> None:
    """Make the world: of `make_set` alone what light commands read, else all of it."""
    cli(folder, "schema")  # the package is loaded once
    if make_set is None:
        recipe = pairs_recipe(6)
        write_json(folder / "pairs.yaml", recipe)
        cli(folder, "generate", "pairs.yaml", "--out", "set")
        write_json(folder / "other.yaml", {**recipe, "name": "other"})
        cli(folder, "generate", "other.yaml", "--out", "other")
        for k in (1, 2):
            _parts(folder, k)
        make_assets(folder / "assets", SCENES)
        make_people(folder / "people", photos=2)
        shutil.copy(SCENES / "occlude.yaml", folder / "occlude.yaml")
        write_json(folder / "run.yaml", training_config("set", steps=6, save_every=2))
        cli(folder, "train", "run.yaml", "--out", "network")
    else:
        make_set(folder / "set")
    _film(folder / "film.avi")
    cli(folder, "export", "set", "--out", "coco")
    _correct(folder)
    db = "sqlite:///review.db"
    cli(folder, "review", "import", "set", "corrected", "--by", "anna", "--db", db)


def _film(path: Path) -> None:
    import cv2
    import numpy as np

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (96, 64))
    for k in range(18):
        writer.write(np.full((64, 96, 3), 12 * k, np.uint8))
    writer.release()


def _parts(folder: Path, k: int) -> None:
    from synthstudio.api.generation import generate

    with chdir(folder):
        generate("pairs.yaml", f"part{k}", part=(k, 2), frames_per_shard=2, progress=False)


def _correct(folder: Path) -> None:
    """Copy the COCO export with some joints moved, as another tool would leave it."""
    shutil.copytree(folder / "coco", folder / "corrected")
    for path in (folder / "corrected" / "annotations").glob("*.json"):
        labels = json.loads(path.read_text())
        for entry in labels["annotations"]:
            seen = [j for j in range(len(entry["keypoints"]) // 3) if entry["keypoints"][3 * j + 2]]
            for j in seen[:2]:
                entry["keypoints"][3 * j] += 1.5
        path.write_text(json.dumps(labels))


def cli(folder: Path, *words: str) -> None:
    from typer.testing import CliRunner

    from synthstudio.cli import app

    with chdir(folder):
        done = CliRunner().invoke(app, list(words))
    if done.exit_code:
        raise RuntimeError(f"{' '.join(words)}: {done.output} {done.exception!r}")


def place(world: Path, folder: Path) -> None:
    """Make the folder of a case: links to the world, the store copied."""
    for path in world.iterdir():
        if path.name == "review.db":
            shutil.copy(path, folder / path.name)
        else:
            (folder / path.name).symlink_to(path)


def made(command: Command, folder: Path) -> dict[str, str]:
    """Return path -> hash of what a command wrote; of a store, of what reviewers said."""
    out = folder / command.out
    if command.name == "review import":
        return {"reviews": _reviews(folder, out)} if out.is_file() else {}
    if out.is_file():
        return {".": hashlib.sha256(out.read_bytes()).hexdigest()}
    found = {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        skipped = name.startswith(("cache/", "tensorboard")) or "events.out" in name
        if path.is_file() and path.name not in UNHASHED and not skipped:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _reviews(folder: Path, path: Path) -> str:
    from synthstudio.api import review

    with chdir(folder):
        db = f"sqlite:///{path}"
        wrong = review.check_replay("set", db=db)
        events = [
            (e.person.frame, e.person.instance, e.kind, repr(e.after))
            for e in review.events("set", limit=10_000, db=db)
        ]
    return hashlib.sha256(repr((wrong, sorted(events))).encode()).hexdigest()
