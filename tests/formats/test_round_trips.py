import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as arrow
import pyarrow.parquet as pq
import pytest
from exchange_sets import differences, rows_of, same, tree

from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.formats import FORMATS
from synthstudio.formats.exchange import inside
from synthstudio.formats.export import export
from synthstudio.formats.huggingface import GROUP_ROWS
from synthstudio.formats.imports import import_from
from synthstudio.formats.joints import convert_row

FORMAT_NAMES = sorted(FORMATS)
CROWD = ("coco", "crowdpose")


@pytest.fixture(scope="module", params=FORMAT_NAMES)
def exported(request, original, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / request.param
    made = export(request.param, original.folder, out)
    assert made.annotations.exists()
    return request.param, out


def test_there_and_back_nothing_is_lost(original, exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name, out = exported
    made = import_from(name, out, Path("s3:a"))  # a relative folder that looks like a URL
    assert (made.frames, made.edited) == (original.frames, 0)
    frames, people = rows_of(Path("s3:a"))
    assert differences(list(original.iter_frames()), frames) == []
    assert differences(list(original.iter_instances()), people) == []
    back = Dataset(Path("s3:a"))
    assert back.identity.assets == original.identity.assets or not FORMATS[name].missing
    for frame in original.iter_frames():
        assert back.image_bytes(frame["index"]) == original.image_bytes(frame["index"])


def test_out_again_the_bytes_are_the_same(original, exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name, out = exported
    import_from(name, out, tmp_path / "back")
    export(name, tmp_path / "back", tmp_path / "again")
    first, second = tree(out), tree(tmp_path / "again")
    for files in (first, second):
        files.pop("synthstudio/sidecar.json", None)  # says that the set was imported
    assert first.keys() == second.keys()
    assert [n for n in first if first[n] != second[n]] == []
    export(name, original.folder, Path("exp:1/twice"))
    assert tree(out) == tree(Path("exp:1/twice"))


def test_without_the_sidecar_all_that_the_format_holds_comes_back(original, exported, tmp_path):
    name, out = exported
    if not FORMATS[name].missing:
        assert not (out / "synthstudio").exists()  # it holds whole rows: see the tests above
        return
    shutil.copytree(out, tmp_path / "bare", ignore=shutil.ignore_patterns("synthstudio"))
    import_from(name, tmp_path / "bare", tmp_path / "back")
    target = get_skeleton(FORMATS[name].skeleton or "coco23")
    assert Dataset(tmp_path / "back").identity.skeleton == target.name
    frames, people = rows_of(tmp_path / "back")
    if FORMATS[name].trains or name in ("cvat", "label-studio"):
        assert [f["split"] for f in frames] == [f["split"] for f in original.iter_frames()]
    shown = [_shown(original, frame) for frame in original.iter_frames()]
    if name in ("mpii", "lsp", "h36m"):  # frames without people are not in these
        shown = [rows for rows in shown if rows]
    seen = set()
    for place, wanted in enumerate(shown):
        got = [row for row in people if row["frame_index"] == place]
        assert len(got) == len(wanted)
        for a, b in zip(wanted, got, strict=True):
            a = convert_row(a, original.frame(a["frame_index"]), target)
            seen |= compare_points(a, b, outside=0 if name in (*CROWD, "h36m") else 255)
            compare_rest(name, a, b)
    assert seen >= {0, 1, 2}


def compare_points(a, b, *, outside):
    """Hold places and states against each other; return the states that occurred."""
    places = (np.reshape(row["joints_px"], (-1, 2)) for row in (a, b))
    for state, other, place, found in zip(a["state"], b["state"], *places, strict=True):
        if state in (1, 2):
            assert other == state
            assert np.abs(place - found).max() < 1e-6
        else:
            assert other == (outside if state == 0 else 255)
    return set(a["state"])


def compare_rest(name, a, b):
    """Hold against each other what this format has besides points."""
    if name in (*CROWD, "coco-wholebody", "label-studio", "ochuman"):
        assert np.allclose(a["modal_box_px"], b["modal_box_px"], atol=1e-6)
    if name == "yolo":  # holds one box: of all of the person
        whole = inside(a["amodal_box_px"], a["mask_size"])
        assert np.allclose(whole, b["modal_box_px"], atol=1e-6)
    if name in CROWD:
        assert same(a["visibility_fractions"], b["visibility_fractions"])
        assert a["cause"] == b["cause"]
    if name in (*CROWD, "ochuman", "coco-wholebody"):
        assert a["modal_counts"] == b["modal_counts"]
    if name == "ochuman":
        assert [c == "self" for c in a["cause"]] == [c == "self" for c in b["cause"]]
    if name == "h36m":
        name = "kinematic_joints_world_m"
        assert np.allclose(a[name], b[name], equal_nan=True)
        assert b["joints_camera_m"] is None  # regressed ones are other joints


def _shown(dataset, frame):
    return [r for r in dataset.instances(frame["index"]) if r["modal_area_px"] >= 16]


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
