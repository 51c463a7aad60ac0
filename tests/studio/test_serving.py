"""However it is started, the studio serves this machine only, unless people sign in."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tomllib
import urllib.request
from types import SimpleNamespace

import pytest
from attackers import Browser, log_of, request, run_apart
from conftest import ROOT, Studio, free_port, settled
from playwright.sync_api import expect
from reviewing import eventually
from waiting import wait_for

from synthstudio.core.errors import StudioError
from synthstudio.studio import server, settings
from synthstudio.studio.access import Tokens
from synthstudio.studio.guard import Guard, Policy, cookies, page_policy

OPEN = "server.address"
started = pytest.mark.nightly("starts servers; the refusals themselves are tested above")


def enforced(monkeypatch, *, signed_in: bool = False, **options: object) -> dict[str, object]:
    """Return the options after the server's check of how it is about to be served."""
    held = dict.fromkeys(("server.baseUrlPath", "server.trustedUserHeaders"))
    held |= {OPEN: "127.0.0.1", **settings.ENFORCED, **options}
    config = SimpleNamespace(get_option=held.get, set_option=held.__setitem__)
    monkeypatch.setattr(server, "config", config)
    server._enforce(("127.0.0.1",), signed_in=signed_in)
    return held


@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        (OPEN, "0.0.0.0", "this machine only"),
        (OPEN, "::", "this machine only"),
        (OPEN, None, "this machine only"),
        ("server.baseUrlPath", "x", "root of a host"),
        ("server.trustedUserHeaders", {"X-User": "email"}, "headers do not say"),
    ],
)
def test_options_that_would_open_it_are_refused(option, value, why, monkeypatch):
    with pytest.raises(StudioError, match=why):
        enforced(monkeypatch, **{option: value})


def test_protections_are_put_back(monkeypatch):
    assert enforced(monkeypatch, signed_in=True, **{OPEN: "0.0.0.0"})[OPEN] == "0.0.0.0"
    for name, value in settings.ENFORCED.items():
        assert enforced(monkeypatch, **{name: not value})[name] == value
    assert settings.ENFORCED["server.enableXsrfProtection"] is True


def refuses_to_start(studio: Studio) -> str:
    """Start a studio that has to end by itself; return what it printed."""
    try:
        with pytest.raises(AssertionError, match="the studio ended"):
            studio.start()
    finally:
        process = studio.process
        studio.kill()
    assert process is not None and process.returncode not in (0, None)
    assert "Traceback" not in studio.output
    return studio.output


@started
@pytest.mark.parametrize("how", ["flag", "variable", "file"])
def test_another_address_without_sign_in(how, tmp_path, studio_set):
    studio = Studio(tmp_path, (studio_set,))
    if how == "flag":
        studio.flags = ("--server.address=0.0.0.0",)
    elif how == "variable":
        studio.environment = {"STREAMLIT_SERVER_ADDRESS": "0.0.0.0"}
    else:
        (tmp_path / ".streamlit").mkdir()
        (tmp_path / ".streamlit" / "config.toml").write_text('[server]\naddress = "0.0.0.0"\n')
        studio.script = tmp_path / "streamlit_app.py"  # the file beside the script goes first
        shutil.copy(ROOT / "streamlit_app.py", studio.script)
    assert "this machine only" in refuses_to_start(studio)


@started
def test_our_own_command(tmp_path, studio_set):
    port = free_port()
    command = [sys.executable, "-m", "synthstudio", "studio", str(studio_set), f"--port={port}"]
    bad = subprocess.run(
        [*command, "--address=0.0.0.0"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert bad.returncode == 1 and "this machine only" in bad.stderr
    assert "Traceback" not in bad.stderr
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        try:
            assert answer(f"http://127.0.0.1:{port}/healthz", process) == b'{"status":"ok"}'
            assert (tmp_path / "exports" / "studio" / "review.db").is_file()
        finally:
            process.terminate()


def answer(url: str, process: subprocess.Popen) -> bytes:
    """Return what a server answers when it has started."""

    def asked() -> bytes | None:
        assert process.poll() is None, process.args
        try:
            with urllib.request.urlopen(url, timeout=20) as found:
                return found.read()
        except OSError:
            return None

    return wait_for(asked, f"an answer from {url}", patience_s=240)


def own_address() -> str:
    """Return an address of this machine that others could reach; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no other address than its own")
        return str(probe.getsockname()[0])


@started
def test_another_server_that_listens_everywhere(tmp_path, studio_set):
    address = own_address()
    studio = Studio(tmp_path, (studio_set,), port=free_port())
    environment = os.environ | {
        "SYNTHSTUDIO_DB": str(studio.db),
        "SYNTHSTUDIO_DATASETS": str(studio_set),
        "SYNTHSTUDIO_EXPORTS": str(studio.exports),
    }
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(ROOT), "streamlit_app:app"]
    command += ["--host", "0.0.0.0", "--port", str(studio.port)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            assert answer(f"{studio.url}/healthz", process)
            browser = Browser(studio)
            assert browser.ask("/").status == 200
            for host in (f"127.0.0.1:{studio.port}", f"{address}:{studio.port}"):
                assert browser.ask("/", at=address, host=host).status == 403
                assert browser.websocket(at=address, host=host).status == 403
            eventually(lambda: "without sign-in" in log_of(studio), True)
        finally:
            process.terminate()


@started
@pytest.mark.browser
def test_the_page_without_our_server(tmp_path, page):
    port = free_port()
    script = ROOT / "synthstudio" / "studio" / "app.py"
    command = [sys.executable, "-m", "streamlit", "run", str(script), f"--server.port={port}"]
    command += ["--server.headless=true", "--server.address=127.0.0.1"]
    command += ["--browser.gatherUsageStats=false"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        try:
            answer(f"http://127.0.0.1:{port}/_stcore/health", process)
            page.goto(f"http://127.0.0.1:{port}")
            page.get_by_text("Start it by: synthstudio studio").wait_for()
            settled(page)
            expect(page.get_by_role("textbox")).to_have_count(0)
            page.goto("about:blank")
        finally:
            process.terminate()


@started
def test_protections_cannot_be_switched_off(tmp_path, studio_set):
    flags = ("--server.enableXsrfProtection=false", "--server.enableCORS=false")
    studio = Studio(tmp_path, (studio_set,), flags=flags).start()
    try:
        browser = Browser(studio)
        own = {"Origin": studio.url}
        path = "/_stcore/upload_file/a/b"
        assert b"XSRF" in browser.ask(path, method="PUT", headers=own, body=b"x").body
        assert browser.websocket(headers={"Origin": "http://evil.example"}).status == 403
        eventually(lambda: "enableXsrfProtection=False: put back" in log_of(studio), True)
    finally:
        studio.stop()


def test_the_file_of_options_says_what_our_command_says():
    with (ROOT / ".streamlit" / "config.toml").open("rb") as file:
        flat = dict(flattened(tomllib.load(file)))
    assert flat.pop("server.address") == "127.0.0.1"
    options, limits = settings.streamlit_options(), settings.Limits()
    assert flat == options
    assert options["server.maxUploadSize"] * 2**20 == limits.upload_bytes
    assert options["server.maxWidgetStateSize"] * 2**20 == limits.message_bytes


def flattened(values, before=""):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flattened(value, f"{before}{name}.")
        else:
            yield before + name, value


def test_settings_from_arguments_and_environment(tmp_path):
    found = settings.parse(
        [str(tmp_path), "--admin", "Ada", "--admin", "Bo"],
        {"SYNTHSTUDIO_DB": str(tmp_path / "a.db"), "SYNTHSTUDIO_URL": "https://studio.example/"},
    )
    assert found.datasets == (tmp_path,) and found.admins == ("Ada", "Bo")
    assert found.database == f"sqlite:///{tmp_path}/a.db" and found.state == tmp_path
    assert found.hosts[0] == "studio.example"
    again = settings.parse(settings.arguments(found), {})
    assert again == found
    postgres = settings.parse(["--db", "postgresql+psycopg://u@h/d"], {})
    assert postgres.state.name == "studio"
    for bad in (["--url", "http://studio.example"], ["--url", "https://a/b"], ["/nowhere"]):
        with pytest.raises(StudioError):
            settings.parse(bad, {})


def test_addresses_of_this_machine():
    local = ("127.0.0.1", "127.9.9.9", "::1", "localhost")
    others = ("", "0.0.0.0", "::", None, "10.0.0.1", "evil")
    assert all(map(settings.is_local, local)) and not any(map(settings.is_local, others))


def requested(*, signed_in: bool, user: str | None = None, **scope) -> int:
    """Return the status with which a guard answers one request."""
    tokens = Tokens(b"k" * 32)
    policy = Policy(
        signed_in=signed_in,
        hosts=("studio.example", "127.0.0.1"),
        message_bytes=2**23,
        upload_bytes=10,
        page_policy=page_policy("<script>a</script>"),
        user_of=lambda sent: user,
    )

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    cookie = f"{tokens.cookie}={tokens.new_browser()}"
    asked = {"path": "/", "headers": [("host", "127.0.0.1:8501"), ("cookie", cookie)]} | scope
    return run_apart(request(Guard(app, policy=policy, tokens=tokens), **asked)).status


def test_the_guard_looks_at_the_socket_itself():
    assert requested(signed_in=False) == 200
    for scope in (
        {"server": ("10.0.0.5", 80)},
        {"server": None},
        {"server": ("/run/a.sock", None)},
        {"client": ("10.0.0.9", 3)},
        {"client": None},
    ):
        assert requested(signed_in=False, **scope) == 403, scope
    elsewhere = {"server": ("10.0.0.5", 80), "client": ("10.0.0.9", 3)}
    host = {"headers": [("host", "studio.example"), ("x-forwarded-for", "10.0.0.9")]}
    assert requested(signed_in=True, **elsewhere, **host) == 200
    assert requested(signed_in=False, **host) == 403
    assert requested(signed_in=True, headers=[("host", "other.example")]) == 403
    assert requested(signed_in=True, headers=[]) == 403
    for twice in ("studio.example", "evil.example"):
        hosts = [("host", twice), ("Host", "studio.example")]
        assert requested(signed_in=True, headers=hosts) == 403


def test_with_sign_in_media_is_for_those_who_did():
    assert requested(signed_in=True, path="/media/a.png") == 403
    assert requested(signed_in=True, path="/media/a.png", user="Ada") == 200
    assert requested(signed_in=True, path="//media//a.png") == 403


def test_cookies_are_read_as_browsers_send_them():
    assert cookies({"cookie": 'a=1; b="2=3";c ; d='}) == {"a": "1", "b": "2=3", "d": ""}
