"""A data set written as another tool's folder. Adding a format is adding it to EXPORTERS."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthstudio.core.errors import DatasetError, explain
from synthstudio.core.skeleton import skeleton
from synthstudio.dataset.durable import disk_errors
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import Row, pair_rows
from synthstudio.formats.coco import export_coco


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What an export wrote. `left_out` people were too little seen to be annotations."""

    annotations: Path
    images: int
    people: int
    left_out: int

    def as_json(self) -> dict[str, Any]:
        """Return it for --json."""
        return {
            "annotations": str(self.annotations),
            "images": self.images,
            "people": self.people,
            "left_out": self.left_out,
        }

    def text(self) -> str:
        """Return it as a line."""
        more = f"; {self.left_out} people under 16 visible pixels left out" if self.left_out else ""
        return f"{self.images} images and {self.people} people in {self.annotations}{more}"


def coco(folder: Path, out: Path, *, polygons: bool = False) -> Exported:
    """Write OUT/annotations.json and OUT/images/ (linked where possible, else copied)."""
    dataset = Dataset(folder)
    with disk_errors(out):
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise DatasetError(
                explain(
                    "the export needs a folder of its own",
                    where=str(out),
                    expected="an empty or missing folder",
                    then="Choose another --out.",
                )
            )
        (out / "images").mkdir(parents=True, exist_ok=True)

    def samples() -> Iterator[tuple[Row, list[Row]]]:
        for frame, people in pair_rows(dataset.iter_frames(), dataset.iter_instances()):
            name = f"images/{frame['index']:06d}.jpg"
            with disk_errors(out / name):
                _place(dataset.image_of(frame), out / name)
            yield {**frame, "file_name": name}, people

    counts = export_coco(
        samples(),
        out / "annotations.json",
        skeleton=skeleton(dataset.identity.skeleton),
        assets=dataset.identity.assets,
        polygons=polygons,
    )
    return Exported(
        annotations=out / "annotations.json",
        images=counts.images,
        people=counts.annotations,
        left_out=counts.skipped,
    )


def _place(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links: copying says what is really wrong
        shutil.copyfile(source, target)


EXPORTERS: dict[str, Callable[..., Exported]] = {"coco": coco}
