"""Requests that no page of ours sends: refused, logged, and nothing changed."""

from __future__ import annotations

import http.client
import io
import time

import pytest
from attackers import Browser, log_of, state_of
from PIL import Image
from reviewing import eventually

from synthstudio.dataset.reader import Dataset
from synthstudio.review.datasets import content_key
from synthstudio.studio.access import LIFETIME_S, STEP_S, Grant, Tokens, load_secret


@pytest.fixture(scope="module")
def key(studio_set) -> str:
    return content_key(Dataset(studio_set))


@pytest.fixture
def browser(studio) -> Browser:
    return Browser(studio)


@pytest.fixture
def refused(studio, request):
    """Compare the store before and after; the log must have got a line that says `why`."""
    before, logged = state_of(studio), len(log_of(studio))

    def why(text: str) -> None:
        try:
            eventually(lambda: text in log_of(studio)[logged:], True)
        except AssertionError:
            raise AssertionError(log_of(studio)[logged:]) from None

    yield why
    assert state_of(studio) == before
    assert "Traceback" not in studio.output


TRAVERSALS = [
    "../../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "..%252f..%252fetc%252fpasswd",
    "....//....//etc/passwd",
    "..\\..\\etc\\passwd",
    "..%5c..%5cetc%5cpasswd",
    "%c0%ae%c0%ae/etc/passwd",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "file:%2f%2f%2fetc%2fpasswd",
    "a%00.png",
    "..;/..;/etc/passwd",
]
PREFIXES = [
    "/",
    "/img/",
    "/download/",
    "/healthz/",
    "/static/",
    "/media/",
    "/component/",
    "/app/static/",
    "/_stcore/bidi-components/",
    "/_stcore/upload_file/",
]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_no_path_leads_out(prefix, browser, refused):
    for path in TRAVERSALS:
        answer = browser.ask(prefix + path)
        assert b"root:" not in answer.body
        if answer.status == 200:  # Streamlit answers an unknown page with its own start page
            assert answer.headers["content-type"].startswith("text/html")
            assert b"<title>Streamlit</title>" in answer.body
            assert prefix not in ("/img/", "/download/")
        if prefix in ("/img/", "/download/"):
            assert answer.status in (400, 403, 404)
    refused("refused with 40" if prefix != "/healthz/" else "refused")


def test_negative_control_what_a_page_asks_is_answered(browser, key, refused, studio_set):
    image = browser.ask(f"/img/{browser.grant('image', dataset=key, frame=1)}")
    assert image.status == 200 and image.body == Dataset(studio_set).image_bytes(1)
    assert image.headers["content-type"] == "image/jpeg"
    assert image.headers["x-content-type-options"] == "nosniff"
    assert image.headers["cache-control"].startswith("private, max-age=")
    assert "default-src 'none'" in image.headers["content-security-policy"]
    assert image.headers["referrer-policy"] == "no-referrer"
    clean = browser.ask(f"/img/{browser.grant('clean', dataset=key, frame=0)}")
    frames = list(Dataset(studio_set).iter_frames(["index", "group_id", "variant"]))
    group = frames[0]["group_id"]
    twin = next(f["index"] for f in frames if f["group_id"] == group and f["variant"] == "clean")
    assert clean.body == Dataset(studio_set).image_bytes(twin)
    for kind, size in (("crop", (96, 96)), ("mask", (320, 240)), ("depth", (320, 240))):
        made = browser.ask(f"/img/{browser.grant(kind, dataset=key, instance=1, size=96)}")
        assert made.status == 200, made.body
        with Image.open(io.BytesIO(made.body)) as picture:
            assert picture.size == size


def test_tokens_that_are_none_of_ours(browser, key, studio, refused):
    good = browser.grant("image", dataset=key, frame=1)
    body, signature = good.rsplit(".", 1)
    other = Tokens(b"o" * 32).token(Grant(kind="image", dataset=key, user="Ada", browser="b"))
    for bad in ("", "x", body, f"{body}.{signature[::-1]}", f"{body[:-2]}.{signature}", other):
        assert browser.ask(f"/img/{bad}").status == 403
    refused("not signed by this server")
    assert browser.ask(f"/img/{good}").status == 200


def test_an_expired_token(browser, key, studio, refused):
    past = Tokens(load_secret(studio.db.parent), now=lambda: time.time() - LIFETIME_S - STEP_S)
    old = past.token(Grant(kind="image", dataset=key, user="Ada", browser=browser.name))
    assert browser.ask(f"/img/{old}").status == 403
    refused("expired")


def test_a_token_of_another_user(browser, key, studio, refused):
    theirs = Browser(studio)
    token = theirs.grant("image", dataset=key, frame=1)
    assert theirs.ask(f"/img/{token}").status == 200
    assert browser.ask(f"/img/{token}").status == 403
    assert browser.ask(f"/img/{token}", cookie=False).status == 403
    refused("another browser")


def test_a_token_without_a_browser_serves_nobody(browser, key, studio, refused):
    token = browser.grant("image", dataset=key, browser="")
    assert browser.ask(f"/img/{token}", cookie=False).status == 403
    refused("another browser")


def test_a_token_for_another_data_set(browser, key, refused):
    for dataset in ("0" * 64, "", "../" + key):
        assert browser.ask(f"/img/{browser.grant('image', dataset=dataset)}").status == 404
    refused("not served here")


def test_a_token_for_another_kind(browser, key, studio, refused):
    image = browser.grant("image", dataset=key)
    assert browser.ask(f"/download/{image}").status == 403
    assert browser.ask(f"/img/{browser.grant('download', name='a')}").status == 403
    refused("one for image")


def test_what_the_set_does_not_hold(browser, key, refused):
    for values in ({"frame": 999}, {"frame": -1}, {"frame": 2**70}):
        assert browser.ask(f"/img/{browser.grant('image', dataset=key, **values)}").status == 404
    token = browser.grant("crop", dataset=key, frame=0, instance=77, size=64)
    assert browser.ask(f"/img/{token}").status == 404
    token = browser.grant("crop", dataset=key, frame=0, instance=1, size=10**9)
    with Image.open(io.BytesIO(browser.ask(f"/img/{token}").body)) as picture:
        assert picture.size == (1024, 1024)
    refused("does not hold this frame")


def test_downloads_stay_below_the_exports_folder(browser, studio, tmp_path, refused):
    folder = studio.exports / "made"
    folder.mkdir(exist_ok=True)
    (folder / "a.zip").write_bytes(b"x" * 300_000)
    (tmp_path / "secret").write_text("secret")
    (folder / "link").unlink(missing_ok=True)
    (folder / "link").symlink_to(tmp_path / "secret")
    fine = browser.ask(f"/download/{browser.grant('download', name='made/a.zip')}")
    assert fine.status == 200 and fine.body == b"x" * 300_000
    assert fine.headers["content-disposition"] == 'attachment; filename="a.zip"'
    assert fine.headers["cache-control"] == "no-store"
    for name in ("../state/studio.key", "/etc/passwd", "made/link", "made", "", "a\0", "..\\x"):
        answer = browser.ask(f"/download/{browser.grant('download', name=name)}")
        assert answer.status == 404 and b"secret" not in answer.body
    for path in sorted(folder.iterdir()):
        path.unlink()
    folder.rmdir()
    refused("leads out of its folder")


def test_a_foreign_host(browser, key, refused):
    token = browser.grant("image", dataset=key)
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "a@127.0.0.1", ""):
        for path in ("/", f"/img/{token}", "/healthz", "/_stcore/health"):
            assert browser.ask(path, host=host).status in (400, 403)
        assert browser.websocket(host=host, headers={"Origin": f"http://{host}"}).status in (
            400,
            403,
        )
    refused("a foreign host")


def test_websockets_of_foreign_pages(browser, studio, refused):
    own = f"http://127.0.0.1:{studio.port}"
    assert browser.websocket(headers={"Origin": own}).status == 101  # negative control
    started = time.monotonic()
    for origin in (
        "http://evil.example",
        "https://evil.example",
        "null",
        "http://localhost:1",
        "",
        f"http://127.0.0.1:{studio.port + 1}",
        f"http://localhost:{studio.port}",
        "file://",
    ):
        assert browser.websocket(headers={"Origin": origin}).status == 403, origin
    # Nothing was looked up elsewhere: two names that no server answers for take twenty seconds.
    assert time.monotonic() - started < 10
    refused("a foreign origin")
    refused("no origin")


def test_pages_of_other_sites_get_no_picture(browser, key, refused):
    token = browser.grant("image", dataset=key)
    for site in ("cross-site", "same-site"):
        assert browser.ask(f"/img/{token}", headers={"Sec-Fetch-Site": site}).status == 403
    for header in ({"Origin": "http://evil.example"}, {"Origin": "null"}):
        assert browser.ask(f"/img/{token}", headers=header).status == 403
    assert browser.ask(f"/img/{token}", headers={"Sec-Fetch-Site": "same-origin"}).status == 200
    refused("another site's page")


def test_forwarded_requests_need_sign_in(browser, refused):
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Forwarded-Host"):
        assert browser.ask("/", headers={name: "10.1.2.3"}).status == 403
    refused("a forwarded request")


def test_uploads_without_the_page(browser, studio, refused):
    own = {"Origin": f"http://127.0.0.1:{studio.port}"}
    path = "/_stcore/upload_file/11111111-1111-1111-1111-111111111111/a"
    put = {"method": "PUT", "body": b"x"}
    assert browser.ask(path, **put).status == 403
    refused("no origin")
    assert browser.ask(path, **put, headers={"Origin": "http://evil.example"}).status == 403
    assert browser.ask(path, **put, headers=own, cookie=False).status == 403
    refused("did not open the studio")
    assert browser.ask(path, **put, headers=own).status == 403  # Streamlit's: no XSRF token
    refused("refused with 403")
    forged = own | {"X-Xsrftoken": "2|00|00|1", "Cookie": "_streamlit_xsrf=2|11|11|1"}
    assert browser.ask(path, **put, headers=forged).status == 403


def test_bodies_that_are_too_large(browser, studio, refused):
    own = {"Origin": f"http://127.0.0.1:{studio.port}"}
    for path, size in (("/", 70_000), ("/img/x", 10**9), ("/_stcore/upload_file/a/b", 10**12)):
        headers = own | {"Content-Length": str(size)}
        assert browser.ask(path, method="PUT", headers=headers).status == 413
    refused("too large")
    for length in ("-1", "x", "1e9"):
        try:
            headers = own | {"Content-Length": length}
            assert browser.ask("/", method="PUT", headers=headers).status in (400, 413)
        except (http.client.HTTPException, ConnectionError):
            pass  # the server hung up
    assert browser.ask("/img/" + "A" * 60_000).status in (400, 403, 414, 431)
    assert browser.ask("/healthz").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE"])
def test_routes_only_read(method, browser, key, studio, refused):
    token = browser.grant("image", dataset=key)
    own = {"Origin": f"http://127.0.0.1:{studio.port}"}
    for path in (f"/img/{token}", "/download/x", "/healthz"):
        assert browser.ask(path, method=method, headers=own).status in (403, 405)


def test_paths_that_are_closed(browser, refused):
    for path in (
        "/_stcore/metrics",
        "/_stcore/script-health-check",
        "/_stcore/agent/openapi.json",
        "//_stcore//metrics",
        "/_stcore/./metrics",
        "/_stcore/%6detrics",
    ):
        answer = browser.ask(path)
        assert answer.status in (400, 403) or b"<title>Streamlit</title>" in answer.body, path
        assert b"# TYPE" not in answer.body and b"openapi" not in answer.body[:200]
    refused("a closed path")


def test_media_is_for_browsers_that_opened_the_studio(browser, refused):
    assert browser.ask("/media/x.png", cookie=False).status == 403
    assert browser.ask("/media/x.png").status == 404  # negative control
    refused("did not open the studio")


def test_a_log_line_is_one_line(browser, refused):
    browser.ask("/img/a%0a2026-01-01%20INFO%20all%20is%20well%1b%5b31m", host="evil.example")
    refused("a\\\\n2026-01-01 INFO all is well\\\\x1b[31m")


def test_pages_have_a_policy_and_a_cookie(browser, studio):
    first = browser.ask("/", cookie=False)
    assert first.status == 200
    policy = first.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]
    assert first.headers["x-frame-options"] == "DENY"
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
    value = cookie.split("=", 1)[1].split(";")[0]
    assert browser.tokens.browser(value)
    assert "set-cookie" not in browser.ask("/").headers
    forged = browser.ask("/", headers={"Cookie": f"{browser.tokens.cookie}=me.xxxx"}, cookie=False)
    assert browser.tokens.cookie in forged.headers["set-cookie"]
    kept = {"If-None-Match": first.headers["etag"]}
    assert browser.ask("/", headers=kept).status == 304
    anew = browser.ask("/", headers=kept, cookie=False)
    assert anew.status == 200 and browser.tokens.cookie in anew.headers["set-cookie"]


def test_secrets_and_settings_are_not_served(browser, studio):
    secret = load_secret(studio.db.parent).hex()
    for path in ("/", "/_stcore/host-config", "/_stcore/health", "/healthz"):
        answer = browser.ask(path)
        assert answer.status == 200
        assert secret.encode() not in answer.body and str(studio.folder).encode() not in answer.body
