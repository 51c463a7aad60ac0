"""Pictures are written as their names say, and say what they show."""

import numpy as np
import pytest

from synthstudio.core.errors import FormatError
from synthstudio.core.images import decode_rgb
from synthstudio.generation.stage import prepare
from synthstudio.recipe.schema.load import parse
from synthstudio.report import pictures

FIRST = {".png": b"\x89PNG", ".jpg": b"\xff\xd8", ".JPEG": b"\xff\xd8", ".webp": b"RIFF"}


@pytest.mark.parametrize("suffix", FIRST)
def test_a_picture_is_what_its_name_says(suffix, tmp_path):
    rgb = np.full((20, 30, 3), (200, 40, 90), np.uint8)
    out = tmp_path / f"a{suffix}"
    pictures.save(out, rgb)
    data = out.read_bytes()
    assert data.startswith(FIRST[suffix])
    back = decode_rgb(data, "a")
    assert back.shape == rgb.shape
    assert np.abs(back.astype(int) - rgb).max() <= 12


@pytest.mark.parametrize("name", ["a.gif", "a", "a.png.txt", ".png"])
def test_other_names_are_refused_before_anything_is_made(name, tmp_path):
    settings = prepare(parse({"name": "a"}), assets=tmp_path, device="cpu")
    for draw in (pictures.preview, pictures.moment):
        with pytest.raises(FormatError, match=r"\.png, \.jpg, \.jpeg, \.webp"):
            draw(settings, 0, tmp_path / name)
    assert not list(tmp_path.iterdir())
