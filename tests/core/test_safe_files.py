import io
import pickle
import zipfile

import numpy as np
import pytest

from synthstudio.core import safe_files
from synthstudio.core.errors import FormatError
from synthstudio.core.safe_files import NpzWriter, file_inside, plain_name, read_npz


@pytest.mark.parametrize(
    "name",
    ["../a.jpg", "a/../../b", "/etc/passwd", "C:\\a.jpg", "c:a", "a\\..\\b", "a\x00b", "", ".",
     "x" * 2000, None, 7, "a\nb"],
)  # fmt: skip
def test_names_that_lead_out_are_refused(name, tmp_path):
    with pytest.raises(FormatError):
        plain_name(name, where="image 1")
    with pytest.raises(FormatError):
        file_inside(tmp_path, name, where="image 1")


def test_links_that_lead_out_are_refused(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out.jpg"
    inside.mkdir()
    outside.write_text("secret")
    (inside / "a.jpg").symlink_to(outside)
    (inside / "loop").symlink_to(inside / "loop")
    (inside / "folder").symlink_to(tmp_path)
    (inside / "b.jpg").write_text("fine")
    (inside / "c.jpg").symlink_to(inside / "b.jpg")
    for name in ("a.jpg", "loop", "folder/out.jpg", "folder", "none.jpg"):
        with pytest.raises(FormatError):
            file_inside(inside, name, where="image 1")
    for name in ("b.jpg", "c.jpg", "./b.jpg"):
        assert file_inside(inside, name, where="image 1").read_text() == "fine"


def test_arrays_written_row_by_row_are_what_numpy_reads(tmp_path):
    columns = {"a": ((2, 3), "<f8"), "n": ((), "<U8"), "k": ((), "|u1")}
    rows = [{"a": np.full((2, 3), k), "n": f"x{k}", "k": k} for k in range(5)]
    for out in ("one", "two"):
        (tmp_path / out).mkdir()
        with NpzWriter(tmp_path / out, columns) as writer:
            for row in rows:
                writer.add(row)
            writer.save(tmp_path / f"{out}.npz", {"names": ["u", "v"]})
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    with np.load(tmp_path / "one.npz", allow_pickle=False) as read:
        assert read["a"].shape == (5, 2, 3)
        assert read["n"].tolist() == ["x0", "x1", "x2", "x3", "x4"]
        assert read["names"].tolist() == ["u", "v"]
    ours = read_npz(tmp_path / "one.npz", [*columns, "missing"], tmp_path / "one")
    assert set(ours) == set(columns)
    assert (ours["a"] == np.stack([r["a"] for r in rows])).all()


def archive(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    return path


def npy(array, **options):
    data = io.BytesIO()
    np.lib.format.write_array(data, array, **options)
    return data.getvalue()


def header(shape):
    data = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        data, {"descr": "<f8", "fortran_order": False, "shape": shape}
    )
    return data.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        npy(np.array([object()], object), allow_pickle=True),
        pickle.dumps([1]),
        header((10**15,)),
        header((2**40, 2**40)),
        header((-1,)) + bytes(8),
        header((3,)) + bytes(16),
        header((1,)) + bytes(16),
        npy(np.zeros((2, 2), order="F")),
        b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535,
        b"\x93NUMPY\x01\x00\x10\x00" + b"{'shape': (3L,  ",
        b"\x93NUMPY\x09\x00",
        b"",
    ],
)
def test_members_that_are_not_what_they_say(data, tmp_path):
    with pytest.raises(FormatError, match=r"a\.npz"):
        read_npz(archive(tmp_path / "a.npz", a=data), ["a"], tmp_path)


def test_bombs_and_broken_archives(tmp_path, monkeypatch):
    monkeypatch.setattr(safe_files, "_FREE_BYTES", 100_000)
    bomb = archive(tmp_path / "bomb.npz", a=npy(np.zeros(1_000_000)))
    with pytest.raises(FormatError, match="unpacks to"):
        read_npz(bomb, ["a"], tmp_path)
    for data in (b"", b"PK\x03\x04", bomb.read_bytes()[:200]):
        (tmp_path / "b.npz").write_bytes(data)
        with pytest.raises(FormatError, match=r"b\.npz"):
            read_npz(tmp_path / "b.npz", ["a"], tmp_path)
    good = bytearray(archive(tmp_path / "c.npz", a=npy(np.arange(5000.0))).read_bytes())
    good[2000] ^= 0xFF
    (tmp_path / "c.npz").write_bytes(good)
    with pytest.raises(FormatError):
        read_npz(tmp_path / "c.npz", ["a"], tmp_path)


def test_a_limit_holds_for_all_members_before_one_is_unpacked(tmp_path):
    path = archive(tmp_path / "a.npz", a=npy(np.zeros(3)), b=npy(np.zeros(300)))
    (tmp_path / "s").mkdir()
    with pytest.raises(FormatError, match=r"b\.npy unpacks to 2528 bytes"):
        read_npz(path, ["a", "b"], tmp_path / "s", limit=2000)
    assert not list((tmp_path / "s").iterdir())
    assert set(read_npz(path, ["a"], tmp_path / "s", limit=2000)) == {"a"}  # b is not asked for
    wanted = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    other = archive(tmp_path / "f.npz", a=npy(wanted))
    np.testing.assert_array_equal(read_npz(other, ["a"], tmp_path, fortran=True)["a"], wanted)
