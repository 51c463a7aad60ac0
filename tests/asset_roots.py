"""The asset folders that scenes name, with small pictures made here; small videos."""

import json

import cv2
import numpy as np


def disc(size, rgb=(200, 80, 30), *, soft=False):
    """A disc that fills a cut-out (H, W, 4); `soft` at its edge."""
    rgba = np.zeros((*size, 4), np.uint8)
    rgba[..., :3] = rgb
    half = (size[1] // 2, size[0] // 2)
    axes = (half[0] - 5, half[1] - 5)
    cv2.ellipse(rgba, half, axes, 0, 0, 360, (*rgb, 255), -1, cv2.LINE_AA if soft else cv2.LINE_8)
    return rgba


def save(path, rgb_or_rgba):
    path.parent.mkdir(parents=True, exist_ok=True)
    order = cv2.COLOR_RGBA2BGRA if rgb_or_rgba.shape[2] == 4 else cv2.COLOR_RGB2BGR
    assert cv2.imwrite(str(path), cv2.cvtColor(rgb_or_rgba, order))


def film(path, greys=range(0, 80, 10), *, hz=25.0, size=(320, 240), codec="mp4v"):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), hz, size)
    for grey in greys:
        writer.write(np.full((size[1], size[0], 3), grey, np.uint8))
    writer.release()
    return path


def cutouts(folder):
    found = []
    for k, category in enumerate(("suitcase", "clock", "dog", "tv")):
        save(folder / f"{category}.png", disc((60, 50), (40 * k + 60, 90, 200 - 40 * k)))
        about = {"category": category, "license": "CC0", "height_m": 0.8}
        found.append({"file": f"{category}.png", **about})
    (folder / "manifest.json").write_text(json.dumps(found))
    return folder


def fill(root):
    ramp = np.linspace(40, 210, 320 * 240 * 3).reshape(240, 320, 3).astype(np.uint8)
    told = "camera_height_m: 1.5\nhorizon: 0.4\nvertical_fov_deg: 45\n"
    for name, picture in (("ramp.jpg", ramp), ("pmar.png", ramp[::-1, ::-1])):
        save(root / "backgrounds" / name, picture)
        (root / "backgrounds" / name).with_suffix(".camera.yaml").write_text(told)
    radiance = np.full((64, 128, 3), 0.4, np.float32)
    radiance[10:14, 60:66] = 40.0
    save(root / "hdri" / "lamp.hdr", radiance)
    cutouts(root / "occluders")
