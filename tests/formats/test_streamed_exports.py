"""WebDataset and Hugging Face exports read from front to end, as their streaming readers do.

`datasets` itself is not among what is tested here (`make interop` runs it): its streaming reads
Parquet row group by row group through Arrow, and WebDataset's tars through Python's tarfile.
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as arrow
import pyarrow.parquet as pq
import pytest
from exchange_sets import make_set

from synthstudio.dataset.reader import Dataset
from synthstudio.formats.export import export
from synthstudio.formats.tools.huggingface import GROUP_ROWS


class Once(io.RawIOBase):
    """Bytes that can only be read on, as those of a connection."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("rb")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self.file.readinto(buffer)

    def close(self) -> None:
        self.file.close()
        super().close()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_set(tmp_path_factory.mktemp("streamed") / "set")


def samples(path: Path) -> list[dict[str, bytes]]:
    """The samples of a tar by WebDataset's rule: neighbours whose names are equal up to the first
    dot of the last part."""
    found: list[dict[str, bytes]] = []
    with Once(path) as raw, tarfile.open(fileobj=raw, mode="r|") as tar:
        for member in tar:
            assert member.isreg()
            folder, _, name = member.name.rpartition("/")
            stem, _, kind = name.partition(".")
            key = f"{folder}/{stem}"
            if not found or found[-1]["__key__"] != key.encode():
                found.append({"__key__": key.encode()})
            file = tar.extractfile(member)
            assert file is not None and kind not in found[-1]
            found[-1][kind] = file.read()
    return found


def test_webdataset_groups_the_files_of_a_frame(original: Dataset, tmp_path: Path) -> None:
    export("webdataset", original.folder, tmp_path / "out")
    found = [sample for tar in sorted((tmp_path / "out").rglob("*.tar")) for sample in samples(tar)]
    frames = {row["index"]: row for row in original.iter_frames()}
    assert len({sample["__key__"] for sample in found}) == len(found) == len(frames)
    for sample in found:
        value = json.loads(sample["json"])
        row = frames[value["frame"]["index"]]
        (picture,) = (data for kind, data in sample.items() if kind not in ("__key__", "json"))
        assert picture == original.image_bytes_of(row)
        assert len(value["people"]) == len(original.instances(row["index"]))


def test_parquet_is_read_group_by_group_with_the_features_that_it_names(
    original: Dataset, tmp_path: Path
) -> None:
    export("huggingface", original.folder, tmp_path / "out")
    files = sorted((tmp_path / "out" / "data").glob("*.parquet"))
    seen = []
    for path in files:
        with pq.ParquetFile(path) as file:
            sizes = [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
        assert max(sizes) <= GROUP_ROWS  # what a streaming reader holds at a time
        read = arrow.dataset(path, format="parquet")
        features = json.loads(read.schema.metadata[b"huggingface"])["info"]["features"]
        assert list(features) == read.schema.names and features["image"] == {"_type": "Image"}
        assert read.schema.field("image").type == pa.struct(
            [("bytes", pa.binary()), ("path", pa.string())]
        )
        for batch in read.to_batches(batch_size=2, use_threads=False):
            for row in batch.to_pylist():
                frame = original.frame(row["index"])
                assert row["image"]["bytes"] == original.image_bytes_of(frame)
                assert row["people"] == original.instances(row["index"])
                seen.append(row["index"])
    assert sorted(seen) == [row["index"] for row in original.iter_frames()]
