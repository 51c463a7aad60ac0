"""Start Warp once a process: quiet, with a kernel cache it can write to, on a device it has."""

import atexit
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Literal

import warp as wp

from synthstudio.core.errors import DeviceError


def resolve_device(requested: Literal["auto", "cpu", "cuda"]) -> str:
    """Either "cpu" or "cuda:0"; "auto" takes CUDA if available.

    DeviceError for "cuda" on a machine without it, and for any other word.
    """
    if requested not in ("auto", "cpu", "cuda"):
        raise DeviceError(
            "unknown device", where="device", expected="auto, cpu or cuda", got=requested
        )
    _start()
    if requested == "cpu":
        return "cpu"
    if wp.is_cuda_available():
        return "cuda:0"
    if requested == "auto":
        return "cpu"
    raise DeviceError(
        "there is no CUDA device",
        where="device cuda",
        expected="an NVIDIA GPU and its driver",
        got="none that Warp can use",
        then="Use --device cpu (or auto); the labels are the same.",
    )


@cache
def init(device: str) -> None:
    """Start Warp for `device` ("cpu" or "cuda:0"); cheap when already started. DeviceError."""
    _start()
    if device not in ("cpu", "cuda:0"):
        raise DeviceError("unknown device", where="device", expected="cpu or cuda:0", got=device)
    if device == "cuda:0":
        resolve_device("cuda")


def device_model(device: str) -> str:
    """Either "cpu" or the model of the GPU behind "cuda:0"."""
    init(device)
    return "cpu" if device == "cpu" else str(wp.get_device(device).name)


def compile_all(device: str) -> None:
    """Compile and load every kernel of the modules below `render` that are imported.

    A parent calls it before it starts workers, which then find all kernels in the cache. A lock
    in the cache folder lets one process compile while others wait.
    """
    init(device)
    folder = _cache_folder()
    with (folder / "synthstudio.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Packing runs on the CPU whatever the device.
        wp.load_module("synthstudio.render", device=list({"cpu", device}), recursive=True)


@cache
def _start() -> None:
    """Initialise Warp; when its cache folder cannot be written, use a temporary one."""
    wp.config.log_level = wp.LOG_ERROR
    try:
        with _without_driver_warning():
            wp.init()  # type: ignore[no-untyped-call]
        with tempfile.TemporaryFile(dir=_cache_folder()):
            pass
    except OSError:
        folder = tempfile.mkdtemp(prefix="synthstudio-warp-")
        # Children inherit the variable, so they share the kernels that the parent compiled.
        os.environ["WARP_CACHE_PATH"] = folder
        atexit.register(_remove_if_parent, folder, os.getpid())
        wp.config.kernel_cache_dir = folder
        with _without_driver_warning():
            wp.init()  # type: ignore[no-untyped-call]
        below = Path(folder) / wp.config.version  # where a child's Warp will look
        below.mkdir(exist_ok=True)
        wp.config.kernel_cache_dir = str(below)


def _cache_folder() -> Path:
    return Path(str(wp.config.kernel_cache_dir))


def _remove_if_parent(folder: str, pid: int) -> None:
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _without_driver_warning() -> Iterator[None]:
    """Drop the line that Warp's library writes to stderr on every machine without a GPU."""
    with tempfile.TemporaryFile() as caught:
        kept = os.dup(2)
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            caught.seek(0)
            for line in caught:
                if b"Could not find or load the NVIDIA CUDA driver" not in line:
                    os.write(2, line)
