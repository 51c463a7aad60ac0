"""README and docs/*.md: all that they print exists, and (nightly) each page runs as printed.

A page's shell blocks are one bash script, run in a fresh folder that has what a clone has
(FROM_A_CLONE) and what the page says is the reader's own (SUPPLIED). Commands that cannot run here
are in NOT_RUN, by their first words, with the reason; a new one that cannot run fails until it is
there. SYNTHSTUDIO_PAGES=small, the default, takes few frames, steps and photos (printed.SMALL,
FEW_STEPS); SYNTHSTUDIO_PAGES=full (`make pages`) runs what is printed.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import asset_roots
import experiment_world
import printed
import pytest
import yaml
from printed import PAGES, ROOT, added, blocks, check_command, check_python, commands
from programs import finished
from typer.testing import CliRunner

from synthstudio.cli import app
from synthstudio.core.catalogue import ImageAsset
from synthstudio.core.spec import AssetRef
from synthstudio.formats.skeleton_file import read_skeleton
from synthstudio.props.photos import with_sidecar
from synthstudio.recipe.schema.load import parse
from synthstudio.recipe.schema.recipe import Recipe
from synthstudio.training.config import Config

SIZE = os.environ.get("SYNTHSTUDIO_PAGES", "small")
FROM_A_CLONE = ("scenes", "streamlit_app.py")
FEW_STEPS = {"steps": 3, "batch": 8}
NOT_RUN = {
    "make demo": "sets .venv up first; tests/test_cli.py runs synthstudio demo",
    "make test": "this test is a part of it",
    "make train-demo": "sets .venv up first; tests/training/test_demo.py runs it",
    "make finetune": "hours of training; tests/test_benchmarks.py does it in small",
    "synthstudio train scenes/training/finetune.yaml": "needs timm's weights, and photos",
    "pip install": "the machine's packages are not a test's to change; make wheel-test installs",
    "synthstudio live runs/nano --camera": "needs a camera; tests/live has what stands for one",
    "synthstudio review reset-password": "needs an account; tests/review/test_accounts.py has one",
    "synthstudio studio": "serves until it is stopped; tests/studio starts it as printed here",
    "synthstudio generate scenes/people.yaml --out s3:": "needs a bucket; tests/stores has one",
    "synthstudio validate s3:": "needs a bucket; tests/stores has one",
    "synthstudio evaluate --predictions results.json": "needs another program's predictions",
    "synthstudio evaluate movenet-lightning.onnx": "needs another program's network",
    "synthstudio stress": "1,700 frames; tests/training/test_challenges.py makes a few",
    "synthstudio train scenes/training/base.yaml": "wants GPUs; tests/training/test_ray_train.py",
    "export SYNTHSTUDIO_OIDC": "needs an identity provider; tests/studio/test_sign_in.py has one",
}
LINES = [(page, line) for page, text in PAGES.items() for line in commands(text)]


def why_not(command):
    words = " ".join(command.split())
    return next((why for start, why in NOT_RUN.items() if words.startswith(start)), None)


@pytest.mark.parametrize(("page", "line"), LINES)
def test_a_printed_command_exists(page, line):
    check_command(line)


def test_commands_in_sentences_exist():
    for page, text in PAGES.items():
        now = re.sub(r"`[^`\n]+` \(?at (?:commit )?3a16557", "", text)  # finished studies
        for code in re.findall(r"`([^`\n]+)`", now):
            words = code.split()
            if (words[0] == "make" and len(words) > 1) or words[:2] == ["python", "-m"]:
                check_command(" ".join(words[: 3 if words[0] == "python" else 2]))
            elif words[0] == "synthstudio" and len(words) > 1 and words[1][0].isalpha():
                command, rest = printed.command_of(words)
                known = {n for p in command.params for n in (*p.opts, *p.secondary_opts)}
                assert not hasattr(command, "commands") or rest == [], f"{page}: {code}"
                wrong = [w for w in rest if w.startswith("--") and w not in known]
                assert not wrong, f"{page}: {code}"


RESEARCH = [f"docs/research/{name}.md" for name in ("blocks", "bottom_up", "systems")]


@pytest.mark.parametrize(
    "page", [*RESEARCH, *(page for page, text in PAGES.items() if "```python" in text)]
)
def test_printed_python_exists(page):
    known = {}
    for language, block in blocks((ROOT / page).read_text(encoding="utf-8")):
        if language == "python":
            check_python(block, known)


def test_printed_yaml_and_json_are_parts_of_recipes_and_configs(tmp_path):
    found = [
        (page, language, block)
        for page, text in PAGES.items()
        for language, block in blocks(text)
        if language in ("yaml", "json")
    ]
    for page, language, block in found:
        value = (yaml.safe_load if language == "yaml" else json.loads)(block)
        if page == "docs/skeletons.md":
            (tmp_path / "a.yaml").write_text(block, encoding="utf-8")
            assert read_skeleton(tmp_path / "a.yaml").joints == tuple(value["joints"])
        elif "horizon" in value:
            (tmp_path / "photo.camera.yaml").write_text(block, encoding="utf-8")
            street = AssetRef(name="photo.jpg", sha256="")
            photo = ImageAsset(asset=street, width_px=640, height_px=480)
            assert with_sidecar(photo, tmp_path / "photo.jpg").ground is not None
        elif language == "json":
            assert all("file" in row for row in value), page
        elif set(value) <= set(Recipe.model_fields):
            parse({"name": "printed", "camera": {"vertical_fov_deg": 40}, **value}, page)
        else:
            Config.model_validate({"train": [{"dataset": "people"}], **value})
    assert len(found) > 8


def test_the_readmes_data_set_is_made(tmp_path, monkeypatch):
    section = PAGES["README.md"].split("## Make a data set")[1]
    block = next(block for language, block in blocks(section) if language in printed.SHELL)
    (tmp_path / "scenes").symlink_to(ROOT / "scenes")
    monkeypatch.chdir(tmp_path)
    lines = [shlex.split(line, comments=True) for line in commands(f"```sh\n{block}```\n")]
    for _, *words in (line for line in lines if line[0] == "synthstudio"):
        done = CliRunner().invoke(app, [*words, *added(words)], catch_exceptions=False)
        assert done.exit_code == 0, f"{words}\n{done.output}"
    assert len(lines) == 6 and (tmp_path / "report.html").is_file()


# What pages take -----------------------------------------------------------------------------


def supply_photos(folder, annotations, images):
    """Annotated photos, six of them, at two places below the folder."""
    joints = experiment_world.COCO17
    world = experiment_world.write(folder / ".photos", 6, names=joints, labelled=joints)
    for place in (annotations, images):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
    (world / "coco.json").rename(folder / annotations)
    (world / "images").rename(folder / images)


def supply_readme(folder):
    supply_photos(folder, "annotations.json", "photos")
    asset_roots.fill(folder / "assets")
    shutil.copytree(folder / "assets", folder / "home" / "assets")


def supply_annotated(folder):
    supply_photos(folder, "people/person_keypoints.json", "people/images")
    asset_roots.fill(folder / "assets")


SUPPLIED = {
    "README.md": supply_readme,
    "docs/experiments.md": supply_annotated,
    "docs/imports.md": lambda folder: asset_roots.film(folder / "film.mp4"),
    "docs/learn/occlude_photos.md": supply_annotated,
    "docs/live.md": lambda folder: asset_roots.film(folder / "film.mp4"),
    "docs/occlude.md": supply_annotated,
    "docs/photos.md": lambda folder: asset_roots.fill(folder / "assets"),
    "docs/deployment.md": lambda folder: supply_photos(folder, "photos.json", "photos"),
    "docs/gap.md": lambda folder: supply_photos(folder, "photos/people.json", "photos/images"),
    "docs/predict.md": lambda folder: supply_photos(folder, "photos/people.json", "photos/images"),
}


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """A folder for PATH; with small settings it has a `synthstudio` that adds them."""
    folder, kept = tmp_path_factory.mktemp("bin"), tmp_path_factory.mktemp("kept")
    if SIZE == "small":
        (folder / "synthstudio").write_text(
            f"#!{sys.executable}\nimport sys\nfrom pathlib import Path\n"
            f"sys.path[:0] = {[str(ROOT), str(ROOT / 'tests')]!r}\nimport printed\n"
            f"printed.run_small(sys.argv[1:], Path({str(kept)!r}))\n",
            encoding="utf-8",
        )
        (folder / "synthstudio").chmod(0o755)
    return folder


def clone(folder, programs):
    for name in FROM_A_CLONE:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    for config in (folder / "scenes" / "training").glob("*.yaml") if SIZE == "small" else ():
        fields = yaml.safe_load(config.read_text(encoding="utf-8")) | FEW_STEPS
        fields["network"]["bank"] = 0
        config.write_text(yaml.safe_dump(fields), encoding="utf-8")
    (folder / ".venv" / "bin").mkdir(parents=True)
    activate = folder / ".venv" / "bin" / "activate"
    activate.write_text(f'PATH="{programs}:$PATH"\n', encoding="utf-8")
    (folder / "home").mkdir(exist_ok=True)
    (folder / "home" / ".cache").symlink_to(Path.home() / ".cache")  # of the body


@pytest.mark.nightly("minutes of small runs; quick tests check that each command exists")
@pytest.mark.timeout(0)
@pytest.mark.parametrize("page", [name for name, text in PAGES.items() if commands(text)])
def test_a_page_runs_as_printed(page, programs, tmp_path):
    folder = tmp_path / "clone"
    folder.mkdir()
    clone(folder, programs)
    SUPPLIED.get(page, lambda folder: None)(folder)
    lines = [line for line in commands(PAGES[page]) if why_not(line) is None]
    script = "".join(f"echo {shlex.quote('$ ' + line)} >&2\n{line}\n" for line in lines)
    done = finished(
        *("bash", "-euo", "pipefail", "-c", script),
        cwd=folder,
        env=printed.own_environment(folder, programs),
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{page}\n{done.stdout[-1500:]}\n{done.stderr[-4000:]}"
