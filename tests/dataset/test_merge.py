"""Parts merged are the unbroken run, byte for byte."""

import errno
import os
import re
import shutil
from unittest.mock import Mock

import fake_frames
import pytest
from written_sets import make

from synthstudio.core.errors import DatasetError, DiskError
from synthstudio.dataset.merge import merge
from synthstudio.dataset.shards import hashed_files

FRAMES = 22


def _make(out, part=None, **changes):
    identity = fake_frames.identity(**{"frames": FRAMES, **changes})
    make(out, identity, part=part)
    return out


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return _make(tmp_path_factory.mktemp("whole") / "set")


@pytest.fixture
def parts(tmp_path):
    return [_make(tmp_path / f"part{k}", (k, 3)) for k in (1, 2, 3)]


def test_parts_in_any_order_give_the_bytes_of_one_run(parts, whole, tmp_path):
    before = [hashed_files(part) for part in parts]
    assert {(p / "dataset.json").read_bytes() for p in (*parts, whole)} == {
        (whole / "dataset.json").read_bytes()
    }
    for order in ([0, 1, 2], [2, 0, 1]):
        out = tmp_path / f"joined{order[0]}"
        joined = merge([parts[i] for i in order], out)
        assert joined.finished and joined.frames == FRAMES
        assert hashed_files(out) == hashed_files(whole)
        assert list(joined.verify()) == []
    assert [hashed_files(part) for part in parts] == before


def test_parts_of_different_runs_are_refused_or_written_down(parts, tmp_path):
    for k, (change, line) in enumerate((
        ({"seed": 2}, "seed: had 1, wants 2"),
        ({"frames": FRAMES + 4}, "frames: had 22, wants 26"),
        ({"recipe": {}}, "recipe.people"),
        ({"machine": {"cpu": "b"}}, "machine.cpu"),
    )):  # fmt: skip
        other = _make(tmp_path / f"other{k}", (3, 3), **change)
        with pytest.raises(DatasetError, match=re.escape(line)):
            merge([*parts[:2], other], tmp_path / "joined")
        assert not (tmp_path / "joined").exists()
    joined = merge([*parts[:2], other], tmp_path / "joined", allow_mixed=True)
    assert "machine.cpu: had 'a cpu', wants 'b'" in joined.mixed[0]["differences"]
    longer = _make(tmp_path / "longer", (3, 3), frames=FRAMES + 1)
    with pytest.raises(DatasetError, match="frames: had 22, wants 23"):
        merge([*parts[:2], longer], tmp_path / "no", allow_mixed=True)


def test_where_links_are_not_possible_copies_are_made_and_a_full_disk_is_said(
    parts, whole, tmp_path, monkeypatch
):
    full, copied = tmp_path / "full", tmp_path / "copied"
    monkeypatch.setattr(os, "link", Mock(side_effect=OSError(errno.ENOSPC, "refused")))
    with pytest.raises(DiskError, match="the disk is full"):
        merge(parts, full)
    assert not list(full.rglob(".tmp-*")) and not (full / "index.json").exists()
    monkeypatch.setattr(os, "link", Mock(side_effect=OSError(errno.EXDEV, "refused")))
    merge(parts, copied)
    image = "shards/00000/images/000000.jpg"
    assert not (copied / image).samefile(parts[0] / image)
    merge(parts, full, resume=True)
    assert hashed_files(full) == hashed_files(copied) == hashed_files(whole)


def test_missing_and_doubled_parts_and_a_whole_run(parts, whole, tmp_path):
    for chosen, got in (
        ([0, 1], "got 1/3, 2/3"),
        ([0, 1, 1, 2], "got 1/3, 2/3, 2/3, 3/3"),
        ([0], "got 1/3"),
        ([], "got none"),
        ([0, 1, 2, 3], "not a part"),
    ):
        with pytest.raises(DatasetError, match=got):
            merge([[*parts, whole][i] for i in chosen], tmp_path / "joined")
        assert not (tmp_path / "joined").exists()


def test_a_damaged_an_unfinished_and_a_missing_part_are_named(parts, tmp_path):
    os.truncate(parts[1] / "shards" / "00004" / "images" / "000017.jpg", 3)
    with pytest.raises(DatasetError, match=r"part2.*damaged.*000017\.jpg"):
        merge(parts, tmp_path / "damaged")
    assert not (tmp_path / "damaged" / "index.json").exists()
    (parts[2] / "index.json").unlink()
    with pytest.raises(DatasetError, match=r"part3.*unfinished"):
        merge(parts, tmp_path / "joined")
    shutil.rmtree(parts[2])
    with pytest.raises(DatasetError, match=r"part3.*not a data set"):
        merge(parts, tmp_path / "joined")
    assert not (tmp_path / "joined").exists()
