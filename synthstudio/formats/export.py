"""A data set written as another tool's folder. Adding a format is adding it to EXPORTERS."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthstudio.core.errors import DatasetError, explain
from synthstudio.core.skeleton import skeleton
from synthstudio.dataset.durable import TEMPORARY, disk_errors, remove, sync_folder
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
    """Write OUT/annotations.json and copies of the images in OUT/images/, whole or not at all.

    DatasetError when `out` is not free or the data set is damaged; DiskError on failure.
    """
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
        out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f"{TEMPORARY}{out.name}-{secrets.token_hex(4)}")
    try:
        with disk_errors(unfinished):
            (unfinished / "images").mkdir(parents=True)
        counts = export_coco(
            _copied(dataset, unfinished),
            unfinished / "annotations.json",
            skeleton=skeleton(dataset.identity.skeleton),
            assets=dataset.identity.assets,
            polygons=polygons,
        )
        with disk_errors(out):
            if out.exists():
                out.rmdir()
            unfinished.rename(out)
            sync_folder(out.parent)
    except BaseException:
        if unfinished.exists():
            remove(unfinished)
        raise
    return Exported(
        annotations=out / "annotations.json",
        images=counts.images,
        people=counts.annotations,
        left_out=counts.skipped,
    )


def _copied(dataset: Dataset, target: Path) -> Iterator[tuple[Row, list[Row]]]:
    """Yield each frame with its people once its image is copied; every image is checked."""
    for frame, people in pair_rows(dataset.iter_frames(), dataset.iter_instances()):
        name = f"images/{frame['index']:06d}.jpg"
        data = dataset.image_bytes_of(frame)
        with disk_errors(target / name):
            (target / name).write_bytes(data)
        yield {**frame, "file_name": name}, people


EXPORTERS: dict[str, Callable[..., Exported]] = {"coco": coco}
