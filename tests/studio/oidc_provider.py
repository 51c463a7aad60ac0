"""A small OpenID Connect provider for tests: discovery, authorize, token (RS256), keys."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "synthstudio", "not-a-secret-but-long-enough"


class Provider:
    """Serves on a free port of this machine until `stop`.

    `people`: name on the page -> claims. `alter` may change the claims of an id_token;
    `sign_with` is the key that signs, not always the one that is published.
    """

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "one"}, private=True)
        self.sign_with = self.key
        self.people: dict[str, dict[str, Any]] = {}
        self.alter: Callable[[dict[str, Any]], dict[str, Any]] = lambda claims: claims
        self.codes: dict[str, dict[str, str]] = {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)

    @property
    def environment(self) -> dict[str, str]:
        """Return what the studio is told of this provider."""
        return {
            "SYNTHSTUDIO_OIDC_CLIENT_ID": CLIENT,
            "SYNTHSTUDIO_OIDC_CLIENT_SECRET": SECRET,
            "SYNTHSTUDIO_OIDC_METADATA_URL": f"{self.url}/.well-known/openid-configuration",
        }

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    def authorize(self, requested: dict[str, str]) -> str:
        """Return the page on which one chooses who one is."""
        assert requested["client_id"] == CLIENT and requested["response_type"] == "code"
        assert requested["code_challenge_method"] == "S256"
        links = ""
        for name in self.people:
            code = secrets.token_urlsafe(16)
            self.codes[code] = requested | {"person": name}
            back = urlencode({"code": code, "state": requested["state"]})
            links += f'<p><a href="{requested["redirect_uri"]}?{back}">I am {name}</a></p>'
        icon = '<link rel="icon" href="data:,">'
        return f"<!DOCTYPE html><title>Provider</title>{icon}<h1>Provider</h1>{links}"

    def token(self, requested: dict[str, str], authorization: str) -> dict[str, Any] | None:
        """Return the tokens for a code, once; None for whom it was not given to."""
        given = self.codes.pop(requested.get("code", ""), None)
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        verifier = hashlib.sha256(requested.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        if (
            given is None
            or authorization != f"Basic {basic}"
            or requested.get("redirect_uri") != given["redirect_uri"]
            or challenge != given["code_challenge"]
        ):
            return None
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "sub": given["person"],
            "iat": now,
            "exp": now + 600,
            "nonce": given["nonce"],
            **self.people[given["person"]],
        }
        header = {"alg": "RS256", "kid": "one"}
        signed = jwt.encode(header, self.alter(claims), self.sign_with, algorithms=["RS256"])
        return {"access_token": secrets.token_hex(8), "token_type": "Bearer", "id_token": signed}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path == "/.well-known/openid-configuration":
                    self.answer(provider.discovery())
                elif parts.path == "/keys":
                    self.answer({"keys": [provider.key.as_dict(private=False)]})
                elif parts.path == "/authorize":
                    requested = {k: v[0] for k, v in parse_qs(parts.query).items()}
                    self.answer(provider.authorize(requested))
                else:
                    self.answer({}, 404)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                requested = {k: v[0] for k, v in parse_qs(body).items()}
                found = provider.token(requested, self.headers.get("Authorization", ""))
                self.answer(found or {"error": "invalid_grant"}, 200 if found else 400)

            def answer(self, what: Any, status: int = 200) -> None:
                page = isinstance(what, str)
                data = (what if page else json.dumps(what)).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/html" if page else "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
