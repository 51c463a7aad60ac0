"""Lines, files and words that the project may have: `make check`; `--table` prints them.

Limits stand in pyproject.toml, `[tool.synthstudio.budget]`; a change that needs more says there
why. Documentation is README, CONTRIBUTING, CHANGELOG and docs/ without docs/research and evidence.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
NO_DOCS = ("research", "evidence")
"""Folders of docs/ that hold finished studies and logs."""


def counted(root: Path) -> dict[str, int]:
    """Lines of Python by package and folder, Python files of the package, words, JS and CSS."""
    found: Counter[str] = Counter()
    for path in _python(root / "synthstudio"):
        inner = path.relative_to(root / "synthstudio").parts
        found[f"synthstudio/{inner[0]}" if len(inner) > 1 else "synthstudio/*.py"] += _lines(path)
        found["synthstudio"] += _lines(path)
        found["files of synthstudio"] += 1
    for name in ("tests", "benchmarks", "tools"):
        found[name] = sum(_lines(path) for path in _python(root / name))
    pages = [root / name for name in PAGES if (root / name).is_file()]
    pages += [
        path
        for path in (root / "docs").rglob("*.md")
        if path.relative_to(root / "docs").parts[0] not in NO_DOCS
    ]
    found["words of docs"] = sum(len(path.read_text("utf-8").split()) for path in pages)
    scripts = [*(root / "synthstudio").rglob("*.js"), *(root / "synthstudio").rglob("*.css")]
    found["lines of JS and CSS"] = sum(_lines(path) for path in scripts)
    return dict(sorted(found.items()))


def _python(folder: Path) -> Iterator[Path]:
    return folder.rglob("*.py")


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def limits(root: Path) -> dict[str, int]:
    text = (root / "pyproject.toml").read_text("utf-8")
    found: dict[str, int] = tomllib.loads(text)["tool"]["synthstudio"]["budget"]
    return found


def over(limit: dict[str, int], found: dict[str, int]) -> list[str]:
    """A sentence for each number above its limit, and for each that has none."""
    wrong = [
        f"{name}: over budget (expected at most {limit[name]:,}, got {number:,})"
        for name, number in found.items()
        if name in limit and number > limit[name]
    ]
    return wrong + [f"{name}: no limit in pyproject.toml" for name in found.keys() - limit.keys()]


def main(words: list[str], root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(prog="budget", description=__doc__)
    parser.add_argument("--table", action="store_true", help="print every number and its limit")
    options = parser.parse_args(words)
    limit, found = limits(root), counted(root)
    if options.table:
        for name, number in found.items():
            print(f"{name:<24}{number:>9,} of{limit.get(name, 0):>9,}")  # noqa: T201
    wrong = over(limit, found)
    for line in wrong:
        sys.stderr.write(f"error: {line}. Remove something, or raise the limit and say why.\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
