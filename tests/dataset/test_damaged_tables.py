"""Tables that contradict one another or hold nonsense: named by a DatasetError where it is met."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from painted_frames import painted, write_set
from tampered import tamper

from synthstudio.api import quality, selection
from synthstudio.core.errors import DatasetError
from synthstudio.dataset import filter as filtering
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import check_text
from synthstudio.dataset.splits import shared_notes
from synthstudio.report.draw import drawable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a data set of three frames with two people in each."""
    return write_set(tmp_path / "set", [painted(i, people=2) for i in range(3)]).folder


def _with(name: str, values: list[Any]) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(name)
        field = table.schema.field(place)
        return table.set_column(place, field, pa.array(values, field.type))

    return change


@pytest.mark.parametrize("kept", [slice(0, 1), slice(1, 3)])
def test_a_query_about_people_of_no_frame(kept, folder):
    tamper(folder, "frames.parquet", lambda table: table[kept])
    dataset = Dataset(folder, check=False)
    with pytest.raises(DatasetError, match="do not fit"):
        filtering.count(dataset, filtering.query_of(dataset, "area > 100 and crowd < 0.5"))


@pytest.mark.parametrize(
    "spec", ["", "{", "[1]", "3", '{"backdrop": 3}', '{"backdrop": {"kind": "plain"}}', "[" * 9999]
)
def test_a_spec_that_is_none(spec, folder, tmp_path):
    tamper(folder, "frames.parquet", _with("spec", [spec] * 3))
    with pytest.raises(DatasetError, match="not a stored frame spec"):
        quality.write_report(folder, tmp_path / "page.html")
    if "backdrop" not in spec:
        with pytest.raises(DatasetError, match="not a stored frame spec"):
            selection.filter(folder, "area > 0", tmp_path / "out")
        with pytest.raises(DatasetError, match="not a stored frame spec"):
            selection.leaks(folder, by=["asset"])
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_text_that_is_none(folder, tmp_path):
    def change(table):
        raw = pa.array([b"\xff\xfe"] * table.num_rows, pa.binary())
        text = pa.StringArray.from_buffers(len(raw), *raw.buffers()[1:])
        place = table.schema.get_field_index("pose")
        return table.set_column(place, table.schema.field(place), text)

    tamper(folder, "instances.parquet", change)
    with pytest.raises(DatasetError, match="text in pose"):
        list(Dataset(folder).iter_instances())
    check_text(pa.table({"file_name": ["ä"], "index": [1]}), tmp_path / "frames.parquet")


def test_two_people_of_one_number_are_drawn(folder):
    dataset = Dataset(folder, check=False)
    people = dataclasses.replace(dataset.people_of(0), instance=np.ones(2, np.int64))
    assert sorted(p.depth_rank for p in drawable(people).people) == [0, 1]


@pytest.mark.parametrize("spec", ["{", "[1]", '{"people": [3]}', '{"people": [{"pose": 1}]}'])
def test_a_spec_that_is_none_among_sources(spec, folder):
    tamper(folder, "frames.parquet", _with("spec", [spec] * 3))
    with pytest.raises(DatasetError, match="not a stored frame spec"):
        shared_notes([folder])


@pytest.mark.parametrize("name", ["ask_fraction", "occluded_fraction", "truncated_fraction"])
@pytest.mark.parametrize("value", [2.0**31, -0.1, np.inf])
def test_a_fraction_out_of_range(name, value, folder):
    tamper(folder, "instances.parquet", _with(name, [value] * 6))
    with pytest.raises(DatasetError, match=f"{name} from 0 to 1"):
        quality.stats(folder)


def test_unknown_fractions_count_no_error(folder):
    tamper(folder, "instances.parquet", _with("ask_fraction", [0.5] * 6))
    tamper(folder, "instances.parquet", _with("ask_met", [True] * 6))
    tamper(folder, "instances.parquet", _with("occluded_fraction", [None] * 6))
    assert quality.stats(folder)["people"] == 6
