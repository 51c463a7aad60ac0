"""An S3 server on this machine (moto's), and a proxy before it that makes faults."""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from synthstudio.core.places import Url
from synthstudio.dataset.shards import unpack
from synthstudio.dataset.store import Store

SLOW_S = 3.0
Fault = Callable[[str, str, int], str | None]
"""Called with method, path and the number of requests with both so far, from 1. Returns None,
a key of _CODES, "drop" (no answer), "cut" (half of the body), "lost" (done, but not answered),
"slow" (an answer after SLOW_S), "blind" (conditions are not heard) or "bare" (a condition that
failed is not named, as by MinIO)."""
_CODES = {"400": "InvalidToken", "403": "AccessDenied", "500": "InternalError", "503": "SlowDown"}
_KEPT = ("content-type", "etag", "last-modified", "x-amz-checksum-crc32")
BUCKET = "bench"


@contextmanager
def local_s3(folder: Path) -> Iterator[None]:
    """An S3 server with an empty bucket that this process's clients find, a cache in `folder`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SYNTHSTUDIO_CACHE": str(folder / "cache"),
    }
    words = [sys.executable, "-m", "moto.server", "-p", str(port)]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        import boto3

        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield
    finally:
        server.terminate()
        server.wait()


def download(url: Url, folder: Path) -> None:
    """Write the objects of a data set as its folder, without its log and marker."""
    store = Store(url)
    for name in store.names(""):
        if not name.endswith((".tar", ".json")):
            continue
        data = store.read(name)
        assert data is not None  # it was listed
        if name.endswith(".tar"):
            unpack(data, folder / name.removesuffix(".tar"), where=name)
        else:
            folder.mkdir(exist_ok=True)
            (folder / name).write_bytes(data)


class _Handler(BaseHTTPRequestHandler):
    """Pass a request on, with the fault that the server's `fault` names."""

    protocol_version = "HTTP/1.1"
    server: Proxy

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.close_connection = True
        kind = self.server.kind(self.command, self.path.partition("?")[0])
        if kind in _CODES:
            error = f"<Error><Code>{_CODES[kind]}</Code><Message>no</Message></Error>"
            self.send(int(kind), {"content-type": "application/xml"}, error.encode())
        elif kind != "drop":
            self.pass_on(body, kind)

    def pass_on(self, body: bytes, kind: str | None) -> None:
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=30)
        unheard = ("expect", "if-none-match") if kind == "blind" else ("expect",)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in unheard}
        upstream.request(self.command, self.path, body, headers)
        found = upstream.getresponse()
        data, status = found.read(), found.status
        upstream.close()
        if kind == "slow":
            time.sleep(SLOW_S)
        if kind == "bare":
            data = re.sub(rb"<Condition>.*</Condition>", b"", data)
        if kind != "lost":
            kept = {k: v for k, v in found.getheaders() if k.lower() in _KEPT}
            self.send(status, kept, data, cut=kind == "cut")

    def send(self, status: int, headers: dict[str, str], data: bytes, cut: bool = False) -> None:
        with suppress(OSError):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data[: len(data) // 2] if cut else data)
                self.wfile.flush()
            if cut:
                self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer

    def log_message(self, *_: Any) -> None:
        pass


class Proxy(ThreadingHTTPServer):
    """Stands before the server at `endpoint` and makes faults in a bucket; `asked` notes all."""

    def __init__(
        self, endpoint: str, bucket: str, fault: Fault, asked: list[tuple[str, str]]
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream, self.bucket = endpoint.removeprefix("http://"), bucket
        self.fault, self.asked = fault, asked
        self.seen: dict[tuple[str, str], int] = {}
        self.lock = threading.Lock()

    def kind(self, method: str, path: str) -> str | None:
        """The fault of this request."""
        name = path.removeprefix(f"/{self.bucket}/")
        with self.lock:
            self.seen[method, name] = self.seen.get((method, name), 0) + 1
            self.asked.append((method, name))
            return self.fault(method, name, self.seen[method, name])


@contextmanager
def proxied(
    endpoint: str, bucket: str, fault: Fault, asked: list[tuple[str, str]]
) -> Iterator[str]:
    """Run a proxy; yields its endpoint."""
    server = Proxy(endpoint, bucket, fault, asked)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
