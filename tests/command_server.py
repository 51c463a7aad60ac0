"""`synthstudio` as a program that starts at once: command_server.py SOCKET.

Imports what commands import (seconds), then forks itself for each call. CLIENT is the program to
put on PATH: it hands over its arguments, folder, environment and open files and waits for the exit
status. With SYNTHSTUDIO_PAGES=small the options of SMALL are added to a call, where the last one
counts, and what `generate` has made once is copied for the same command in another folder: the
same recipe gives the same bytes (tests/test_proofs.py).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sys
import traceback
import warnings
from pathlib import Path

CLIENT = """#!{python} -SE
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    call = json.dumps({{"argv": sys.argv[1:], "cwd": os.getcwd(), "env": dict(os.environ)}})
    socket.send_fds(server, [call.encode()], [0, 1, 2])
    sys.exit(int(server.recv(16) or b"70"))
"""
SMALL = {
    "generate": ("--workers", "1", "--frames", "12"),
    "generate scenes/people.yaml": ("--workers", "1", "--frames", "40"),  # 20 moments: all splits
    "audit": ("--workers", "1", "--frames", "6"),
    "occlude": ("--workers", "1", "--each", "1"),
    "robustness": ("--workers", "1", "--frames", "2", "--challenge", "dark"),
    "benchmark": ("--rounds", "5"),
    "experiment": ("--workers", "1", "--seeds", "1", "--steps", "2"),
}
MANY = ("--workers", "1", "--frames", "24")  # where the page asks for many: a query finds some
MOST_BYTES = 1 << 20


KEPT = Path(sys.argv[-1]).parent.absolute() / "kept"


def preload() -> None:
    import cv2  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import scipy.optimize  # noqa: F401
    import warp  # noqa: F401

    import synthstudio.api.experiments
    import synthstudio.api.inference
    import synthstudio.api.networks
    import synthstudio.api.quality
    import synthstudio.api.review
    import synthstudio.cli
    import synthstudio.experiment.run
    import synthstudio.generation.photos.run
    import synthstudio.generation.pipeline
    import synthstudio.review.store
    import synthstudio.training.loop  # noqa: F401
    from synthstudio.body.atlas import load_atlas

    load_atlas()  # and so torch has one thread


def added(argv: list[str]) -> tuple[str, ...]:
    """What a small run adds to a command."""
    more = SMALL.get(" ".join(argv[:2]), SMALL.get(argv[0] if argv else "", ()))
    return MANY if more == SMALL["generate"] and "--frames" in argv else more


def answer(call: dict, files: list[int]) -> int:
    """Run one command in this process, which is a fork."""
    for number, file in enumerate(files):
        os.dup2(file, number)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, encoding="utf-8", closefd=False)
        for number, mode in enumerate(("r", "w", "w"))
    )
    os.environ.clear()
    os.environ.update(call["env"])
    os.chdir(call["cwd"])
    small = call["env"].get("SYNTHSTUDIO_PAGES") == "small"
    sys.argv = ["synthstudio", *call["argv"], *(added(call["argv"]) if small else ())]
    from synthstudio.cli import main

    keep = small and call["argv"][:1] == ["generate"] and call["argv"][-2:-1] == ["--out"]
    asked = re.sub(r" --workers \d+", "", " ".join(call["argv"]))  # which change no byte
    kept = KEPT / asked.replace("/", "%")
    if keep and kept.is_dir():
        shutil.copytree(kept, call["argv"][-1])
        return 0
    try:
        main()
    except SystemExit as stop:
        if stop.code:
            return int(stop.code)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    if keep:
        shutil.copytree(call["argv"][-1], kept)
    return 0


def serve(address: str) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        os.write(1, b"ready\n")
        while True:
            connection, _ = server.accept()
            with connection:
                data, files, _, _ = socket.recv_fds(connection, MOST_BYTES, 3)
                child = os.fork()
                if child == 0:
                    status = 70
                    try:
                        status = answer(json.loads(data), files)
                    except BaseException:
                        traceback.print_exc()
                    finally:
                        os._exit(status)
                for file in files:
                    os.close(file)
                _, status = os.waitpid(child, 0)
                connection.sendall(str(os.waitstatus_to_exitcode(status) % 256).encode())


def write_client(path: Path, address: Path) -> None:
    path.write_text(CLIENT.format(python=sys.executable, address=str(address)), encoding="utf-8")
    path.chmod(0o755)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    preload()
    serve(sys.argv[1])
