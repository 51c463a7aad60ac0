"""A small data set, the studio's pages without a server, a running studio, a page in Chromium."""

import contextlib
import sys
from types import SimpleNamespace

import pytest
from editor_host import Alone, drop_requests
from reviewing import reviewed
from served import PATIENCE_MS, ROOT, Studio, Watch, settled
from waiting import PATIENCE_S

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
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture(scope="session")
def studio_set(once):
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
    from review_ops import make_set

    return once("sticks", lambda folder: make_set(folder / "set")) / "set"


class _Said(dict):
    """The state of a component, as Streamlit returns it."""

    __getattr__ = dict.get


class Pages:
    """Pages run by AppTest. Of each component's key: `shown` its last input, `says` its answer."""

    def __init__(self, ctx):
        self.ctx, self.shown, self.says = ctx, {}, {}

    def open(self, name="home", *, user="Ada", **query):
        from streamlit.testing.v1 import AppTest

        app = AppTest.from_file(str(ROOT / "synthstudio/studio/app.py"), default_timeout=PATIENCE_S)
        app.session_state["me"] = user
        app.query_params.update(query)
        app.switch_page(f"page_scripts/{name}.py").run()
        assert not app.exception, app.exception[0].value
        return app

    @staticmethod
    def words(app):
        kinds = ("title", "subheader", "markdown", "caption", "code", "text", "warning", "info")
        found = [e.value for kind in (*kinds, "error", "success") for e in getattr(app, kind)]
        found += [bar.proto.text for bar in app.get("progress")]
        text = "\n".join(map(str, [*found, *(button.label for button in app.button)]))
        return text.replace("\\", "")  # of Markdown

    @staticmethod
    def press(app, label):
        (button,) = (one for one in app.button if one.label == label)
        button.click().run()
        assert not app.exception, app.exception[0].value
        return app

    @staticmethod
    def field(app, label):
        fields = (*app.text_input, *app.number_input, *app.selectbox)
        return next(one for one in fields if one.label == label)

    def fill(self, app, label, value):
        self.field(app, label).set_value(value).run()
        assert not app.exception

    def cards(self, grid):
        return [(cell["frame"], cell["instance"]) for cell in self.shown[grid]["cells"]]

    def component(self, _name, **_source):
        import streamlit as st

        def mount(*, key, data, **more):
            self.shown[key] = data
            said = _Said({**more.get("default", {}), **self.says.get(key, {})})
            st.session_state[key] = said
            return said

        return mount


@pytest.fixture
def open_pages(tmp_path, monkeypatch):
    """A function (*datasets, more=) to Pages of a new store; previews and checks never end."""
    import streamlit as st

    from synthstudio.cli.review import parse_studio
    from synthstudio.studio import context, overview, settings
    from synthstudio.studio.jobs import job_store, preview

    opened = []
    waiting = SimpleNamespace(state="waiting", kinds=())
    beside = SimpleNamespace(request=lambda *_, **__: "drawn", status=lambda *_, **__: waiting)
    monkeypatch.setattr(preview, "previews", lambda settings: beside)
    monkeypatch.setattr(job_store, "start", lambda *_: None)
    monkeypatch.setattr(overview, "health_checks", lambda state: beside)
    monkeypatch.setattr(context, "browser", lambda: "b")
    monkeypatch.setattr(context, "refuse_unguarded", lambda: None)  # AppTest: no server at all

    def make(*datasets, more=()):
        words = [*map(str, datasets), "--exports", str(tmp_path / "exports"), *more]
        monkeypatch.setattr(settings, "_chosen", [parse_studio(words)])
        found = Pages(context.context())
        opened.append(found)
        found.ctx.keys.put("b", "Ada")
        monkeypatch.setattr(st.components.v2, "component", found.component)
        return found

    yield make
    for found in opened:
        found.ctx.store.close()


@pytest.fixture
def pages(open_pages, studio_set):
    return open_pages(studio_set)


@pytest.fixture
def review(tmp_path, studio_set):
    with contextlib.closing((found := reviewed(tmp_path / "review.db", studio_set)).store):
        yield found


@pytest.fixture
def sticks(tmp_path, small_photo_set):
    with contextlib.closing((found := reviewed(tmp_path / "review.db", small_photo_set)).store):
        yield found


@pytest.fixture(scope="module")
def start_studio(tmp_path_factory):
    started = []

    def start(*datasets, **options):
        studio = Studio(tmp_path_factory.mktemp("server"), datasets, **options)
        started.append(studio)
        return studio.start()

    yield start
    for studio in started:
        studio.kill()


@pytest.fixture(scope="module")
def studio(start_studio, studio_set):
    return start_studio(studio_set)


@pytest.fixture(scope="session")
def profiles(browser):
    from playwright.sync_api import expect

    expect.set_options(timeout=PATIENCE_MS)

    def new(**options):
        settings = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options}
        context = browser.new_context(**settings)
        context.set_default_timeout(PATIENCE_MS)
        return contextlib.closing(context)

    return new


@pytest.fixture(scope="session")
def _watch():
    return Watch()


@pytest.fixture
def watch(_watch):
    _watch.clear()
    return _watch


@pytest.fixture(scope="session")
def _desktop(profiles, _watch):
    with profiles() as context:
        yield _watch.on(context.new_page())


@pytest.fixture(scope="session")
def _phone(profiles, _watch):
    size = {"width": 390, "height": 844}
    with profiles(viewport=size, has_touch=True, is_mobile=True) as context:
        page = _watch.on(context.new_page())
        page.fingers = context.new_cdp_session(page)
        yield page


def lent(page, watch):
    page.evaluate("0")  # what the last test left is heard now
    watch.clear()
    yield page
    page.evaluate("window.stop?.(); window.stop = null")
    try:
        watch.check()
    finally:
        drop_requests()
        page.unroute_all(behavior="ignoreErrors")


@pytest.fixture
def desktop(_desktop, watch):
    yield from lent(_desktop, watch)


@pytest.fixture
def alone(desktop):
    return Alone(desktop).give()


@pytest.fixture
def phone(_phone, watch):
    for page in lent(_phone, watch):
        yield Alone(page).give()


@pytest.fixture
def new_page(profiles, watch):
    with contextlib.ExitStack() as stack:
        yield lambda **more: watch.on(stack.enter_context(profiles(**more)).new_page())
    watch.check()


@pytest.fixture
def page(new_page):
    return new_page()


@pytest.fixture
def open_as():
    """A function that opens a studio's page under a name; it returns when the script has run."""

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
