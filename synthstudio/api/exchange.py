"""`ss.export` and `ss.import_`: data sets to and from other tools' formats."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated, Any

from synthstudio.api import arguments as args
from synthstudio.api.datasets import Dataset, just_made, to_dataset
from synthstudio.api.skeletons import to_skeleton
from synthstudio.core.places import Url
from synthstudio.formats.export import Exported
from synthstudio.formats.imports import Imported, import_from, import_opened
from synthstudio.formats.photos import fetched, open_photos


def export(
    dataset: Dataset | args.PlaceLike, format: str, out: args.PathLike, **options: Any
) -> Exported:
    """Write a data set in a format that other tools read: `Dataset(dataset).export(...)`.

    Raises:
        DatasetError, FormatError, DiskError: as `Dataset.export`.
    """
    return to_dataset(dataset).export(format, out, **options)


@args.checked
def import_(
    path: args.PathLike,
    out: args.PathLike,
    *,
    format: args.Format = "coco",
    images: args.PathLike | None = None,
    skeleton: args.SkeletonLike | None = None,
) -> Dataset:
    """Import another tool's files as a data set.

    Args:
        path: File or folder of another tool.
        out: Folder of the new dataset.
        format: Its format; docs/interop.md lists them.
        images: Folder of the images; default: beside the file.
        skeleton: The skeleton of its joints, if the package does not have it: the file of
            one of your own (docs/skeletons.md), or a result of `ss.skeleton`.

    Raises:
        FormatError: for a file that is damaged, hostile or of another layout, with the place.
    """
    folder = args.to_path(out, "out")
    where = args.optional(args.to_path, images, "images")
    joints = None if skeleton is None else to_skeleton(skeleton)
    made = import_from(format, args.to_path(path, "path"), folder, images=where, skeleton=joints)
    return just_made(folder, made)


@args.checked
def import_photos(
    path: args.PathLike,
    out: args.PathLike,
    *,
    skeleton: args.SkeletonLike = "coco17",
    rate_hz: Annotated[float, args.Option(name="--rate", minimum=0.001, maximum=1000)] = 1.0,
    every: args.Count | None = None,
) -> Dataset:
    """Import photos or a video as a data set to be labelled in review; it has no people yet.

    Args:
        path: A photo, a folder of photos (with those in its folders) or a video, on this machine
            or at a URL of a store, which is only read.
        out: Folder of the new dataset.
        skeleton: Which joints people will have: coco17, mpii16, crowdpose14, h36m17, lsp14,
            ochuman19, or the file of one of your own.
        rate_hz: Frames per second to take of a video.
        every: Take every N-th frame of a video instead.

    Raises:
        FormatError: when nothing can be decoded; ArgumentError: for an invalid rate.
    """
    folder, place = args.to_folder(out, "out"), args.to_place(path, "path")
    with ExitStack() as done:
        if isinstance(place, Url):
            place = done.enter_context(fetched(place, folder.absolute()))
        opened = open_photos(
            place, to_skeleton(skeleton), rate_hz=rate_hz, every=every, out=folder.absolute()
        )
        return just_made(folder, import_opened(opened, None, "photos", Imported(folder=folder)))
