"""Requests that no page of ours sends: refused and logged; what a page asks is answered."""

import http.client
import io
import shutil
import time
from typing import Any

import pytest
from attackers import NAME, OWN, Browser, api_studio, log_of, state_of
from PIL import Image
from review_ops import refused
from reviewing import eventually

from synthstudio.dataset.reader import Dataset
from synthstudio.review.datasets import content_key
from synthstudio.review.team.members import assign
from synthstudio.review.values import Person, User
from synthstudio.studio.access import LIFETIME_S, STEP_S, Grant, Tokens, load_secret

UPLOAD = "/_stcore/upload_file/11111111-1111-1111-1111-111111111111/a"
CASES: list[tuple[str, dict[str, Any], int, str]] = [
    # path, request, status, what is logged; {name} is a token of `tokens` below
    ("/img/", {}, 403, "not signed by this server"),
    ("/img/x", {}, 403, "not signed by this server"),
    ("/img/{body}", {}, 403, "not signed by this server"),
    ("/img/{turned}", {}, 403, "not signed by this server"),
    ("/img/{cut}", {}, 403, "not signed by this server"),
    ("/img/{other_server}", {}, 403, "not signed by this server"),
    ("/img/{expired}", {}, 403, "expired"),
    ("/img/{others}", {}, 403, "another browser"),
    ("/img/{image}", {"cookie": False}, 403, "another browser"),
    ("/img/{nobodys}", {"cookie": False}, 403, "another browser"),
    ("/img/{lost_set}", {}, 404, "not served here"),
    ("/img/{no_frame}", {}, 404, "does not hold this frame"),
    ("/img/{minus_one}", {}, 404, "does not hold this frame"),
    ("/img/{huge_frame}", {}, 404, "does not hold this frame"),
    ("/img/{no_person}", {}, 404, "with 404"),
    ("/img/{file}", {}, 403, "one for download"),
    ("/download/{image}", {}, 403, "one for image"),
    ("/download/{above}", {}, 404, "leads out of its folder"),
    ("/download/{absolute}", {}, 404, "leads out of its folder"),
    ("/download/{folder}", {}, 404, "with 404"),
    ("/img/../../etc/passwd", {}, 403, "refused with 40"),
    ("/img/%2e%2e%2f%2e%2e%2fetc%2fpasswd", {}, 403, "refused with 40"),
    ("/healthz", {"host": "evil.example"}, 403, "a foreign host"),
    ("/healthz", {"host": "127.0.0.1.evil.example"}, 403, "a foreign host"),
    ("/healthz", {"host": "a@127.0.0.1"}, 403, "a foreign host"),
    ("/healthz", {"host": ""}, 403, "a foreign host"),
    ("/healthz", {"headers": {"X-Forwarded-For": "10.1.2.3"}}, 403, "a forwarded request"),
    ("/healthz", {"headers": {"Forwarded": "for=10.1.2.3"}}, 403, "a forwarded request"),
    ("/img/{image}", {"headers": {"Sec-Fetch-Site": "cross-site"}}, 403, "another site's page"),
    ("/img/{image}", {"headers": {"Sec-Fetch-Site": "same-site"}}, 403, "another site's page"),
    ("/img/{image}", {"headers": {"Origin": "http://evil.example"}}, 403, "a foreign origin"),
    ("/img/{image}", {"headers": {"Origin": "null"}}, 403, "a foreign origin"),
    ("/img/{image}", {"method": "DELETE"}, 403, "no origin"),
    ("/img/{image}", {"method": "POST", "headers": OWN}, 405, ""),
    (UPLOAD, {"method": "PUT", "body": b"x"}, 403, "no origin"),
    (UPLOAD, {"method": "PUT", "headers": OWN, "cookie": False}, 403, "did not open the studio"),
    ("/media/x.png", {"cookie": False}, 403, "did not open the studio"),
    ("/", {"method": "PUT", "headers": OWN | {"Content-Length": "70000"}}, 413, "too large"),
    (UPLOAD, {"method": "PUT", "headers": OWN | {"Content-Length": "1" * 13}}, 413, "too large"),
    ("/", {"method": "PUT", "headers": OWN | {"Content-Length": "-1"}}, 413, "too large"),
    ("/_stcore/metrics", {}, 403, "a closed path"),
    ("//_stcore//metrics", {}, 403, "a closed path"),
    ("/_stcore/%6detrics", {}, 403, "a closed path"),
    ("/_stcore/agent/openapi.json", {}, 403, "a closed path"),
    ("/x%0aall%20is%20well%1b", {"host": "evil.example"}, 403, "x\\\\nall is well\\\\x1b"),
]
ORIGINS = ("http://evil.example", "null", "http://localhost:1", "", "http://127.0.0.1:8502")


@pytest.fixture
def near(tmp_path, small_photo_set):
    with api_studio(tmp_path, small_photo_set) as studio:
        yield studio


def tokens(browser, key):
    """Texts that stand for tokens in the table."""
    good = browser.grant("image", dataset=key, frame=1)
    body, signature = good.rsplit(".", 1)
    grant = Grant(kind="image", dataset=key, user="Ada", browser=browser.name)
    past = Tokens(load_secret(browser.studio.db.parent), now=lambda: time.time() - 2 * LIFETIME_S)
    return {
        "image": good,
        "body": body,
        "turned": f"{body}.{signature[::-1]}",
        "cut": f"{body[:-2]}.{signature}",
        "other_server": Tokens(b"o" * 32).token(grant),
        "expired": past.token(grant),
        "others": Browser(browser.studio).grant("image", dataset=key, frame=1),
        "nobodys": browser.grant("image", dataset=key, browser=""),
        "lost_set": browser.grant("image", dataset="../" + key),
        "no_frame": browser.grant("image", dataset=key, frame=999),
        "minus_one": browser.grant("image", dataset=key, frame=-1),
        "huge_frame": browser.grant("image", dataset=key, frame=2**70),
        "no_person": browser.grant("crop", dataset=key, frame=0, instance=77, size=64),
        "file": browser.grant("download", name="a"),
        "above": browser.grant("download", name="../state/studio.key"),
        "absolute": browser.grant("download", name="/etc/passwd"),
        "folder": browser.grant("download", name=""),
    }


def test_attacks_are_refused_and_logged(near):
    assert 2 * LIFETIME_S > LIFETIME_S + STEP_S
    browser = Browser(near)
    named = tokens(browser, near.key)
    for path, asked, status, reason in CASES:
        before = len(near.log())
        answer = browser.ask(path.format(**named), **asked)
        assert answer.status == status, (path, asked, answer)
        assert b"root:" not in answer.body and str(near.folder).encode() not in answer.body
        assert reason in near.log()[before:], (path, asked, near.log()[before:])
    for origin in ORIGINS:
        assert browser.websocket(headers={"Origin": origin}).status == 403, origin
    assert browser.websocket(headers=OWN).status == 404  # the control: it gets past the guard
    assert "Traceback" not in near.log()


SHARED = ("127.0.0.1:8501", "localhost:8501", "[::1]:8501", f"{NAME[:19]}.localhost:8501")


@pytest.mark.parametrize("host", SHARED[:3])
def test_no_cookie_is_sent_or_read_where_other_ports_have_it_too(near, host):
    """Browsers send cookies of 127.0.0.1 to every port of it, also to another account's."""
    browser = Browser(near)
    for path in ("/", "/review?frame=1", "/sign-in"):
        led = browser.ask(path, host=host, headers={"Accept": "text/html"})
        assert led.status == 200 and b"/way-in.js" in led.body
        assert "set-cookie" not in led.headers and "script-src 'self'" in str(led.headers)
    script = browser.ask("/way-in.js", host=host)
    assert script.headers["content-type"].startswith("text/javascript")
    mine = browser.grant("image", dataset=near.key, frame=1)
    for path in (f"/img/{mine}", "/_stcore/host-config", "/static/a.js"):
        assert browser.ask(path, host=host).status == 403, path
    origin = {"Origin": f"http://{host}"}
    assert browser.websocket(host=host, headers=origin).status == 403
    assert browser.ask("/sign-in", method="POST", host=host, headers=origin).status == 403
    assert "a name whose cookies other ports are sent" in near.log()
    assert browser.ask("/healthz", host=host).status == 200
    assert browser.ask("/api/v1/sets", host=host).status == 401  # by tokens, no cookies
    assert browser.ask(f"/img/{mine}").status == 200  # the control: at a name of its own
    assert browser.ask("/healthz", host=SHARED[3]).status == 403  # a name that might be guessed


def check_pictures(browser, key, folder):
    """Assert that a page gets its pictures, with headers that keep them to it."""
    dataset = Dataset(folder)
    image = browser.ask(f"/img/{browser.grant('image', dataset=key, frame=1)}")
    assert image.status == 200 and image.body == dataset.image_bytes(1)
    assert image.headers["content-type"] == "image/jpeg"
    assert image.headers["x-content-type-options"] == "nosniff"
    assert image.headers["cache-control"].startswith("private, max-age=")
    assert "default-src 'none'" in image.headers["content-security-policy"]
    assert image.headers["referrer-policy"] == "no-referrer"
    made = browser.ask(f"/img/{browser.grant('crop', dataset=key, instance=1, size=96)}")
    with Image.open(io.BytesIO(made.body)) as picture:
        assert picture.size == (96, 96)
    token = browser.grant("crop", dataset=key, frame=0, instance=1, size=10**9)
    with Image.open(io.BytesIO(browser.ask(f"/img/{token}").body)) as picture:
        assert picture.size == (1024, 1024)
    same = {"Sec-Fetch-Site": "same-origin"}
    good = browser.grant("image", dataset=key, frame=1)
    assert browser.ask(f"/img/{good}", headers=same).status == 200


def check_downloads(browser, exports, secret):
    """Assert that downloads are files below the exports folder alone."""
    (exports / "made").mkdir(parents=True)
    (exports / "made" / "a.zip").write_bytes(b"x" * 300_000)
    secret.write_text("secret")
    (exports / "made" / "link").symlink_to(secret)
    fine = browser.ask(f"/download/{browser.grant('download', name='made/a.zip')}")
    assert fine.status == 200 and fine.body == b"x" * 300_000
    assert fine.headers["content-disposition"] == 'attachment; filename="a.zip"'
    assert fine.headers["cache-control"] == "no-store"
    for name in ("../state/studio.key", "made/link", "made", "a\0", "..\\x"):
        answer = browser.ask(f"/download/{browser.grant('download', name=name)}")
        assert answer.status == 404 and b"secret" not in answer.body


def test_pages_get_their_pictures_and_downloads(near, small_photo_set, tmp_path):
    browser = Browser(near)
    check_pictures(browser, near.key, small_photo_set)
    check_downloads(browser, tmp_path / "exports", tmp_path / "secret")


def test_what_needs_a_role_is_logged_with_who_tried(near):
    ann, person = User(name="Ann", role="reviewer"), Person(dataset=near.key, frame=0, instance=1)
    with refused("role"):
        assign(near.store, [person], to="Bo", by=ann)
    assert "refused assign to 'Ann', role reviewer" in near.log()


served = pytest.mark.nightly("a served studio; the table above asks the same guard and routes")


@pytest.fixture
def browser(studio):
    before = state_of(studio)
    yield Browser(studio)
    assert state_of(studio) == before and "Traceback" not in studio.output


@served
def test_the_served_studio_refuses_the_same(browser, studio, studio_set, tmp_path):
    key = content_key(Dataset(studio_set))
    named = tokens(browser, key)
    here = f"{NAME}:{studio.port}"
    for path, asked, status, _ in CASES:
        sent = {k: v.replace(f"{NAME}:8501", here) for k, v in asked.get("headers", {}).items()}
        length = sent.get("Content-Length", "0")
        try:
            answer = browser.ask(path.format(**named), **asked | {"headers": sent})
        except (http.client.HTTPException, ConnectionError):
            assert length == "-1"  # the server hung up
            continue
        assert answer.status in (status, 400), (path, asked, answer)
        assert b"root:" not in answer.body
    eventually(lambda: "a closed path" in log_of(studio), True)
    check_pictures(browser, key, studio_set)
    check_downloads(browser, studio.exports, tmp_path / "secret")
    shutil.rmtree(studio.exports / "made")


@served
def test_streamlits_own_routes_are_guarded(browser, studio):
    own = {"Origin": f"http://{NAME}:{studio.port}"}
    assert browser.websocket(headers=own).status == 101  # the control
    for origin in (*ORIGINS, f"http://localhost:{studio.port}", "file://"):
        assert browser.websocket(headers={"Origin": origin}).status == 403, origin
    forged = own | {"X-Xsrftoken": "2|00|00|1", "Cookie": "_streamlit_xsrf=2|11|11|1"}
    for headers in (own, forged):  # Streamlit's own: no XSRF token
        assert browser.ask(UPLOAD, method="PUT", body=b"x", headers=headers).status == 403
    assert browser.ask("/media/x.png").status == 404
    for path in ("/_stcore/./metrics", "/_stcore/script-health-check"):
        assert b"# TYPE" not in browser.ask(path).body


@served
def test_pages_have_a_policy_and_a_cookie_and_no_secrets(browser, studio):
    first = browser.ask("/", cookie=False)
    assert first.status == 200
    policy = first.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]
    assert first.headers["x-frame-options"] == "DENY"
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
    assert browser.tokens.browser(cookie.split("=", 1)[1].split(";")[0])
    assert "set-cookie" not in browser.ask("/").headers
    kept = {"If-None-Match": first.headers["etag"]}
    assert browser.ask("/", headers=kept).status == 304
    anew = browser.ask("/", headers=kept, cookie=False)
    assert anew.status == 200 and browser.tokens.cookie in anew.headers["set-cookie"]
    secret = load_secret(studio.db.parent).hex()
    for path in ("/", "/_stcore/host-config", "/_stcore/health", "/healthz"):
        answer = browser.ask(path)
        assert answer.status == 200
        assert secret.encode() not in answer.body and str(studio.folder).encode() not in answer.body
