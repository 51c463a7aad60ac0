"""The two sides of `make golden`: a checkout of the base commit and a copy of the working tree."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DRIVER = Path(__file__).with_name("golden_driver.py")
TAKEN = ("synthstudio", "scenes", "streamlit_app.py", "pyproject.toml")
"""What of a checkout a side needs."""
INPUTS = "../inputs"
"""Where both sides find what the base made for both, seen from where commands run."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
Facts = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Side:
    """One checkout and where its commands run. Both sides use the same relative names."""

    name: str
    root: Path
    work: Path

    @property
    def scenes(self) -> Path:
        """Return the folder of this checkout's own recipes."""
        return self.root / "scenes"

    @property
    def inputs(self) -> Path:
        """Return the folder of what the base made for both sides."""
        return self.work.parent / "inputs"


@dataclass(frozen=True, kw_only=True)
class Job:
    """A command: its words after `synthstudio`, and the folder below `work` that it runs in."""

    name: str
    arguments: tuple[str, ...]
    folder: str = "."
    limit_s: float = 300


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a command ended. `status`: an exit status, "traceback", or "died" (limit or signal)."""

    name: str
    status: int | str
    error: str = ""
    stdout: str = ""
    stderr: str = ""
    seconds: float = 0.0

    @property
    def output(self) -> Any:
        """Return the JSON object that the command printed, None when it printed none."""
        try:
            return json.loads(self.stdout)
        except ValueError:
            return None


@dataclass
class Context:
    """What a check is given: how much, whom to tell, and how many processes at once."""

    frames: int
    workers: int
    shared: Path
    say: Callable[[str], None]
    commands: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


def environment(side: Side, **more: str) -> dict[str, str]:
    """Return the environment of a side's processes; what would change results is left out."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SYNTHSTUDIO", "PYTEST"))}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    fixed = {"COLUMNS": "200", "NO_COLOR": "1", "TZ": "UTC", "PYTHONHASHSEED": "0"}
    return {**kept, **fixed, "PYTHONPATH": str(side.root), **more}


def python(side: Side, words: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run this Python with a side's package."""
    more = options.pop("more", {})
    return subprocess.run(
        [sys.executable, "-P", *words],
        cwd=side.work,
        env=environment(side, **more),
        text=True,
        check=False,
        **{"capture_output": True, **options},
    )


def checked_package(side: Side) -> str:
    """Return the version of a side's package; SystemExit when another one would be imported."""
    words = ["-c", "import synthstudio as s; print(s.__file__); print(s.__version__)"]
    done = python(side, words)
    where, _, version = done.stdout.strip().partition("\n")
    if done.returncode or not Path(where).is_relative_to(side.root):
        raise SystemExit(f"{side.name}: imports {where or done.stderr[-500:]}, not {side.root}")
    return version


def run_jobs(
    side: Side, jobs: Sequence[Job], context: Context, *, free: bool = False
) -> dict[str, Verdict]:
    """Run commands in one process, and in another one after each that kills it.

    On one thread, for another number adds up in another order; `free`: on as many as they like,
    where no byte may depend on it.
    """
    got: dict[str, Verdict] = {}
    left = list(jobs)
    scratch = side.work / f".driver-{threading.get_ident()}"
    scratch.mkdir(parents=True, exist_ok=True)
    while left:
        listed, results = scratch / "jobs.json", scratch / "results.jsonl"
        listed.write_text(json.dumps([asdict(job) for job in left]), encoding="utf-8")
        results.unlink(missing_ok=True)
        words, more = [str(DRIVER), str(listed), str(results)], {} if free else ONE_THREAD
        done = python(side, words, stdin=subprocess.DEVNULL, more=more)
        lines = results.read_text(encoding="utf-8").splitlines() if results.is_file() else []
        if not lines or not Path(json.loads(lines[0])["package"]).is_relative_to(side.root):
            raise SystemExit(f"{side.name}: the driver did not start: {done.stderr[-2000:]}")
        ended = [Verdict(**json.loads(line)) for line in lines[1:]]
        got |= {verdict.name: verdict for verdict in ended}
        if len(ended) < len(left):
            victim = left[len(ended)]
            got[victim.name] = Verdict(name=victim.name, status="died", stderr=done.stderr[-2000:])
        left = left[len(ended) + 1 :]
    shutil.rmtree(scratch, ignore_errors=True)
    with context.lock:
        context.commands += len(got)
    return got


def run_batches(
    side: Side, batches: Sequence[Sequence[Job]], context: Context, *, free: bool = False
) -> dict[str, Verdict]:
    """Run lists of commands, each in a process of its own, `context.workers` at once."""
    found: dict[str, Verdict] = {}
    with ThreadPoolExecutor(context.workers) as pool:
        for got in pool.map(lambda jobs: run_jobs(side, jobs, context, free=free), batches):
            found |= got
    return found


def need(verdicts: dict[str, Verdict], side: Side) -> None:
    """SystemExit when a command that the harness itself relies on failed."""
    for verdict in verdicts.values():
        if verdict.status != 0:
            text = verdict.stderr[-2000:]
            raise SystemExit(f"{side.name}: {verdict.name} ended with {verdict.status}: {text}")


def commit_of(revision: str) -> str:
    """Return the full name of a commit; SystemExit when there is none."""
    done = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--verify", f"{revision}^{{commit}}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"no such commit: {revision}")
    return done.stdout.strip()


def checkout(commit: str, folder: Path) -> Path:
    """Return a folder with the files of a commit, made at the first call."""
    if (folder / ".whole").is_file():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    packed = subprocess.run(
        ["git", "-C", str(ROOT), "archive", commit, *TAKEN], capture_output=True, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    (folder / ".whole").touch()
    return folder


def snapshot(folder: Path, root: Path = ROOT) -> Path:
    """Copy what a side needs of the working tree, which others may be changing meanwhile."""
    shutil.rmtree(folder, ignore_errors=True)
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "-co", "--exclude-standard", *TAKEN],
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source, target = root / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    return folder


PACKAGES = (
    *("numpy", "scipy", "torch", "warp-lang", "anny", "opencv-python-headless", "albumentations"),
    *("pillow", "trimesh", "pyrender", "pycocotools", "pyarrow", "pydantic", "pyyaml", "typer"),
    *("safetensors", "sqlalchemy", "transformers"),
)
"""What decides bytes and verdicts; another release of one asks the base anew."""


def _release(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"


def machine_key() -> str:
    """Return a short name of this kind of machine with these packages."""
    cpu = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text("utf-8", "replace").splitlines()
        cpu += "|".join(
            sorted({x for x in lines if x.startswith(("model name", "flags", "Features"))})
        )
    packages = {name: _release(name) for name in PACKAGES}
    reported = json.dumps([platform.python_version(), cpu, packages])
    return hashlib.sha256(reported.encode()).hexdigest()[:10]


def timed(context: Context, name: str) -> Callable[[], None]:
    """Begin to time something; call what is returned at its end."""
    start = time.monotonic()

    def ended() -> None:
        with context.lock:
            context.seconds[name] = time.monotonic() - start

    return ended
