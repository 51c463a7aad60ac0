"""Requests that no page of ours sends: refused and logged; what a page asks is answered."""

import io
from typing import Any

import pytest
from attackers import NAME, OWN, Browser, api_studio, state_of
from PIL import Image
from review_ops import refused

from synthstudio.dataset.reader import Dataset
from synthstudio.review.models import JobRow, utc_now
from synthstudio.review.team.members import assign, set_role
from synthstudio.review.values import Person, User
from synthstudio.studio.access import Browsers, load_secret

UPLOAD = "/_stcore/upload_file/11111111-1111-1111-1111-111111111111/a"
IMAGE, CROP = "/api/v1/sets/{key}/frames/1/image", "/api/v1/sets/{key}/people/0/1/crop"
CASES: list[tuple[str, dict[str, Any], int, str]] = [
    # path, request, status, what is logged
    (IMAGE, {"cookie": False}, 401, "an unauthenticated call"),
    (IMAGE, {"method": "DELETE"}, 401, "an unauthenticated call"),
    (IMAGE, {"method": "POST", "headers": OWN}, 401, "an unauthenticated call"),
    (IMAGE, {"method": "POST", "headers": OWN | {"Synthstudio-User": "Ada"}}, 405, "with 405"),
    (IMAGE, {"headers": {"Synthstudio-User": "Eve"}}, 401, "a page of another user"),
    (IMAGE, {"headers": {"Sec-Fetch-Site": "cross-site"}}, 403, "another site's page"),
    ("/auth/logout", {"headers": {"Sec-Fetch-Site": "same-site"}}, 403, "another site's page"),
    (IMAGE, {"headers": {"Origin": "http://evil.example"}}, 403, "a foreign origin"),
    (IMAGE, {"headers": {"Origin": "null"}}, 403, "a foreign origin"),
    ("/api/v1/sets/..{key}/frames/1/image", {}, 404, ""),
    ("/api/v1/sets/{key}/frames/999/image", {}, 404, ""),
    ("/api/v1/sets/{key}/frames/-1/image", {}, 400, "with 400"),
    (f"/api/v1/sets/{{key}}/frames/{2**70}/image", {}, 400, "with 400"),
    ("/api/v1/sets/{key}/frames/..%2f..%2f1/image", {}, 404, ""),
    ("/api/v1/sets/{key}/people/0/77/crop", {}, 404, ""),
    (f"{CROP}?size=1000000000", {}, 400, "with 400"),
    (f"{CROP}?size=64&user=Eve", {}, 400, "with 400"),
    ("/api/v1/jobs/1/archive", {}, 403, "with 403"),
    ("/api/v1/jobs/..%2fstate%2fstudio.key/archive", {}, 404, ""),
    ("/api/v1/jobs/%2e%2e%2f%2e%2e%2fetc%2fpasswd", {}, 404, ""),
    ("/healthz", {"host": "evil.example"}, 403, "a foreign host"),
    ("/healthz", {"host": "127.0.0.1.evil.example"}, 403, "a foreign host"),
    ("/healthz", {"host": "a@127.0.0.1"}, 403, "a foreign host"),
    ("/healthz", {"host": ""}, 403, "a foreign host"),
    ("/healthz", {"headers": {"X-Forwarded-For": "10.1.2.3"}}, 403, "a forwarded request"),
    ("/healthz", {"headers": {"Forwarded": "for=10.1.2.3"}}, 403, "a forwarded request"),
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


def test_attacks_are_refused_and_logged(near):
    browser = Browser(near, user="Ada")
    for path, asked, status, reason in CASES:
        before = len(near.log())
        answer = browser.ask(path.format(key=near.key), **asked)
        assert answer.status == status, (path, asked, answer)
        assert b"root:" not in answer.body and str(near.folder).encode() not in answer.body
        assert reason in near.log()[before:], (path, asked, near.log()[before:])
    for origin in ORIGINS:
        assert browser.websocket(headers={"Origin": origin}).status == 403, origin
    assert browser.websocket(headers=OWN).status == 404  # the control: it gets past the guard
    assert "Traceback" not in near.log()


def test_pictures_are_for_browsers_that_are_known(near):
    """A cookie of another server, an altered one, one that gave no name: none of them is."""
    path, good = IMAGE.format(key=near.key), Browser(near, user="Ada")
    assert good.ask(path).status == 200  # the control
    value, signature = good.cookie.rsplit(".", 1)
    forged = (value, f"{value[1:]}.{signature}", f"{value}.{signature[::-1]}", "x", "")
    for cookie in (*forged, Browsers(b"o" * 32).new_cookie(), good.browsers.new_cookie()):
        headers = {"Cookie": f"{good.browsers.cookie}={cookie}"}
        assert good.ask(path, cookie=False, headers=headers).status == 401, cookie


SHARED = ("127.0.0.1:8501", "localhost:8501", "[::1]:8501", f"{NAME[:19]}.localhost:8501")


@pytest.mark.parametrize("host", SHARED[:3])
def test_no_cookie_is_sent_or_read_where_other_ports_have_it_too(near, host):
    """Browsers send cookies of 127.0.0.1 to every port of it, also to another account's."""
    browser = Browser(near, user="Ada")
    for path in ("/", "/review?frame=1", "/sign-in"):
        led = browser.ask(path, host=host, headers={"Accept": "text/html"})
        assert led.status == 200 and b"/way-in.js" in led.body
        assert "set-cookie" not in led.headers and "script-src 'self'" in str(led.headers)
    script = browser.ask("/way-in.js", host=host)
    assert script.headers["content-type"].startswith("text/javascript")
    for path in ("/_stcore/host-config", "/static/a.js"):
        assert browser.ask(path, host=host).status == 403, path
    origin = {"Origin": f"http://{host}"}
    assert browser.websocket(host=host, headers=origin).status == 403
    assert browser.ask("/sign-in", method="POST", host=host, headers=origin).status == 403
    assert "a host name whose cookies are sent to other ports" in near.log()
    assert browser.ask("/healthz", host=host).status == 200
    image = IMAGE.format(key=near.key)
    assert browser.ask(image, host=host).status == 401  # by tokens, no cookies
    assert browser.ask(image).status == 200  # the control: at a name of its own
    assert browser.ask("/healthz", host=SHARED[3]).status == 403  # a name that might be guessed


def test_pages_get_their_pictures_with_headers_that_keep_them_to_them(near, small_photo_set):
    browser, same = Browser(near, user="Ada"), {"Sec-Fetch-Site": "same-origin"}
    image = browser.ask(IMAGE.format(key=near.key), headers=same)
    assert image.status == 200 and image.body == Dataset(small_photo_set).image_bytes(1)
    wanted = {
        "content-type": "image/jpeg",
        "x-content-type-options": "nosniff",
        "cache-control": "private, max-age=1800, immutable",
        "content-security-policy": "default-src 'none'; sandbox",
        "referrer-policy": "same-origin",
    }
    assert image.headers | wanted == image.headers
    made = browser.ask(f"{CROP.format(key=near.key)}?size=96")
    with Image.open(io.BytesIO(made.body)) as picture:
        assert picture.size == (96, 96)


def test_downloads_are_archives_of_exports_for_those_who_may_export(near, tmp_path):
    exports, secret = tmp_path / "exports", tmp_path / "secret"
    exports.mkdir()
    secret.write_text("of nobody else")
    (exports / "made.zip").write_bytes(b"x" * 300_000)
    (exports / "link.zip").symlink_to(secret)
    (exports / "folder.zip").mkdir()
    with near.store.session() as session:
        rows = [
            JobRow(kind=kind, who="Ada", spec={}, state=state, created=utc_now(), out=out)
            for kind, state, out in (
                ("export", "done", "made"),
                ("export", "running", "made"),
                ("generate", "done", "made"),
                *(("export", "done", out) for out in ("link", "folder", "gone")),
                *(("export", "done", out) for out in ("../secret", "studio", "/etc/passwd")),
            )
        ]
        for row in rows:
            row.progress, row.message = {}, ""
        session.add_all(rows)
        session.flush()
        fine, *others = [row.id for row in rows]
    for name, role in (("Ada", "lead"), ("Rea", "reviewer"), ("Vic", "viewer")):
        set_role(near.store, name, role, by=User(name="x", role="admin"))
    ada = Browser(near, user="Ada")
    near.context.keys.put(ada.browsers.name_of(ada.cookie), "shown")
    archive = ada.ask(f"/api/v1/jobs/{fine}/archive")
    assert archive.status == 200 and archive.body == b"x" * 300_000
    assert archive.headers["content-disposition"] == 'attachment; filename="made.zip"'
    assert archive.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in archive.headers["content-security-policy"]
    for number in (*others, 999):
        answer = ada.ask(f"/api/v1/jobs/{number}/archive")
        assert answer.status in (400, 404) and b"nobody else" not in answer.body, number
    for who, status in (("Rea", 403), ("Vic", 403), ("Eve", 401), ("", 401)):
        asked = Browser(near, user=who).ask(f"/api/v1/jobs/{fine}/archive")
        assert asked.status == status and b"xxx" not in asked.body, who


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
    assert browser.browsers.name_of(cookie.split("=", 1)[1].split(";")[0])
    assert "set-cookie" not in browser.ask("/").headers
    kept = {"If-None-Match": first.headers["etag"]}
    assert browser.ask("/", headers=kept).status == 304
    anew = browser.ask("/", headers=kept, cookie=False)
    assert anew.status == 200 and browser.browsers.cookie in anew.headers["set-cookie"]
    secret = load_secret(studio.db.parent).hex()
    for path in ("/", "/_stcore/host-config", "/_stcore/health", "/healthz"):
        answer = browser.ask(path)
        assert answer.status == 200
        assert secret.encode() not in answer.body and str(studio.folder).encode() not in answer.body
