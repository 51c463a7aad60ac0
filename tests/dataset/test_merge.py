"""Parts merged are the unbroken run, byte for byte."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import fake_frames
import pytest
from written_sets import make

from synthstudio.core.errors import DatasetError, DiskError
from synthstudio.dataset.merge import merge
from synthstudio.dataset.shards import hashed_files

FRAMES = 22


def _make(out: Path, part: tuple[int, int] | None = None, **changes: Any) -> Path:
    identity = fake_frames.identity(**{"frames": FRAMES, **changes})
    make(out, identity, part=part)
    return out


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _make(tmp_path_factory.mktemp("whole") / "set")


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    return [_make(tmp_path / f"part{k}", (k, 3)) for k in (1, 2, 3)]


def test_parts_in_any_order_give_the_bytes_of_one_run(parts, whole, tmp_path):
    before = [hashed_files(part) for part in parts]
    assert all(
        (p / "dataset.json").read_bytes() == (whole / "dataset.json").read_bytes() for p in parts
    )
    for order in ([0, 1, 2], [2, 0, 1]):
        out = tmp_path / f"joined{order[0]}"
        joined = merge([parts[i] for i in order], out)
        assert joined.finished and joined.frames == FRAMES
        assert hashed_files(out) == hashed_files(whole)
        assert list(joined.verify()) == []
    assert [hashed_files(part) for part in parts] == before


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"seed": 2}, "seed: had 1, wants 2"),
        ({"frames": FRAMES + 4}, "frames: had 22, wants 26"),
        ({"recipe": {}}, "recipe.people"),
        ({"machine": {"cpu": "b"}}, "machine.cpu"),
    ],
)
def test_parts_of_different_runs(parts, tmp_path, change, line):
    other = _make(tmp_path / "other", (3, 3), **change)
    with pytest.raises(DatasetError) as caught:
        merge([*parts[:2], other], tmp_path / "joined")
    assert line in str(caught.value)
    assert not (tmp_path / "joined").exists()


def test_mixed_parts_are_written_down(parts, tmp_path):
    other = _make(tmp_path / "other", (3, 3), machine={"cpu": "b"})
    joined = merge([*parts[:2], other], tmp_path / "joined", allow_mixed=True)
    assert "machine.cpu: had 'a cpu', wants 'b'" in joined.mixed[0]["differences"]
    longer = _make(tmp_path / "longer", (3, 3), frames=FRAMES + 1)
    with pytest.raises(DatasetError, match="frames: had 22, wants 23"):
        merge([*parts[:2], longer], tmp_path / "no", allow_mixed=True)


@pytest.mark.parametrize(
    ("number", "message"), [(errno.EXDEV, ""), (errno.ENOSPC, "the disk is full")]
)
def test_where_links_are_not_possible_copies_are_made_and_a_full_disk_is_said(
    parts, whole, tmp_path, monkeypatch, number, message
):
    def refuse(*_, **__):
        raise OSError(number, "refused")

    out = tmp_path / "joined"
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", refuse)
        if message:
            with pytest.raises(DiskError, match=message):
                merge(parts, out)
            assert not list(out.rglob(".tmp-*")) and not (out / "index.json").exists()
        else:
            merge(parts, out)
            image = "shards/00000/images/000000.jpg"
            assert not (out / image).samefile(parts[0] / image)
    if message:
        merge(parts, out, resume=True)
    assert hashed_files(out) == hashed_files(whole)


@pytest.mark.parametrize(
    ("chosen", "got"),
    [
        ([0, 1], "got 1/3, 2/3"),
        ([0, 1, 1, 2], "got 1/3, 2/3, 2/3, 3/3"),
        ([0], "got 1/3"),
        ([], "got none"),
        ([0, 1, 2, 3], "not a part"),
    ],
)
def test_missing_and_doubled_parts_and_a_whole_run(parts, whole, tmp_path, chosen, got):
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
