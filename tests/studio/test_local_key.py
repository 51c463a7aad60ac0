"""Cookies and keys: whom they tell apart, who may read them, what a typed name is worth."""

import re
import stat
from contextlib import nullcontext

import pytest
from attackers import answering, log_of
from playwright.sync_api import expect
from served import settled

from synthstudio.core.errors import StudioError
from synthstudio.review.store import backup, open_store
from synthstudio.review.team.members import set_role
from synthstudio.review.values import User
from synthstudio.studio.access import BrowserNames, Browsers, load_secret, read_private_file
from synthstudio.studio.guard import LOG, open_log

in_browser = pytest.mark.nightly("browser journey of a served studio")


def come(page, studio, name, said, key=""):
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
    for name, why in (("\u0410nn", "mixes scripts"), ("\u0412\u043e", "looks the same")):
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
    told = []

    def listen(handler):
        told.append(handler.headers.get("Cookie", ""))
        handler.send_response(200)
        handler.end_headers()

    with answering(listen) as url:  # another account's program on this machine
        for host in ("127.0.0.1", "localhost"):
            page.goto(url.replace("127.0.0.1", host))
    assert set(told) == {""}, "cookies"
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


def test_browsers():
    browsers = Browsers(bytes(range(32)))
    one, two = browsers.new_cookie(), browsers.new_cookie()
    again = Browsers(bytes(range(32)))
    assert browsers.name_of(one) == again.name_of(one) != browsers.name_of(two)
    for bad in (None, "", "x", one + "x", one.split(".")[0], one[1:], "é", "[" * 2000):
        assert browsers.name_of(bad) == ""
    assert Browsers(b"x" * 32).name_of(one) == ""
    for k, old in enumerate(one):
        altered = one[:k] + ("A" if old != "A" else "B") + one[k + 1 :]
        # The last letter has bits that base64 does not use.
        assert browsers.name_of(altered) in ("", browsers.name_of(one) if k == len(one) - 1 else "")


def test_the_key_file_is_made_once_and_for_its_owner_alone(tmp_path, monkeypatch):
    monkeypatch.delenv("SYNTHSTUDIO_SECRET", raising=False)
    first = load_secret(tmp_path / "state")
    path = tmp_path / "state" / "studio.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and len(first) == 32
    assert load_secret(tmp_path / "state") == first
    with pytest.raises(StudioError, match="cannot read"):
        read_private_file(tmp_path / "none")
    for mode, why in ((0o400, ""), (0o640, "chmod 600"), (0o604, "mode"), (0o620, "mode")):
        path.chmod(mode)
        with pytest.raises(StudioError, match=why) if why else nullcontext():
            load_secret(tmp_path / "state")
    monkeypatch.setenv("SYNTHSTUDIO_SECRET", "k" * 32)
    assert load_secret(tmp_path / "none") == b"k" * 32
    assert not (tmp_path / "none").exists()
    monkeypatch.setenv("SYNTHSTUDIO_SECRET", "short")
    with pytest.raises(StudioError, match="too short"):
        load_secret(tmp_path)
