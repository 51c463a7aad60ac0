"""Mutants are drawn by seed and compile; a weak test lets one live and a strong one kills it."""

import ast
from pathlib import Path

import pytest

from tools.mutant_runs import judge, record
from tools.mutants import draw, moved

SOURCE = b'''"""Two functions."""
LEAST = 2
def is_large(number: int = 7) -> bool:
    return number > LEAST
def total(numbers: list[int]) -> int:
    found = 0
    for number in numbers:
        if not is_large(number):
            continue
        found += number * 3
    return found
'''
CHECKS = """import pytest, toy
@pytest.fixture(scope="module")
def large(): return toy.is_large(3)
def test_weak(large): assert large
def test_strong(large): assert large and not toy.is_large(2)
"""
FILES = {"functions": {"toy.py": SOURCE}}


def test_mutants_are_the_same_by_seed_and_each_compiles_to_something_else() -> None:
    assert draw(FILES, 3, 8) == draw(FILES, 3, 8) != draw(FILES, 4, 8)
    texts = {mutant.applied(SOURCE) for mutant in draw(FILES, 3, 99)}
    trees = {ast.dump(ast.parse(text)) for text in (SOURCE, *texts)}
    assert len(trees) == len(texts) + 1 > 10
    assert all(text.startswith(b'"""Two functions."""\nLEAST') for text in texts)


@pytest.mark.parametrize(("kept", "verdict"), [("test_weak", "survived"), ("test_", "killed")])
def test_only_a_strong_test_kills(tmp_path: Path, kept: str, verdict: str) -> None:
    (tmp_path / "toy.py").write_bytes(SOURCE)
    (tmp_path / "test_toy.py").write_text(CHECKS)
    ran = record(tmp_path, "test_toy.py", "", ["toy.py"])
    ran["tests"] = {name: uses for name, uses in ran["tests"].items() if kept in name}
    by_text = {mutant.before: mutant for mutant in draw(FILES, 0, 99)}
    found = judge(by_text["number > LEAST"], tmp_path, {"test_toy.py": ran}, 60)
    assert found["verdict"] == verdict and ("test_strong" in found["by"]) == (kept == "test_")
    unseen = judge(by_text["found += number * 3"], tmp_path, {"test_toy.py": ran}, 60)
    assert unseen["verdict"] == "uncovered"
    assert (tmp_path / "toy.py").read_bytes() == SOURCE


def test_a_mutant_is_found_again_where_other_lines_changed() -> None:
    later = SOURCE.replace(b"    found = 0\n", b"    found = 0\n    other = 1\n")
    pairs = [(m, moved(m, SOURCE, later)) for m in draw(FILES, 0, 99)]
    for old, new in pairs:
        assert new and later[new.start : new.end].decode() == old.before and new.key == old.key
    assert all(moved(m, SOURCE, b"LEAST = 2\n") is None for m, _ in pairs if m.line > 3)
