"""What every file of the project keeps to."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

import synthstudio
from synthstudio.cli import app

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "synthstudio"
SOURCES = sorted(PACKAGE.rglob("*.py"))


def test_there_is_no_utils() -> None:
    assert not [p for p in SOURCES if re.search(r"utils|helpers|misc|common", p.name)]


def test_every_command_has_help_and_stands_in_the_docs() -> None:
    commands = typer.main.get_group(app).commands
    reference = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for name, command in commands.items():
        assert command.help, name
        assert f"## {name}" in reference
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{name} {parameter.name}"


def test_versions_agree() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{synthstudio.__version__}"' in text


@pytest.mark.parametrize(
    "heavy",
    ["torch", "warp", "streamlit", "albumentations", "anny", "scipy", "numpy", "pyarrow", "yaml"],
)
def test_the_command_line_starts_without(heavy: str) -> None:
    code = f"import sys, synthstudio.cli; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_pinned_lock_holds_every_dependency() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8").lower()
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = re.search(r"\ndependencies = \[(.*?)\n\]", project, re.S)
    assert block
    for name in re.findall(r'"([A-Za-z0-9-]+)', block.group(1)):
        assert re.search(rf"^{re.sub('[-_]', '[-_]', name.lower())}==", lock, re.M), name


def test_docs_link_only_to_files_that_exist() -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"


def test_docs_have_no_gaps() -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        assert "@@" not in page.read_text(encoding="utf-8"), page.name


def test_tab_completes_commands_and_choices() -> None:
    def completed(words: str) -> list[str]:
        env = os.environ | {
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
            "_SYNTHSTUDIO_COMPLETE": "complete_bash",
        }
        call = [
            sys.executable,
            "-c",
            "from synthstudio.cli import app; app(prog_name='synthstudio')",
        ]
        return subprocess.run(call, env=env, capture_output=True, text=True).stdout.split()

    assert completed("synthstudio cov") == ["coverage"]
    assert completed("synthstudio export --format co") == ["coco", "coco-wholebody"]
