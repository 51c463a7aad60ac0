"""The two sides of `make golden`: a checkout of the base commit and a copy of the working tree."""

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
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DRIVER = Path(__file__).with_name("golden_driver.py")
TAKEN = ("synthstudio", "scenes", "streamlit_app.py", "pyproject.toml")
"""What of a checkout a side needs."""
INPUTS = "../inputs"
"""Where both sides find what the base made for both, seen from where commands run."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Another number of threads adds up in another order."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One checkout and where its commands run. Both sides use the same relative names."""

    name: str
    root: Path
    work: Path

    @property
    def scenes(self) -> Path:
        return self.root / "scenes"

    @property
    def inputs(self) -> Path:
        return self.work.parent / "inputs"


@dataclass(frozen=True, kw_only=True)
class Job:
    """A command: its words after `synthstudio`, and the folder below `work` that it runs in."""

    name: str
    arguments: tuple[str, ...]
    folder: str = "."
    limit_s: float = 600


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a command ended. `status`: an exit status, "traceback", or "died" (limit or signal)."""

    name: str
    status: int | str
    error: str = ""
    stdout: str = ""
    stderr: str = ""

    @property
    def output(self) -> Any:
        """The JSON object that the command printed, None when it printed none."""
        try:
            return json.loads(self.stdout)
        except ValueError:
            return None


def python(side: Side, words: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run this Python with a side's package, on one thread."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SYNTHSTUDIO", "PYTEST"))}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    fixed = {"COLUMNS": "200", "NO_COLOR": "1", "TZ": "UTC", "PYTHONHASHSEED": "0", **ONE_THREAD}
    return subprocess.run(
        [sys.executable, "-P", *words],
        cwd=side.work,
        env={**kept, **fixed, "PYTHONPATH": str(side.root)},
        text=True,
        check=False,
        capture_output=True,
        **options,
    )


def run_jobs(side: Side, jobs: Sequence[Job]) -> dict[str, Verdict]:
    """Run commands in one process, and in another one after each that kills it."""
    got: dict[str, Verdict] = {}
    left = list(jobs)
    scratch = side.work / f".driver-{threading.get_ident()}"
    scratch.mkdir(parents=True, exist_ok=True)
    while left:
        listed, results = scratch / "jobs.json", scratch / "results.jsonl"
        listed.write_text(json.dumps([asdict(job) for job in left]), encoding="utf-8")
        results.unlink(missing_ok=True)
        done = python(side, [str(DRIVER), str(listed), str(results)], stdin=subprocess.DEVNULL)
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
    return got


def run_batches(side: Side, batches: Sequence[Sequence[Job]]) -> dict[str, Verdict]:
    """Run lists of commands, each in a process of its own, two at once."""
    found: dict[str, Verdict] = {}
    with ThreadPoolExecutor(2) as pool:
        for got in pool.map(lambda jobs: run_jobs(side, jobs), batches):
            found |= got
    return found


def need(verdicts: dict[str, Verdict], side: Side, statuses: tuple[int, ...] = (0,)) -> None:
    """SystemExit when a command of the base failed: two failures alike would prove nothing."""
    for verdict in verdicts.values():
        if verdict.status not in statuses or verdict.error:
            text = verdict.stderr[-2000:]
            raise SystemExit(f"{side.name}: {verdict.name} ended with {verdict.status}: {text}")


def sides(base: str, cache: Path, *, new: Path = ROOT) -> tuple[Side, Side]:
    """The base commit's side and that of the working tree."""
    found = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--verify", f"{base}^{{commit}}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode:
        raise SystemExit(f"no such commit: {base}")
    commit = found.stdout.strip()
    home = cache / f"{commit[:12]}-{machine_key()}"
    pair = (
        Side(name="base", root=checkout(commit, cache / f"base-{commit[:12]}"), work=home / "base"),
        Side(name="new", root=snapshot(home / "new-tree", new), work=home / "new"),
    )
    for side in pair:
        side.work.mkdir(parents=True, exist_ok=True)
        link = side.work / "inputs"  # so that INPUTS holds in a folder of `work` as well
        if not link.is_symlink():
            link.symlink_to(INPUTS)
    return pair


def checkout(commit: str, folder: Path) -> Path:
    """A folder with the files of a commit, made at the first call."""
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


def snapshot(folder: Path, root: Path) -> Path:
    """A copy of what a side needs of the working tree, which others may be changing meanwhile."""
    shutil.rmtree(folder, ignore_errors=True)
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "-co", "--exclude-standard", *TAKEN],
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source, target = root / name, folder / name
        if source.is_file() or source.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target, follow_symlinks=False)
    return folder


def machine_key() -> str:
    """A short name of this kind of machine with these packages, which decide bytes."""
    cpu, info = platform.machine(), Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text("utf-8", "replace").splitlines()
        cpu += "|".join(sorted({x for x in lines if x.startswith(("model name", "flags"))}))
    packages = sorted((d.name, d.version) for d in metadata.distributions())
    return hashlib.sha256(repr((sys.version, cpu, packages)).encode()).hexdigest()[:10]
