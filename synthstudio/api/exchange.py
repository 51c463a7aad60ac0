"""`ss.export` and `ss.import_`: data sets as other tools' files, there and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthstudio.formats.registry import FORMATS as _FORMATS

FORMATS = tuple(_FORMATS)
"""Names of the formats that `export` writes and `import_` reads."""
SKELETONS = ("coco17", "mpii16", "crowdpose14", "h36m17", "lsp14", "ochuman19")
"""Skeletons that joints are converted to."""

if TYPE_CHECKING:  # the command line lists FORMATS before it knows what is to be done
    from synthstudio.api.arguments import PathLike, PlaceLike
    from synthstudio.api.datasets import Dataset
    from synthstudio.core.skeleton import Skeleton
    from synthstudio.formats.export import Exported


def export(
    dataset: Dataset | PlaceLike,
    format: str,
    out: PathLike,
    *,
    polygons: bool = False,
    skeleton: Skeleton | PathLike | None = None,
    hidden_faces: bool = True,
    boxes: str | None = None,
    joints: str = "all",
) -> Exported:
    """Write a data set in a format that other tools read; it appears whole or not at all.

    Args:
        dataset: A Dataset (also a query's or a slice) or the folder of one.
        format: `coco`, `yolo`, `cvat`, ...; docs/interop.md says what each one holds.
        out: A folder that is empty or does not exist.
        polygons: COCO masks as polygons instead of run-length codes.
        skeleton: Convert the joints to this one: `coco17`, or the file of one of your own.
        hidden_faces: False leaves eyes, ears and noses unlabelled that the person's own body
            hides, as COCO's annotators mostly do.
        boxes: "amodal", all of a person cut at the image's edge, or "visible". Default: amodal for
            coco, crowdpose, coco-wholebody and yolo, from which pose networks learn.
        joints: "visible" leaves hidden joints unlabelled.

    Returns:
        Where the annotations are, how many images and people, and notes on what was left out.

    Raises:
        DatasetError: when the data set is damaged; FormatError: for skeletons that do not
            fit; DiskError: when `out` is not free, or writing fails.
    """
    from synthstudio.api.datasets import to_dataset

    return to_dataset(dataset).export(
        format,
        out,
        polygons=polygons,
        skeleton=skeleton,
        hidden_faces=hidden_faces,
        boxes=boxes,
        joints=joints,
    )


def import_(
    path: PathLike,
    out: PathLike,
    *,
    format: str = "coco",
    images: PathLike | None = None,
    skeleton: Skeleton | PathLike | None = None,
) -> Dataset:
    """Take in what another tool has written as a data set.

    Args:
        path: The file or folder of the other tool.
        out: A folder that is empty or does not exist.
        format: Its format; docs/interop.md lists them.
        images: Where the pictures lie; default: beside the file.
        skeleton: The skeleton of its joints, for those that the package does not know: the file of
            one of your own (docs/skeletons.md), or what `ss.skeleton` read.

    Raises:
        FormatError: for a file that is damaged, hostile or of another layout, with the place.
    """
    from synthstudio.api.arguments import to_choice, to_path
    from synthstudio.api.datasets import Dataset
    from synthstudio.api.skeletons import to_skeleton
    from synthstudio.formats.imports import import_from

    name = to_choice(format, "format", FORMATS)
    folder = to_path(out, "out")
    where = None if images is None else to_path(images, "images")
    joints = None if skeleton is None else to_skeleton(skeleton)
    made = import_from(name, to_path(path, "path"), folder, images=where, skeleton=joints)
    dataset = Dataset(folder)
    dataset.summary = made
    return dataset


def import_photos(
    path: PathLike,
    out: PathLike,
    *,
    skeleton: Skeleton | PathLike = "coco17",
    rate_hz: float = 1.0,
    every: int | None = None,
) -> Dataset:
    """Take in photos or a video without labels as a data set to be reviewed: nobody is in it yet.

    Args:
        path: A photo, a folder of photos (with those in its folders) or a video, on this machine
            or at a URL of a store, which is only read.
        out: A folder that is empty or does not exist.
        skeleton: Which joints people will have: a name, or the file of one of your own.
        rate_hz: Frames a second that are taken of a video.
        every: Each so-manieth frame of a video instead.

    Raises:
        FormatError: when nothing of it can be decoded; ArgumentError: for a rate that is none.
    """
    import math
    from contextlib import ExitStack

    from synthstudio.api.arguments import to_folder, to_place
    from synthstudio.api.datasets import Dataset
    from synthstudio.api.skeletons import to_skeleton
    from synthstudio.core.errors import ArgumentError
    from synthstudio.core.places import Url
    from synthstudio.formats.fetched import fetched
    from synthstudio.formats.imports import import_opened
    from synthstudio.formats.photos import open_photos

    if not (math.isfinite(rate_hz) and rate_hz > 0) or (every is not None and every < 1):
        raise ArgumentError(
            "no such rate", where="rate_hz, every", expected="above 0", got=f"{rate_hz}, {every}"
        )
    folder, place = to_folder(out, "out"), to_place(path, "path")
    with ExitStack() as done:
        if isinstance(place, Url):
            place = done.enter_context(fetched(place, folder.absolute()))
        opened = open_photos(
            place,
            to_skeleton(skeleton),
            rate_hz=rate_hz,
            every=every,
            out=folder.absolute(),
        )
        made = import_opened(opened, folder, "photos")
    dataset = Dataset(folder)
    dataset.summary = made
    return dataset
