"""A data set written as another tool's folder. Adding a format is adding it to FORMS."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthstudio.core.errors import FormatError
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.durable import disk_errors, whole_folder
from synthstudio.dataset.manifest import AssetRow
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import Sample, pair_rows
from synthstudio.formats import (
    arrays,
    coco_file,
    cvat,
    exchange,
    huggingface,
    label_studio,
    mpii,
    ochuman,
    webdataset,
    yolo,
)
from synthstudio.formats.coco import export_coco
from synthstudio.formats.exchange import Picture, check_free, shown
from synthstudio.formats.joints import convert_frame, convert_row, lost_joints, rules
from synthstudio.formats.labelled import Labelled
from synthstudio.formats.sidecar import FOLDER, SidecarWriter

Writer = Callable[[Iterable[Picture], Path, Skeleton], Path]


@dataclass(frozen=True, kw_only=True)
class Form:
    """A format. `lacks` says what it cannot hold; "" for one that holds whole rows.

    `skeleton`: the only one it knows; rows are converted. `image_name` names a frame's image.
    """

    write: Writer | None = None  # None: COCO, which has options of its own
    image_name: Callable[..., str] = exchange.image_name
    skeleton: str | None = None
    lacks: str = ""


_POINTS_ONLY = "masks, amodal boxes, shares, causes, hiders, 3D, camera, FrameSpec"
FORMS: dict[str, Form] = {
    "coco": Form(lacks="FrameSpec"),
    "crowdpose": Form(skeleton="crowdpose14", lacks="FrameSpec"),
    "ochuman": Form(
        write=ochuman.write,
        skeleton=ochuman.SKELETON,
        lacks="amodal masks and boxes, shares, who hides, 3D, camera, FrameSpec",
    ),
    "yolo": Form(write=yolo.write, image_name=yolo.image_name, lacks=_POINTS_ONLY),
    "cvat": Form(write=cvat.write, lacks="boxes, " + _POINTS_ONLY),
    "webdataset": Form(write=webdataset.write, image_name=webdataset.image_name),
    "huggingface": Form(write=huggingface.write, image_name=huggingface.image_name),
    "label-studio": Form(write=label_studio.write, lacks=_POINTS_ONLY),
    "mpii": Form(write=mpii.write, skeleton=mpii.SKELETON, lacks="boxes, " + _POINTS_ONLY),
    "lsp": Form(
        write=functools.partial(
            arrays.write, name="joints.npz", columns=arrays.LSP, to=arrays.to_lsp
        ),
        skeleton="lsp14",
        lacks="boxes, " + _POINTS_ONLY,
    ),
    "h36m": Form(
        write=functools.partial(
            arrays.write, name="poses.npz", columns=arrays.H36M, to=arrays.to_h36m
        ),
        skeleton="h36m17",
        lacks="boxes, masks, shares, causes, hiders, FrameSpec",
    ),
}


@dataclass(kw_only=True)
class Exported:
    """What an export wrote. `left_out` people were too little seen to be in the format."""

    annotations: Path
    images: int = 0
    people: int = 0
    left_out: int = 0
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return it for --json."""
        return {
            "annotations": str(self.annotations),
            "images": self.images,
            "people": self.people,
            "left_out": self.left_out,
            "notes": self.notes,
        }

    def text(self) -> str:
        """Return it as lines."""
        head = f"{self.images} images and {self.people} people in {self.annotations}"
        return "\n".join([head, *self.notes])


def export(
    form_name: str,
    source: Path | Labelled,
    out: Path,
    *,
    polygons: bool = False,
    skeleton: str | None = None,
) -> Exported:
    """Write a data set (its folder, or what reads like one) as a folder of another tool.

    It appears whole or not at all. `polygons`: COCO masks as polygons; `bones`: convert to this
    skeleton (formats/joints.py). What the format cannot hold goes to OUT/synthstudio/, and
    notes say so. DatasetError when `out` is not free or the data set is damaged; FormatError
    for skeletons that do not fit; DiskError on failure.
    """
    form = FORMS[form_name]
    dataset = Dataset(source) if isinstance(source, Path) else source
    if skeleton is not None and form.skeleton not in (None, skeleton):
        raise FormatError(
            "the format has a skeleton of its own",
            where=form_name,
            expected=str(form.skeleton),
            got=skeleton,
        )
    target = get_skeleton(form.skeleton or skeleton or dataset.identity.skeleton)
    made = Exported(annotations=out)
    check_free(out)
    with whole_folder(out) as unfinished, disk_errors(unfinished):
        unfinished.mkdir()
        sidecar = SidecarWriter(unfinished) if form.lacks else None
        pictures = _pictures(dataset, form, target, sidecar, made)
        write = form.write or functools.partial(
            _write_coco, assets=dataset.identity.assets, polygons=polygons
        )
        path = write(pictures, unfinished, target)
        if sidecar is not None:
            sidecar.close(dataset)
    made.annotations = out / path.relative_to(unfinished)
    made.notes = _notes(form, made, dataset, target)
    return made


EXPORTERS: dict[str, Callable[..., Exported]] = {
    name: functools.partial(export, name) for name in FORMS
}
"""Format -> (data set, out, *, polygons, bones) -> what was written."""


def _pictures(
    dataset: Labelled, form: Form, target: Skeleton, sidecar: SidecarWriter | None, made: Exported
) -> Iterator[Picture]:
    """Yield each frame for the format, its image checked; count it and put it in the sidecar."""
    for frame, people in pair_rows(dataset.iter_frames(), dataset.iter_instances()):
        data = dataset.image_bytes_of(frame)
        named = {**frame, "file_name": form.image_name(frame)}
        if sidecar is not None:
            sidecar.add(named)
        kept = shown(people) if form.lacks else people
        made.images += 1
        made.people += len(kept)
        made.left_out += len(people) - len(kept)
        converted = [convert_row(row, frame, target) for row in kept]
        yield convert_frame(named, target), converted, data


def _write_coco(
    pictures: Iterable[Picture],
    out: Path,
    target: Skeleton,
    *,
    assets: Sequence[AssetRow],
    polygons: bool,
) -> Path:
    (out / "images").mkdir()

    def samples() -> Iterator[Sample]:
        for picture in pictures:
            exchange.save_image(out, picture)
            yield picture[:2]

    path = out / coco_file.FILE_NAME
    export_coco(samples(), path, skeleton=target, assets=assets, polygons=polygons)
    return path


def _notes(form: Form, made: Exported, dataset: Labelled, target: Skeleton) -> list[str]:
    notes = []
    if made.left_out:
        notes.append(
            f"{made.left_out} people under 16 visible pixels left out; they are in {FOLDER}/."
        )
    if form.lacks:
        notes.append(f"The format holds no {form.lacks}: these are in {FOLDER}/.")
    source = get_skeleton(dataset.identity.skeleton)
    if source.name != target.name:
        table = rules(source, target)
        near = [
            f"{j} (mean of {', '.join(r.parts)}; {r.off})"
            for j, r in table.items()
            if r.kind == "approximation"
        ]
        missing = [j for j, r in table.items() if r.kind == "missing"]
        lost = lost_joints(source, target)
        titled = {"Approximated": near, "Left empty": missing, "Not in the format": lost}
        notes += [f"{title}: {'; '.join(names)}." for title, names in titled.items() if names]
    layers = {name for row in dataset.iter_frames(["layers"]) for name in row["layers"]}
    if layers:
        notes.append(f"Layers stay in the data set: {', '.join(sorted(layers))}.")
    return notes
