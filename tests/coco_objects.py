"""COCO files as Python objects, there and back through the package's own writer and reader."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.rows import Row, Sample
from synthstudio.formats.coco.file import CocoFile
from synthstudio.formats.coco.write import coco_writer


def write_coco(samples: Iterable[Sample], path: Path, **options: Any) -> int:
    """Write one COCO file; how many annotations it has."""
    with coco_writer(path, **options) as writer:
        for frame, people in samples:
            writer.add(frame, people)
    return writer.count


def to_coco(samples: Iterable[Sample], skeleton: Skeleton, **options: Any) -> dict[str, Any]:
    """Return the COCO object of frames with their people."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.json"
        write_coco(samples, path, skeleton=skeleton, **options)
        return json.loads(path.read_bytes())


def from_coco(data: dict[str, Any] | Path) -> tuple[list[Row], list[Row]]:
    """Return the rows of frames and of people in a COCO object or file."""
    with tempfile.TemporaryDirectory() as folder:
        path = data if isinstance(data, Path) else Path(folder) / "a.json"
        if not isinstance(data, Path):
            path.write_text(json.dumps(data))
        with contextlib.closing(CocoFile(path)) as file:
            samples = list(file.samples())
    return [frame for frame, _ in samples], [row for _, rows in samples for row in rows]
