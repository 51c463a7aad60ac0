"""Without sign-in: a typed name makes nobody an admin, the key that the server printed does."""

import re
import stat
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from attackers import log_of
from conftest import settled
from playwright.sync_api import expect

from synthstudio.review.store import backup, open_store
from synthstudio.review.team.members import set_role
from synthstudio.review.values import User
from synthstudio.studio.access import BrowserNames
from synthstudio.studio.guard import LOG, open_log

in_browser = pytest.mark.nightly("browser journey of a served studio")


@contextmanager
def listening(told):
    """Serve a port of this machine; keep the cookies that are sent there."""

    class Other(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/":
                told.append(self.headers.get("Cookie", ""))
            self.send_response(200)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def come(page, studio, name, said, key=""):
    """Give a name, and a key, in the form of the first visit; leave when it was answered."""
    page.goto(studio.url)
    page.get_by_role("textbox", name="Your name").fill(name)
    if key:
        page.locator("input[type=password]").fill(key)
    page.get_by_role("button", name="Continue").click()
    page.get_by_text(said).wait_for()
    page.goto("about:blank")


@in_browser
@pytest.mark.browser
def test_a_typed_name_makes_nobody_admin_and_the_key_does(start_studio, studio_set, new_page):
    studio = start_studio(studio_set, more=("--admin", "Ada"))
    store = open_store(f"sqlite:///{studio.db}")
    for name, role in (("Ann", "admin"), ("Bo", "reviewer"), ("Vic", "viewer")):
        set_role(store, name, role, by=User(name="x", role="admin"))
    store.close()
    for name in ("Ada", "Ann", "Bo"):
        come(new_page(), studio, name, f"{name} · reviewer")
    come(new_page(), studio, "Vic", "Vic · viewer")
    come(new_page(), studio, "Ann", "This is not the key that the server printed", key="0" * 32)
    assert "refused a server key" in log_of(studio)
    # Names that read the same as an admin's are nobody's.
    for name, why in (("\u0410nn", "mixes scripts"), ("\u0412\u043e", "reads the same")):
        come(new_page(), studio, name, why)
    (address,) = re.findall(r"Open (\S+\?key=\w{32}) once", studio.output)
    page = new_page()
    page.goto(address)
    page.wait_for_url(re.compile(r"http://[a-z0-9]{24}\.localhost:"))  # the browser's own name
    page.get_by_role("textbox", name="Your name").fill("Ann")
    expect(page.locator("input[type=password]")).to_have_count(0)
    page.get_by_role("button", name="Continue").click()
    page.get_by_text("Ann · admin").wait_for()
    settled(page)
    assert "key=" not in page.url
    told: list[str] = []
    with listening(told) as port:  # another account's program on this machine
        for host in ("127.0.0.1", "localhost"):
            page.goto(f"http://{host}:{port}/")
    assert told == ["", ""], "cookies"
    studio.restart()
    page.goto(studio.api)
    page.get_by_text("Ann · admin").wait_for()
    files = [studio.db, *(studio.db.parent / f"studio-{name}.json" for name in ("names", "keys"))]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_nobody_else_reads_what_the_studio_stores(tmp_path):
    BrowserNames(tmp_path).put("browser", "Ada")
    store = open_store(f"sqlite:///{tmp_path / 'review.db'}")
    open_log(tmp_path)
    try:
        with store.session():  # so that its files for writing are there
            backup(store, tmp_path / "copy.db")
            LOG.handlers[-1].doRollover()
            modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    finally:
        open_log(tmp_path / "elsewhere")
        store.close()
    assert len(modes) >= 5 and set(modes.values()) == {0o600}, modes
