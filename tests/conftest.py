"""Fixtures that several packages' tests share, and what lets test processes run side by side."""

import fcntl
import functools
import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
import typer.testing
from hypothesis import HealthCheck, settings
from programs import missing

from benchmarks import chromium

# How long an example takes says how busy the machine is, not whether the code is right. The same
# examples each time, so that no run is red by chance; `make nightly` draws fresh ones.
for _name, _same in (("same", True), ("fresh", False)):
    settings.register_profile(
        _name, deadline=None, derandomize=_same, suppress_health_check=[HealthCheck.too_slow]
    )
settings.load_profile("same")

BESIDE_OTHERS = "PYTEST_XDIST_WORKER" in os.environ
if BESIDE_OTHERS:  # each would take every core, and wait for it in a loop
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Ray starts its workers at nice 15: they would wait until all other tests leave a core.
    os.environ.setdefault("RAY_worker_niceness", "0")


SECONDS = Path(__file__).parent / "seconds.json"
"""Seconds of each slow file, as `make test PYTEST_ARGS=--keep-seconds` measured them."""
_SPENT = Counter()


def pytest_addoption(parser):
    parser.addoption("--keep-seconds", action="store_true", help=f"write {SECONDS.name}")


def pytest_collection_modifyitems(items):
    """Sort files by their time, slowest first; refuse nightly tests without a reason."""
    for item in items:
        marker = item.get_closest_marker("nightly")
        if marker and not (len(marker.args) == 1 and str(marker.args[0]).strip()):
            raise pytest.UsageError(f"{item.nodeid}: nightly needs its reason: nightly('why')")
    seconds = json.loads(SECONDS.read_text(encoding="utf-8"))
    items.sort(key=lambda item: -seconds.get(item.nodeid.split("::")[0], 0.0))


def pytest_runtest_logreport(report):
    _SPENT[report.nodeid.split("::")[0]] += report.duration


def pytest_sessionfinish(session):
    """Keep the seconds of files over one second, where asked for."""
    if session.config.getoption("--keep-seconds") and not BESIDE_OTHERS:
        slow = {name: round(s) for name, s in _SPENT.most_common() if s >= 1}
        SECONDS.write_text(json.dumps(slow, indent=1) + "\n", encoding="utf-8")


@pytest.fixture(scope="session", autouse=True)
def _cheap_calls():
    """Skip fsync (no test cuts the power) and read a command line's annotations once (50 ms)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        read = functools.cache(vars(typer.testing)["_get_command"])
        patch.setattr(typer.testing, "_get_command", read)
        yield


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """A function (name, make): a read-only folder, filled once by make(folder)."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if BESIDE_OTHERS else base

    def folder_of(name, make):
        folder, made = shared / f"once-{name}", shared / f"once-{name}.made"
        with (shared / f"once-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of one that failed
                folder.mkdir()
                make(folder)
                made.touch()
        return folder

    return folder_of


@pytest.fixture(scope="session")
def chromium_path():
    found = chromium.path()
    if found is None:
        missing("chromium", f"none of {', '.join(chromium.NAMES)} is installed")
    return found


@pytest.fixture(scope="session")
def browser(chromium_path):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=chromium_path,
            timeout=180_000,
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        yield opened
        opened.close()


@pytest.fixture
def cheap_hashes(monkeypatch):
    from argon2 import PasswordHasher

    from synthstudio.review.team import sessions

    monkeypatch.setattr(sessions, "HASHER", PasswordHasher(1, 64, 1))
    sessions._unknown_account.cache_clear()
    yield
    sessions._unknown_account.cache_clear()


@pytest.fixture(scope="session")
def shared_data():
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no ../shared/data beside this checkout: real assets are not tried")
    return folder
