# ruff: noqa: T201
"""Seeded mutation check: which small faults in the package do the tests find?

    python -m tools.mutants                                the quick level
    python -m tools.mutants --suite all                    the nightly level as well
    python -m tools.mutants --suite all --tests REV        the same mutants, the tests of a commit
    python -m tools.mutants --package OLD --onto HEAD      mutants of an older package in this one
    python -m tools.mutants --report

The package and the tests are taken from commits. All is kept in .cache/mutants, goes on where it
was stopped, and needs the package coverage.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import io
import json
import os
import random
import re
import shutil
import subprocess
import tarfile
import tempfile
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tools.mutant_runs import judge, record
from tools.words import current

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "mutants"
GROUPS = {
    "label": "label/*",
    "visibility": "core/visibility core/labels core/masks core/people",
    "targets": "recipe/schema/people recipe/search/*",
    "dataset": "dataset/rows dataset/reader dataset/writer dataset/matching dataset/query",
    "formats": "formats/coco/* formats/yolo formats/cvat formats/checked"
    " formats/exchange formats/joints",
    "review": "review/store review/edits review/history review/batch_edits review/reviewed"
    " review/values review/check review/masks",
    "models": "models/heatmaps models/contract models/bottom_up/openpose models/bottom_up/personlab"
    " inference/tracking",
    "evaluation": "evaluation/metrics evaluation/measures evaluation/precision",
}
"""Files of the package, as patterns without .py, by group."""
TESTS = """label core recipe dataset formats quality review models evaluation
test_pixels.py test_analytic.py test_hand_judged.py test_head_labels.py test_targets.py
test_occlude.py test_occlude_ground.py
api/test_datasets.py training/test_tracking.py training/test_frame_systems.py"""
"""Below tests/, those that may find a mutant."""
LEVELS = {"quick": "not nightly", "nightly": "nightly", "all": ""}
PRELOADED = "torch scipy.ndimage scipy.spatial pyarrow.parquet sqlalchemy.orm cv2 pandas trimesh"
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq},
    **{ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot},
    **{ast.IsNot: ast.Is, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div},
    **{ast.Div: ast.Mult, ast.And: ast.Or, ast.Or: ast.And},
}
NAMES = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum"}
NOT_TESTED = re.compile(r"(log|logger|logging|warnings|cast|TypeVar)\b")


@dataclass(frozen=True)
class Mutant:
    """A changed place of a file: bytes `start` to `end` become `after`."""

    group: str
    path: str
    operator: str
    line: int
    start: int
    end: int
    before: str
    after: str
    statement: tuple[int, int]  # its first and last line
    at_import: bool
    key: str

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.after.encode() + source[self.end :]


def changes(node: ast.AST) -> Iterator[tuple[str, ast.AST, str]]:
    """Changes of one node: operator, the node that is replaced, and its new text."""
    match node:
        case ast.Compare(ops=ops):
            for i in range(len(ops)):
                changed: Any = copy.deepcopy(node)
                changed.ops[i] = SWAPS[type(ops[i])]()
                yield "compare", node, ast.unparse(changed)
        case ast.BinOp() | ast.BoolOp() | ast.AugAssign() if type(node.op) in SWAPS:
            changed = copy.copy(node)
            changed.op = SWAPS[type(node.op)]()
            text = ast.unparse(changed)
            yield "operator", node, text if isinstance(node, ast.stmt) else f"({text})"
        case ast.Constant(value=bool() | int() | float() as value):
            yield "constant", node, str(not value if isinstance(value, bool) else value + 1)
        case ast.If() | ast.IfExp():
            yield "condition", node.test, f"(not ({ast.unparse(node.test)}))"
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in NAMES:
            of, dot, _ = ast.unparse(node.func).rpartition(".")
            yield "min/max", node.func, of + dot + NAMES[name]
    if found := replaced(node):
        yield found[0], node, found[1]


def replaced(node: ast.AST) -> tuple[str, str] | None:
    """Operator and new text where all of the node is replaced."""
    match node:
        case ast.UnaryOp(op=ast.Not()):
            return "not", f"({ast.unparse(node.operand)})"
        case ast.Return(value=ast.expr()):
            return "return", "return None"
        case ast.Continue():
            return "loop", "break"
        case ast.Break():
            return "loop", "continue"
        case ast.Expr(value=ast.Call()):
            return "dropped call", "pass"
    return None


def is_skipped(node: ast.AST) -> bool:
    """Whether nothing in it shall change: texts, messages, types, names, `strict` of zip."""
    match node:
        case ast.JoinedStr() | ast.Raise() | ast.keyword(arg="strict"):
            return True
        case ast.Call(func=called):
            return bool(NOT_TESTED.match(ast.unparse(called)))
        case ast.If(test=test):
            return ast.unparse(test).endswith("TYPE_CHECKING")
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
    return False


Site = tuple[str, ast.AST, str, tuple[int, int], bool]


def sites(node: ast.AST, lines: tuple[int, int] = (1, 1), at_import: bool = True) -> Iterator[Site]:
    """Every change below a node, with its statement's lines and whether it runs at import."""
    if is_skipped(node):
        return
    if isinstance(node, ast.stmt | ast.ExceptHandler):
        body = getattr(node, "body", None)
        last = body[0].lineno - 1 if body else node.end_lineno or node.lineno
        lines = (node.lineno, max(node.lineno, last))
    for operator, old, new in changes(node):
        yield operator, old, new, lines, at_import
    for name, value in ast.iter_fields(node):
        if name not in ("annotation", "returns", "decorator_list"):
            inside = name == "body" and isinstance(node, ast.FunctionDef | ast.Lambda)
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from sites(child, lines, at_import and not inside)


def mutants_of(group: str, path: str, source: bytes) -> list[Mutant]:
    """All mutants of a file, those included that do not compile."""
    offsets = [0]
    for line in source.splitlines(keepends=True):
        offsets.append(offsets[-1] + len(line))
    found = []
    for operator, old, new, lines, at_import in sites(ast.parse(source)):
        at: Any = old
        start = offsets[at.lineno - 1] + at.col_offset
        end = offsets[at.end_lineno - 1] + at.end_col_offset
        before, key = source[start:end].decode(), f"{path}:{start}-{end} {operator} {new}"
        at_lines = (at.lineno, start, end, before, new, lines)
        found.append(Mutant(group, path, operator, *at_lines, at_import, key))
    return found


def differs(mutant: Mutant, source: bytes) -> bool:
    """Whether the mutant compiles, to something else."""
    changed = mutant.applied(source)
    try:
        compile(changed, mutant.path, "exec")
    except SyntaxError:
        return False
    return ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))


def draw(groups: Mapping[str, Mapping[str, bytes]], seed: int, number: int) -> list[Mutant]:
    """Draw mutants of the groups (name -> path -> source) in turn; all where there are fewer."""
    sources = {path: source for files in groups.values() for path, source in files.items()}
    pools = {}
    for group, files in groups.items():
        pools[group] = [m for path in sorted(files) for m in mutants_of(group, path, files[path])]
        random.Random(f"{seed}/{group}").shuffle(pools[group])
    drawn: list[Mutant] = []
    while any(pools.values()) and len(drawn) < number:
        for pool in pools.values():
            while pool and not differs(pool[-1], sources[pool[-1].path]):
                pool.pop()
            drawn += [pool.pop()] if pool else []
    return drawn[:number]


def signature(mutant: Mutant, source: bytes) -> tuple[str, ...]:
    """Operator, old and new text, and statement of a change, in the names of today."""
    first, last = mutant.statement
    lines = source.decode().splitlines()[first - 1 : last]
    texts = (mutant.before, mutant.after, " ".join(lines))
    return mutant.operator, *(" ".join(current(text).split()) for text in texts)


def moved(
    drawn: Sequence[Mutant], old: Mapping[str, bytes], new: Mapping[str, bytes]
) -> dict[str, Mutant]:
    """Key of each drawn mutant -> the same change in a later package, where it is still there.

    Of equal changes the one in the same place of their order is meant, if there are as many.
    """
    places: list[dict[tuple[str, ...], list[Mutant]]] = [defaultdict(list), defaultdict(list)]
    for found, sources in zip(places, (old, new), strict=True):
        for path, source in sorted(sources.items()):
            for mutant in mutants_of("", path, source):
                found[signature(mutant, source)].append(mutant)
    later = {}
    for mutant in drawn:
        was, now = (found[signature(mutant, old[mutant.path])] for found in places)
        if len(was) == len(now):
            same = now[[each.key for each in was].index(mutant.key)]
            later[mutant.key] = replace(same, group=mutant.group, key=mutant.key)
    return later


def patterns(parts: str) -> list[str]:
    return [f"synthstudio/{part}.py" for part in parts.split()]


def _git(*arguments: str) -> bytes:
    return subprocess.check_output(["git", *arguments], cwd=ROOT)


def make_tree(folder: Path, tests: str, package: str) -> Path:
    """The files of commit `tests` with the package of commit `package`, and shared beside them."""
    tree = folder / "tree"
    for archive in (_git("archive", tests), _git("archive", package, "synthstudio")):
        shutil.rmtree(tree / "synthstudio", ignore_errors=True)
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(tree, filter="data")
    if (shared := ROOT.parent / "shared").is_dir():
        (folder / "shared").symlink_to(shared)
    return tree


def in_processes(jobs: int, task: Callable[[Path, Any], None], items: Any, *commits: str) -> None:
    """Do a task for each item in some processes, each with a tree of its own."""
    children = []
    for job in range(jobs):
        children.append(os.fork())
        if children[-1] == 0:
            try:
                with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
                    tree = make_tree(Path(folder), *commits)
                    for item in items[job::jobs]:
                        task(tree, item)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    if any(statuses):
        raise SystemExit("a process failed")


def results(path: Path) -> dict[str, dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {found["key"]: found for found in map(json.loads, lines)}


def killed_in(found: Mapping[str, Mapping[str, Any]]) -> set[str]:
    return {key for key, each in found.items() if each["verdict"] in ("killed", "died")}


def is_final(found: Mapping[str, Any], limit: float) -> bool:
    """Whether judging again, for so long, would say the same: more tests may be recorded now."""
    longer = found["verdict"] == "survived the limit" and found["limit"] < limit
    return found["verdict"] != "uncovered" and not longer


def report(folder: Path, drawn: Sequence[Mutant]) -> None:
    """Print the mutants that each suite kills by group, and those that only the old one does."""
    found = {name: results(folder / f"{name}.jsonl") for name in ("old", *LEVELS)}
    kills = {name: killed_in(each) for name, each in found.items() if each}
    print(f"{'group':12}{'mutants':>9}" + "".join(f"{name:>20}" for name in kills))
    for group in [*GROUPS, "all"]:
        keys = {mutant.key for mutant in drawn if group in (mutant.group, "all")}
        print(f"{group:12}{len(keys):9}", end="")
        for name, killed in kills.items():
            part, all_run = len(keys & killed), len(keys & set(found[name]))
            print(f"{part:7} of {all_run:3} {part / max(all_run, 1):5.0%}", end="")
        print()
    for name in [name for name in kills if name != "old"]:
        both = kills.get("old", set()) & set(found[name])
        lost = [m for m in drawn if m.key in both - kills[name]]
        print(f"\n{name} kills {len(both) - len(lost)} of {len(both)} that old kills. The others:")
        for m in lost:
            killer, verdict = found["old"][m.key]["by"], found[name][m.key]["verdict"]
            print(f"{m.path}:{m.line} {verdict}; old: {killer}\n    - {m.before}\n    + {m.after}")


def measure(asked: argparse.Namespace, drawn: Sequence[Mutant], folder: Path) -> None:
    """Record what the tests run, then judge the mutants; both go on where they were stopped."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for module in PRELOADED.split():  # once for all mutants
        importlib.import_module(module)
    package = asked.onto or asked.package
    suite, tests = ("old", asked.tests) if asked.tests else (asked.suite, "HEAD")
    maps, out = CACHE / suite, folder / f"{suite}.jsonl"
    maps.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    stamp, commit = maps / "commit", _git("rev-parse", tests).decode()
    if stamp.is_file() and stamp.read_text() != commit:
        raise SystemExit(f"{maps} and {out} are of the tests of {stamp.read_text()}: remove them")
    stamp.write_text(commit)
    under = [f"tests/{name}" for name in TESTS.split()]
    listed = _git("ls-tree", "-r", "--name-only", tests, "--", *under).decode().split()
    files = {f: maps / f"{f.replace('/', '+')}.json" for f in listed if Path(f).match("test_*.py")}

    def record_file(tree: Path, file: str) -> None:
        found = record(tree, file, LEVELS[asked.suite], patterns(" ".join(GROUPS.values())))
        print(
            f"{file}: {sum(found['seconds'].values()):.0f} s, fail: {found['failed']}", flush=True
        )
        files[file].write_text(json.dumps(found))

    def judge_mutant(tree: Path, mutant: Mutant) -> None:
        line = json.dumps(judge(mutant, tree, ran, asked.limit))
        print(line, flush=True)
        with out.open("a", encoding="utf-8") as lines:
            lines.write(line + "\n")

    new = [file for file, path in files.items() if not path.exists()]
    in_processes(asked.jobs, record_file, new, tests, package)
    ran = {file: json.loads(path.read_text()) for file, path in files.items()}
    done = {key for key, each in results(out).items() if is_final(each, asked.limit)}
    if suite in ("nightly", "all"):  # what the quick level kills is killed
        done |= killed_in(results(folder / "quick.jsonl"))
    left = [mutant for mutant in drawn if mutant.key not in done]
    in_processes(asked.jobs, judge_mutant, left, tests, package)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--number", type=int, default=300, help="of mutants")
    parser.add_argument("--suite", choices=LEVELS, default="quick")
    parser.add_argument("--tests", default="", help="commit of the old tests")
    parser.add_argument("--package", default="HEAD", help="commit of the package")
    parser.add_argument(
        "--onto", help="commit of a later package, where its statements are the same"
    )
    parser.add_argument("--limit", type=float, default=120, help="processor seconds a mutant")
    parser.add_argument("--jobs", type=int, default=1, choices=(1, 2))
    parser.add_argument("--report", action="store_true")
    asked = parser.parse_args()
    listed = _git("ls-tree", "-r", "--name-only", asked.package, "synthstudio").decode().split()
    groups = {}
    for group, parts in GROUPS.items():
        names = [n for n in listed if any(fnmatch(n, pattern) for pattern in patterns(parts))]
        groups[group] = {name: _git("show", f"{asked.package}:{name}") for name in names}
    drawn = draw(groups, asked.seed, asked.number)
    if not asked.report:
        sources = {name: source for files in groups.values() for name, source in files.items()}
        if asked.onto:
            names = _git("ls-tree", "-r", "--name-only", asked.onto, "synthstudio").decode().split()
            pairs = ((name, _git("show", f"{asked.onto}:{name}")) for name in names)
            later = moved(drawn, sources, {n: s for n, s in pairs if n.endswith(".py")})
            print(f"{len(later)} of {len(drawn)} mutants are still there")
            drawn = [later[mutant.key] for mutant in drawn if mutant.key in later]
        measure(asked, drawn, CACHE / str(asked.seed))
    report(CACHE / str(asked.seed), drawn)


if __name__ == "__main__":
    main()
