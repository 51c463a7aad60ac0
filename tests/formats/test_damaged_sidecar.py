"""A sidecar whose rows contradict one another is refused in our words."""

from contextlib import suppress

import pyarrow as pa
import pytest
from exchange_sets import make_set
from tampered import tamper

from synthstudio.core.errors import FormatError
from synthstudio.formats.export import export
from synthstudio.formats.imports import import_from


@pytest.mark.parametrize("form", ["label-studio", "cvat", "yolo", "coco"])
def test_people_twice_in_the_sidecar(form, tmp_path) -> None:
    made = make_set(tmp_path / "set", frames=1)
    export(form, made.folder, tmp_path / "in")
    tamper(
        tmp_path / "in" / "synthstudio",
        "instances.parquet",
        lambda table: pa.concat_tables([table, table]),
    )
    with suppress(FormatError):
        import_from(form, tmp_path / "in", tmp_path / "out")
