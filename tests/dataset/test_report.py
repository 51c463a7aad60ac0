"""Reports hold together: nothing fetched, nothing unescaped, every section and figure there."""

import base64
import re
import shutil

import pytest
from html_pages import Page
from painted_frames import painted, write_set

from synthstudio.core.images import decode_rgb
from synthstudio.dataset.reader import Dataset
from synthstudio.formats.export import export
from synthstudio.formats.imports import import_from
from synthstudio.report import dataset as dataset_report
from synthstudio.report.pages import macro

AUDIT = dict.fromkeys(("state_differs", "disagreement_rate", "cause_rate", "cause_differs"), 0) | {
    "joints": 1200,
    "largest_share_error": 0.01,
    "passed": True,
}


SECTIONS = "examples made licences distributions requested audit limits datasheet"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    frames = [painted(i, people=1 + i % 3) for i in range(6)]
    folder = tmp_path_factory.mktemp("report") / "set"
    return write_set(folder, frames, recipe="<script>alert(1)</script>")


def test_the_page_needs_nothing_else(dataset, tmp_path):
    steps, out = [], tmp_path / "r.html"
    reported = dataset_report.report(dataset, out, audit=AUDIT, on_step=steps.append)
    text, page = out.read_text("utf-8"), Page(out.read_text("utf-8"))
    assert page.fetched == [] and "script" not in page.tags and "url(" not in text
    assert "default-src 'none'" in text and "prefers-color-scheme:dark" in text
    assert "<script>alert(1)</script>" in page.text  # as text
    assert page.links | set(SECTIONS.split()) <= page.anchors
    pictures = [p for p in page.pictures if p.startswith("data:image/jpeg")]
    assert len(pictures) >= 6
    for code in pictures:
        assert decode_rgb(base64.b64decode(code.split(",")[1]), "example").shape == (480, 640, 3)
    assert f"{dataset.people} people of 3 identities" in page.text
    assert "Within the goals" in page.text and len(steps) == 4
    assert reported.stats["frames"] == 6 and len(text) < 3_000_000
    counts = [int(n) for n in re.findall(r"(\d+) · \d+%", page.text)]
    assert dataset.people in counts  # everyone has one pose family
    assert "No real person is shown" in page.text and "6 rendered pictures" in page.text
    assert "Labels are exact" in page.text


def test_pictures_from_outside_are_told_as_such(dataset, tmp_path):
    exported = export("coco", dataset.folder, tmp_path / "coco")
    shutil.rmtree(tmp_path / "coco" / "synthstudio")  # the sidecar: what comes back is COCO alone
    import_from("coco", exported.annotations, tmp_path / "theirs")
    dataset_report.report(Dataset(tmp_path / "theirs"), tmp_path / "r.html")
    text = Page((tmp_path / "r.html").read_text("utf-8")).text
    assert "6 pictures from outside with up to 3 annotated people" in text
    assert "Real people may be shown" in text and "Labels are exact" not in text


def test_pieces_escape_what_they_are_given():
    hostile = '"><img src=x onerror=alert(1)>'
    pieces = {"table": ((hostile,), [(hostile,)]), "bullets": ([hostile],), "soft": (hostile,)}
    pieces |= dict.fromkeys(("tiles", "nav"), ({hostile: hostile},))
    for name, arguments in pieces.items():
        piece = macro("macros.html", name)(*arguments)
        assert "<img" not in piece and "&lt;img" in piece
