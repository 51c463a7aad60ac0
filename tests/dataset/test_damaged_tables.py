"""Tables that contradict one another: named by a DatasetError, wherever they are used."""

import pytest
from painted_frames import painted, write_set
from tampered import tamper

from synthstudio.core.errors import DatasetError
from synthstudio.dataset import filter as filtering
from synthstudio.dataset.reader import Dataset


@pytest.mark.parametrize("kept", [slice(0, 1), slice(1, 3)])
def test_a_query_about_people_of_no_frame(kept, tmp_path) -> None:
    write_set(tmp_path / "set", [painted(i, people=2) for i in range(3)])
    tamper(tmp_path / "set", "frames.parquet", lambda table: table[kept])
    dataset = Dataset(tmp_path / "set")
    with pytest.raises(DatasetError, match="do not fit"):
        filtering.count(dataset, filtering.query_of(dataset, "area > 100 and crowd < 0.5"))
