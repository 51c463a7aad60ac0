"""Self-contained HTML pages: templates/*.html rendered by Jinja2, pictures embedded as data."""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import jinja2
import numpy as np
from markupsafe import Markup

from synthstudio.core.arrays import U8

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture for a page: JPEG bytes as a data URI. `caption` may hold markup."""

    uri: str
    width: int
    height: int
    alt: str
    caption: str | Markup


@functools.cache
def environment() -> jinja2.Environment:
    """Templates with autoescaping; undefined names are errors."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["thousands"] = lambda value: f"{value:,}"
    made.filters["words"] = lambda name: str(name).replace("_", " ")
    return made


def render(template: str, **context: Any) -> bytes:
    """Render a page; it loads no external resources."""
    return (environment().get_template(template).render(context) + "\n").encode()


def macro(template: str, name: str) -> Callable[..., Markup]:
    return getattr(environment().get_template(template).module, name)  # type: ignore[no-any-return]


def embed(rgb: U8, caption: str | Markup, *, alt: str, width: int = 640) -> Picture:
    """Embed a picture (h, w, 3), shrunk to at most `width` pixels."""
    if rgb.shape[1] > width:
        size = (width, max(1, round(rgb.shape[0] * width / rgb.shape[1])))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    data = cv2.imencode(".jpg", rgb[..., ::-1], [int(cv2.IMWRITE_JPEG_QUALITY), 80])[1].tobytes()
    uri = f"data:image/jpeg;base64,{base64.b64encode(data).decode('ascii')}"
    return Picture(uri=uri, width=rgb.shape[1], height=rgb.shape[0], alt=alt, caption=caption)
