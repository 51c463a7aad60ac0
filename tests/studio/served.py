"""A studio in a process of its own, and what a browser's page does wrong."""

import contextlib
import os
import random
import socket
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from attackers import NAME
from waiting import PATIENCE_S, wait_for

from synthstudio.core.places import is_local

PATIENCE_MS = int(1000 * PATIENCE_S)
"""The limit of what Playwright waits for, by actions and by expect()."""
_CRAWLERS = "'sha256-THxz9J9+wf7rhwR2YkXJoSZ13UCmYyC+3lNDv2+8ugA='"
"""Streamlit's inline script, a mark for crawlers, which our policy does not run."""
_PROBES = ("/_stcore/health", "/_stcore/host-config")
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Studio:
    """A studio in a process of its own. `db`: its SQLite file; `exports`, `state`: its folders."""

    folder: Path
    datasets: tuple
    environment: dict = field(default_factory=dict)
    more: tuple = ()
    port: int = 0
    process: subprocess.Popen | None = None

    @property
    def url(self):
        return f"http://{NAME}:{self.port}"

    @property
    def api(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def db(self):
        return self.folder / "state" / "review.db"

    @property
    def key(self):
        from synthstudio.studio.access import load_secret, local_key

        return local_key(load_secret(self.db.parent))

    @property
    def exports(self):
        return self.folder / "exports"

    @property
    def output(self):
        log = self.folder / "server.log"
        return log.read_text("utf-8", "replace") if log.exists() else ""

    def start(self):
        fixed = self.port
        for _ in range(20):
            self.port = fixed or free_port()
            began = len(self.output)
            self._launch()
            try:
                wait_for(self._stands, "the studio answers, or ends")
            except AssertionError as error:
                self.kill()
                raise AssertionError(f"{error}\n{self.output}") from None
            if self.process.poll() is None:
                return self
            if f"Port {self.port} is not available" not in self.output[began:]:
                break
        raise AssertionError(f"the studio ended:\n{self.output}")

    def _launch(self):
        command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "streamlit_app.py")]
        command += [f"--server.port={self.port}", "--", *map(str, self.datasets)]
        command += ["--state", str(self.db.parent), "--exports", str(self.exports)]
        command += ["--scenes", str(ROOT / "scenes"), *self.more]
        self.exports.mkdir(parents=True, exist_ok=True)
        cache = Path.home() / ".cache"  # kernels and bodies: another HOME would make them anew
        environment = {"XDG_CACHE_HOME": str(cache), "ANNY_CACHE_DIR": str(cache / "anny")}
        environment |= {**os.environ, "HOME": str(self.folder), **self.environment}
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, env=environment
            )

    def _stands(self):
        """Whether the server answers, or its process has ended."""
        if self.process.poll() is not None:
            return True
        try:
            urllib.request.urlopen(f"{self.api}/healthz", timeout=10).close()
        except OSError:
            return False
        return True

    def kill(self):
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait(60)

    def restart(self):
        """End the server at once and start it on the same port and database."""
        self.kill()
        self.start()


def free_port():
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port


def settled(page):
    page.get_by_test_id("stApp").and_(
        page.locator("[data-test-script-state='notRunning']")
    ).wait_for()


class Watch:
    """What pages did wrong. Append to `expected` a part of a message that is no fault."""

    def __init__(self):
        self.clear()

    def clear(self):
        self.faults, self.requests = [], []
        self.expected = ["ERR_UNSAFE_PORT"]  # of the last test's editor, whose host is gone

    def on(self, page):
        """Watch a page: its console, its exceptions, and where it asks."""
        page.on("console", self._console)
        page.on("pageerror", lambda e: self.faults.append(f"exception: {e}"))
        page.on("request", lambda r: self._request(r.url))
        page.on("websocket", lambda w: self._request(w.url))
        return page

    def check(self):
        left = [f for f in self.faults if not any(part in f for part in self.expected)]
        assert not left, "\n".join(left)

    def _console(self, message):
        if message.type == "error":
            where = message.location.get("url", "") if message.location else ""
            if urlsplit(where).path.endswith(_PROBES) and "404" in message.text:
                return  # below a page's own address; it then asks at the root
            if _CRAWLERS not in message.text:
                self.faults.append(f"console: {message.text} {where}")

    def _request(self, url):
        self.requests.append(url)
        parts = urlsplit(url)
        if parts.scheme in ("http", "https", "ws", "wss") and not is_local(parts.hostname):
            self.faults.append(f"request off this machine: {url}")
