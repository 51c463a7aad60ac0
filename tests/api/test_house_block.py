"""docs/api.md with 24 frames; nightly as it is, as a script and its first block as a notebook."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import nbformat
import numpy as np
import pytest

import synthstudio as ss

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "api.md"


@pytest.fixture
def folder(desk: Path, tmp_path: Path) -> Path:
    for name in ("scenes", "photo.jpg"):
        (tmp_path / name).symlink_to(desk / name)
    code = cv2.VideoWriter.fourcc(*"mp4v")
    film = cv2.VideoWriter(str(tmp_path / "film.mp4"), code, 25, (320, 240))
    for grey in range(0, 60, 10):
        film.write(np.full((240, 320, 3), grey, np.uint8))
    film.release()
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "people").symlink_to(desk / "exports" / "people")
    return tmp_path


def blocks(**smaller: str) -> list[str]:
    """The page's blocks, with 24 frames instead of its 100 and more that is smaller."""
    text = PAGE.read_text(encoding="utf-8")
    for part, other in {"frames=100": "frames=24", **smaller}.items():
        assert part in text
        text = text.replace(part, other)
    return re.findall(r"```python\n(.*?)```", text, re.S)


CHECKS = """
assert len(ds) == 24 and frame.image.shape == (240, 320, 3)
assert p.joints_px.shape == (len(p), 23, 2) and p.visible_share.shape == (len(p), 23)
assert all((people.people.state >= 0).all() for people in hard)
assert len(crops) > 12 and people.joints_px.shape == (1, 23, 2)
"""


def test_the_page_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("PIL.Image.Image.show", lambda self, title=None: None)
    first, *others = blocks(**{"workers=2": "workers=1"})
    code = "".join([first, CHECKS, *others])
    exec(compile(code, "docs/api.md", "exec"), {"__name__": "__main__"})
    assert (folder / "exports" / "hard" / "annotations").is_dir()


def test_every_public_name_is_on_the_page() -> None:
    words = set(re.findall(r"\w+", PAGE.read_text(encoding="utf-8")))
    assert set(ss.__all__) <= words


def run(*command: str | Path, folder: Path) -> None:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "JUPYTER_PLATFORM_DIRS": "1"}
    made = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=environment, check=False
    )
    assert made.returncode == 0, made.stderr[-3000:]


@pytest.mark.nightly("a kernel and worker processes; the page runs above in this process")
@pytest.mark.parametrize("way", ["script", "notebook"])
def test_the_page_runs_as_it_is_without_a_guard(way: str, folder: Path) -> None:
    if way == "script":
        quiet = "import PIL.Image\nPIL.Image.Image.show = lambda self, title=None: None\n"
        (folder / "first.py").write_text("".join([quiet, *blocks()]), encoding="utf-8")
        run(sys.executable, "first.py", folder=folder)
        return
    cells = [nbformat.v4.new_code_cell(text) for text in (blocks()[0], "frame", "ds", CHECKS)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbformat.write(notebook, folder / "first.ipynb")
    run(sys.executable, "-m", "jupyter", "execute", "--inplace", "first.ipynb", folder=folder)
    shown = nbformat.read(folder / "first.ipynb", as_version=4).cells
    for cell in shown[:3]:  # frame.show(), the frame, the data set
        html = [o["data"].get("text/html", "") for o in cell.outputs if "data" in o]
        assert any("data:image/jpeg;base64," in text for text in html)
