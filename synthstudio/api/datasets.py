"""`ss.Dataset`: a data set on disk as a sequence of frames; `ss.export`, `ss.import_` and
`ss.import_photos`: to and from other tools' formats."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, overload

import numpy as np
import pyarrow as pa

from synthstudio.api import arguments as args
from synthstudio.api.frames import Frame, stored_frame, to_index
from synthstudio.core.arrays import I64
from synthstudio.core.errors import ArgumentError, DatasetError, import_extra
from synthstudio.core.people import People
from synthstudio.core.places import Place, Url
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset import reader
from synthstudio.dataset.manifest import Identity
from synthstudio.dataset.matching import part_where
from synthstudio.dataset.rows import INSTANCE_SCHEMA, Row, as_numpy, people_from_table

if TYPE_CHECKING:
    from pandas import DataFrame
    from torch.utils.data import Dataset as TorchDataset

    from synthstudio.api.recipes import Recipe
    from synthstudio.formats.export import Exported

BOXES, JOINTS = ("visible", "amodal"), ("all", "visible")


class Dataset(Sequence[Frame]):
    """Frames with exact labels: `len(ds)`, `ds[17]`, `ds[-1]`, `ds[10:20]`, iteration.

    Opening one reads dataset.json and index.json, a frame its own shard's tables and its
    picture. Slices and `query` give a Dataset over some of the frames.
    """

    def __init__(self, path: args.PlaceLike, *, unfinished: bool = False) -> None:
        """Open the data set in the folder or at the URL `path`.

        Args:
            path: The folder that `generate`, `import_` or another command wrote, or the URL of
                one in an object store, such as s3://bucket/people (docs/stores.md).
            unfinished: Also open a data set that is still being written.

        Raises:
            DatasetError: when there is none, it is unfinished or damaged.
        """
        self._stored = reader.Dataset(args.to_place(path, "path"), allow_unfinished=unfinished)
        self.summary: Any = None
        """Counts of the run that made it; None for a data set opened from disk."""

    @classmethod
    def _of(cls, stored: reader.Dataset) -> Dataset:
        made = cls.__new__(cls)
        made._stored, made.summary = stored, None
        return made

    @property
    def path(self) -> Place:
        """Its folder or URL."""
        return self._stored.place

    @property
    def frames(self) -> int:
        """How many frames; `len(ds)`."""
        return len(self)

    @cached_property
    def num_people(self) -> int:
        """How many people, all frames together."""
        return self._stored.people

    @property
    def skeleton(self) -> Skeleton:
        """Names, flips and sigmas of the J joints."""
        return self._stored.skeleton

    @cached_property
    def recipe(self) -> Recipe | None:
        """The recipe it was generated from; None for photos and imports.

        The fields are those of the recipe's file, but choices that are not in alphabetical order
        there draw other frames: to generate again, use the file.
        """
        from synthstudio.api.recipes import Recipe
        from synthstudio.recipe.schema.load import parse_stored

        identity = self._stored.identity
        if "people" not in identity.recipe:
            return None
        fields = {**identity.recipe, "frames": identity.frames}
        version = identity.versions.get("synthstudio", "")
        return parse_stored(Recipe, fields, str(self._stored.place), version)

    def __len__(self) -> int:
        return len(self._stored)

    @overload
    def __getitem__(self, key: int) -> Frame: ...
    @overload
    def __getitem__(self, key: slice) -> Dataset: ...
    def __getitem__(self, key: int | slice) -> Frame | Dataset:
        if isinstance(key, slice):
            return self._of(self._stored.of_frames(self.indices[key]))
        position = to_index(key, len(self), str(self.path))
        return stored_frame(self._stored, self._stored.index_at(position))

    def __iter__(self) -> Iterator[Frame]:
        return (self[i] for i in range(len(self)))

    @cached_property
    def indices(self) -> I64:
        """(N,) the frame index at each position, rising; failed frames have none."""
        if self._stored.only is not None:
            return self._stored.only
        parts = [
            as_numpy(batch["index"]) for batch in self._stored.iter_batches("frames", ["index"])
        ]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def frame(self, index: int) -> Frame:
        """The frame with an index (the `index` of rows, file names and command-line options).

        Raises:
            DatasetError: when it is not in this data set or selection.
        """
        return stored_frame(self._stored, index)

    def query(self, text: str) -> Dataset:
        """The frames with a person who matches, such as
        `left_wrist hidden by object and occluded > 0.3` (docs/query.md).

        Raises:
            DatasetError: for a query that cannot be read, pointing at the place.
        """
        if not isinstance(text, str):
            raise ArgumentError("a query must be text", where="query", got=args.shown(text))
        if not text:
            raise ArgumentError("the query is empty", where="query")
        return self._of(part_where(self._stored, text))

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """One row a person with the columns of the instances table (dataset/rows.py)."""
        names = None if columns is None else [*dict.fromkeys(["frame_index", *columns])]
        batches = list(self.iter_batches("instances", names))
        return pa.Table.from_batches(batches, None if batches else INSTANCE_SCHEMA)

    def to_pandas(self, columns: Sequence[str] | None = None) -> DataFrame:
        """One row a person, as `to_arrow`.

        Raises:
            DatasetError: without pandas: pip install "synthstudio[pandas]".
        """
        import_extra("pandas", extra="pandas", error=DatasetError)
        return self.to_arrow(columns).to_pandas()

    def people(self) -> Iterator[People]:
        """All people, as columns, some hundred at a time."""
        for batch in self.iter_batches("instances"):
            yield people_from_table(batch, self.skeleton)

    @args.checked
    def export(
        self,
        format: args.Format,
        out: args.PathLike,
        *,
        polygons: bool = False,
        skeleton: args.SkeletonLike | None = None,
        hidden_faces: bool = True,
        boxes: Annotated[str, args.Option(choices=BOXES)] | None = None,
        joints: Annotated[str, args.Option(choices=JOINTS)] = "all",
    ) -> Exported:
        """Write these frames in a format that other tools read; written atomically.

        Args:
            format: `coco`, `yolo`, `cvat`, ...; docs/interop.md lists what each one holds.
            out: Folder for annotations and images.
            polygons: Write masks as polygons instead of RLE.
            skeleton: Convert the joints to this one: coco17, mpii16, crowdpose14, h36m17, lsp14,
                ochuman19, or the file of one of your own.
            hidden_faces: Label self-occluded eyes, ears and noses. COCO mostly does not.
            boxes: "amodal", all of a person cut at the image's edge, or "visible". Default: amodal
                for coco, crowdpose, coco-wholebody and yolo, from which pose networks learn.
            joints: Which joints are labelled; others stay unlabelled.

        Returns:
            Where the annotations are, how many images and people, and notes on what was left out.

        Raises:
            DatasetError: for a damaged data set or one without frames; FormatError: for skeletons
                that do not fit; DiskError: when `out` is not free, or writing fails.
        """
        from synthstudio.formats.export import export

        if not len(self):
            raise DatasetError("no frames to export", where=str(self._stored.place))
        return export(
            format,
            self,
            args.to_path(out, "out"),
            polygons=polygons,
            skeleton=None if skeleton is None else args.to_skeleton(skeleton).name,
            hidden_faces=hidden_faces,
            boxes=boxes,
            joints=joints,
        )

    def torch(
        self,
        size: tuple[int, int] = (96, 72),
        *,
        split: str | None = None,
        transform: Callable[[dict[str, Any]], Any] | None = None,
    ) -> TorchDataset[Any]:
        """A map-style torch Dataset, one crop a person: `synthstudio.api.crops.PersonCrops`.

        Args:
            size: Height and width of the crops in pixels.
            split: Only frames of this split: train, val or test.
            transform: Function of a sample that returns the item.
        """
        from synthstudio.api.crops import PersonCrops

        return PersonCrops(self, size=size, split=split, transform=transform)

    # Read by exporters and checks (formats.exchange.Labelled).

    @property
    def identity(self) -> Identity:
        """The manifest: recipe, versions, assets, counts."""
        return self._stored.identity

    def iter_frames(self, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """Rows of the frames table, in order."""
        return self._stored.iter_frames(columns)

    def iter_instances(self, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """Rows of the instances table, in order."""
        return self._stored.iter_instances(columns)

    def iter_batches(
        self, kind: reader.Kind, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Arrow record batches of one of the tables, in order."""
        return self._stored.iter_batches(kind, columns)

    def person_ids(self) -> dict[tuple[int, int], Any]:
        """(frame, instance) -> annotation id in the imported file, where it differs from ours."""
        return self._stored.person_ids()

    def source_ids(self) -> dict[int, Any]:
        """Frame index -> image id in the imported file; {} if they are equal."""
        return self._stored.source_ids()

    def image_bytes_of(self, row: Row) -> bytes:
        """The picture's bytes of a frames-table row, verified by hash."""
        return self._stored.image_bytes_of(row)

    def __repr__(self) -> str:
        return f"Dataset({str(self.path)!r}, {len(self)} frames, {self.skeleton.title})"

    def _repr_html_(self) -> str:
        first = self[0]._repr_html_() if len(self) else ""
        return f"<p>{html.escape(repr(self))}</p>{first}"


def just_made(place: Place, summary: Any) -> Dataset:
    dataset = Dataset(place)
    dataset.summary = summary
    return dataset


def to_dataset(value: Any) -> Dataset:
    """A Dataset from one or from its folder; ArgumentError for another library's."""
    if isinstance(value, Dataset):
        return value
    if isinstance(value, Url) or args.is_path(value):
        return Dataset(value)
    raise ArgumentError(
        "not a data set of synthstudio",
        where="dataset",
        expected="a synthstudio.Dataset or the path of its folder",
        got=args.shown(value),
        then="Import other tools' files with synthstudio.import_.",
    )


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
    from synthstudio.formats.imports import import_from

    folder = args.to_path(out, "out")
    where = args.optional(args.to_path, images, "images")
    joints = None if skeleton is None else args.to_skeleton(skeleton)
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
    from synthstudio.formats.imports import Imported, import_opened
    from synthstudio.formats.photos import fetched, open_photos

    folder, place = args.to_folder(out, "out"), args.to_place(path, "path")
    with ExitStack() as done:
        if isinstance(place, Url):
            place = done.enter_context(fetched(place, folder.absolute()))
        opened = open_photos(
            place, args.to_skeleton(skeleton), rate_hz=rate_hz, every=every, out=folder.absolute()
        )
        return just_made(folder, import_opened(opened, None, "photos", Imported(folder=folder)))
