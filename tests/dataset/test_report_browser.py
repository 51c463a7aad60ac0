"""Reports in a real browser: nothing fetched, no complaint, nothing wider than a phone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from painted_frames import painted, write_set

from synthstudio.dataset.reader import Dataset
from synthstudio.formats.export import export
from synthstudio.formats.imports import import_from
from synthstudio.report.dataset import report

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser
SIZES = {"desk": (1280, 900), "phone": (390, 844)}
WIDTHS = "[document.documentElement.scrollWidth, window.innerWidth]"
DECODED = """async () => {
  const images = [...document.images];
  images.forEach(image => { image.loading = "eager"; });
  await Promise.all(images.map(image => image.decode().catch(() => null)));
  return images.map(image => image.complete && image.naturalWidth > 0);
}"""


@dataclass
class Seen:
    """What a page did while it was looked at."""

    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)
    decoded: list[bool] = field(default_factory=list)


def looked_at(browser: Browser, path: Path, size: tuple[int, int], *, dark: bool = False) -> Seen:
    """Open a file, fold out everything, and return what happened; the network is shut."""
    seen = Seen()
    page = browser.new_page(
        viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light"
    )
    try:
        page.on("console", lambda m: seen.complaints.append(f"{m.type}: {m.text}"))
        page.on("pageerror", lambda e: seen.complaints.append(str(e)))

        def handle(route) -> None:
            url = route.request.url
            if url == path.as_uri():
                route.continue_()
            else:
                seen.requests.append(url)
                route.abort()

        page.route(lambda url: not url.startswith("data:"), handle)
        page.goto(path.as_uri(), wait_until="load")
        page.eval_on_selector_all("details", "all => all.forEach(one => { one.open = true; })")
        seen.widths = page.evaluate(WIDTHS)
        seen.decoded = page.evaluate(DECODED)
    finally:
        page.close()
    return seen


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Return reports on a set of ours, and on the same pictures come back from COCO."""
    root = tmp_path_factory.mktemp("reports")
    ours = write_set(
        root / "ours", [painted(i, people=1 + i % 3) for i in range(6)], recipe="x" * 60
    )
    exported = export("coco", root / "ours", root / "coco")
    shutil.rmtree(root / "coco" / "synthstudio")  # the sidecar: what comes back is COCO alone
    import_from("coco", exported.annotations, root / "theirs")
    for name, dataset in (("ours", ours), ("theirs", Dataset(root / "theirs"))):
        report(dataset, root / f"{name}.html")
    yield {name: root / f"{name}.html" for name in ("ours", "theirs")}
    shutil.rmtree(root)


@pytest.mark.nightly("in Chromium; the page's text is checked without it")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["ours", "theirs"])
def test_a_report_opens_quietly(browser, pages, name, size):
    seen = looked_at(browser, pages[name], SIZES[size], dark=size == "phone")
    assert seen.complaints == [] and seen.requests == []
    assert seen.widths == [SIZES[size][0]] * 2, "the page scrolls sideways"
    assert len(seen.decoded) >= 6 and all(seen.decoded)


@pytest.mark.nightly("in Chromium; the page's text is checked without it")
def test_a_page_that_misbehaves_is_caught(browser, tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text(
        '<meta name="viewport" content="width=device-width">'
        '<div style="width:2000px">wide</div><img src="data:image/jpeg;base64,AAAA">'
        '<img src="http://127.0.0.1:9/x.png"><script>console.error("no"); missing()</script>'
    )
    seen = looked_at(browser, bad, SIZES["phone"])
    assert seen.requests == ["http://127.0.0.1:9/x.png"]
    assert any("error: no" in line for line in seen.complaints) and len(seen.complaints) >= 3
    assert seen.widths[0] > seen.widths[1] and seen.decoded == [False, False]
