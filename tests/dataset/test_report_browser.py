"""Reports in a real browser: nothing fetched, no complaint, nothing wider than a phone."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from painted_frames import painted, write_set

from synthstudio.dataset.reader import Dataset
from synthstudio.formats.export import export
from synthstudio.formats.imports import import_from
from synthstudio.report.dataset import report

if TYPE_CHECKING:
    pass

pytestmark = [
    pytest.mark.browser,
    pytest.mark.nightly("in Chromium; the pages' text is checked without it"),
]
SIZES = {"desk": (1280, 900), "phone": (390, 844)}
WIDTHS = "[document.documentElement.scrollWidth, window.innerWidth]"
DECODED = """async () => {
  const images = [...document.images];
  images.forEach(image => { image.loading = "eager"; });
  await Promise.all(images.map(image => image.decode().catch(() => null)));
  return images.map(image => image.complete && image.naturalWidth > 0);
}"""


def looked_at(browser, path, size, *, dark=False):
    """Open a file with the network shut; return complaints, requests, widths, decoded pictures."""
    complaints, requests = [], []
    page = browser.new_page(
        viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light"
    )
    page.on("console", lambda m: complaints.append(f"{m.type}: {m.text}"))
    page.on("pageerror", lambda e: complaints.append(str(e)))

    def handle(route):
        if route.request.url == path.as_uri():
            route.continue_()
        else:
            requests.append(route.request.url)
            route.abort()

    try:
        page.route(lambda url: not url.startswith("data:"), handle)
        page.goto(path.as_uri(), wait_until="load")
        page.eval_on_selector_all("details", "all => all.forEach(one => { one.open = true; })")
        return complaints, requests, page.evaluate(WIDTHS), page.evaluate(DECODED)
    finally:
        page.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Return reports on a set of ours, and on the same pictures come back from COCO."""
    root = tmp_path_factory.mktemp("reports")
    frames = [painted(i, people=1 + i % 3) for i in range(6)]
    ours = write_set(root / "ours", frames, recipe="x" * 60)
    exported = export("coco", root / "ours", root / "coco")
    shutil.rmtree(root / "coco" / "synthstudio")  # the sidecar: what comes back is COCO alone
    import_from("coco", exported.annotations, root / "theirs")
    for name, dataset in (("ours", ours), ("theirs", Dataset(root / "theirs"))):
        report(dataset, root / f"{name}.html")
    return {name: root / f"{name}.html" for name in ("ours", "theirs")}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["ours", "theirs"])
def test_a_report_opens_quietly(browser, pages, name, size):
    found = looked_at(browser, pages[name], SIZES[size], dark=size == "phone")
    complaints, requests, widths, decoded = found
    assert complaints == requests == []
    assert widths == [SIZES[size][0]] * 2, "the page scrolls sideways"
    assert len(decoded) >= 6 and all(decoded)


def test_a_page_that_misbehaves_is_caught(browser, tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text(
        '<meta name="viewport" content="width=device-width">'
        '<div style="width:2000px">wide</div><img src="data:image/jpeg;base64,AAAA">'
        '<img src="http://127.0.0.1:9/x.png"><script>console.error("no"); missing()</script>'
    )
    complaints, requests, widths, decoded = looked_at(browser, bad, SIZES["phone"])
    assert requests == ["http://127.0.0.1:9/x.png"]
    assert any("error: no" in line for line in complaints) and len(complaints) >= 3
    assert widths[0] > widths[1] and decoded == [False, False]
