"""What every file of the project keeps to."""

import json
import re
import zipfile
from pathlib import Path

import typer.main
from printed import command_of
from programs import python

import synthstudio
from synthstudio.cli import app
from tools import dependencies

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "synthstudio"
SOURCES = sorted(PACKAGE.rglob("*.py"))
HEAVY = {"torch", "warp", "streamlit", "albumentations", "anny", "scipy", "numpy", "pyarrow"}


def test_there_is_no_utils():
    assert not [p for p in SOURCES if re.search(r"utils|helpers|misc|common", p.name)]


def test_every_command_has_help_and_stands_in_the_docs():
    commands = typer.main.get_group(app).commands
    reference = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for name, command in commands.items():
        assert command.help, name
        assert f"## {name}" in reference
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{name} {parameter.name}"


def test_versions_agree():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{synthstudio.__version__}"' in text


def test_the_command_line_starts_without_what_is_heavy():
    code = "import sys, synthstudio.cli; print(*sys.modules)"
    loaded = python("-c", code).stdout.split()
    assert "synthstudio.cli" in loaded and not HEAVY & set(loaded)


def test_no_option_went():
    """What was released stays: tests/golden/commands.json, which `make golden` writes anew."""
    stored = json.loads((ROOT / "tests" / "golden" / "commands.json").read_text(encoding="utf-8"))
    for name, options in stored.items():
        command, rest = command_of(["synthstudio", *name.split()])
        known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
        assert not rest and set(options) <= known, name


def test_pinned_lock_holds_every_dependency():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8").lower()
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = re.search(r"\ndependencies = \[(.*?)\n\]", project, re.S)
    assert block
    for name in re.findall(r'"([A-Za-z0-9-]+)', block.group(1)):
        assert re.search(rf"^{re.sub('[-_]', '[-_]', name.lower())}==", lock, re.M), name


def test_docs_link_only_to_files_that_exist():
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = page.read_text(encoding="utf-8")
        assert "@@" not in text, page.name  # a gap that was to be filled in
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"


# Every locked package has a licence that a company may use, or a reason beside its name.


def test_every_licence_is_allowed():
    found = dependencies.licences()
    assert len(found) > 100
    assert dependencies.refused(found) == []
    # An exception that is no longer needed, or no longer true, goes.
    named = {name: found[name] for name in dependencies.EXCEPTIONS}
    assert all(dependencies.COPYLEFT.search(licence) for licence in named.values()), named


def test_what_may_not_be_used_is_named():
    packages = {
        "a": "GPL-3.0-or-later",
        "b": "",
        "c": "MIT OR GPL-2.0",
        "d": "Proprietary",
        "e": "BSD-3-Clause AND 0BSD",
        "f": "GNU Affero General Public License v3",
        "tqdm": "MPL-2.0 AND MIT",
    }
    assert [line.split(":")[0] for line in dependencies.refused(packages)] == list("abcdf")


def test_the_wheel_holds_recipes_weights_and_pages(tmp_path):
    names = set(zipfile.ZipFile(dependencies.built(tmp_path)).namelist())
    held = ("scenes/quickstart.yaml", "scenes/training/nano.yaml", "inference/weights/photos.onnx")
    assert {f"synthstudio/{name}" for name in (*held, "report/templates/style.css")} <= names
