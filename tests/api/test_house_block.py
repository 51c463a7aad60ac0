"""docs/api.md with 24 frames."""

import re
from pathlib import Path

import asset_roots
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "api.md"


@pytest.fixture
def folder(desk, tmp_path):
    for name in ("scenes", "photo.jpg"):
        (tmp_path / name).symlink_to(desk / name)
    asset_roots.film(tmp_path / "film.mp4", range(0, 60, 10))
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "people").symlink_to(desk / "exports" / "people")
    return tmp_path


CHECKS = """
assert len(ds) == 24 and frame.image.shape == (240, 320, 3)
assert p.joints_px.shape == (len(p), 23, 2) and p.visible_share.shape == (len(p), 23)
assert all((people.people.state >= 0).all() for people in hard)
assert len(crops) > 12 and people.joints_px.shape == (1, 23, 2)
"""


def test_the_page_runs(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr("PIL.Image.Image.show", lambda self, title=None: None)
    text = PAGE.read_text(encoding="utf-8")
    for part, other in {"frames=100": "frames=24", "workers=2": "workers=1"}.items():
        assert part in text
        text = text.replace(part, other)
    first, *others = re.findall(r"```python\n(.*?)```", text, re.S)
    code = "".join([first, CHECKS, *others])
    exec(compile(code, "docs/api.md", "exec"), {"__name__": "__main__"})
    assert (folder / "exports" / "hard" / "annotations").is_dir()
