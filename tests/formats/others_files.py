"""Builders of small files as CVAT and Label Studio export them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from PIL import Image

from synthstudio.core.skeleton import get_skeleton

COCO = list(get_skeleton("coco17").joints)
WIDTH, HEIGHT = 160, 120


def place(number: int, person: int = 0) -> tuple[float, float]:
    """Where joint `number` of a person is, continuous pixels."""
    return 10.0 + 4 * number + 2 * person, 20.0 + 3 * number + person


def save_pictures(root: Path, names: Iterable[str]) -> None:
    for shade, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        kind = "PNG" if name.lower().endswith(".png") else "JPEG"
        Image.new("RGB", (WIDTH, HEIGHT), (shade * 20 % 255, 9, 9)).save(root / name, format=kind)


def cvat_labels(labels: Mapping[str, Sequence[str]]) -> str:
    rows = [(name, "skeleton", "") for name in labels]
    rows += [(joint, "points", name) for name, joints in labels.items() for joint in joints]
    return "".join(
        f"<label><name>{name}</name><type>{kind}</type><attributes></attributes>"
        + (f"<parent>{parent}</parent>" if parent else "")
        + "</label>"
        for name, kind, parent in rows
    )


def cvat_skeleton(
    names: Sequence[str], *, label: str = "person", person: int = 0, off: Sequence[int] = ()
) -> str:
    points = []
    for number, name in enumerate(names):
        x, y = place(number, person)
        points.append(
            f'<points label={quoteattr(name)} outside="{int(number in off)}" occluded="0" '
            f'points="{x:.2f},{y:.2f}"></points>'
        )
    return f'<skeleton label={quoteattr(label)} z_order="0">{"".join(points)}</skeleton>'


def cvat_image(name: str, *inside: str, number: int = 0, **more: str) -> str:
    extra = "".join(f" {key}={quoteattr(value)}" for key, value in more.items())
    return (
        f'<image id="{number}" name={quoteattr(name)} width="{WIDTH}" height="{HEIGHT}"{extra}>'
        f"{''.join(inside)}</image>"
    )


def cvat_file(labels: Mapping[str, Sequence[str]], images: Sequence[str], kind: str) -> str:
    return (
        '<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>'
        f"<meta><{kind}><labels>{cvat_labels(labels)}</labels></{kind}></meta>"
        f"{''.join(images)}</annotations>"
    )


def region(kind: str, number: str, value: dict[str, Any], **more: Any) -> dict[str, Any]:
    sizes = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    return {"id": number, "type": kind, "from_name": "a", "value": value, **sizes, **more}


def rectangle(number: str, label: str | None, *, x: float = 0, **more: Any) -> dict[str, Any]:
    value = {"x": x, "y": 5, "width": 50, "height": 90, "rotation": 0}
    if label is not None:
        value["rectanglelabels"] = [label]
    return region("rectanglelabels", number, value | more)


def keypoints(
    names: Sequence[str] = COCO, *, parent: str = "", prefix: str = "k", person: int = 0
) -> list[dict[str, Any]]:
    out = []
    for number, name in enumerate(names):
        x, y = place(number, person)
        value = {"x": 100 * x / WIDTH, "y": 100 * y / HEIGHT, "keypointlabels": [name]}
        more = {"parentID": parent} if parent else {}
        out.append(region("keypointlabels", f"{prefix}{number}", value, **more))
    return out


def task(result: list[dict[str, Any]], url: str = "a.jpg", key: str = "image") -> dict[str, Any]:
    return {"id": 1, "data": {key: url}, "annotations": [{"id": 1, "result": result}]}


def save_tasks(root: Path, tasks: Any, change: Callable[[str], str] = str) -> Path:
    path = root / "tasks.json"
    path.write_text(change(json.dumps(tasks)), encoding="utf-8")
    return path
