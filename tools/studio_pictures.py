"""Make docs/images/studio_*.png: `python tools/studio_pictures.py [FOLDER]`.

A small set is generated in FOLDER (kept when it is there; a temporary one by default), a few people
of it are reviewed through the store, a studio is started on it, and Chromium visits its pages at
1440, 1024 (studio_NAME_1024.png) and 390 pixels (studio_NAME_phone.png).
"""

import io
import itertools
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from synthstudio.core.rng import stream
from synthstudio.dataset.reader import Dataset
from synthstudio.generation import pipeline
from synthstudio.generation.stage import prepare
from synthstudio.recipe.schema import load
from synthstudio.review.check import base_of
from synthstudio.review.edits import apply
from synthstudio.review.history import register, state
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.risk.queue import next_people, risk_order
from synthstudio.review.risk.scores import risk_of
from synthstudio.review.risk.table import people_table
from synthstudio.review.store import Store, open_store
from synthstudio.review.team import members
from synthstudio.review.team.second_review import begin_second_reviews, set_share
from synthstudio.review.values import Op, Person, User
from synthstudio.studio.access import load_secret, local_key

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "images"
SIZES = {"": (1440, 900), "_1024": (1024, 768), "_phone": (390, 844)}
PAGES = {
    "home": "",
    "review": "review",
    "gallery": "gallery?q=occluded >= 0.1&sort=occluded",
    "queue": "queue",
    "team": "team",
    "generate": "generate",
    "skeletons": "skeletons",
    "tryit": "tryit",
}
MAX_BYTES = 290_000
NAME = "rooms"
SHARE = 0.4
LEAD = User(name="lead", role="admin")
TEAM = (User(name="reviewer 1", role="reviewer"), User(name="reviewer 2", role="reviewer"))
SHOWN = """() => [document, ...[...document.querySelectorAll('*')].flatMap(n => n.shadowRoot ?? [])]
    .flatMap(root => [...root.querySelectorAll('img')])
    .filter(i => i.getBoundingClientRect().top < innerHeight)
    .every(i => i.complete && i.naturalWidth)"""
RECIPE = """
name: rooms
frames: 36
seed: 5
layers: [depth]
variants: {clean: 1, occluder: 1}
image: {width_px: 640, height_px: 480}
camera: {distance_m: [3.0, 4.6], height_m: [1.1, 1.8], vertical_fov_deg: [40, 52]}
people: {count: [1, 3], identities: 20, arrangement: {kind: group, spread_m: [0.6, 1.2]}}
objects: [{kind: procedural, count: [1, 2], placement: in_front, hides: [0.2, 0.6]}]
backdrop: {kind: room, walls: 0.7}
lens: {noise: 0}
"""


def make_set(folder: Path) -> Path:
    """Return the data set in a folder, made when it is not there."""
    if not (folder / NAME / "index.json").is_file():
        shutil.rmtree(folder / NAME, ignore_errors=True)
        (folder / "recipe.yaml").write_text(RECIPE, "utf-8")
        settings = prepare(load.load(folder / "recipe.yaml"), assets=folder, device="cpu")
        pipeline.generate(settings, folder / NAME)
    return folder / NAME


def review(db: Path, folder: Path) -> None:
    """Let a team look at some people of the set, at some of them twice."""
    dataset, store = Dataset(folder), open_store(f"sqlite:///{db}")
    register(store, dataset, NAME)
    table = people_table(dataset)
    for who in (LEAD, *TEAM):
        members.set_role(store, who.name, who.role, by=LEAD)
    set_share(store, table.key, "second_share", SHARE, by=LEAD)
    set_share(store, table.key, "control_share", SHARE, by=LEAD)
    order = risk_order(risk_of(store, table), share=SHARE)
    look = _looker(store, dataset)
    some = len(order.rows) // 2
    for k, (frame, instance) in enumerate(table.ids(order.rows[:some])):
        look(TEAM[k % 2], Person(dataset=table.key, frame=frame, instance=instance))
    for who in TEAM:
        for person in begin_second_reviews(store, table, who=who, count=8, share=SHARE):
            look(who, person)
    next_people(store, order, who=TEAM[0], count=6)
    _assign(store, table, order.rows[some + 8 : some + 20])
    store.close()


def _assign(store: Store, table: PeopleTable, rows: np.ndarray) -> None:
    people = [Person(dataset=table.key, frame=f, instance=i) for f, i in table.ids(rows)]
    members.assign(store, people, to=TEAM[1].name, by=LEAD)


def _looker(store: Store, dataset: Dataset) -> Callable[[User, Person], None]:
    """Return a function that looks at a person: often moves a joint, then decides."""
    rng, numbers = stream(0, "studio pictures"), itertools.count(1)

    def log(who: User, person: Person, **values: Any) -> None:
        op = Op(
            client=f"pictures-{who.name}",
            seq=next(numbers),
            person=person,
            revision=state(store, person).revision,
            **values,
        )
        apply(store, op, who=who, base=base_of(dataset, person.frame, person.instance))

    def look(who: User, person: Person) -> None:
        on_disk = base_of(dataset, person.frame, person.instance).joints or {}
        hidden = [name for name, label in on_disk.items() if label.state == 1]
        if hidden and rng.random() < 0.5:
            name = hidden[int(rng.integers(len(hidden)))]
            label = on_disk[name]
            moved = replace(
                label,
                x_px=(label.x_px or 0) + rng.normal(0, 9),
                y_px=(label.y_px or 0) + 6.0,
                cause="object" if rng.random() < 0.5 else label.cause,
            )
            log(who, person, kind="edit", joints={name: moved})
        status = "flagged" if rng.random() < 0.1 else "approved"
        log(who, person, kind="status", status="rejected" if rng.random() < 0.12 else status)

    return look


@contextmanager
def served(folder: Path, dataset: Path) -> Iterator[str]:
    """Serve the set from a new store; yield the address."""
    shutil.rmtree(folder / "state", ignore_errors=True)
    (folder / "state").mkdir()
    (folder / "exports").mkdir(exist_ok=True)
    review(folder / "state" / "review.db", dataset)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "synthstudio",
        "studio",
        str(dataset),
        f"--port={port}",
        f"--exports={folder / 'exports'}",
        f"--state={folder / 'state'}",
        f"--scenes={ROOT / 'scenes'}",
    ]
    server = subprocess.Popen(command, cwd=folder)
    try:
        _wait(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


def _wait(url: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(f"{url} did not answer")


def shoot(url: str, browser: Any, *, key: str, end: str) -> None:
    """Take a picture of each page. `key`: the server's own, which its admin shows."""
    more = {"has_touch": True, "is_mobile": True} if end == "_phone" else {}
    width, height = SIZES[end]
    size = {"width": width, "height": height}
    page = browser.new_context(viewport=size, color_scheme="light", **more).new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{url}/?key={key}")
    page.get_by_role("textbox", name="Your name").fill(LEAD.name)
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("heading", name="Home").wait_for()
    for name, path in PAGES.items():
        page.goto(f"{url}/{path}")
        page.locator("[data-test-script-state='notRunning']").wait_for()
        if name == "team":
            page.get_by_text("Second review", exact=True).click()
            page.locator(".js-plotly-plot").first.wait_for()
        elif name == "generate":
            page.get_by_test_id("stMain").locator("img").first.wait_for(timeout=300_000)
        elif name == "skeletons":
            page.get_by_role("combobox", name="Begin with").click()
            page.get_by_role("option", name="coco17").first.click()
            page.locator("[data-test-script-state='notRunning']").wait_for()
        page.wait_for_load_state("networkidle")
        page.wait_for_function(SHOWN)
        page.wait_for_timeout(2500)
        save(page.screenshot(), OUT / f"studio_{name}{end}.png")


def save(png: bytes, path: Path) -> None:
    """Write a picture; with fewer colours when it has more than MAX_BYTES."""
    for colours in (0, 256, 128, 64):
        if colours:
            out = io.BytesIO()
            picture = Image.open(io.BytesIO(png)).convert("RGB")
            reduced = picture.quantize(colours, kmeans=2, dither=Image.Dither.FLOYDSTEINBERG)
            reduced.save(out, "PNG", optimize=True)
            png_now = out.getvalue()
        else:
            png_now = png
        if len(png_now) <= MAX_BYTES:
            break
    path.write_bytes(png_now)
    sys.stderr.write(f"{path.relative_to(ROOT)}: {len(png_now) // 1000} kB\n")


def main() -> None:
    """Make the set, serve it, take the pictures."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else temporary).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        dataset = make_set(folder)
        names = ("chromium-headless-shell", "chromium", "google-chrome")
        found = next(filter(None, map(shutil.which, names)), None)
        with served(folder, dataset) as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
            for end in SIZES:
                shoot(url, browser, key=local_key(load_secret(folder / "state")), end=end)
            browser.close()


if __name__ == "__main__":
    main()
