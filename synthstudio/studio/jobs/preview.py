"""Previews of recipes: requested by pages, drawn by one warm process, stored as files."""

import functools
import hashlib
import json
import selectors
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from synthstudio.core.errors import Refused, StudioError
from synthstudio.core.last_used import LastUsed
from synthstudio.dataset.durable import canonical_json
from synthstudio.recipe.schema.load import dump
from synthstudio.recipe.schema.recipe import Recipe
from synthstudio.studio.jobs import process
from synthstudio.studio.jobs.orders import asset_roots, check_folders
from synthstudio.studio.settings import Settings

LONGEST_S, FIRST_S = 60.0, 240.0
"""Timeouts of a preview, and of a process's first, which loads all data."""
IDLE_S = 300.0
MAX_WAITING = 8
MAX_FILES = 64
MAX_DRAWN = 100
MAX_BYTES = 3 * 2**30
"""Limits after which a process is replaced: previews drawn, memory."""
LAST_FRAME = 9_999


@dataclass(frozen=True, kw_only=True)
class Preview:
    """A preview's state. `picture`: its JPEG when done; `message`: why it failed."""

    state: Literal["waiting", "done", "failed"]
    picture: bytes = b""
    message: str = ""


class Previews:
    """Draws previews one after another; thread-safe. No picture is held in memory."""

    def __init__(self, settings: Settings) -> None:
        self._folder, self._settings = settings.state / "previews", settings
        self._waiting: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._failed: LastUsed[str, str] = LastUsed(MAX_FILES)
        self._lock = threading.Condition()
        self._thread: threading.Thread | None = None
        self._worker: subprocess.Popen[str] | None = None
        self._drawn = 0

    def request(self, recipe: Recipe, *, assets: int, index: int) -> str:
        """Order a preview and return its key; equal requests have equal keys.

        A failed one is not retried before `forget`.
        Refused if asset folders are missing, or too many previews wait.
        """
        if not 0 <= index <= LAST_FRAME:
            raise Refused(
                "no such frame",
                where="preview",
                expected=f"0 to {LAST_FRAME}",
                got=str(index),
                reason="invalid",
            )
        root = asset_roots(self._settings)[assets]
        check_folders(recipe, root)
        values = dump(recipe)
        # A folder's modification time changes when a photo is added.
        times = [(root / name).stat().st_mtime_ns for name in sorted(recipe.folders.values())]
        identity = canonical_json([values, str(root), times, index])
        key = hashlib.sha256(identity).hexdigest()[:32]
        if not self._failed.get(key) and not self._path(key).is_file():
            request = {
                "key": key,
                "recipe": values,
                "assets": str(root),
                "index": index,
                "out": str(self._path(key)),
            }
            self._enqueue(key, request)
        return key

    def status(self, key: str) -> Preview:
        """Return a preview's state; "failed" also for unknown ones."""
        with self._lock:
            if key in self._waiting:
                return Preview(state="waiting")
        if message := self._failed.get(key):
            return Preview(state="failed", message=message)
        try:
            data = self._path(key).read_bytes()
        except OSError:
            return Preview(state="failed", message="The preview no longer exists.")
        return Preview(state="done", picture=data)

    def forget(self, key: str) -> None:
        """Allow a failed preview to be retried."""
        self._failed.pop(key)

    def close(self) -> None:
        with self._lock:
            self._waiting.clear()
            self._end()

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.jpg"

    def _enqueue(self, key: str, request: dict[str, Any]) -> None:
        with self._lock:
            if key in self._waiting:
                return
            if len(self._waiting) >= MAX_WAITING:
                raise Refused(
                    "too many queued previews",
                    where="preview",
                    then="Try again in a moment.",
                    reason="busy",
                )
            self._waiting[key] = request
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="previews", daemon=True)
                self._thread.start()
            self._lock.notify()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._lock.wait_for(lambda: self._waiting, timeout=IDLE_S):
                    self._end()
                    self._thread = None
                    return
                key, request = next(iter(self._waiting.items()))
            message = ""
            try:
                self._draw(request)
            except (StudioError, OSError) as error:
                message = str(error)
            with self._lock:
                self._waiting.pop(key, None)
                if message:
                    self._failed.put(key, message)
            for old in sorted(self._folder.glob("*.jpg"), key=_age)[MAX_FILES:]:
                old.unlink(missing_ok=True)

    def _draw(self, request: Mapping[str, Any]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        used = self._worker
        answer = self._exchange(worker := self._worker_process(), request)
        if answer is None and worker is used and worker.poll() is not None:
            # It had died since the last one.
            answer = self._exchange(self._worker_process(), request)
        if answer is None:
            self._end()
            output = process.tail(self._folder / process.ERR_NAME, lines=3)
            raise StudioError(
                "the preview could not be drawn",
                where="preview",
                expected=f"an answer within {LONGEST_S:.0f} s",
                got=output or "nothing",
                then="Simplify the recipe, or try another frame.",
            )
        self._drawn += 1
        if "error" in answer:
            raise StudioError(str(answer["error"]))

    def _exchange(
        self, worker: subprocess.Popen[str], request: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """A process's answer to a request; None if it died or timed out."""
        assert worker.stdin is not None and worker.stdout is not None
        try:
            worker.stdin.write(json.dumps(request) + "\n")
            worker.stdin.flush()
            with selectors.DefaultSelector() as selector:
                selector.register(worker.stdout, selectors.EVENT_READ)
                patience = LONGEST_S if self._drawn else max(LONGEST_S, FIRST_S)
                line = worker.stdout.readline() if selector.select(patience) else None
            if line == "":
                worker.wait(1.0)  # its output is closed: it is ending
            return dict(json.loads(line)) if line else None
        except (OSError, ValueError, subprocess.TimeoutExpired):
            return None

    def _worker_process(self) -> subprocess.Popen[str]:
        worker = self._worker
        if worker is not None and worker.poll() is None and self._drawn < MAX_DRAWN:
            with suppress(psutil.Error):
                if psutil.Process(worker.pid).memory_info().rss < MAX_BYTES:
                    return worker
        self._end()
        with (self._folder / process.ERR_NAME).open("wb") as err:
            self._worker = subprocess.Popen(
                [sys.executable, "-m", "synthstudio.studio.jobs.workers", "preview"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
                env=process.clean_environment(),
                start_new_session=True,
            )
        self._drawn = 0
        return self._worker

    def _end(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.kill()
            for pipe in (worker.stdin, worker.stdout):
                with suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]
            worker.wait()


@functools.lru_cache(4)
def previews(settings: Settings) -> Previews:
    return Previews(settings)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return float("inf")
