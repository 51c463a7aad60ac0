"""WebDataset and Hugging Face exports read from front to end, as their streaming readers do.

`datasets` itself is not among what is tested here (`make interop` runs it): its streaming reads
Parquet row group by row group through Arrow, and WebDataset's tars through Python's tarfile.
"""

import json

import pyarrow as pa
import pyarrow.dataset as arrow
import pyarrow.parquet as pq
import pytest
from exchange_sets import make_set

from synthstudio.formats.export import export
from synthstudio.formats.tools.huggingface import GROUP_ROWS


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return make_set(tmp_path_factory.mktemp("streamed") / "set")


def test_parquet_is_read_group_by_group_with_the_features_that_it_names(original, tmp_path):
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
