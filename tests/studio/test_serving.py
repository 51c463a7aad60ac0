"""However it is started, the studio serves this machine only, unless people sign in."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request

import pytest
from attackers import Browser, log_of, run_apart
from conftest import ROOT, Studio, free_port, settled
from playwright.sync_api import expect
from reviewing import eventually

from synthstudio.core.errors import StudioError
from synthstudio.studio import settings
from synthstudio.studio.access import Tokens
from synthstudio.studio.guard import Guard, Policy, cookies, page_policy

OPEN = "server.address"


def refuses_to_start(studio: Studio) -> str:
    """Start a studio that has to end by itself; return what it printed."""
    try:
        with pytest.raises(AssertionError, match="the studio ended"):
            studio.start()
    finally:
        process = studio.process
        studio.kill()
    studio.process = process
    assert studio.process is not None and studio.process.returncode not in (0, None)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", studio.port)) != 0
    assert "Traceback" not in studio.output
    return studio.output


@pytest.mark.parametrize("how", ["flag", "wildcard", "variable", "file"])
def test_another_address_without_sign_in(how, tmp_path, studio_set):
    studio = Studio(tmp_path, (studio_set,))
    if how == "flag":
        studio.flags = ("--server.address=0.0.0.0",)
    elif how == "wildcard":
        studio.flags = ("--server.address=::",)
    elif how == "variable":
        studio.environment = {"STREAMLIT_SERVER_ADDRESS": "0.0.0.0"}
    else:
        (tmp_path / ".streamlit").mkdir()
        (tmp_path / ".streamlit" / "config.toml").write_text('[server]\naddress = "0.0.0.0"\n')
        studio.script = tmp_path / "streamlit_app.py"  # the file beside the script goes first
        shutil.copy(ROOT / "streamlit_app.py", studio.script)
    assert "this machine only" in refuses_to_start(studio)


@pytest.mark.parametrize(
    ("flag", "why"),
    [
        ("--server.baseUrlPath=x", "root of a host"),
        ('--server.trustedUserHeaders={"X-User": "email"}', "headers do not say"),
    ],
)
def test_options_that_would_open_it(flag, why, tmp_path, studio_set):
    assert why in refuses_to_start(Studio(tmp_path, (studio_set,), flags=(flag,)))


def test_our_own_command(tmp_path, studio_set):
    port = free_port()
    command = [sys.executable, "-m", "synthstudio", "studio", str(studio_set), f"--port={port}"]
    bad = subprocess.run(
        [*command, "--address=0.0.0.0"], cwd=tmp_path, capture_output=True, text=True, timeout=240
    )
    assert bad.returncode == 1 and "this machine only" in bad.stderr
    assert "Traceback" not in bad.stderr
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) as process:
        try:
            assert answers(f"http://127.0.0.1:{port}/healthz", process) == b'{"status":"ok"}'
            assert (tmp_path / "exports" / "studio" / "review.db").is_file()
        finally:
            process.terminate()
            process.wait(60)


def answers(url: str, process: subprocess.Popen) -> bytes:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return answer.read()
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"no answer from {url}, exit status {process.returncode}")


def own_address() -> str:
    """Return an address of this machine that others could reach; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no other address than its own")
        return str(probe.getsockname()[0])


def test_another_server_that_listens_everywhere(tmp_path, studio_set):
    address = own_address()
    studio = Studio(tmp_path, (studio_set,), port=free_port())
    environment = os.environ | {
        "SYNTHSTUDIO_DB": str(studio.db),
        "SYNTHSTUDIO_DATASETS": str(studio_set),
        "SYNTHSTUDIO_EXPORTS": str(studio.exports),
    }
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "--app-dir",
        str(ROOT),
        "streamlit_app:app",
        "--host",
        "0.0.0.0",
        "--port",
        str(studio.port),
    ]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            assert answers(f"{studio.url}/healthz", process)
            browser = Browser(studio)
            assert browser.ask("/").status == 200
            for host in (f"127.0.0.1:{studio.port}", f"{address}:{studio.port}"):
                assert browser.ask("/", at=address, host=host).status == 403
                assert browser.websocket(at=address, host=host).status == 403
            eventually(lambda: "without sign-in" in log_of(studio), True)
        finally:
            process.terminate()
            process.wait(60)


@pytest.mark.browser
def test_the_page_without_our_server(tmp_path, page):
    port = free_port()
    script = ROOT / "synthstudio" / "studio" / "app.py"
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(script),
        f"--server.port={port}",
        "--server.headless=true",
        "--server.address=127.0.0.1",
        "--browser.gatherUsageStats=false",
    ]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        try:
            answers(f"http://127.0.0.1:{port}/_stcore/health", process)
            page.goto(f"http://127.0.0.1:{port}")
            page.get_by_text("Start it by: synthstudio studio").wait_for()
            settled(page)
            expect(page.get_by_role("textbox")).to_have_count(0)
            page.goto("about:blank")
        finally:
            process.terminate()
            process.wait(60)


def test_protections_cannot_be_switched_off(tmp_path, studio_set):
    flags = (
        "--server.enableXsrfProtection=false",
        "--server.enableCORS=false",
        "--server.enableStaticServing=true",
        "--browser.gatherUsageStats=true",
    )
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


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("", False),
        ("0.0.0.0", False),
        ("::", False),
        (None, False),
        ("10.0.0.1", False),
        ("evil", False),
    ],
)
def test_addresses(address, local):
    assert settings.is_local(address) is local


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
    found: list[int] = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message):
        found.append(message.get("status", 0))

    cookie = f"{tokens.cookie}={tokens.new_browser()}".encode()
    request = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "server": ("127.0.0.1", 1),
        "client": ("127.0.0.1", 2),
        "headers": [(b"host", b"127.0.0.1:1"), (b"cookie", cookie)],
    } | scope
    run_apart(Guard(app, policy=policy, tokens=tokens)(request, None, send))
    return found[0]


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
    host = {"headers": [(b"host", b"studio.example"), (b"x-forwarded-for", b"10.0.0.9")]}
    assert requested(signed_in=True, **elsewhere, **host) == 200
    assert requested(signed_in=False, **host) == 403
    assert requested(signed_in=True, headers=[(b"host", b"other.example")]) == 403
    assert requested(signed_in=True, headers=[]) == 403
    for twice in ("studio.example", "evil.example"):
        hosts = [(b"host", twice.encode()), (b"Host", b"studio.example")]
        assert requested(signed_in=True, headers=hosts) == 403


def test_with_sign_in_media_is_for_those_who_did():
    assert requested(signed_in=True, path="/media/a.png") == 403
    assert requested(signed_in=True, path="/media/a.png", user="Ada") == 200
    assert requested(signed_in=True, path="//media//a.png") == 403


def test_cookies_are_read_as_browsers_send_them():
    assert cookies({"cookie": 'a=1; b="2=3";c ; d='}) == {"a": "1", "b": "2=3", "d": ""}
