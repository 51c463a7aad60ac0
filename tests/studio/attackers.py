"""What attack tests share: raw requests, a signed browser, hostile pictures, proof of no change."""

import asyncio
import base64
import hashlib
import http.client
import io
import os
import sqlite3
import struct
import threading
import zlib
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

from PIL import Image
from waiting import PATIENCE_S, wait_for

from synthstudio.studio.access import BrowserNames, Browsers, load_secret

NAME = "k3q7m2x9v4t8r1w6z5p0.localhost"
"""A name of a browser's own, by which pages are served without TLS."""
ORIGIN = f"http://{NAME}:8501"
OWN = {"Origin": ORIGIN}


Answer = namedtuple("Answer", "status headers body")


async def request(app, path, **scope):
    """Send one request, or ask for a websocket, to an ASGI app; nothing is normalised."""
    plain, _, query = path.partition("?")
    bodies, got = [scope.pop("body", b"")], []
    headers = [(k.lower().encode(), v.encode("latin-1")) for k, v in scope.pop("headers")]

    async def receive():
        if not bodies:
            await asyncio.Event().wait()  # who asked stays
        return {"type": "http.request", "body": bodies.pop(), "more_body": False}

    async def send(message):
        got.append(message)

    usual = {
        "type": "http", "method": "GET", "scheme": "http", "path": unquote(plain),
        "raw_path": plain.encode(), "query_string": query.encode(), "root_path": "",
        "http_version": "1.1", "client": ("127.0.0.1", 50_000), "server": ("127.0.0.1", 8501),
        "headers": headers,
    }  # fmt: skip
    await app(usual | scope, receive, send)
    if got[0]["type"].startswith("websocket"):  # the guard closes with 1008, our routes know none
        return Answer({1008: 403, 1000: 404}[got[0]["code"]], {}, b"")
    found = {k.decode().lower(): v.decode() for k, v in got[0]["headers"]}
    return Answer(got[0]["status"], found, b"".join(m.get("body", b"") for m in got[1:]))


class Browser:
    """A client with a cookie: in this process for a studio with an `app`, else by its port.
    `user`: the name given in it; a served studio knows only those from before its first request."""

    def __init__(self, studio, user=""):
        self.studio, self.browsers = studio, Browsers(load_secret(studio.db.parent))
        self.cookie = self.browsers.new_cookie()
        if user:
            named = getattr(studio, "context", None)
            names = named.names if named else BrowserNames(studio.db.parent)
            names.put(self.browsers.name_of(self.cookie), user)

    def ask(
        self, path, *, method="GET", headers=None, body=None, cookie=True, host=None, at="127.0.0.1"
    ):
        """Send one request with this very path: nothing is normalised."""
        sent = {"Host": f"{NAME}:{self.studio.port}" if host is None else host}
        if cookie:
            sent["Cookie"] = f"{self.browsers.cookie}={self.cookie}"
        if body is not None:
            sent["Content-Length"] = str(len(body))
        lines = [(name, value) for name, value in (sent | (headers or {})).items() if value]
        if hasattr(self.studio, "app"):
            kind = "websocket" if ("Upgrade", "websocket") in lines else "http"
            more = {"headers": lines, "body": body or b"", "method": method, "type": kind}
            return run_apart(request(self.studio.app, path, **more))
        connection = http.client.HTTPConnection(at, self.studio.port, timeout=60)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in lines:
            connection.putheader(name, value)
        try:
            connection.endheaders(body)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            # A websocket that is taken has no body and stays open.
            data = b"" if answer.status == 101 else answer.read()
            return Answer(answer.status, found, data)
        finally:
            connection.close()

    def websocket(self, **options):
        requested = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            "Sec-WebSocket-Protocol": "streamlit",
        }
        headers = requested | options.pop("headers", {})
        return self.ask("/_stcore/stream", headers=headers, **options)


def log_of(studio):
    path = studio.db.parent / "studio-guard.log"
    return path.read_text("utf-8") if path.is_file() else ""


def state_of(studio):
    with sqlite3.connect(f"file:{studio.db}?mode=ro", uri=True) as database:
        lines = sorted(database.iterdump())
    database.close()
    files = [(str(p), p.stat().st_size) for p in sorted(studio.exports.rglob("*")) if p.is_file()]
    for folder in studio.datasets:
        files += [(str(p), p.stat().st_mtime_ns) for p in sorted(Path(folder).rglob("*"))]
    return hashlib.sha256(repr((lines, files)).encode()).hexdigest()


def run_apart(work):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


@contextmanager
def on_a_port(app):
    """Serve an app on a port of this machine; yield its address."""
    import uvicorn

    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started, "a server")
    (socket,) = server.servers[0].sockets
    try:
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)


@contextmanager
def api_studio(folder, *datasets, **more):
    """Data sets served by the server's own routes and guard; `http` asks the routes behind it."""
    from starlette.applications import Starlette
    from starlette.testclient import TestClient
    from streamlit import config

    from synthstudio.studio import guard, server, settings
    from synthstudio.studio.context import context, context_of

    state = folder / "state"
    state.mkdir(exist_ok=True)
    places = {"exports": folder / "exports", "scenes": folder, "state": state}
    database = f"sqlite:///{state / 'review.db'}"
    chosen = settings.Settings(datasets=datasets, database=database, **places, **more)
    before = list(settings._chosen)
    settings.use(chosen)
    config.set_option("server.address", chosen.address)
    parts = server.build(chosen)
    app = Starlette(routes=parts["routes"], middleware=parts["middleware"])
    ctx, client = context(), ("127.0.0.1", 50_000)
    try:
        with TestClient(app, base_url=ORIGIN, client=client) as http:
            found = SimpleNamespace(context=ctx, app=app, http=http, store=ctx.store, port=8501)
            found.key, found.folder = next(iter(ctx.sets), ""), state
            found.db, found.log = state / "review.db", lambda: log_of(found)
            yield found
    finally:
        ctx.store.close()
        context_of.cache_clear()
        settings._chosen[:] = before
        guard.Guard.installed = False


@contextmanager
def answering(answer):
    """Answer every request by `answer(handler)`, whose `body` was read; yield the address."""

    class One(BaseHTTPRequestHandler):
        def do_GET(self):
            self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer(self)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), One) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def picture(mode="RGB", size=(96, 80), kind="PNG", **more):
    file = io.BytesIO()
    Image.new(mode, size, (200, 40, 90, 128)[: len(mode)]).save(file, kind, **more)
    return file.getvalue()


def bomb(side):
    def chunk(name, data):
        tail = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + tail

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1 << 20), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )
