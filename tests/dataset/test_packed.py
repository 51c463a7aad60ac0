"""A shard as one file: the same bytes each time, back as it was, and nothing written outside."""

import io
import shutil
import tarfile

import pytest

from synthstudio.core.errors import DatasetError
from synthstudio.dataset.shards import pack, unpack, unpack_shard, verify_shard


def tar_of(*entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind, data in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.size, entry.linkname = kind, len(data), "/etc/passwd"
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def test_a_shard_there_and_back(unbroken, tmp_path):
    shard = unbroken / "shards" / "00000"
    (tmp_path / "shards").mkdir()
    staged = unpack_shard(pack(shard), tmp_path, 0)
    assert staged.temporary.parent == tmp_path / "shards" and staged.entry.shard == 0
    assert verify_shard(staged.temporary, sha256=staged.entry.sha256) == []
    with pytest.raises(DatasetError, match="another shard"):
        unpack_shard(pack(shard), tmp_path, 1)


NO_FILES = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE)
NO_FILES += (tarfile.GNUTYPE_SPARSE,)
NO_NAMES = ("../out", "/tmp/out", "a/../../out", "a//b", "a" * 256, "a/" * 3000 + "b")
NO_NAMES += ("a\0b" + "c" * 100,)


@pytest.mark.parametrize(
    "entries",
    [
        *([(name, tarfile.REGTYPE, b"x")] for name in NO_NAMES),
        *([("a", kind, b"")] for kind in NO_FILES),
        [("a", tarfile.REGTYPE, b"x"), ("a", tarfile.REGTYPE, b"y")],
        [("a", tarfile.REGTYPE, b"x"), ("a/b", tarfile.REGTYPE, b"y")],
        [("a", tarfile.REGTYPE, b"x"), ("a/b/c", tarfile.REGTYPE, b"y")],
        [("a/b", tarfile.REGTYPE, b"x"), ("a", tarfile.REGTYPE, b"y")],
    ],
)
def test_what_nobody_packed_is_refused(entries, tmp_path):
    with pytest.raises(DatasetError, match="damaged"):
        unpack(tar_of(*entries), tmp_path / "in" / "shard", where="shard 0")
    assert not (tmp_path / "out").exists() and not (tmp_path / "in" / "out").exists()


def test_half_a_tar_is_refused(unbroken, tmp_path):
    data = pack(unbroken / "shards" / "00000")
    for cut in (1, 100, 600, 10_000):
        with pytest.raises(DatasetError, match="damaged"):
            unpack(data[:cut], tmp_path / "b", where="shard 0")
        shutil.rmtree(tmp_path / "b", ignore_errors=True)
