"""docs/api.md: all that it lists is on `ss`, says what it raises, and is all of `ss`."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import synthstudio as ss
from synthstudio.api import recipes
from synthstudio.core.errors import DatasetError, RecipeError

ROOT = Path(__file__).resolve().parents[2]
LISTED = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "api.md").read_text("utf-8"), re.M)


def test_the_page_lists_what_is_on_ss():
    assert sorted(name.rpartition(".")[2] for name in LISTED) == sorted(ss.__all__)
    assert set(ss.__all__) <= set(dir(ss))
    block = ast.parse(Path(ss.__file__).read_text("utf-8"))
    typed = [
        alias.name
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if str(node.module).startswith("synthstudio.")
    ]
    assert sorted(typed) == sorted(ss.__all__)


@pytest.mark.parametrize("path", LISTED)
def test_a_listed_name_is_the_one_on_ss(path):
    module, _, name = path.rpartition(".")
    found = getattr(ss, name)
    assert found is getattr(importlib.import_module(module), name)
    assert inspect.getdoc(found)
    if inspect.isfunction(found):
        assert "Raises:" in found.__doc__, f"{name} does not say what it raises"


def test_errors_speak_of_arguments_and_the_command_line_of_options():
    error = DatasetError(
        "already here",
        where="--out",
        then="Go on with --drop-duplicates, or: synthstudio merge --sets.",
    )
    assert str(error) == (
        "`out`: already here. Go on with `drop_duplicates`, or: synthstudio merge --sets."
    )
    assert error.with_options.startswith("--out: already here. Go on with --drop-duplicates")
    again = DatasetError(f"frame 3: {error.with_options}")
    assert "--drop-duplicates" in again.with_options and "`drop_duplicates`" in str(again)


def test_recipes_and_configs_have_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = ss.Recipe.load(ROOT / "scenes" / "quickstart.yaml")
    assert ss.Recipe.load("quickstart").to_dict() == file.to_dict()
    assert ss.Recipe.load("challenges/dark").name == "dark"
    assert recipes.named_file(Path("nano"), "training").parent.name == "training"
    with pytest.raises(RecipeError, match=r"quikstart.*expected quickstart"):
        ss.Recipe.load("quikstart")
    with pytest.raises(RecipeError, match="no recipe there"):
        ss.Recipe.load("quickstart.yaml")


def test_what_the_wheel_takes_along_is_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    data = project["tool"]["setuptools"]["package-data"]["synthstudio"]
    assert "scenes/**/*" in data and (ROOT / "synthstudio" / "scenes").resolve() == ROOT / "scenes"
    extras = project["project"]["optional-dependencies"]
    page = (ROOT / "docs" / "install.md").read_text("utf-8")
    assert {e for e in extras if f"| `{e}` |" in page} == set(extras) - {"dev", "docs"}


WITHOUT_EXTRAS = """
import sys, typer
from typer.testing import CliRunner
names = "sqlalchemy argon2 streamlit plotly fastapi starlette httpx pandas onnx onnxruntime timm "
names += "torchvision tensorboard transformers ray fsspec motmetrics sklearn"
sys.modules.update(dict.fromkeys(names.split()))  # an import of one fails
import synthstudio as ss
from synthstudio.cli import app
assert all(getattr(ss, name) for name in ss.__all__)
review = typer.main.get_command(app).get_command(None, "review")
for name in review.list_commands(None):
    shown = CliRunner().invoke(app, ["review", name, "--help"])
    assert shown.exit_code == 0, (name, shown.exception)
"""


def test_names_and_help_need_no_extra():
    subprocess.run([sys.executable, "-c", WITHOUT_EXTRAS], check=True, cwd=ROOT)
