"""Mutants are drawn by seed and compile; a weak test lets one live and a strong one kills it."""

import ast
from pathlib import Path

import pytest

from tools.mutant_runs import judge, record
from tools.mutants import Mutant, draw

SOURCE = '''"""Two functions."""

LEAST = 2


def is_large(number: int = 7) -> bool:
    """Whether it is above 2."""
    return number > LEAST


def total(numbers: list[int]) -> int:
    found = 0
    for number in numbers:
        if not is_large(number):
            continue
        found += number * 3
    return found
'''
CHECKS = """import pytest
import toy

@pytest.fixture(scope="module")
def large():
    return toy.is_large(3)

def test_weak(large):
    assert large

def test_strong(large):
    assert large and not toy.is_large(2)
"""
FILES = {"functions": {"toy.py": SOURCE.encode()}}


def drawn(operator: str, before: str) -> Mutant:
    return next(m for m in draw(FILES, 0, 99) if (m.operator, m.before) == (operator, before))


def test_mutants_are_the_same_by_seed_and_each_compiles_to_something_else() -> None:
    mutants = draw(FILES, 3, 8)
    assert mutants == draw(FILES, 3, 8) != draw(FILES, 4, 8)
    texts = {mutant.applied(FILES["functions"]["toy.py"]) for mutant in draw(FILES, 3, 99)}
    trees = {ast.dump(ast.parse(text)) for text in (SOURCE, *texts)}
    assert len(trees) == len(texts) + 1 > 10
    assert all(text.startswith(b'"""Two functions."""') for text in texts)


@pytest.mark.parametrize(("kept", "verdict"), [("test_weak", "survived"), ("test_", "killed")])
def test_only_a_strong_test_kills(tmp_path: Path, kept: str, verdict: str) -> None:
    (tmp_path / "toy.py").write_text(SOURCE)
    (tmp_path / "test_toy.py").write_text(CHECKS)
    ran = {"test_toy.py": record(tmp_path, "test_toy.py", "", ["toy.py"])}
    ran["test_toy.py"]["tests"] = {
        n: u for n, u in ran["test_toy.py"]["tests"].items() if kept in n
    }
    found = judge(drawn("compare", "number > LEAST"), tmp_path, ran, 60)
    killer = "test_toy.py::test_strong" if verdict == "killed" else ""
    assert (found["verdict"], found["by"]) == (verdict, killer)
    assert (
        judge(drawn("operator", "found += number * 3"), tmp_path, ran, 60)["verdict"] == "uncovered"
    )
    assert (tmp_path / "toy.py").read_text() == SOURCE
