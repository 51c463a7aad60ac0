"""Put each fault into a command, run it again, and judge what is there."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.faults.commands import Command, made, place
from benchmarks.faults.inject import NONE, Ended, Fault, run, start, wait

TEMPORARY = ".tmp-"
FAULTS = ("killed", "disk full", "small disk", "read-only", "two at once", "stopped")
_REAL_SIZES = (0.2, 0.5, 0.8, 0.95)


@dataclass(kw_only=True)
class Outcome:
    """What became of a command under a fault. `tally`: cases by how they ended, `wrong`: what did
    not hold, a line each, with the case that makes it again."""

    tally: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def add(self, how: str) -> None:
        self.tally[how] = self.tally.get(how, 0) + 1

    def text(self) -> str:
        parts = [f"{n} {how}" for how, n in sorted(self.tally.items())]
        return ", ".join([*parts, *([f"**{len(self.wrong)} WRONG**"] if self.wrong else [])])


@dataclass(frozen=True, kw_only=True)
class Sound:
    """A run without a fault: what it makes, how many moments it has, and its seconds and bytes."""

    files: dict[str, str]
    ended: Ended
    seconds: float
    base_bytes: int
    size_bytes: int


class Judge:
    """Runs the cases of one command in folders below `scratch`."""

    def __init__(self, command: Command, world: Path, scratch: Path, *, moments: int) -> None:
        self.command, self.world, self.scratch, self.moments = command, world, scratch, moments
        self.cases = 0
        began = time.monotonic()
        with self._folder() as folder:
            before = _taken(folder)
            ended = self._run(folder, NONE)
            if ended.status:
                raise RuntimeError(f"{command.name} without a fault: {ended.err[-2000:]}")
            self.sound = Sound(
                files=made(command, folder),
                ended=ended,
                seconds=time.monotonic() - began,
                base_bytes=before,
                size_bytes=_taken(folder) - before,
            )

    def outcomes(self, faults: tuple[str, ...] = FAULTS) -> Iterator[tuple[str, Outcome]]:
        for name in faults:
            found = Outcome()
            case = getattr(self, "_" + name.replace(" ", "_").replace("-", "_"))
            case(found)
            yield name, found

    # --- faults, in the order of FAULTS

    def _killed(self, found: Outcome) -> None:
        at = _spread(self.sound.ended.events, self.moments)
        for moment in at:
            self._case(found, f"killed at moment {moment}", Fault(kill_at=moment))
        for k in range(1, self.moments - len(at) + 1):
            after = self.sound.seconds * k / (self.moments - len(at) + 1)
            self._case(found, f"killed after {after:.2f} s", Fault(kill_after_s=after))

    def _disk_full(self, found: Outcome) -> None:
        for at in _spread(self.sound.ended.growing, self.moments):
            self._case(found, f"disk full from place {at} on", Fault(full_at=at))

    def _small_disk(self, found: Outcome) -> None:
        for share in _REAL_SIZES:
            self._on_disk(
                found,
                f"disk of {share:.0%}",
                f"size={self.sound.base_bytes + int(self.sound.size_bytes * share)}",
            )

    def _read_only(self, found: Outcome) -> None:
        self._on_disk(found, "read-only", "size=64m", read_only=True)

    def _stopped(self, found: Outcome) -> None:
        for at in _spread(self.sound.ended.events, 3):
            self._case(found, f"stopped at moment {at}", Fault(stop_at=at))

    def _two_at_once(self, found: Outcome) -> None:
        with self._folder() as folder:
            logs = [folder.with_suffix(f".{k}.log") for k in (1, 2)]
            children = [start(self._action(folder), folder, NONE, log) for log in logs]
            ends = [wait(child, log) for child, log in zip(children, logs, strict=True)]
            problems = [p for end in ends for p in self._message(end)]
            how = "one refused" if any(end.status for end in ends) else "both done"
            if all(end.status for end in ends):
                problems.append("both were refused")
            self._close(found, "two at once", how, folder, problems)

    # --- one case

    def _case(self, found: Outcome, title: str, fault: Fault) -> None:
        with self._folder() as folder:
            self._judge(found, title, self._run(folder, fault), folder)

    def _on_disk(
        self, found: Outcome, title: str, options: str, *, read_only: bool = False
    ) -> None:
        with self._folder(mount=options) as folder:
            if not os.path.ismount(folder):
                found.add("not tried")
                return
            if read_only:
                _mount("remount,ro", folder)
            ended = self._run(folder, NONE)
            _mount("remount,rw,size=256m", folder)
            self._judge(found, title, ended, folder)

    def _judge(self, found: Outcome, title: str, ended: Ended, folder: Path) -> None:
        how = "killed, done again" if ended.killed else "refused" if ended.status else "done"
        problems = self._message(ended)
        if ended.status > 0:
            problems += self._left(folder)
        self._close(found, title, how, folder, problems)

    def _close(
        self, found: Outcome, title: str, how: str, folder: Path, problems: list[str]
    ) -> None:
        """Run it again unless it is done; hold what it made against a run without a fault."""
        if not problems and made(self.command, folder) != self.sound.files:
            if how == "done":
                problems.append("it ended well with other bytes")
            again = self._run(folder, NONE, begun=self._begun(folder))
            problems += [f"again: {p}" for p in self._message(again)]
            if again.status:
                problems.append(f"again it ended with status {again.status}: {again.err[-300:]}")
            elif made(self.command, folder) != self.sound.files:
                problems.append("again it made other bytes")
            problems += [f"left behind: {p}" for p in self._unfinished(folder)]
        if problems:
            found.wrong += [f"{self.command.name}: {title}: {p}" for p in problems]
        else:
            found.add(how)

    def _message(self, ended: Ended) -> list[str]:
        if ended.hung:
            return ["it hung"]
        if ended.killed:
            return []
        lines = [line for line in ended.err.splitlines() if line.strip()]
        problems = []
        if "Traceback" in ended.err or ended.status not in (0, 1):
            last = " | ".join(lines[-3:])
            for place in (sys.prefix, str(Path(sys.prefix).resolve())):  # the log names no machine
                last = last.replace(place, ".venv")
            problems.append(f"status {ended.status}: {last[-400:]}")
        elif ended.status and not any(line.startswith(("error: ", "refused: ")) for line in lines):
            problems.append(f"no message: {' | '.join(lines[-2:])[-300:]}")
        if ended.status and TEMPORARY in ended.err:
            problems.append(f"a temporary name: {ended.err[-300:]}")
        return problems

    def _left(self, folder: Path) -> list[str]:
        """What a refused run may not leave: anything but a run to go on with."""
        known = {p.name for p in self.world.iterdir()}
        stores = {name for name in known if name.endswith(".db")}
        new = sorted(p.name for p in folder.iterdir() if p.name not in known)
        new = [name for name in new if not _of(name, stores)]  # SQLite's; the next opening ends it
        stays = (self.command.again or self.command.resumes) and self._begun(folder)
        allowed = {self.command.out} if stays or self.command.name == "review import" else set()
        return [f"left behind: {name}" for name in new if not _of(name, allowed)]

    def _begun(self, folder: Path) -> bool:
        out = folder / self.command.out
        return (out / "dataset.json").is_file() or (out / "config.yaml").is_file()

    def _unfinished(self, folder: Path) -> list[str]:
        out = folder / self.command.out
        found = list(folder.glob(f"{TEMPORARY}*"))
        found += out.rglob(f"{TEMPORARY}*") if out.is_dir() else []
        return [p.relative_to(folder).as_posix() for p in found]

    def _action(self, folder: Path, *, begun: bool = False) -> Callable[[], object]:
        words = [*self.command.words, *(self.command.again if begun else ())]

        def action() -> None:
            import sys

            from synthstudio.cli import main

            sys.argv = ["synthstudio", *words]
            main()

        return action

    def _run(self, folder: Path, fault: Fault, *, begun: bool = False) -> Ended:
        log = folder.with_suffix(".log")
        log.unlink(missing_ok=True)
        log.with_suffix(".count").unlink(missing_ok=True)
        return run(self._action(folder, begun=begun), folder, fault, log)

    @contextmanager
    def _folder(self, *, mount: str = "") -> Iterator[Path]:
        self.cases += 1
        folder = self.scratch / f"case{self.cases}"
        folder.mkdir(parents=True)
        if mount:
            _mount(mount, folder, new=True)
        try:
            place(self.world, folder)
            yield folder
        finally:
            if os.path.ismount(folder):
                subprocess.run(["umount", "-l", str(folder)], check=False)
            shutil.rmtree(folder, ignore_errors=True)


def _taken(folder: Path) -> int:
    """Bytes that a folder takes on a disk of 4 kB pages."""
    found = [p for p in folder.rglob("*") if not p.is_symlink()]
    return sum(-(-p.stat().st_size // 4096) * 4096 or 4096 for p in found)


def _mount(options: str, folder: Path, *, new: bool = False) -> None:
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs"] if new else ["mount", "-o", options]
    try:
        subprocess.run([*words, str(folder)], capture_output=True, check=False)
    except FileNotFoundError:
        return


def _spread(count: int, wanted: int) -> list[int]:
    """At most `wanted` different numbers from 1 to `count`, evenly spread, the last among them."""
    return sorted(
        {1 + round(k * (count - 1) / max(1, wanted - 1)) for k in range(wanted)} if count else ()
    )


def _of(name: str, allowed: set[str]) -> bool:
    """Whether a name is one of these, or a database's journal beside it."""
    return any(name == a or name.startswith(f"{a}-") for a in allowed)
