"""However it is started, the studio serves this machine only, unless people sign in."""

import resource
import shutil
import socket
import subprocess
import sys
import urllib.request
from contextlib import suppress
from types import SimpleNamespace

import pytest
from attackers import NAME, request, run_apart
from served import free_port
from waiting import wait_for

from synthstudio.cli.review import parse_studio
from synthstudio.core.errors import StudioError
from synthstudio.core.places import is_local
from synthstudio.studio import server, settings
from synthstudio.studio.access import Browsers
from synthstudio.studio.context import Context
from synthstudio.studio.guard import Guard, Policy, cookies

OPEN = "server.address"
started = pytest.mark.nightly("starts servers; the refusals themselves are tested above")


def enforced(monkeypatch, *, signed_in=False, **options):
    held = dict.fromkeys(("server.baseUrlPath", "server.trustedUserHeaders"))
    held |= {OPEN: "127.0.0.1", **settings.ENFORCED, **options}
    config = SimpleNamespace(get_option=held.get, set_option=held.__setitem__)
    monkeypatch.setattr(server, "config", config)
    server._enforce(("127.0.0.1",), signed_in=signed_in)
    return held


def test_options_that_would_open_it_are_refused(monkeypatch):
    for option, value, why in (
        *((OPEN, address, "this machine only") for address in ("0.0.0.0", "::", None)),
        ("server.baseUrlPath", "x", "root of a host"),
        ("server.trustedUserHeaders", {"X-User": "email"}, "headers must not identify"),
    ):
        with pytest.raises(StudioError, match=why):
            enforced(monkeypatch, **{option: value})


def test_protections_are_put_back(monkeypatch):
    assert enforced(monkeypatch, signed_in=True, **{OPEN: "0.0.0.0"})[OPEN] == "0.0.0.0"
    for name, value in settings.ENFORCED.items():
        assert enforced(monkeypatch, **{name: not value})[name] == value
    assert settings.ENFORCED["server.enableXsrfProtection"] is True


def test_answers_are_sent_at_once():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server.send_at_once()
        assert listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_as_many_files_are_opened_as_the_system_allows():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, hard - 1), hard))
    server.raise_file_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@started
def test_our_own_command(tmp_path, studio_set):
    port = free_port()
    command = [sys.executable, "-m", "synthstudio", "studio", str(studio_set), f"--port={port}"]
    words = [*command, "--address=0.0.0.0"]
    bad = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert bad.returncode == 1 and "this machine only" in bad.stderr
    assert "Traceback" not in bad.stderr

    def healthy():
        assert process.poll() is None
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz") as found:
            return bool(found.read() == b'{"status":"ok"}')
        return False

    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(healthy, "the studio answers", patience_s=240)
            assert (tmp_path / "exports" / "studio" / "review.db").is_file()
        finally:
            process.terminate()


def test_uploads_and_messages_are_as_large_as_streamlit_takes():
    options, limits = settings.streamlit_options(), settings.Limits()
    assert options["server.address"] == "127.0.0.1" and options["theme.dark.linkColor"]
    assert options["server.maxUploadSize"] * 2**20 == limits.upload_bytes
    assert options["server.maxWidgetStateSize"] * 2**20 == limits.message_bytes


def test_settings_from_arguments_and_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHSTUDIO_DB", str(tmp_path / "a.db"))
    monkeypatch.setenv("SYNTHSTUDIO_URL", "https://studio.example/")
    monkeypatch.setenv("SYNTHSTUDIO_WEBHOOK_HOSTS", "hook, other")
    monkeypatch.setenv("SYNTHSTUDIO_ADMINS", "Ada B,Bo")
    assert parse_studio([]).admins == ("Ada B", "Bo")
    found = parse_studio([str(tmp_path), "--admin", "Ada", "--admin", "Bo"])
    assert found.webhook_hosts == ("hook", "other")
    assert found.datasets == (tmp_path,) and found.admins == ("Ada", "Bo")
    assert found.database == f"sqlite:///{tmp_path}/a.db" and found.state == tmp_path
    assert found.hosts[0] == "studio.example"
    postgres = parse_studio(["--db", "postgresql+psycopg://u@h/d"])
    assert postgres.state.name == "studio"
    for bad in (["--url", "http://studio.example"], ["--url", "https://a/b"], ["/nowhere"]):
        with pytest.raises(StudioError):
            parse_studio(bad)
    with pytest.raises(SystemExit):
        parse_studio(["--nothing"])


def test_addresses_of_this_machine():
    local = ("127.0.0.1", "127.9.9.9", "::1", "localhost", NAME)
    others = ("", "0.0.0.0", "::", None, "10.0.0.1", "evil", "short.localhost", f"{NAME}.evil")
    assert all(map(is_local, local)) and not any(map(is_local, others))


def test_by_tls_every_cookie_is_for_tls_alone():
    """Streamlit's own is not: another port of the host, without TLS, would be sent it."""
    for scheme, end in (("https", "; Secure"), ("http", "")):
        scope = {"scheme": scheme, "headers": [("host", f"{NAME}:8501")]}
        sent = requested(signed_in=True, cookie=b"_streamlit_user=x; Path=/", **scope)[1]
        assert sent == f"_streamlit_user=x; Path=/{end}"


def requested(*, signed_in, user=None, cookie=b"", may_upload=True, more=(), **scope):
    browsers = Browsers(b"k" * 32)
    may = {"user_of": lambda sent: user, "may_upload": lambda name: may_upload}
    names = {"hosts": ("studio.example", "127.0.0.1"), "address": "https://studio.example"}
    names |= {"message_bytes": 2**23, "upload_bytes": 10}
    policy = Policy(signed_in=signed_in, own_names=True, **may, **names)

    async def app(scope, receive, send):
        headers = [(b"set-cookie", cookie)] if cookie else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    mine = f"{browsers.cookie}={browsers.new_cookie()}"
    asked = {"path": "/", "headers": [("host", f"{NAME}:8501"), ("cookie", mine), *more]} | scope
    answer = run_apart(request(Guard(app, policy=policy, browsers=browsers), **asked))
    return answer.status, answer.headers.get("set-cookie", "")


def status_of(**asked):
    return requested(**asked)[0]


def test_the_guard_looks_at_the_socket_itself():
    assert status_of(signed_in=False) == 200
    addresses = [("server", at) for at in (("10.0.0.5", 80), None, ("/run/a.sock", None))]
    for end, at in (*addresses, ("client", ("10.0.0.9", 3)), ("client", None)):
        assert status_of(signed_in=False, **{end: at}) == 403, (end, at)
    elsewhere = {"server": ("10.0.0.5", 80), "client": ("10.0.0.9", 3)}
    host = {"headers": [("host", "studio.example"), ("x-forwarded-for", "10.0.0.9")]}
    assert status_of(signed_in=True, **elsewhere, **host) == 200
    assert status_of(signed_in=False, **host) == 403
    assert status_of(signed_in=True, headers=[("host", "other.example")]) == 403
    assert status_of(signed_in=True, headers=[]) == 403
    for twice in ("studio.example", "evil.example"):
        hosts = [("host", twice), ("Host", "studio.example")]
        assert status_of(signed_in=True, headers=hosts) == 403


def test_with_sign_in_media_is_for_those_who_did(monkeypatch):
    assert status_of(signed_in=True, path="/media/a.png") == 403
    assert status_of(signed_in=True, path="/media/a.png", user="Ada") == 200
    assert status_of(signed_in=True, path="//media//a.png") == 403
    sends = {"signed_in": True, "user": "Ada", "path": "/_stcore/upload_file/a", "method": "PUT"}
    sends["more"] = [("origin", f"http://{NAME}:8501"), ("content-length", "10")]
    assert status_of(**sends) == 200 and status_of(**sends, may_upload=False) == 403
    monkeypatch.setattr("synthstudio.studio.guard._UPLOADS_AN_HOUR", 9)
    assert status_of(**sends) == 403
    monkeypatch.setattr("synthstudio.studio.guard._MAX_OPEN", 0)
    assert status_of(signed_in=False) == 503


def test_cookies_are_read_as_browsers_send_them():
    assert cookies({"cookie": 'a=1; b="2=3";c ; d='}) == {"a": "1", "b": "2=3", "d": ""}


def test_sets_below_the_exports_folder_are_opened_and_no_link_leads_out(small_photo_set, tmp_path):
    exports = tmp_path / "exports"
    exports.mkdir()
    (exports / "link").symlink_to(small_photo_set)
    (exports / "empty").mkdir()
    found = Context(parse_studio(["--exports", str(exports)]))
    assert not found.sets
    shutil.copytree(small_photo_set, exports / "mine")
    (exports / "mine" / "index.json").rename(exports / "mine" / "index")
    assert found.refresh() == [] and not found.sets  # unfinished
    (exports / "mine" / "index").rename(exports / "mine" / "index.json")
    assert found.refresh() == [] and [s.name for s in found.sets.values()] == ["mine"]
    found.store.close()
