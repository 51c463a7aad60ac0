"""What mutants.py needs of pytest: which tests run a line, and whether one of them fails."""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import types
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tools.mutants import Mutant

CHUNK_S = 5.0
"""Tests of about so many seconds run in a mutant's first process, in each further one thrice."""


class Recorder:
    """pytest plugin: the lines that each test and each shared fixture runs, and its seconds."""

    def __init__(self, files: Sequence[str]) -> None:
        self.measured = importlib.import_module("coverage").Coverage(
            data_file=None, config_file=False, include=files, messages=False
        )
        self.stack, self.since = [""], _seconds()
        self.seconds, self.uses = dict[str, float](), dict[str, list[str]]()
        self.passed, self.failed = set[str](), set[str]()
        self.measured.start()

    @contextlib.contextmanager
    def inside(self, *names: str) -> Iterator[None]:
        """Count lines and seconds for a name until the end."""
        before = self.stack
        self._switch([*before, *names])
        try:
            yield
        finally:
            self._switch(before)

    def _switch(self, stack: list[str]) -> None:
        name = self.stack[-1]
        self.seconds[name] = self.seconds.get(name, 0.0) + _seconds() - self.since
        self.stack, self.since = stack, _seconds()
        self.measured.switch_context(stack[-1])

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        with self.inside(item.nodeid):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[None]:
        with self.inside(*_shared([fixturedef])):
            return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item: Any) -> None:
        self.uses[item.nodeid] = _shared(item._request._fixture_defs.values())

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed or (report.passed and report.when == "call"):
            (self.failed if report.failed else self.passed).add(report.nodeid)

    def result(self) -> dict[str, Any]:
        """What was recorded; the lines as a number whose bit n is line n."""
        self.measured.stop()
        data = self.measured.get_data()
        lines: dict[str, Counter[str]] = {}
        for path in data.measured_files():
            masks = lines.setdefault(os.path.relpath(path), Counter())
            for line, contexts in data.contexts_by_lineno(path).items():
                for context in contexts:
                    masks[context] += 1 << line
        tests = {test: self.uses.get(test, []) for test in sorted(self.passed - self.failed)}
        hexed = {path: {c: hex(mask) for c, mask in masks.items()} for path, masks in lines.items()}
        failed = sorted(self.failed)
        return {"tests": tests, "seconds": self.seconds, "lines": hexed, "failed": failed}


def _seconds() -> float:
    return sum(os.times()[:4])


def _shared(fixtures: Any) -> list[str]:
    return [f"{f.baseid}::{f.argname}" for f in fixtures if f.scope != "function"]


class Judge:
    """pytest plugin: runs chosen tests, cheapest first, until one fails or the time is over."""

    def __init__(self, chosen: Mapping[str, float], limit: float) -> None:
        self.chosen, self.until, self.ran, self.killer = chosen, _seconds() + limit, 0, ""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.nodeid in self.chosen]
        items.sort(key=lambda item: self.chosen[item.nodeid])

    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        if _seconds() > self.until:
            item.session.shouldstop = "the time is over"
        self.ran += 1
        # The signal ends the process: a mutant may loop forever.
        signal.setitimer(signal.ITIMER_PROF, 60 + 10 * self.chosen[item.nodeid])

    def pytest_runtest_logreport(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed:
            self.killer = self.killer or report.nodeid or "collection"

    pytest_collectreport = pytest_runtest_logreport

    def result(self) -> dict[str, Any]:
        return {"killer": self.killer, "ran": self.ran}


def run_pytest(tree: Path, plugin: Callable[[], Any], arguments: Sequence[str], wall: float) -> Any:
    """Run pytest with a plugin in a fork of this process; the plugin's result, None if it died."""
    scratch = Path(tempfile.mkdtemp(prefix="pytest-", dir=tree.parent))
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.setsid()
            for stream in (1, 2):
                os.dup2(os.open(scratch / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND), stream)
            with contextlib.suppress(OSError):  # of a mutant that takes all memory, this ends
                Path("/proc/self/oom_score_adj").write_text("1000")
            os.chdir(tree)
            os.environ["PYTHONPATH"] = str(tree)
            sys.modules["__main__"] = types.ModuleType("__main__")  # what is spawned needs no more
            others = [p for p in sys.path if p and not (Path(p) / "synthstudio").is_dir()]
            sys.path[:] = [str(tree), *others]
            made = plugin()
            fixed = ["-n0", "-q", "-p", "no:cacheprovider", f"--basetemp={scratch}/t"]
            code = pytest.main([*fixed, *arguments], plugins=[made])
            (scratch / "result").write_text(json.dumps({**made.result(), "code": int(code)}))
        os._exit(0)
    end = time.monotonic() + wall
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < end:
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):  # with what it left running
        os.killpg(child, signal.SIGKILL)
    if ended == (0, 0):
        os.waitpid(child, 0)
    result = scratch / "result"
    found = json.loads(result.read_text()) if result.is_file() else None
    shutil.rmtree(scratch, ignore_errors=True)
    return found


def record(tree: Path, file: str, level: str, patterns: Sequence[str]) -> dict[str, Any]:
    """Which lines of the files of some patterns each test of a file runs; which tests fail."""
    found = run_pytest(
        tree, lambda: Recorder([f"{tree}/{p}" for p in patterns]), ["-m", level, file], 3600
    )
    # What is made once for several tests is counted for the first of them only.
    caches = re.search(r"cache\b|\bonce\(", (tree / file).read_text(encoding="utf-8"))
    nothing = {"tests": {}, "seconds": {}, "lines": {}, "failed": [f"{file} (died)"]}
    return {**(found or nothing), "caches": bool(caches)}


def choose(mutant: Mutant, maps: Mapping[str, Any]) -> list[tuple[float, str, dict[str, float]]]:
    """The tests that run the mutant's lines: seconds, file, and its tests with their seconds.

    Where importing runs the lines, those that run anything of the module, else all of the
    package's own directory.
    """
    bits = (1 << mutant.statement[1] + 1) - (1 << mutant.statement[0])
    found, importing = [], []
    for file, ran in maps.items():
        contexts, tests = ran["lines"].get(mutant.path, {}), ran["tests"]
        hit = {name for name, lines in contexts.items() if int(lines, 16) & bits}
        if "" in hit or (hit and mutant.at_import):
            hit = {*contexts} - {""}
            importing.append(_costs(file, ran, tests))
        if not (hit and ran["caches"]):
            tests = {test: uses for test, uses in tests.items() if hit & {test, *uses}}
        found.append(_costs(file, ran, tests))
    own = mutant.path.split("/")[1:2]
    if not any(tests for _, _, tests in found):
        found = [each for each in importing if each[1].split("/")[1:2] == own] or importing
    # The package's own tests are likelier to find it.
    found.sort(key=lambda each: each[0] * (1 if each[1].split("/")[1:2] == own else 3))
    return [each for each in found if each[2]]


def _costs(
    file: str, ran: Mapping[str, Any], tests: Mapping[str, list[str]]
) -> tuple[float, str, dict[str, float]]:
    seconds = ran["seconds"]
    names = {"", *tests, *(name for uses in tests.values() for name in uses)}
    each = {t: sum(seconds.get(name, 0.0) for name in {t, *uses}) for t, uses in tests.items()}
    return sum(seconds.get(name, 0.0) for name in names), file, each


def judge(mutant: Mutant, tree: Path, maps: Mapping[str, Any], limit: float) -> dict[str, Any]:
    """Run the tests that may kill a mutant, cheapest first, in ever larger parts."""
    left, ran, size = choose(mutant, maps), 0, CHUNK_S
    path, start = tree / mutant.path, _seconds()
    source, times = path.read_bytes(), path.stat()
    result = {"key": mutant.key, "verdict": "survived" if left else "uncovered", "by": ""}
    path.write_bytes(mutant.applied(source))
    os.utime(path, (1, zlib.crc32(mutant.key.encode())))  # no bytecode there is of this time
    while left and result["verdict"] == "survived":
        part = [left.pop(0)]
        while left and sum(each[0] for each in part) + left[0][0] < size:
            part.append(left.pop(0))
        tests = {name: cost for each in part for name, cost in each[2].items()}
        plugin = functools.partial(Judge, tests, limit - _seconds() + start)
        arguments = ["-x", "-m", "", *(each[1] for each in part)]
        found = run_pytest(tree, plugin, arguments, 300 + 10 * limit)
        if found is None or found["killer"] or found["code"] in (1, 3, 4):
            result["verdict"] = "killed" if found else "died"
            result["by"] = found["killer"] if found else part[0][1]
        elif found["code"] == 2:
            result["verdict"] = "survived the limit"
        ran, size = ran + (found["ran"] if found else 0), size * 3
    path.write_bytes(source)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return {**result, "ran": ran, "seconds": round(_seconds() - start, 1), "limit": limit}
