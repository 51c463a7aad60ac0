"""Sign-in by OpenID Connect, all the way in a browser, against a provider of the test's own."""

import base64
import hashlib
import secrets
import time
from urllib.parse import parse_qs, urlencode

import pytest
from attackers import NAME, Browser, log_of, on_a_port
from joserfc import jwt
from joserfc.jwk import RSAKey
from playwright.sync_api import expect
from reviewing import eventually
from served import free_port, settled
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from synthstudio.cli.review import parse_studio
from synthstudio.core.errors import StudioError, SynthStudioError
from synthstudio.dataset.reader import Dataset
from synthstudio.review.history import content_key
from synthstudio.review.store import open_store
from synthstudio.review.team.members import set_role
from synthstudio.review.values import User
from synthstudio.studio.access import BrowserNames, SignIns, auth_section, identity

in_browser = pytest.mark.nightly("sign-in of a served studio in a browser")
ADA, BO, EVE = "ada@lab.example", "bo@lab.example", "eve@lab.example"


PEOPLE = {"Ada": ADA, "Bo": BO, "Eve": EVE, "Mallory": ADA}
CLIENT, SECRET = "synthstudio", "not-a-secret-but-long-enough"


class Provider:
    """A small OpenID Connect provider. `alter`: to other claims; `sign_with`: another key."""

    def __init__(self):
        self.sign_with = self.key = RSAKey.generate_key(2048, {"kid": "one"}, private=True)
        self.alter = lambda claims: claims
        self.codes, self.url = {}, ""

    def answer(self, request):
        what = request.path_params["what"]
        if what == ".well-known/openid-configuration":
            return JSONResponse(
                {
                    "issuer": self.url,
                    "authorization_endpoint": f"{self.url}/authorize",
                    "token_endpoint": f"{self.url}/token",
                    "jwks_uri": f"{self.url}/keys",
                    "response_types_supported": ["code"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["RS256"],
                    "code_challenge_methods_supported": ["S256"],
                }
            )
        if what == "keys":
            return JSONResponse({"keys": [self.key.as_dict(private=False)]})
        asked = dict(request.query_params)  # the page on which one chooses who one is
        assert asked["client_id"] == CLIENT and asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        links = '<link rel="icon" href="data:,">'
        for name in PEOPLE:
            code = secrets.token_urlsafe(16)
            self.codes[code] = asked | {"person": name}
            back = urlencode({"code": code, "state": asked["state"]})
            links += f'<p><a href="{asked["redirect_uri"]}?{back}">I am {name}</a></p>'
        return HTMLResponse(f"<!DOCTYPE html><title>Provider</title>{links}")

    async def token(self, request):
        """The tokens for a code, once; an error for whom it was not given to."""
        asked = {k: v[0] for k, v in parse_qs((await request.body()).decode()).items()}
        given = self.codes.pop(asked.get("code", ""), None)
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        verifier = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        if (
            given is None
            or request.headers.get("authorization") != f"Basic {basic}"
            or asked.get("redirect_uri") != given["redirect_uri"]
            or challenge != given["code_challenge"]
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        now, who = int(time.time()), given["person"]
        claims = {"iss": self.url, "aud": CLIENT, "sub": who, "iat": now, "exp": now + 600}
        claims |= {"email": PEOPLE[who], "email_verified": who != "Mallory"}
        claims = self.alter(claims | {"nonce": given["nonce"]})
        header = {"alg": "RS256", "kid": "one"}
        signed = jwt.encode(header, claims, self.sign_with, algorithms=["RS256"])
        access = {"access_token": secrets.token_hex(8), "token_type": "Bearer"}
        return JSONResponse(access | {"id_token": signed})


@pytest.fixture(scope="module")
def provider():
    found = Provider()
    routes = [Route("/token", found.token, methods=["POST"]), Route("/{what:path}", found.answer)]
    with on_a_port(Starlette(routes=routes)) as found.url:
        yield found


@pytest.fixture(scope="module")
def guarded(start_studio, studio_set, provider):
    port = free_port()
    studio = start_studio(
        studio_set,
        port=port,
        environment={
            "SYNTHSTUDIO_OIDC_CLIENT_ID": CLIENT,
            "SYNTHSTUDIO_OIDC_CLIENT_SECRET": SECRET,
            "SYNTHSTUDIO_OIDC_METADATA_URL": f"{provider.url}/.well-known/openid-configuration",
        },
        more=("--url", f"http://{NAME}:{port}", "--admin", ADA),
    )
    store = open_store(f"sqlite:///{studio.db}")
    set_role(store, BO, "reviewer", by=User(name=ADA, role="admin"))
    store.close()
    return studio


def sign_in(page, studio, who):
    page.goto(studio.url)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name=f"I am {who}").click()
    page.wait_for_url(f"{studio.url}/**")
    settled(page)
    return page


@in_browser
@pytest.mark.browser
def test_the_way_in_and_out(page, guarded):
    page.goto(guarded.url)
    page.get_by_role("button", name="Sign in").wait_for()
    settled(page)
    expect(page.get_by_role("textbox")).to_have_count(0)  # no name is asked for
    sign_in(page, guarded, "Ada")
    page.get_by_text(f"{ADA} · admin").wait_for()
    assert "refused a sign-in" not in log_of(guarded)  # control of the test of forged ones
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in").wait_for()


@in_browser
@pytest.mark.browser
def test_pages_and_pictures_are_for_members_who_signed_in(new_page, watch, guarded, studio_set):
    watch.expected.append("status of 401")
    path = f"/api/v1/sets/{content_key(Dataset(studio_set))}/frames/0/image"
    shown = {"Ada": f"{ADA} · admin", "Bo": f"{BO} · reviewer"}
    for who, said in (shown | {"Eve": "not a member", "Mallory": "verified"}).items():
        status = 200 if who in shown else 401
        page = sign_in(new_page(), guarded, who)
        page.get_by_text(said).first.wait_for()
        settled(page)
        if who not in shown:
            expect(page.get_by_test_id("stSidebar").get_by_text("Data set")).to_have_count(0)
        got = page.evaluate("path => fetch(path).then(answer => answer.status)", path)
        assert got == status, who
        jar = {c["name"]: c["value"] for c in page.context.cookies()}
        browser = Browser(guarded)
        browser.cookie = jar[browser.browsers.cookie]
        assert browser.ask(path).status == 401  # the browser's cookie alone is not a sign-in
        for altered, found in (({}, status), ({"_streamlit_user": "x"}, 401)):
            headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in (jar | altered).items())}
            assert browser.ask(path, cookie=False, headers=headers).status == found, who
        headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in jar.items())}
        browser.ask("/auth/logout", cookie=False, headers=headers)
        assert browser.ask(path, cookie=False, headers=headers).status == 401, who  # a copy


FORGED = {
    "key": {}, "audience": {"aud": "another"}, "issuer": {"iss": "http://evil.example"},
    "expired": {"exp": int(time.time()) - 9000}, "nonce": {"nonce": "x"},
}  # fmt: skip


@in_browser
@pytest.mark.browser
def test_forged_identities(new_page, watch, guarded, provider):
    watch.expected += ["status of 500", "status of 4", "console:"]
    own = provider.key
    for how, claims in FORGED.items():
        provider.alter = lambda real, forged=claims: real | forged
        if how == "key":
            provider.sign_with = RSAKey.generate_key(2048, {"kid": "one"}, private=True)
        before, page = log_of(guarded).count("refused a sign-in"), new_page()
        page.goto(guarded.url)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("link", name="I am Ada").click()
        page.wait_for_url(f"{guarded.url}/**")
        assert "_streamlit_user" not in {c["name"] for c in page.context.cookies()}, how
        eventually(lambda: log_of(guarded).count("refused a sign-in"), before + 1)
        page.goto(guarded.url)
        page.get_by_role("button", name="Sign in").wait_for()
        settled(page)
        expect(page.get_by_text(ADA)).to_have_count(0)
        provider.alter, provider.sign_with = lambda claims: claims, own


@in_browser
def test_other_machines_may_ask_when_people_sign_in(guarded):
    browser = Browser(guarded)
    assert browser.ask("/", headers={"X-Forwarded-For": "10.0.0.9"}).status == 200
    assert browser.ask("/", host="evil.example").status == 403
    assert browser.ask("/media/a.png").status == 403  # nobody signed in


FILE = """[auth]
client_id = "a"
client_secret = "b"
server_metadata_url = "https://id.example/.well-known/openid-configuration"
"""


def test_a_file_of_secrets_also_in_streamlits_own_place(tmp_path):
    path, url = tmp_path / "secrets.toml", "https://studio.example"

    def section(text=FILE, mode=0o600, url=url, *, own=False):
        path.write_text(text)
        path.chmod(mode)
        words = [] if own else ["--secrets", str(path)]
        settings = parse_studio([*words, *(["--url", url] if url else [])])
        return auth_section(settings, others=(path,) if own else ())

    assert section()["redirect_uri"] == "https://studio.example/oauth2callback"
    assert section(url=f"http://{NAME}:8501")["redirect_uri"].startswith(f"http://{NAME}:8501/")
    assert section(own=True)["client_id"] == "a" and section("a = 1") == {}
    for text, mode, address, why in (
        (FILE, 0o644, url, "chmod 600"),
        ("[", 0o600, url, "invalid TOML"),
        ('[auth]\nclient_id = "a"\n', 0o600, url, "incompletely"),
        (FILE, 0o600, None, "incompletely"),
        (FILE.replace("https:", "http:"), 0o600, url, "https"),
        (FILE, 0o600, "http://127.0.0.1:8501", "reach every port"),
    ):
        for own in (False, True):
            with pytest.raises(StudioError, match=why):
                section(text, mode, address, own=own)
    assert auth_section(parse_studio([]), others=(tmp_path / "none.toml",)) == {}


def test_who_somebody_is(monkeypatch):
    claims = {"email": ADA, "email_verified": True, "sub": "7"}
    assert identity(claims) == ADA
    with monkeypatch.context() as patch:
        patch.setenv("SYNTHSTUDIO_OIDC_CLAIM", "sub")
        assert identity(claims) == "7"
    other = (f" {ADA}", f"{ADA}\u3000", ADA.replace("a", "\uff41", 1), ["x"], "<b>@x", "")
    wrong = [*({"email_verified": bad} for bad in (False, 1)), *({"email": bad} for bad in other)]
    for bad in ({}, {"email": ADA}, *(claims | one for one in wrong)):
        with pytest.raises(SynthStudioError):
            identity(bad)


def test_names_are_remembered_by_browser(tmp_path):
    names = BrowserNames(tmp_path)
    assert names.get("one") is None
    names.put("one", "Ada")
    names.put("", "Nobody")
    assert BrowserNames(tmp_path).get("one") == "Ada" and BrowserNames(tmp_path).get("") is None
    names.drop("one")
    assert BrowserNames(tmp_path).get("one") is None
    (tmp_path / "studio-names.json").write_text('{"x": "<script>"}')
    assert BrowserNames(tmp_path).get("one") is None


def test_a_sign_in_is_known_by_the_whole_cookie_and_ends(tmp_path, monkeypatch):
    cookies = {"_streamlit_user": "a.b.c", "_streamlit_user__1": "b", "other": "c"}
    SignIns(tmp_path).note(cookies, ADA)
    kept = SignIns(tmp_path)  # after a restart of the server
    assert kept.of(cookies) == kept.of(cookies | {"other": "d"}) == ADA
    assert kept.of(cookies | {"_streamlit_user__1": "x"}) is None is kept.of({"other": "c"})
    kept.secret = "another"
    assert kept.of(cookies) is None
    kept.secret = ""
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61 * 24 * 3600)
    assert kept.of(cookies) is None
    kept.note(cookies, ADA)
    other = {"_streamlit_user": "a.b.d"}  # the same signature, written otherwise
    kept.note(other, ADA)
    kept.forget(cookies)
    for copy in (cookies, other):
        kept.note(copy, ADA)
        assert SignIns(tmp_path).has_ended(copy) and kept.of(copy) is None
