"""Runs one case in this process and says what it came to.

A fault is: an exception that is not a SynthStudioError; more than 2 GB of memory at its peak, the
process itself included; a file left behind beside the input and the output, in the output of
something that was refused, a temporary one in any; an input that was changed. What a process
cannot say of itself (60 s of processor time, its own death) `campaign.py` sees from outside.
"""

import gc
import os
import resource
import shutil
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.fuzz.cases import Case, Name, Target, files_of, generator
from benchmarks.fuzz.mutate import Files
from benchmarks.fuzz.targets import TARGETS
from synthstudio.core.errors import SynthStudioError

MAX_BYTES = 2 << 30
NOT_OURS = ("tmp/.ses",)
"""What a library leaves at its first use in a process."""
_PACKAGE = str(Path(__file__).resolve().parents[2] / "synthstudio") + os.sep


@dataclass(kw_only=True)
class Verdict:
    """`what`: taken, refused, or the kind of fault; `told`: the error or the traceback."""

    what: str
    log: str = ""
    mark: str = ""
    """Equal for faults of one cause: the kind of the exception and where it was raised."""
    seconds: float = 0.0
    peak: int = 0
    calls: tuple[str, ...] = ()

    @property
    def is_fault(self) -> bool:
        return self.what not in ("taken", "refused")


@dataclass(kw_only=True)
class Judge:
    """Where cases run, the sound inputs, and the seed."""

    work: Path
    sound: Path
    seed: int
    _inputs: dict[str, list[Files]] = field(default_factory=dict)

    def files(self, name: Name) -> Files:
        target = TARGETS[name.target]
        if name.target not in self._inputs:
            self._inputs[name.target] = target.inputs(self.sound)
        return files_of(target, self.seed, name, self._inputs[name.target])

    def run(self, name: Name) -> Verdict:
        """Run a case."""
        shutil.rmtree(self.work, ignore_errors=True)
        for folder in ("in", "tmp", "cwd"):
            (self.work / folder).mkdir(parents=True)
        write(self.work / "in", self.files(name))
        case = Case(
            rng=generator(self.seed, name, "ask"),
            input=self.work / "in",
            out=self.work / "out",
            sound=self.sound,
        )
        before = _snapshot(self.work)
        os.chdir(self.work / "cwd")
        tempfile.tempdir = os.environ["TMPDIR"] = str(self.work / "tmp")
        _reset_peak()
        started = time.process_time()
        verdict = _ask(TARGETS[name.target], case)
        verdict.seconds, verdict.peak = time.process_time() - started, _peak()
        verdict.calls = tuple(case.done)
        if not verdict.is_fault:
            refused, where = verdict.what == "refused", f"{name.target} {case.done[-1:]}"
            if problem := _litter(self.work, before, case, refused=refused):
                verdict.what, verdict.mark = "litter", f"litter {where}"
                verdict.log = f"{problem}\n{verdict.log}"
            if verdict.peak > MAX_BYTES:
                verdict.what, verdict.mark = "memory", f"memory {where}"
        return verdict


def _ask(target: Target, case: Case) -> Verdict:
    try:
        target.ask(case)
        return Verdict(what="taken")
    except SynthStudioError as error:
        text = str(error)
        verdict = Verdict(what="refused", log=f"{type(error).__name__}: {text[:2000]}")
        if not text.strip() or len(text) > 4000:
            verdict.what, verdict.mark = "message", f"message of {len(text)} characters"
        return verdict
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        text = traceback.format_exc(limit=-40)[-8000:]
        return Verdict(what="traceback", log=text, mark=_mark(error))


def write(folder: Path, files: Files) -> None:
    """Write an input; a name that cannot be is left out."""
    for name, data in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError:
            continue


def _mark(error: BaseException) -> str:
    trace = traceback.extract_tb(error.__traceback__)
    last = ([f for f in trace if f.filename.startswith(_PACKAGE)] or list(trace))[-1]
    place = f"{last.filename.removeprefix(_PACKAGE)}:{last.name}:{last.lineno}"
    return f"{type(error).__name__} {place}"


def _snapshot(work: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for path in sorted(work.rglob("*")):
        at = path.lstat()
        folder = path.is_dir() and not path.is_symlink()
        found[path.relative_to(work).as_posix()] = (
            (-1, -1) if folder else (at.st_size, at.st_mtime_ns)
        )
    return found


def _litter(work: Path, before: dict[str, tuple[int, int]], case: Case, *, refused: bool) -> str:
    """What is there that should not be, or is not as it was; empty: nothing."""
    after = _snapshot(work)
    may = tuple(f"in/{name}" for name in case.changes)
    wrong = []
    for name in sorted(after.keys() | before.keys()):
        if after.get(name) == before.get(name) or name in NOT_OURS:
            continue
        if may and name.startswith(may):
            continue
        made = name not in before
        if refused and any((work / name.partition("/")[0] / "shards").glob("0*")):
            continue  # a data set that was begun, with a whole shard: there to be resumed
        if made and not refused and name.partition("/")[0] in ("out", "out2"):
            if any(part.startswith((".tmp", "tmp")) for part in Path(name).parts):
                wrong.append(f"temporary: {name}")
            continue
        how = "left behind" if made else "gone" if name not in after else "changed"
        wrong.append(f"{how}: {name}")
    return "\n".join(wrong[:20])


def _reset_peak() -> None:
    gc.collect(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _peak() -> int:
    """The largest resident memory since `_reset_peak`, bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return 0


def limit() -> None:
    """Hold this process to what is there now and 4 GB: a machine must survive its fuzzing."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 2 * MAX_BYTES, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def prepare() -> None:
    """Load what cases need, on one thread each."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path.home() / ".cache" / "torchinductor"))
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
