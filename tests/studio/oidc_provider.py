"""A small OpenID Connect provider for tests: discovery, authorize, token (RS256), keys."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode

from attackers import on_a_port
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "synthstudio", "not-a-secret-but-long-enough"


class Provider:
    """`people`: name on the page -> claims. `alter` may change the claims of an id_token;
    `sign_with` is the key that signs, not always the one that is published.
    """

    url = ""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "one"}, private=True)
        self.sign_with = self.key
        self.people: dict[str, dict[str, Any]] = {}
        self.alter: Callable[[dict[str, Any]], dict[str, Any]] = lambda claims: claims
        self.codes: dict[str, dict[str, str]] = {}

    @property
    def environment(self) -> dict[str, str]:
        """What the studio is told of this provider."""
        return {
            "SYNTHSTUDIO_OIDC_CLIENT_ID": CLIENT,
            "SYNTHSTUDIO_OIDC_CLIENT_SECRET": SECRET,
            "SYNTHSTUDIO_OIDC_METADATA_URL": f"{self.url}/.well-known/openid-configuration",
        }

    async def discovery(self, _: Request) -> Response:
        places = {"authorization_endpoint": "authorize", "token_endpoint": "token"}
        found: dict[str, Any] = {
            "issuer": self.url,
            **{name: f"{self.url}/{place}" for name, place in places.items()},
            "jwks_uri": f"{self.url}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }
        return JSONResponse(found)

    async def authorize(self, request: Request) -> Response:
        """The page on which one chooses who one is."""
        asked = dict(request.query_params)
        assert asked["client_id"] == CLIENT and asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        links = ""
        for name in self.people:
            code = secrets.token_urlsafe(16)
            self.codes[code] = asked | {"person": name}
            back = urlencode({"code": code, "state": asked["state"]})
            links += f'<p><a href="{asked["redirect_uri"]}?{back}">I am {name}</a></p>'
        icon = '<link rel="icon" href="data:,">'
        return HTMLResponse(f"<!DOCTYPE html><title>Provider</title>{icon}<h1>Provider</h1>{links}")

    async def token(self, request: Request) -> Response:
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
        claims |= {"nonce": given["nonce"], **self.people[who]}
        header = {"alg": "RS256", "kid": "one"}
        signed = jwt.encode(header, self.alter(claims), self.sign_with, algorithms=["RS256"])
        access = {"access_token": secrets.token_hex(8), "token_type": "Bearer"}
        return JSONResponse(access | {"id_token": signed})

    async def keys(self, _: Request) -> Response:
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})


@contextmanager
def provider_on_a_port() -> Iterator[Provider]:
    """Serve a provider on a free port of this machine."""
    found = Provider()
    routes = [
        Route("/.well-known/openid-configuration", found.discovery),
        Route("/authorize", found.authorize),
        Route("/token", found.token, methods=["POST"]),
        Route("/keys", found.keys),
    ]
    with on_a_port(Starlette(routes=routes)) as found.url:
        yield found
