"""A small data set with counterfactuals, a running studio, and a page in Chromium."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

PATIENCE_MS = 60_000
"""How long pages are waited for, by actions and by expect(): slow machines take many seconds."""
_PROBES = ("/_stcore/health", "/_stcore/host-config")
ROOT = Path(__file__).resolve().parents[2]
FRAMES = 12
RECIPE = """
name: studio
frames: 12
seed: 11
streams: ""
layers: [depth]
variants: {clean: 1, occluder: 1}
image: {width_px: 320, height_px: 240, supersample: 1}
camera: {distance_m: [3.0, 4.0], height_m: [1.2, 1.6], vertical_fov_deg: [40, 48]}
people: {count: 2, identities: 6, arrangement: {kind: group, spread_m: [0.5, 1.0]}}
things: [{kind: procedural, count: 1, placement: in_front, hides: [0.25, 0.6]}]
backdrop: {kind: plain}
lens: {blur_sigma_px: [0.3, 0.4], motion: 0.0, noise_sigma: [0.5, 1.0]}
"""


@pytest.fixture(autouse=True)
def _main_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put __main__ back: AppTest runs pages as it, and later tests' workers would import them."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture(scope="session")
def studio_set(once: Callable[..., Path]) -> Path:
    """Return a data set: four moments of base, clean and occluder, two people each.

    $SYNTHSTUDIO_STUDIO_SET: one that such a run made, to save its twenty seconds.
    """
    if made := os.environ.get("SYNTHSTUDIO_STUDIO_SET"):
        return Path(made)
    from synthstudio.generation import pipeline
    from synthstudio.generation.stage import prepare
    from synthstudio.recipe.schema import load

    def make(folder: Path) -> None:
        (folder / "studio.yaml").write_text(RECIPE)
        settings = prepare(load.load(folder / "studio.yaml"), assets=folder, device="cpu")
        pipeline.generate(settings, folder / "crates")

    return once("studio", make) / "crates"


@pytest.fixture(scope="session")
def small_photo_set(once: Callable[..., Path]) -> Path:
    """Return 5 frames of stick people with pictures (3, 1, 0, 2 and 4 people): made in no time."""
    from review_ops import make_set

    return once("sticks", lambda folder: make_set(folder / "set")) / "set"


@dataclass
class Studio:
    """A studio in a process of its own. `db`: its SQLite file; `exports`, `state`: its folders."""

    folder: Path
    datasets: tuple[Path, ...]
    environment: dict[str, str] = field(default_factory=dict)
    more: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    port: int = 0
    script: Path = ROOT / "streamlit_app.py"
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def db(self) -> Path:
        if "--db" in self.more:
            return Path(self.more[self.more.index("--db") + 1])
        return self.folder / "state" / "review.db"

    @property
    def state(self) -> Path:
        """The folder of its key."""
        if "--state" in self.more:
            return Path(self.more[self.more.index("--state") + 1])
        return self.db.parent

    @property
    def key(self) -> str:
        """What the server prints for its own user."""
        from synthstudio.studio.access import load_secret, local_key

        return local_key(load_secret(self.state))

    @property
    def exports(self) -> Path:
        return self.folder / "exports"

    @property
    def output(self) -> str:
        return (self.folder / "server.log").read_text("utf-8", "replace")

    def start(self) -> Studio:
        """Start the server and wait until it answers."""
        self.port = self.port or free_port()
        arguments = [
            *map(str, self.datasets),
            "--db",
            str(self.db),
            "--exports",
            str(self.exports),
            "--scenes",
            str(ROOT / "scenes"),
            *self.more,
        ]
        command = [
            sys.executable,
            "-m",
            "streamlit",
            "run",
            str(self.script),
            f"--server.port={self.port}",
            *self.flags,
            "--",
            *arguments,
        ]
        self.exports.mkdir(parents=True, exist_ok=True)
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, "HOME": str(self.folder), **caches(), **self.environment},
            )
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the studio ended:\n{self.output}")
            try:
                with urllib.request.urlopen(f"{self.url}/healthz", timeout=10) as answer:
                    if answer.status == 200:
                        return self
            except OSError:
                time.sleep(0.1)
        self.kill()
        raise AssertionError(f"the studio did not answer:\n{self.output}")

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the server as Ctrl-C would; by force after ten seconds."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """End the server at once and start it on the same port and database."""
        self.kill()
        self.start()

    def _end(self, how: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(how)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(60)


def caches() -> dict[str, str]:
    """Return where kernels and bodies are kept already: another HOME would make them anew."""
    kept = Path(os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")))
    return {
        "XDG_CACHE_HOME": str(kept),
        "ANNY_CACHE_DIR": os.environ.get("ANNY_CACHE_DIR", str(Path.home() / ".cache" / "anny")),
    }


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def start_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Studio]]:
    """Return a function that starts a studio: (*datasets, environment=, more=, flags=)."""
    started: list[Studio] = []

    def start(*datasets: Path, **options: Any) -> Studio:
        studio = Studio(tmp_path_factory.mktemp("server"), datasets, **options)
        started.append(studio)
        return studio.start()

    yield start
    for studio in started:
        studio.stop()


@pytest.fixture(scope="module")
def studio(start_studio: Callable[..., Studio], studio_set: Path) -> Studio:
    """Return a running studio that serves `studio_set` from a new database."""
    return start_studio(studio_set)


@pytest.fixture(scope="session")
def chromium(browser: Any) -> Any:
    """Return the one Chromium of all tests (tests/conftest.py): Playwright runs once a process."""
    from playwright.sync_api import expect

    expect.set_options(timeout=PATIENCE_MS)
    return browser


@dataclass
class Watch:
    """What a browser did wrong. Append to `expected` a part of a message that is no fault."""

    faults: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def on(self, page: Any) -> Any:
        """Watch a page: its console, its exceptions, and where it asks."""
        page.on("console", lambda m: self._console(m))
        page.on("pageerror", lambda e: self.faults.append(f"exception: {e}"))
        page.on("request", lambda r: self._request(r.url))
        page.on("websocket", lambda w: self._request(w.url))
        return page

    def check(self) -> None:
        left = [f for f in self.faults if not any(part in f for part in self.expected)]
        assert not left, "\n".join(left)

    def _console(self, message: Any) -> None:
        if message.type == "error":
            where = message.location.get("url", "") if message.location else ""
            if urlsplit(where).path.endswith(_PROBES) and "404" in message.text:
                return  # below a page's own address; it then asks at the root
            self.faults.append(f"console: {message.text} {where}")

    def _request(self, url: str) -> None:
        self.requests.append(url)
        parts = urlsplit(url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "127.0.0.1":
            self.faults.append(f"request off this machine: {url}")


@pytest.fixture
def watch() -> Watch:
    """Return what `page` reports to."""
    return Watch()


@pytest.fixture
def new_page(chromium: Any, watch: Watch) -> Iterator[Callable[..., Any]]:
    """Return a function that opens a page in a browser profile of its own (a second person)."""
    contexts = []

    def new(**options: Any) -> Any:
        settings = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options}
        contexts.append(chromium.new_context(**settings))
        contexts[-1].set_default_timeout(PATIENCE_MS)
        return watch.on(contexts[-1].new_page())

    yield new
    for context in contexts:
        context.close()
    watch.check()


@pytest.fixture
def page(new_page: Callable[..., Any]) -> Any:
    """Return a page; console errors and requests off this machine fail the test at its end."""
    return new_page()


@pytest.fixture
def open_as() -> Callable[..., Any]:
    """Return a function that opens a studio's page and gives a name where it is asked for.

    open_as(page, studio, "review?frame=0", name="Ada") returns when the script has run.
    """

    def open_it(
        page: Any, studio: Studio, path: str = "", *, name: str = "Ada", key: bool = True
    ) -> Any:
        shown = f"{'&' if '?' in path else '?'}key={studio.key}" if key else ""
        page.goto(f"{studio.url}/{path}{shown}")
        requested = page.get_by_role("textbox", name="Your name")
        requested.or_(page.get_by_test_id("stSidebar")).first.wait_for()
        if requested.count():
            requested.fill(name)
            page.get_by_role("button", name="Continue").click()
            page.get_by_test_id("stSidebar").wait_for()
        settled(page)
        return page

    return open_it


def settled(page: Any) -> None:
    """Wait until no script runs."""
    page.get_by_test_id("stApp").and_(
        page.locator("[data-test-script-state='notRunning']")
    ).wait_for()


@pytest.fixture
def screenshots() -> Callable[[Any, str], None]:
    """Return a function (page, name) that keeps a picture in $SYNTHSTUDIO_SCREENSHOTS, if set."""

    def shoot(page: Any, name: str) -> None:
        folder = os.environ.get("SYNTHSTUDIO_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=str(Path(folder) / f"{name}.png"))

    return shoot
