"""The connection of a run to a Ray cluster: joined or started, and restored on exit."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psutil

from synthstudio.core.errors import WorkerError
from synthstudio.core.extras import import_extra
from synthstudio.generation.engines.local import ONE_THREAD, environment

_LOCAL = "local"
_END_S = 10.0
_REACH_S = 20.0
_DRIVER_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # no telemetry
    "RAY_task_oom_retries": "3",  # default: unlimited
}
_ENVIRONMENT = {
    **ONE_THREAD,
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a worker sees the GPU without owning it
}


_OWN = "SYNTHSTUDIO_RAY_OWN"
"""Set in workers of a local cluster that a run started."""
_lock = threading.Lock()
_shared: list[_Shared] = []
"""The connection of this process, shared by its runs, if any."""


@dataclass(frozen=True, kw_only=True)
class Connection:
    """`environment`: variables of workers. `own`: a local cluster that
    a run started; then no worker reserves a core."""

    environment: dict[str, str]
    own: bool


@dataclass
class _Shared:
    connection: Connection
    children: list[psutil.Process]  # processes that Ray started with the connection
    kept: ExitStack  # resources released with it
    users: int = 0


@contextmanager
def connected(workers: int) -> Iterator[Connection]:
    """Join a cluster. One started here stops with the last run of this process that uses it."""
    ray = import_extra("ray", extra="ray", error=WorkerError)
    with _lock:
        if not _shared and ray.is_initialized():  # by the caller, who keeps it
            shared = None
        else:
            if not _shared:
                _shared.append(_connect(ray, workers))
            shared = _shared[0]
            shared.users += 1
    if shared is None:
        own = bool(os.environ.get(_OWN))
        yield Connection(environment=dict(_ENVIRONMENT), own=own)
        return
    try:
        yield shared.connection
    finally:
        with _lock:
            shared.users -= 1
            if not shared.users:
                _shared.clear()
                _disconnect(shared)


def _connect(ray: Any, workers: int) -> _Shared:
    address = os.environ.get("RAY_ADDRESS") or _LOCAL
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    # Linux kills Ray's processes when the thread that started them ends (PR_SET_PDEATHSIG).
    keeper = ThreadPoolExecutor(1, "ray")
    with ExitStack() as stack:
        stack.callback(keeper.shutdown)
        stack.enter_context(environment(_DRIVER_ENVIRONMENT))
        stack.enter_context(_quiet(ray))
        stack.callback(ray.shutdown)
        with _own_signals():
            keeper.submit(_join, ray, address, workers).result()
        own = {"PYTHONPATH": _search_path(), _OWN: "1"} if address == _LOCAL else {}
        found = psutil.Process().children(recursive=True) if own else []
        return _Shared(
            connection=Connection(environment={**_ENVIRONMENT, **own}, own=bool(own)),
            children=[child for child in found if child.pid not in before],
            kept=stack.pop_all(),
        )


def _disconnect(shared: _Shared) -> None:
    """Leave the cluster; one that was started here has stopped on return."""
    every = list(shared.children)
    for process in shared.children:
        with suppress(psutil.Error):
            every += process.children(recursive=True)
    shared.kept.close()
    _, left = psutil.wait_procs(every, _END_S)
    for child in left:
        with suppress(psutil.Error):
            child.kill()


def _join(ray: Any, address: str, workers: int) -> None:
    if address.startswith("ray://"):
        raise WorkerError(
            "a run must run on a node of the cluster, not as a Ray client",
            where="RAY_ADDRESS",
            expected="HOST:PORT of the cluster's head, or auto on one of its nodes",
            got=address,
        )
    own = {"num_cpus": workers, "include_dashboard": False} if address == _LOCAL else {}
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL, **own)
    except Exception as error:  # Ray raises many types without a common base
        raise WorkerError(
            "cannot join the cluster",
            where="a cluster of this machine" if address == _LOCAL else f"RAY_ADDRESS={address}",
            got=str(error).strip()[:500],
            then="Check `ray status` on its head. Without RAY_ADDRESS a run starts a cluster "
            "of this machine.",
        ) from error


def _knock(address: str) -> None:
    """Check that HOST:PORT accepts connections, since Ray retries for minutes; OSError."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), _REACH_S).close()


@contextmanager
def _quiet(ray: Any) -> Iterator[None]:
    """Keep Ray's messages on dead workers off stdout, which is for --json."""
    worker = ray._private.worker
    before, worker._worker_logs_enabled = worker._worker_logs_enabled, False
    try:
        yield
    finally:
        worker._worker_logs_enabled = before


@contextmanager
def _own_signals() -> Iterator[None]:
    """Restore the SIGTERM handler, which Ray replaces on start."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _search_path() -> str:
    """The module search path of this process, for local workers."""
    return os.pathsep.join(os.path.abspath(path) for path in sys.path)  # noqa: PTH100 - "" is here
