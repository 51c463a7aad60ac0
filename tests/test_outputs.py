"""Every command follows the one rule of core/places.py, and what it refuses leaves nothing."""

import json
import os
import socket
import stat
from contextlib import chdir, closing
from pathlib import Path

import pytest
from exchange_sets import make_set
from typer.testing import CliRunner

from synthstudio.cli import app
from synthstudio.core.errors import DiskError, SynthStudioError
from synthstudio.dataset.reader import Dataset
from synthstudio.review.history import register
from synthstudio.review.store import default_url, open_store

RECIPE = "name: tiny\nframes: 1\nimage: {width_px: 64, height_px: 64}\n"
COCO, IMAGES = "coco/annotations/person_keypoints_train.json", "coco/images/train"
FOLDERS = {
    "generate": ("generate", "recipe.yaml", "--out", "OUT"),
    "occlude": ("occlude", COCO, "--images", IMAGES, "--recipe", "hide.yaml", "--out", "OUT"),
    "filter": ("filter", "set", "occluded >= 0", "--out", "OUT"),
    "split": ("split", "set", "--by", "group", "--out", "OUT"),
    "merge": ("merge", "--sets", "set", "--out", "OUT"),
    "export": ("export", "set", "--out", "OUT"),
    "import": ("import", "coco", "--out", "OUT"),
    "validate --fix SET": ("validate", "set", "--no-pictures", "--fix", "OUT"),
    "review export": ("review", "export", "set", "--only", "all", "--out", "OUT"),
    "train": ("train", "run.yaml", "--out", "OUT"),
    "evaluate": ("evaluate", "none", "set", "--out", "OUT"),
    "compare": ("compare", "none", "none", "--out", "OUT"),
    "predict": ("predict", "none", "set", "--out", "OUT"),
    "experiment": (
        *("experiment", "real", "--annotations", COCO, "--images", IMAGES, "--out", "OUT"),
    ),
}
GAP = ("--photos", COCO, "--images", IMAGES)
FILES = {
    "preview": ("preview", "recipe.yaml", "--out", "OUT.png"),
    "frame": ("frame", "set", "0", "--out", "OUT.jpg"),
    "frame --drawn": ("frame", "set", "0", "--drawn", "OUT.png"),
    "report": ("report", "set", "--out", "OUT.html"),
    "coverage --sheet": ("coverage", "set", "--sheet", "OUT.png"),
    "coverage --write": ("coverage", "set", "--write", "OUT.yaml"),
    "gap": ("gap", "set", *GAP, "--out", "OUT.html"),
    "gap --write": ("gap", "set", *GAP, "--out", "page.html", "--write", "OUT.yaml"),
    "validate --report": ("validate", "set", "--no-pictures", "--report", "OUT.html"),
    "validate --fix COCO": ("validate", COCO, "--images", IMAGES, "--fix", "OUT.json"),
    "split --table": ("split", "set", "--table", "OUT.csv"),
    "suggest": ("suggest", "none", "--out", "OUT.yaml"),
    "review backup": ("review", "backup", "--db", "sqlite:///review.db", "--out", "OUT.db"),
}
WHOLE = ("export", "import", "filter", "split", "merge", "validate --fix SET", "review export")
"""Commands of a folder that end well with what the fixture has."""
NEW = ("validate --fix COCO", "suggest", "review backup")
"""Commands that replace no file."""


def _full(place):
    place.mkdir()
    (place / "mine.txt").write_text("mine")


def _device(place):
    """Of the kind of /dev/null, where the user may make one; else it is that."""
    try:
        os.mknod(place, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        place.symlink_to("/dev/null")


def _socket(place):
    with socket.socket(socket.AF_UNIX) as made, chdir(place.parent):
        made.bind(place.name)


PLACES = {
    "a file": lambda place: place.write_text("mine"),
    "a folder": _full,
    "a device": _device,
    "a pipe": os.mkfifo,
    "a socket": _socket,
    "a link that leads nowhere": lambda place: place.symlink_to("nowhere"),
}


@pytest.fixture
def world(tmp_path, once):
    """A folder with links to what the commands read, which is the current folder."""
    made = once("outputs", _make)
    for path in made.iterdir():
        (tmp_path / path.name).symlink_to(path)
    return tmp_path


def _make(folder):
    make_set(folder / "set")
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "hide.yaml").write_text(RECIPE + "occlude: {}\n")
    (folder / "run.yaml").write_text("train: [{dataset: none}]\nval: [{dataset: none}]\n")
    with closing(open_store(default_url(folder), make=True)) as store:
        register(store, Dataset(folder / "set"), "set")
    with chdir(folder):
        _run("export", "set", "--out", "coco")


def _run(*words, code=0):
    result = CliRunner().invoke(app, list(words))
    wrong = result.exception
    assert wrong is None or isinstance(wrong, SynthStudioError | SystemExit), repr(wrong)
    assert result.exit_code == code, f"{result.output}\n{wrong!r}"
    if code:
        assert isinstance(wrong, DiskError), repr(wrong)
    return str(wrong)


def _tree(folder):
    """What is there: the kind of each entry, and the bytes of files."""
    return {
        path.relative_to(folder).as_posix(): (
            stat.S_IFMT(path.lstat().st_mode),
            path.read_bytes() if path.is_file() and not path.is_symlink() else path.is_symlink(),
        )
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", [*FOLDERS, *FILES])
def test_what_is_not_free_is_refused(name, place, world):
    words = FOLDERS.get(name) or FILES[name]
    out = next(word for word in words if word.startswith("OUT"))
    if name in FILES and place == "a file" and name not in NEW:
        return
    PLACES[place](world / out)
    before = _tree(world)
    with chdir(world):
        text = _run(*words, code=1)
    kind = "folder" if name in FOLDERS else "file"
    assert text.startswith(f"{out}: invalid output {kind}; expected a new "), text
    assert f"; got {place}" in text
    assert _tree(world) == before


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("place", ["a link to an empty folder", ".", "an empty folder"])
def test_an_empty_folder_is_filled(name, place, world):
    empty, link = world / "empty", world / "OUT"
    empty.mkdir()
    link.symlink_to("empty")
    out = {".": ".", "an empty folder": "../empty"}.get(place, "../OUT")
    inside = empty if place == "." else world / "elsewhere"
    inside.mkdir(exist_ok=True)
    words = [
        f"../{word}" if (world / word).exists() and word != "OUT" else word
        for word in FOLDERS[name]
    ]
    with chdir(inside):
        _run(*(out if word == "OUT" else word for word in words))
        assert Path("..").resolve() == world  # the current folder is still the one in its place
    assert link.is_symlink() and any(empty.iterdir())
    assert not list(world.rglob(".tmp-*"))


def test_a_parent_that_is_a_file_and_a_name_too_long(world):
    (world / "file").write_text("mine")
    (world / "loop").symlink_to("loop")
    before = _tree(world)
    with chdir(world):
        for out, why in (
            ("file/below", "a file is where a folder should be"),
            ("loop", "links lead in a circle"),
            ("n" * 300, "the name is too long for this file system"),
        ):
            for words in (FOLDERS["export"], FOLDERS["merge"], (*FILES["report"][:3], "OUT")):
                text = _run(*(out if word == "OUT" else word for word in words), code=1)
                assert why in text and ".tmp-" not in text, text
    assert _tree(world) == before


@pytest.mark.parametrize("name", ["export", "import", "train", "filter", "occlude", "generate"])
def test_a_refused_command_leaves_no_folder(name, world):
    """Whatever is wrong is found before anything is made, or what was made goes again."""
    (world / "broken.json").write_text(json.dumps({"images": [], "annotations": [1]}))
    (world / "ask.yaml").write_text(RECIPE + "backdrops: [{kind: photo, folder: none}]\n")
    words = {
        "export": ("export", "none"),
        "import": ("import", "broken.json"),
        "train": ("train", "run.yaml"),
        "filter": ("filter", "set", "occluded > 0.9999 and occluded < 0.1"),
        "occlude": ("occlude", "broken.json", "--images", ".", "--recipe", "hide.yaml"),
        "generate": ("generate", "ask.yaml"),
    }[name]
    before = _tree(world)
    with chdir(world):
        result = CliRunner().invoke(app, [*words, "--out", "new/folder/out"])
    assert isinstance(result.exception, SynthStudioError), repr(result.exception)
    assert _tree(world) == before
