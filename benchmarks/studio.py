"""The studio at size: first and next person, acknowledged edits, gallery pages, server memory.

    python -m benchmarks.studio [--people 20000] [--steps 2000] [--edits 100] [--work DIR]

A few rendered frames of 1 MP are repeated under new numbers with their real pictures. A server
serves them; Chromium turns from person to person by keyboard. "Painted" is the picture drawn on
the page's canvas, one animation frame and one task later. Prints a line a figure and, last, JSON.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks import chromium
from benchmarks.scale import repeated, source_set
from synthstudio.studio.access import load_secret, local_key

ROOT = Path(__file__).resolve().parents[1]
LIMITS = {
    "first_person_s": 3.0,
    "next_median_ms": 16.7,
    "next_p95_ms": 33.0,
    "ack_median_ms": 20.0,
    "ack_p95_ms": 60.0,
    "gallery_median_ms": 500.0,
    "memory_growth_mb": 40.0,
}


@contextmanager
def serving(dataset: Path, work: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Run a studio; yield its address and its process."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    (work / "exports").mkdir(exist_ok=True)
    app = ["streamlit", "run", str(ROOT / "streamlit_app.py"), f"--server.port={port}", "--"]
    places = {
        "--db": work / "review.db",
        "--exports": work / "exports",
        "--scenes": ROOT / "scenes",
    }
    options = [str(word) for pair in places.items() for word in pair]
    command = [sys.executable, "-m", *app, str(dataset), *options]
    with (work / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=work, env={**os.environ, "HOME": str(work)}
        )
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(300):
            if process.poll() is not None:
                raise SystemExit((work / "server.log").read_text())
            try:
                with urllib.request.urlopen(f"{url}/healthz", timeout=2):
                    break
            except OSError:
                time.sleep(0.2)
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)


class Editor:
    """The editor in a browser."""

    def __init__(self, page: Any, url: str, key: str, queue: str = "all") -> None:
        """Open the review page as Ada."""
        self.page = page
        page.goto(f"{url}/review?queue={queue}&key={key}")
        page.get_by_role("textbox", name="Your name").fill("Ada")
        began = time.perf_counter()
        page.get_by_role("button", name="Continue").click()
        page.locator(".ed[data-shown]").wait_for(timeout=300_000)
        self.first_s = time.perf_counter() - began
        # In the page itself: a look from outside would cost more than what is measured.
        page.evaluate("""() => {
          const find = (root) => {
            for (const node of root.querySelectorAll("*")) {
              const found = node.shadowRoot?.querySelector(".ed");
              if (found) return found;
            }
          };
          window.ed = find(document);
        }""")

    def wait(self, what: str) -> None:
        """Wait until a condition on `ed` holds."""
        self.page.wait_for_function(f"() => {what}", timeout=60_000, polling=5)

    def next(self) -> float:
        """Turn to the next person; return milliseconds from the key to painted."""
        was = self.page.evaluate("ed.dataset.item")
        self.page.keyboard.press("n")
        self.wait(f"ed.dataset.item !== '{was}' && ed.dataset.shown === ed.dataset.item")
        return float(self.page.evaluate("ed.dataset.paintMs"))

    def edit(self, key: str) -> float:
        """Change the chosen joint; return milliseconds until the server said that it is stored."""
        self.page.keyboard.press(key)
        self.wait("ed.dataset.pending === '0'")
        return float(self.page.evaluate("ed.dataset.ackMs"))


def walk(editor: Editor, server: psutil.Process, steps: int, pause_s: float) -> dict[str, Any]:
    """Turn to the next person `steps` times; return times and the server's memory."""
    times, memory = [], []
    for step in range(steps):
        times.append(editor.next())
        if step % max(1, steps // 20) == 0:
            memory.append(server.memory_info().rss / 1e6)
        time.sleep(pause_s)
    memory.append(server.memory_info().rss / 1e6)
    # The first tenth fills caches of a fixed size.
    settled = memory[max(1, len(memory) // 5) :]
    return {
        "next_median_ms": statistics.median(times),
        "next_p95_ms": float(np.percentile(times, 95)),
        "next_max_ms": max(times),
        "memory_mb": [round(m, 1) for m in memory],
        "memory_growth_mb": round(settled[-1] - settled[0], 1),
    }


def edits(editor: Editor, count: int) -> dict[str, float]:
    """Change states of a joint; return how long the server takes to say that each is stored."""
    editor.page.keyboard.press("Tab")
    editor.page.keyboard.press("t")  # now each key of the next line changes something
    editor.wait("ed.dataset.pending === '0' && ed.dataset.joint !== ''")
    times = [editor.edit("so"[k % 2]) for k in range(count)]
    return {
        "ack_median_ms": statistics.median(times),
        "ack_p95_ms": float(np.percentile(times, 95)),
    }


def gallery(page: Any, url: str, turns: int = 20) -> dict[str, float]:
    """Turn pages of the gallery; return the milliseconds until all pictures in view are drawn."""
    page.goto(f"{url}/gallery")
    grid, times = page.locator("ul.grid"), []
    grid.locator("a.card").first.wait_for(timeout=60_000)
    for _ in range(turns):
        was = grid.evaluate("grid => grid.querySelector('a.card').dataset.id")
        began = time.perf_counter()
        page.get_by_role("button", name="Next", exact=True).last.click()
        grid.evaluate(_TURNED, was)
        times.append(1000 * (time.perf_counter() - began))
    return {"gallery_median_ms": statistics.median(times), "gallery_max_ms": max(times)}


_TURNED = """(grid, was) => new Promise((done) => {
  const look = () => {
    const shown = [...grid.querySelectorAll("img")]
      .filter((img) => img.getBoundingClientRect().top < innerHeight);
    const turned = grid.querySelector("a.card").dataset.id !== was;
    const drawn = turned && shown.length && shown.every((img) => img.complete);
    drawn ? done() : setTimeout(look, 5);
  };
  look();
})"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return 1 when a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--edits", type=int, default=100)
    parser.add_argument("--pause-s", type=float, default=0.15, help="between two people")
    parser.add_argument("--work", type=Path)
    options = parser.parse_args(arguments)
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        dataset = repeated(source_set(work), work / f"set-{options.people}", options.people)
        found: dict[str, Any] = {
            "people": dataset.people,
            "steps": options.steps,
            "pause_s": options.pause_s,
        }
        with serving(dataset.folder, work) as (url, server), sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium.path(), args=["--no-sandbox", "--disable-dev-shm-usage"]
            )
            page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
            editor = Editor(page, url, local_key(load_secret(work)))
            found["first_person_s"] = editor.first_s
            found |= edits(editor, options.edits)
            found |= walk(editor, server, options.steps, options.pause_s)
            found |= gallery(page, url)
            browser.close()
    failed = 0
    for name, maximum in LIMITS.items():
        good = found[name] <= maximum
        failed += not good
        print(f"{'ok  ' if good else 'OVER'} {name} {found[name]:.1f} (at most {maximum:g})")
    print(json.dumps(found, sort_keys=True))
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
