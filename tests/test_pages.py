"""Every shell command of README and docs/*.md, as printed, in order, each page in a fresh folder.

The folder has what a clone has (FROM_A_CLONE) and what the page says is the reader's own
(SUPPLIED). A page's blocks are one bash script. Commands that cannot run here are in NOT_RUN, by
their first words, with the reason; a new one that cannot run fails until it is there.

SYNTHSTUDIO_PAGES=small, the default, is what `make test` runs: few frames, steps and photos
(command_server.SMALL, FEW_STEPS). SYNTHSTUDIO_PAGES=full (`make pages`) runs what is printed.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import command_server
import cv2
import numpy as np
import photo_world
import pytest
from PIL import Image
from typer.main import get_command

from synthstudio.cli import app

ROOT = Path(__file__).resolve().parents[1]
GENERATED = {"cli.md"}
PAGES = {
    page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8")
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if page.name not in GENERATED
}
SIZE = os.environ.get("SYNTHSTUDIO_PAGES", "small")
FROM_A_CLONE = ("scenes", "streamlit_app.py")
FEW_STEPS = {"steps": 3, "batch": 8, "bank": 0}
NOT_RUN = {
    "make demo": "sets .venv up first; tests/test_cli.py runs synthstudio demo",
    "make test": "this test is a part of it",
    "make train-demo": "sets .venv up first; tests/training/test_demo.py runs it",
    "make transfer": "takes photos that nobody may hand on; tests/test_transfer_small.py runs it",
    "make systems": "hours; tests/test_systems_small.py runs the same code",
    "python -m benchmarks.systems_table": "an hour; tests/test_systems_small.py runs the code",
    "python -m benchmarks.whole_body": "an hour; tests/test_whole_body_small.py runs the code",
    "make proof": "an hour; tests/test_proof_small.py runs the same code",
    "pip install": "the machine's packages are not a test's to change; make wheel-test installs",
    "python -m benchmarks.closed_loop": "an hour; tests/test_closed_loop_small.py runs the code",
    "synthstudio live runs/nano --camera": "needs a camera; tests/live has what stands for one",
    "synthstudio studio": "serves until it is stopped; tests/studio starts it as printed here",
    "synthstudio review adopt": "needs reviews of an earlier release: test_store_datasets.py has",
    "synthstudio generate scenes/people.yaml --out s3:": "needs a bucket; tests/stores has one",
    "synthstudio validate s3:": "needs a bucket; tests/stores has one",
    "synthstudio train scenes/training/base.yaml": "wants GPUs; tests/training/test_ray_train.py",
    "export SYNTHSTUDIO_OIDC": "needs an identity provider; tests/studio/test_sign_in.py has one",
}
PROGRAMS = frozenset({
    "synthstudio", "make", "python", "python3", "pip", "torchrun", "streamlit", "uvicorn",
    "docker", "kubectl", "helm", "curl", "wget", "git", "export", "source", "sed", "cp", ".",
})  # fmt: skip
TURNS = {1: Image.Transpose.FLIP_LEFT_RIGHT, 2: Image.Transpose.FLIP_TOP_BOTTOM}
SHELL = ("sh", "bash", "shell", "console")
BLOCK = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^ *```$|((?:^(?: {4}|\t)[^\n]*\n)+)", re.M | re.S)


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """(language, text) of each block of code; "" where none is named, also for indented ones."""
    for _, language, fenced, indented in BLOCK.findall(text):
        yield language, fenced or indented


def commands(text: str) -> list[str]:
    """The commands of a page's shell blocks in order, loops and continued lines whole."""
    found: list[str] = []
    for language, block in blocks(text):
        depth, held = 0, ""
        for line in block.splitlines(keepends=True) if language in SHELL else ():
            held += line
            words = shlex.split(line, comments=True)
            depth += sum(w in ("do", "then") for w in words) - sum(
                w in ("done", "fi", "done;") for w in words
            )
            if depth == 0 and not line.rstrip().endswith("\\"):
                found += [held] if words or held.count("\n") > 1 else []
                held = ""
        assert not held, f"an unfinished command: {held}"
    return found


def why_not(command: str) -> str | None:
    words = " ".join(command.split())
    return next((why for start, why in NOT_RUN.items() if words.startswith(start)), None)


def supply_photos(folder: Path, annotations: str, images: str) -> None:
    """Annotated photos, six of them, at two places below the folder."""
    world = folder / ".photos"
    world.mkdir()
    photo_world.write(world)
    file = world / "coco.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    first = {name: list(content[name]) for name in ("images", "annotations")}
    for copy in (1, 2):
        for image in first["images"]:
            name = f"c{copy}{image['file_name']}"
            with Image.open(world / "images" / image["file_name"]) as photo:
                photo.transpose(TURNS[copy]).save(world / "images" / name)
            number = image["id"] + 10 * copy
            content["images"].append({**image, "id": number, "file_name": name})
        content["annotations"] += [
            {**person, "id": person["id"] + 10 * copy, "image_id": person["image_id"] + 10 * copy}
            for person in first["annotations"]
        ]
    file.write_text(json.dumps(content), encoding="utf-8")
    for place in (annotations, images):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
    (world / "coco.json").rename(folder / annotations)
    (world / "images").rename(folder / images)


def supply_assets(folder: Path) -> None:
    """One asset root: photos without people, a panorama and cut-outs."""
    world = folder.parent / f".world-{folder.name}"
    world.mkdir(parents=True)
    photo_world.write(world)
    folder.mkdir(parents=True)
    (world / "occluders").rename(folder / "occluders")
    (folder / "backgrounds").mkdir()
    Image.new("RGB", (640, 480), (120, 130, 140)).save(folder / "backgrounds" / "street.jpg")
    told = "camera_height_m: 1.5\nhorizon: 0.42\nvertical_fov_deg: 48\n"
    (folder / "backgrounds" / "street.camera.yaml").write_text(told, encoding="utf-8")
    (folder / "hdri").mkdir()
    head = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 16 +X 32\n"
    (folder / "hdri" / "sky.hdr").write_bytes(head + bytes([128, 128, 128, 129]) * 16 * 32)


def supply_readme(folder: Path) -> None:
    supply_photos(folder, "annotations.json", "photos")
    supply_assets(folder / "assets")
    shutil.copytree(folder / "assets", folder / "home" / "assets")


def supply_annotated(folder: Path) -> None:
    supply_photos(folder, "people/person_keypoints.json", "people/images")
    supply_assets(folder / "assets")


def supply_film(path: Path) -> None:
    """A video of a grey wall that gets brighter."""
    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (320, 240))
    for grey in range(0, 80, 10):
        film.write(np.full((240, 320, 3), grey, np.uint8))
    film.release()


SUPPLIED: dict[str, Callable[[Path], None]] = {
    "README.md": supply_readme,
    "docs/experiments.md": supply_annotated,
    "docs/interop.md": lambda folder: supply_film(folder / "film.mp4"),
    "docs/live.md": lambda folder: supply_film(folder / "film.mp4"),
    "docs/occlude.md": supply_annotated,
    "docs/photos.md": lambda folder: supply_assets(folder / "assets"),
    "docs/deployment.md": lambda folder: supply_photos(folder, "photos.json", "photos"),
    "docs/gap.md": lambda folder: supply_photos(folder, "photos/people.json", "photos/images"),
    "docs/predict.md": lambda folder: supply_photos(folder, "photos/people.json", "photos/images"),
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for PATH that has `synthstudio`, answered by a server."""
    folder = tmp_path_factory.mktemp("bin")
    address = folder / "socket"
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    server = subprocess.Popen(
        [sys.executable, command_server.__file__, str(address)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )
    assert server.stdout is not None and server.stdout.readline() == b"ready\n"
    command_server.write_client(folder / "synthstudio", address)
    yield folder
    server.terminate()
    server.wait()
    server.stdout.close()


def clone(folder: Path, program: Path) -> None:
    for name in FROM_A_CLONE:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    for config in (folder / "scenes" / "training").glob("*.yaml") if SIZE == "small" else ():
        text = config.read_text(encoding="utf-8")
        for name, value in FEW_STEPS.items():
            text, changed = re.subn(
                rf"^( *){name}: .*$", rf"\g<1>{name}: {value}", text, flags=re.M
            )
            assert changed == 1, name
        config.write_text(text, encoding="utf-8")
    (folder / ".venv" / "bin").mkdir(parents=True)
    activate = folder / ".venv" / "bin" / "activate"
    activate.write_text(f'PATH="{program}:$PATH"\n', encoding="utf-8")


@pytest.mark.parametrize("page", [name for name, text in PAGES.items() if commands(text)])
def test_a_page_runs_as_printed(page: str, program: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    folder.mkdir()
    clone(folder, program)
    SUPPLIED.get(page, lambda folder: None)(folder)
    lines = [line for line in commands(PAGES[page]) if why_not(line) is None]
    script = "".join(f"echo {shlex.quote('$ ' + line)} >&2\n{line}\n" for line in lines)
    (folder / "home").mkdir(exist_ok=True)
    (folder / "home" / ".cache").symlink_to(Path.home() / ".cache")  # of the body
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={
            **{
                n: v for n, v in os.environ.items() if not n.startswith(("PYTEST_", "SYNTHSTUDIO_"))
            },
            "HOME": str(folder / "home"),
            "PATH": os.pathsep.join(
                [str(program), str(Path(sys.executable).parent), os.environ["PATH"]]
            ),
            "SYNTHSTUDIO_PAGES": SIZE,
            "NO_COLOR": "1",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{page}\n{done.stdout[-1500:]}\n{done.stderr[-4000:]}"


def test_every_command_stands_in_a_shell_block() -> None:
    """A command in another kind of block would never be run."""
    for page, text in PAGES.items():
        for language, block in blocks(text):
            if language in ("", "text"):
                for line in block.splitlines():
                    first = (line.split() or [""])[0]
                    assert first not in PROGRAMS, f"{page}: {line.strip()}: put it into ```sh"


def test_what_is_not_run_is_printed_somewhere_and_its_options_exist() -> None:
    left_out = [line for text in PAGES.values() for line in commands(text) if why_not(line)]
    for start in NOT_RUN:
        assert any(" ".join(line.split()).startswith(start) for line in left_out), start
    rules = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    for line in left_out:
        words = shlex.split(line, comments=True)
        if words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= set(rules), line
        elif words[0] == "synthstudio":
            command, words = get_command(app), words[1:]
            while words and words[0] in getattr(command, "commands", {}):
                command, words = command.commands[words[0]], words[1:]  # type: ignore[attr-defined]
            command.make_context("command", words)


def test_commands_in_sentences_exist() -> None:
    group = get_command(app)
    rules = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page, text in PAGES.items():
        for words in map(str.split, re.findall(r"`([^`\n]+)`", text)):
            if words[0] == "make" and len(words) > 1:
                assert re.search(rf"^{words[1]}:", rules, re.M), f"{page}: {words}"
            elif words[:2] == ["python", "-m"] and words[2].startswith("benchmarks."):
                module = ROOT / words[2].replace(".", "/")
                assert module.is_dir() or module.with_suffix(".py").is_file(), f"{page}: {words}"
            elif words[0] == "synthstudio" and len(words) > 1 and words[1][0].isalpha():
                command, rest = group, words[1:]
                while rest and (inner := getattr(command, "commands", {}).get(rest[0])):
                    command, rest = inner, rest[1:]
                known = {name for option in command.params for name in option.opts}
                known |= {name for option in command.params for name in option.secondary_opts}
                assert command is not group, f"{page}: {words}"
                wrong = [w for w in rest if w.startswith("--") and w not in known]
                assert not wrong, f"{page}: {words}"


def test_commands_are_read_as_bash_reads_them() -> None:
    page = "```sh\na 'b c' \\\n  d   # e\n# only a comment\nfor x in 1; do\n  f $x\ndone\n```\n"
    assert commands(page) == ["a 'b c' \\\n  d   # e\n", "for x in 1; do\n  f $x\ndone\n"]
    assert list(blocks("x\n\n    make y\n\n```\nz\n```\n")) == [("", "    make y\n"), ("", "z\n")]
    with pytest.raises(AssertionError, match="unfinished"):
        commands("```sh\na \\\n```\n")
    assert json.dumps(command_server.added(["generate", "x.yaml", "--frames", "1000"]))
