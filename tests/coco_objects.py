"""COCO files as Python objects, there and back through the package's own writer and reader."""

import contextlib
import json
import tempfile
from pathlib import Path

from synthstudio.formats.coco.file import CocoFile
from synthstudio.formats.coco.write import coco_writer


def write_coco(samples, path, **options):
    """Write one COCO file; how many annotations it has."""
    with coco_writer(path, **options) as writer:
        for frame, people in samples:
            writer.add(frame, people)
    return writer.count


def to_coco(samples, skeleton, **options):
    """Return the COCO object of frames with their people."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.json"
        write_coco(samples, path, skeleton=skeleton, **options)
        return json.loads(path.read_bytes())


def from_coco(data):
    """Return the rows of frames and of people in a COCO object or file."""
    with tempfile.TemporaryDirectory() as folder:
        path = data if isinstance(data, Path) else Path(folder) / "a.json"
        if not isinstance(data, Path):
            path.write_text(json.dumps(data))
        with contextlib.closing(CocoFile(path)) as file:
            samples = list(file.samples())
    return [frame for frame, _ in samples], [row for _, rows in samples for row in rows]
