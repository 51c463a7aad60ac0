"""A folder that Hugging Face `datasets` opens: README.md (the card) and data/SPLIT-00000.parquet.

A row a picture: `image` (bytes and name), every column of the frames table, and `people`, a list of
whole rows of the instances table. No sidecar is needed.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from synthstudio.core.errors import FormatError
from synthstudio.core.safe_files import plain_name
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.rows import FRAME_SCHEMA, INSTANCE_SCHEMA, ParquetWriter, Row
from synthstudio.formats import checked
from synthstudio.formats.exchange import Opened, Picture, ReadSample, Target
from synthstudio.formats.sidecar import Groups

CARD_NAME = "README.md"
GROUP_ROWS = 64
FILE_ROWS = 5_000
_IMAGE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])


def _loose(field: pa.Field) -> pa.Field:
    """A nullable field (recursively), as `datasets` requires."""
    kind = pa.list_(field.type.value_type) if pa.types.is_list(field.type) else field.type
    return pa.field(field.name, kind)


def _feature(kind: pa.DataType) -> Any:
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    if pa.types.is_struct(kind):
        return {f.name: _feature(f.type) for f in kind}
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind)), "_type": "Value"}


def _schema() -> pa.Schema:
    fields = [
        pa.field("image", _IMAGE),
        *(_loose(f) for f in FRAME_SCHEMA),
        pa.field("people", pa.list_(pa.struct([_loose(f) for f in INSTANCE_SCHEMA]))),
    ]
    features = {f.name: _feature(f.type) for f in fields[1:]}
    metadata = {"info": {"features": {"image": {"_type": "Image"}, **features}}}
    return pa.schema(fields, metadata={"huggingface": json.dumps(metadata)})


SCHEMA = _schema()


def to_huggingface(frame: Row, people: Sequence[Row], image: bytes) -> Row:
    picture = {"bytes": image, "path": frame["file_name"]}
    return {"image": picture, **frame, "people": list(people)}


def from_huggingface(row: Row) -> ReadSample:
    """Undo `to_huggingface`; ValueError."""
    frame = {name: row[name] for name in FRAME_SCHEMA.names}
    checked.check_sample(frame, row["people"])
    plain_name(frame["file_name"], where="file_name")
    return frame, row["people"], row["image"]["bytes"]


def card(skeleton: Skeleton, splits: Mapping[str, int], people: int) -> str:
    """Return README.md: the file list for `datasets`, and descriptions of columns."""
    files = "".join(
        f"  - split: {split}\n    path: data/{split}-*.parquet\n" for split in sorted(splits)
    )
    frames = sum(splits.values())
    columns = ", ".join(FRAME_SCHEMA.names)
    inside = ", ".join(INSTANCE_SCHEMA.names)
    return f"""---
pretty_name: Labelled people, partly hidden
task_categories:
- keypoint-detection
size_categories:
- {_size(frames)}
configs:
- config_name: default
  data_files:
{files}---
# Labelled people, partly hidden

{frames} pictures, {people} people, skeleton {skeleton.title}: {", ".join(skeleton.joints)}.

A row is a picture: `image`, {columns}; and `people`, a list with, for each: {inside}.

Lists are flat, in row-major order: `joints_px` (J, 2) continuous pixels (a pixel's centre is at
.5), `visibility_fractions` (J, 5) visible, self, person, object, truncated. `state` is 2 visible,
1 hidden, 0 outside the picture, 255 unlabelled. Masks are COCO run-length codes.
"""


def _size(frames: int) -> str:
    bounds = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"))
    return next((name for bound, name in bounds if frames < bound), "1M<n<10M")


def write(pictures: Iterable[Picture], out: Path, target: Target) -> Path:
    """Write the folder; return it. OSError."""
    (out / "data").mkdir()
    files: dict[str, _SplitWriter] = {}
    people = 0
    for frame, rows, data in pictures:
        split = frame["split"] or "train"
        if split not in files:
            files[split] = _SplitWriter(out / "data", split)
        files[split].add(to_huggingface(frame, rows, data))
        people += len(rows)
    for file in files.values():
        file.close()
    splits = {split: file.count for split, file in files.items()}
    (out / CARD_NAME).write_text(card(target.skeleton, splits, people), "utf-8")
    return out


class _SplitWriter:
    def __init__(self, folder: Path, split: str) -> None:
        self._folder, self._split, self.count = folder, split, 0
        self._file: ParquetWriter | None = None
        self._rows: list[Row] = []

    def add(self, row: Row) -> None:
        if self.count % FILE_ROWS == 0:
            self.close()
            name = f"{self._split}-{self.count // FILE_ROWS:05d}.parquet"
            self._file = ParquetWriter(self._folder / name, SCHEMA, compression="zstd")
        self._rows.append(row)
        self.count += 1
        if len(self._rows) == GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        if self._file is not None:
            self._flush()
            self._file.close()

    def _flush(self) -> None:
        if self._file is not None and self._rows:
            self._file.write_table(pa.Table.from_pylist(self._rows, schema=SCHEMA))
        self._rows = []


def read(path: Path, images: Path | None, also: Sequence[str]) -> Opened:
    """Open such a folder; images are embedded. FormatError."""
    files = sorted((path / "data").glob("*.parquet"))
    places: list[tuple[int, int, int]] = []  # index, file, place in it
    readers = [Groups(file, SCHEMA) for file in files]
    for number, reader in enumerate(readers):
        index = reader.column("index")
        with checked.reading(str(files[number])):
            found = (checked.integer(i, 0, 2**40) for i in index)
            places += [(i, number, k) for k, i in enumerate(found)]
    if not places:
        raise FormatError("no data/*.parquet with rows", where=str(path))
    places.sort()
    numbers = [i for i, _, _ in places]
    if len(set(numbers)) != len(numbers):
        raise FormatError("two rows share an index", where=str(path))
    kind = readers[places[0][1]].row(places[0][2])["skeleton"]
    with checked.reading(str(path)):
        joints = checked.known_skeleton(kind)

    def samples() -> Iterator[ReadSample]:
        for _, number, place in places:
            with checked.reading(f"{files[number].name}, row {place}"):
                taken = from_huggingface(readers[number].row(place))
                if taken[0]["skeleton"] != joints.name:
                    raise ValueError("a row of another skeleton")
            yield taken

    return Opened(skeleton=joints, samples=samples(), numbers=numbers)
