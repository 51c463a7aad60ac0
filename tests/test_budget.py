"""tools/budget.py counts a small project and names what is over its limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import budget

FILES = {
    "synthstudio/__init__.py": "a\n",
    "synthstudio/core/rng.py": "a\nb\n",
    "synthstudio/studio/assets/page.js": "a\nb\nc\n",
    "tests/test_a.py": "a\n",
    "README.md": "three short words\n",
    "docs/page.md": "one\n",
    "docs/research/study.md": "not counted\n",
}
LIMITS = {
    "synthstudio": 3, "synthstudio/core": 2, "synthstudio/*.py": 1, "files of synthstudio": 2,
    "tests": 1, "benchmarks": 0, "tools": 0, "words of docs": 4, "lines of JS and CSS": 3,
}  # fmt: skip


def write(root: Path, **changed: int) -> Path:
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    rows = "\n".join(f'"{name}" = {number}' for name, number in (LIMITS | changed).items())
    (root / "pyproject.toml").write_text(f"[tool.synthstudio.budget]\n{rows}\n")
    return root


def test_a_project_within_its_limits_passes(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert budget.counted(write(tmp_path)) == dict(sorted(LIMITS.items()))
    assert budget.main(["--table"], tmp_path) == 0
    assert "synthstudio/core" in capsys.readouterr().out


def test_what_is_over_is_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write(tmp_path, tests=0)
    (tmp_path / "synthstudio" / "new").mkdir()
    (tmp_path / "synthstudio" / "new" / "a.py").write_text("")
    assert budget.main([], tmp_path) == 1
    text = capsys.readouterr().err
    assert "tests: over budget (expected at most 0, got 1)" in text
    assert "synthstudio/new: no limit" in text and "files of synthstudio: over" in text


def test_the_project_has_a_limit_for_each_number() -> None:
    assert budget.counted(budget.ROOT).keys() == budget.limits(budget.ROOT).keys()
