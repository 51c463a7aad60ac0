"""One entry of another tool's file is damaged at random: the rest comes in right, or none does."""

from __future__ import annotations

import math
import random
import re
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from faulty_files import TOOLS, Person, Picture, Project, is_same, shade_of

from synthstudio.core.errors import SynthStudioError
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import Row
from synthstudio.formats.exchange import LeftOut
from synthstudio.formats.imports import import_from
from synthstudio.formats.registry import get_format

VALUES = [
    None, True, -1, 0, 1.5, 10**9, 2**70, 1e308, math.nan, math.inf, "", "x", "../../x", "\0", "1",
    "\ud800", "y" * 3000, [], {}, [[]], [None], [1, 2, 3], [0] * 51, {"a": 1}, "a.png", [[1, 2]],
]  # fmt: skip
WORDS = [
    "", "x", "-1", "nan", "inf", "1e308", "9" * 400, "1,5", "\0", "\ufffe", "&a;", "<a>", "]]>",
    '"', "../../x", "/etc/passwd", "C:\\x", "true", "0x10", "1_0", "٣", "\n", "a.png", "person",
]  # fmt: skip


def damaged(value: Any, rng: random.Random) -> Any:
    """A value with one change, somewhere inside."""
    if isinstance(value, str) and rng.random() < 0.7:
        found = list(re.finditer(r"-?[0-9.]+|\w+", value)) or [re.match("", value)]
        hit = rng.choice(found)
        assert hit is not None
        at = hit.start() if rng.random() < 0.8 else rng.randrange(len(value) + 1)
        return value[:at] + rng.choice(WORDS) + value[max(at, hit.end()) :]
    if isinstance(value, dict) and value and rng.random() < 0.9:
        name = rng.choice(list(value))
        if rng.random() < 0.1:
            return {key: one for key, one in value.items() if key != name}
        return value | {name: damaged(value[name], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        if rng.random() < 0.2:
            return value[:place] + value[place + 1 :] * rng.choice((1, 2))
        return [*value[:place], damaged(value[place], rng), *value[place + 1 :]]
    return rng.choice(VALUES)


def one_case(tool: str, seed: int, root: Path) -> str:
    """What became of a project of which the first picture, or somebody in it, is damaged."""
    rng = random.Random(f"{tool} {seed}")
    people = [Person(0), Person(1)]
    first, second = Picture("a.png", 1, people), Picture("b.png", 2, [Person(2)])
    # Regions of Label Studio are damaged within their task.
    victim: Any = first if tool.startswith("ls") else rng.choice([first, *people])
    as_text = tool.startswith(("yolo", "cvat"))

    def change(found: Any) -> Any:
        for _ in range(rng.choice((1, 1, 2, 4))):
            found = damaged(found, rng)
        return found if not as_text or isinstance(found, str) else str(found)

    victim.change = change
    (root / "in").mkdir()
    name, build = TOOLS[tool]
    path = build(root / "in", Project([first, second], encode=_encoded))
    try:
        found, left_out = (_imported if seed % 10 == 0 else _read)(name, path, root / "out")
    except SynthStudioError as error:
        assert str(error) and not (root / "out").exists()
        return "refused"
    assert any(is_same(Person(2), row) for row in found), left_out
    assert len(found) == 1 or not as_text
    return "told" if left_out else "read"


def _imported(name: str, path: Path, out: Path) -> tuple[list[Row], LeftOut]:
    """The people of the second picture in the data set that an import makes."""
    taken, dataset = import_from(name, path, out), Dataset(out)
    (frame,) = (row for row in dataset.iter_frames() if shade_of(dataset, row) == 2)
    return dataset.instances(frame["index"]), taken.left_out


def _read(name: str, path: Path, out: Path) -> tuple[list[Row], LeftOut]:
    """The same of what the reader gives, without a data set."""
    opened = get_format(name).read(path, None, ())
    with closing(opened):
        samples = [s for s in opened.samples if not isinstance(s, SynthStudioError)]
    (people,) = (people for _, people, image in samples if Path(str(image)).name == "b.png")
    return people, opened.left_out


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def run(tool: str, seeds: range) -> Counter[str]:
    found: Counter[str] = Counter()
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            found[one_case(tool, seed, Path(folder))] += 1
    return found


@pytest.mark.parametrize("tool", TOOLS)
def test_the_rest_comes_in_right(tool: str) -> None:
    found = run(tool, range(12))
    assert found.total() - found["refused"] >= 3


@pytest.mark.nightly("20,000 damaged files: the quick level has 84")
@pytest.mark.parametrize("part", range(10))
@pytest.mark.parametrize("tool", TOOLS)
def test_the_rest_of_many_comes_in_right(tool: str, part: int) -> None:
    run(tool, range(1000 + 286 * part, 1286 + 286 * part))
