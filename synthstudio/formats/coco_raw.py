"""A COCO file as it stands, entry by entry, nothing refused that can be read: for `validate`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from synthstudio.core.safe_json import BEGIN, glance, read_members
from synthstudio.formats.coco_entries import bad

_LISTS = ("images", "annotations")
_GLANCES = {"annotations": glance()}


class RawCoco:
    """The entries of a file, inside `with`. Annotations are read each time they are asked for;
    images, which often come behind them, lie in a temporary file meanwhile.
    """

    def __init__(self, path: Path) -> None:
        """Read everything but annotations; FormatError when the file is no JSON object."""
        self.path = path
        self.head: dict[str, Any] = {}
        self._images = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - see close
        try:
            self._read(path)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> RawCoco:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Forget the images."""
        self.close()

    def close(self) -> None:
        """Forget the images."""
        self._images.close()

    def _read(self, path: Path) -> None:
        seen = set()
        for key, span in read_members(path, streamed=_LISTS, nan=True, glances=_GLANCES):
            if key not in _LISTS:
                self.head[key] = span.value
            elif span is BEGIN:
                seen.add(key)
            elif key == "images":
                self._images.write(json.dumps(span.value) + "\n")
        for name in _LISTS:
            if name not in seen:
                raise bad(f"no list {name}", where=str(path))
        if not isinstance(self.head.get("categories"), list):
            raise bad("no list categories", where=str(path))

    def images(self) -> Iterator[Any]:
        """Yield the entries of `images`; one iterator at a time."""
        self._images.seek(0)
        for line in self._images:
            yield json.loads(line)

    def annotations(self) -> Iterator[Any]:
        """Yield the entries of `annotations`."""
        for key, span in read_members(self.path, streamed=_LISTS, nan=True):
            if key == "annotations" and span is not BEGIN:
                yield span.value
