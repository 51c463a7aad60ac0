"""A small data set, the studio's pages without a server, a running studio, a page in Chromium."""

import contextlib
import os
import random
import socket
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from attackers import NAME
from editor_host import Alone, drop_requests
from waiting import PATIENCE_S, wait_for

from synthstudio.core.places import is_local

PATIENCE_MS = int(1000 * PATIENCE_S)
"""The limit of what Playwright waits for, by actions and by expect()."""
_CRAWLERS = "'sha256-THxz9J9+wf7rhwR2YkXJoSZ13UCmYyC+3lNDv2+8ugA='"
"""Streamlit's inline script, a mark for crawlers, which our policy does not run."""
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
objects: [{kind: procedural, count: 1, placement: in_front, hides: [0.25, 0.6]}]
backdrop: {kind: plain}
lens: {blur_sigma_px: [0.3, 0.4], motion: 0.0, noise_sigma: [0.5, 1.0]}
"""


@pytest.fixture(autouse=True)
def _main_is_kept(monkeypatch):
    """Put __main__ back: AppTest runs pages as it, and later tests' workers would import them."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture(scope="session")
def studio_set(once):
    """Return a data set: four moments of base, clean and occluder, two people each."""
    from synthstudio.generation import pipeline
    from synthstudio.generation.stage import prepare
    from synthstudio.recipe.schema import load

    def make(folder):
        (folder / "studio.yaml").write_text(RECIPE)
        settings = prepare(load.load(folder / "studio.yaml"), assets=folder, device="cpu")
        pipeline.generate(settings, folder / "crates")

    return once("studio", make) / "crates"


@pytest.fixture(scope="session")
def small_photo_set(once):
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
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self):
        """Where browsers have their pages."""
        return f"http://{NAME}:{self.port}"

    @property
    def api(self):
        """Where programs ask."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def db(self):
        return self.folder / "state" / "review.db"

    @property
    def key(self):
        """What the server prints for its own user."""
        from synthstudio.studio.access import load_secret, local_key

        return local_key(load_secret(self.db.parent))

    @property
    def exports(self):
        return self.folder / "exports"

    @property
    def output(self):
        log = self.folder / "server.log"
        return log.read_text("utf-8", "replace") if log.exists() else ""

    def start(self):
        """Start the server and wait until it answers; on another port if one was just taken."""
        fixed = self.port
        for _ in range(20):
            self.port = fixed or free_port()
            began = len(self.output)
            self._launch()
            try:
                wait_for(self._stands, "the studio answers, or ends")
            except AssertionError as error:
                self.kill()
                raise AssertionError(f"{error}\n{self.output}") from None
            if self.process is not None and self.process.poll() is None:
                return self
            if f"Port {self.port} is not available" not in self.output[began:]:
                break
        raise AssertionError(f"the studio ended:\n{self.output}")

    def _launch(self):
        command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "streamlit_app.py")]
        command += [f"--server.port={self.port}", "--", *map(str, self.datasets)]
        command += ["--state", str(self.db.parent), "--exports", str(self.exports)]
        command += ["--scenes", str(ROOT / "scenes"), *self.more]
        self.exports.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "HOME": str(self.folder), **caches(), **self.environment}
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, env=environment
            )

    def _stands(self):
        """Whether the server answers, or its process has ended."""
        assert self.process is not None
        if self.process.poll() is not None:
            return True
        try:
            with urllib.request.urlopen(f"{self.api}/healthz", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self):
        """End the server at once, as a crash would."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait(60)

    def restart(self):
        """End the server at once and start it on the same port and database."""
        self.kill()
        self.start()


class _Said(dict[str, Any]):
    """The state of a component, as Streamlit returns it."""

    def __getattr__(self, name):
        return self.get(name)


@dataclass
class Pages:
    """The studio's pages run by AppTest: without a server, a browser or a process.

    `shown`: what each component was given last, by its key; `says`: what it answers.
    """

    ctx: Any
    shown: dict[str, Any] = field(default_factory=dict)
    says: dict[str, dict[str, Any]] = field(default_factory=dict)

    def open(self, name="home", *, user="Ada", **query):
        """Run a page as somebody who has shown the key; return the AppTest."""
        from streamlit.testing.v1 import AppTest

        app = AppTest.from_file(str(ROOT / "synthstudio/studio/app.py"), default_timeout=PATIENCE_S)
        app.session_state["me"] = user
        app.query_params.update(query)
        app.switch_page(f"page_scripts/{name}.py").run()
        assert not app.exception, app.exception[0].value
        return app

    @staticmethod
    def words(app):
        """Return all that a page says, and its buttons."""
        kinds = ("title", "subheader", "markdown", "caption", "code", "text", "warning", "info")
        found = [e.value for kind in (*kinds, "error", "success") for e in getattr(app, kind)]
        found += [bar.proto.text for bar in app.get("progress")]
        text = "\n".join(map(str, [*found, *(button.label for button in app.button)]))
        return text.replace("\\", "")  # of Markdown

    @staticmethod
    def press(app, label):
        """Press the one button of this label and run the page."""
        (button,) = (one for one in app.button if one.label == label)
        button.click().run()
        assert not app.exception, app.exception[0].value
        return app

    def cards(self, grid):
        """Return (frame, instance) of the people in a grid, in order."""
        return [(cell["frame"], cell["instance"]) for cell in self.shown[grid]["cells"]]

    def component(self, _name, **_source):
        """Stand in for st.components.v2.component."""
        import streamlit as st

        def mount(*, key, data, **more):
            self.shown[key] = data
            said = _Said({**more.get("default", {}), **self.says.get(key, {})})
            st.session_state[key] = said
            return said

        return mount


class _NothingBeside:
    """Stands in for what draws previews and checks sets: all is being worked on, for ever."""

    def request(self, *_, **__):
        return "drawn"

    def status(self, *_, **__):
        return SimpleNamespace(state="waiting", kinds=())


@pytest.fixture
def open_pages(tmp_path, monkeypatch):
    """Return a function (*datasets, more=) that opens data sets and a new store: Pages."""
    import streamlit as st

    from synthstudio.studio import context, overview, settings
    from synthstudio.studio.jobs import preview, scheduler

    opened = []
    monkeypatch.setattr(preview, "previews", lambda settings: _NothingBeside())
    monkeypatch.setattr(scheduler, "start", lambda *_: None)
    monkeypatch.setattr(overview, "health_checks", lambda state: _NothingBeside())
    monkeypatch.setattr(context, "browser", lambda: "b")
    monkeypatch.setattr(context, "refuse_unguarded", lambda: None)  # AppTest: no server at all

    def make(*datasets, more=()):
        words = [*map(str, datasets), "--exports", str(tmp_path / "exports"), *more]
        stated = settings.parse(words, {})
        monkeypatch.setattr(settings, "_chosen", [stated])
        found = Pages(context.context())
        opened.append(found)
        found.ctx.keys.put("b", "Ada")
        monkeypatch.setattr(st.components.v2, "component", found.component)
        return found

    yield make
    for found in opened:
        found.ctx.store.close()


@pytest.fixture
def cheap_hashes(monkeypatch):
    """Hash passwords as cheaply as argon2 allows."""
    from argon2 import PasswordHasher

    from synthstudio.review.team import passwords

    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(1, 64, 1))
    passwords._nobodys.cache_clear()
    yield
    passwords._nobodys.cache_clear()


@pytest.fixture
def pages(open_pages, studio_set):
    """Return the pages over `studio_set` and a new store."""
    return open_pages(studio_set)


def caches():
    """Return where kernels and bodies are kept already: another HOME would make them anew."""
    kept = Path(os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")))
    return {
        "XDG_CACHE_HOME": str(kept),
        "ANNY_CACHE_DIR": os.environ.get("ANNY_CACHE_DIR", str(Path.home() / ".cache" / "anny")),
    }


def free_port():
    """Return a port that nobody listens on, below those that systems give to others by chance."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port


@pytest.fixture(scope="module")
def start_studio(tmp_path_factory):
    """Return a function that starts a studio: (*datasets, environment=, more=)."""
    started: list[Studio] = []

    def start(*datasets, **options):
        studio = Studio(tmp_path_factory.mktemp("server"), datasets, **options)
        started.append(studio)
        return studio.start()

    yield start
    for studio in started:
        studio.kill()


@pytest.fixture(scope="module")
def studio(start_studio, studio_set):
    """Return a running studio that serves `studio_set` from a new database."""
    return start_studio(studio_set)


@pytest.fixture(scope="session")
def chromium(browser):
    """Return the one Chromium of all tests (tests/conftest.py): Playwright runs once a process."""
    from playwright.sync_api import expect

    expect.set_options(timeout=PATIENCE_MS)
    return browser


@dataclass
class Watch:
    """What a browser did wrong. Append to `expected` a part of a message that is no fault."""

    faults: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=lambda: ["ERR_UNSAFE_PORT"])
    """Parts of faults that do not count: requests of the last test's editor, whose host is gone."""
    requests: list[str] = field(default_factory=list)

    def on(self, page):
        """Watch a page: its console, its exceptions, and where it asks."""
        page.on("console", lambda m: self._console(m))
        page.on("pageerror", lambda e: self.faults.append(f"exception: {e}"))
        page.on("request", lambda r: self._request(r.url))
        page.on("websocket", lambda w: self._request(w.url))
        return page

    def check(self):
        left = [f for f in self.faults if not any(part in f for part in self.expected)]
        assert not left, "\n".join(left)

    def _console(self, message):
        if message.type == "error":
            where = message.location.get("url", "") if message.location else ""
            if urlsplit(where).path.endswith(_PROBES) and "404" in message.text:
                return  # below a page's own address; it then asks at the root
            if _CRAWLERS not in message.text:
                self.faults.append(f"console: {message.text} {where}")

    def _request(self, url):
        self.requests.append(url)
        parts = urlsplit(url)
        if parts.scheme in ("http", "https", "ws", "wss") and not is_local(parts.hostname):
            self.faults.append(f"request off this machine: {url}")


@pytest.fixture
def watch():
    """Return what `page` reports to."""
    return Watch()


class _OnePage:
    """A page that tests use one after another: a browser profile for each costs half a second."""

    def __init__(self, browser, **options):
        settings = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options}
        self.context = browser.new_context(**settings)
        self.context.set_default_timeout(PATIENCE_MS)
        self.page = self.context.new_page()
        self.watch = Watch()
        self.page.on("console", lambda message: self.watch._console(message))
        self.page.on("pageerror", lambda error: self.watch.faults.append(f"exception: {error}"))
        self.page.on("request", lambda request: self.watch._request(request.url))

    def lend(self, watch):
        """Yield the page for one test; empty it afterwards and report what went wrong."""
        self.page.evaluate("0")  # what the last test left is heard, by nobody
        self.watch = watch
        yield self.page
        self.page.evaluate("window.stop?.(); window.stop = null")
        self.watch = Watch()
        drop_requests()
        self.page.unroute_all(behavior="ignoreErrors")
        watch.check()


@pytest.fixture(scope="session")
def _desktop(chromium):
    one = _OnePage(chromium)
    yield one
    one.context.close()


@pytest.fixture(scope="session")
def _phone(chromium):
    size = {"width": 390, "height": 844}
    one = _OnePage(chromium, viewport=size, has_touch=True, is_mobile=True)
    one.page.fingers = one.context.new_cdp_session(one.page)
    yield one
    one.context.close()


@pytest.fixture
def desktop(_desktop, watch):
    """Yield the page that all tests of the editor without a server share."""
    yield from _desktop.lend(watch)


@pytest.fixture
def phone_page(_phone, watch):
    """Yield the same on a phone; `fingers`: its session of DevTools."""
    yield from _phone.lend(watch)


@pytest.fixture
def alone(desktop):
    """Return the editor without a server, with three people."""
    editor = Alone(desktop)
    editor.give()
    return editor


@pytest.fixture
def phone(phone_page):
    """Return the same on a phone."""
    editor = Alone(phone_page)
    editor.give()
    return editor


@pytest.fixture
def new_page(chromium, watch):
    """Return a function that opens a page in a browser profile of its own (a second person)."""
    contexts = []

    def new(**options):
        settings = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options}
        contexts.append(chromium.new_context(**settings))
        contexts[-1].set_default_timeout(PATIENCE_MS)
        return watch.on(contexts[-1].new_page())

    yield new
    for context in contexts:
        context.close()
    watch.check()


@pytest.fixture
def page(new_page):
    """Return a page; console errors and requests off this machine fail the test at its end."""
    return new_page()


@pytest.fixture
def open_as():
    """Return a function that opens a studio's page and gives a name where it is asked for.

    open_as(page, studio, "review?frame=0", name="Ada") returns when the script has run.
    """

    def open_it(page, studio, path="", *, name="Ada", key=True):
        shown = f"{'&' if '?' in path else '?'}key={studio.key}" if key else ""
        page.goto(f"{studio.url}/{path}{shown}")
        requested = page.get_by_role("textbox", name="Your name")
        requested.or_(page.get_by_test_id("stSidebar")).first.wait_for(state="attached")
        if requested.count():
            requested.fill(name)
            page.get_by_role("button", name="Continue").click()
            page.get_by_test_id("stSidebar").wait_for(state="attached")
        settled(page)
        return page

    return open_it


def settled(page):
    """Wait until no script runs."""
    page.get_by_test_id("stApp").and_(
        page.locator("[data-test-script-state='notRunning']")
    ).wait_for()
