"""`make nightly`: the slow tests, part by part; goes on where it was stopped.

A part is a folder with nightly tests, a slow file of its own, or a fuzz campaign with a seed of its
own for each state of the tree. What a part printed is in .cache/nightly/; a part that passed is not
run again at the same state of the tree. When every part has passed, the lines go to
docs/evidence/nightly.log.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / ".cache" / "nightly"
LOG = ROOT / "docs" / "evidence" / "nightly.log"
OWN_PARTS = {
    "pages": "test_pages.py",
    "contributing": "test_contributing.py",
    "examples": "test_examples.py",
}
"""Files of tests/ that are parts of their own; the other files are the part `root`."""
NO_TESTS = 5
"""pytest's exit status where nothing was collected."""


def parts() -> dict[str, list[str]]:
    """Command of every part by its name."""
    options = ["-n", "2", "--dist", "loadfile", "--hypothesis-profile", "fresh"]
    pytest = [sys.executable, "-m", "pytest", "-m", "nightly", *options]
    slow = [p for p in (ROOT / "tests").glob("*/test_*.py") if "nightly" in p.read_text("utf-8")]
    folders = sorted({path.parent.name for path in slow})
    found = {name: [*pytest, f"tests/{name}"] for name in folders}
    own = {name: [*pytest, f"tests/{file}"] for name, file in OWN_PARTS.items()}
    own["examples"][0] = str(ROOT / ".cache/examples_env/bin/python")
    root = sorted(p.name for p in (ROOT / "tests").glob("test_*.py"))
    found["root"] = [*pytest, *(f"tests/{n}" for n in root if n not in OWN_PARTS.values())]
    seed = str(int(state(), 16) % 1_000_000)
    fuzz = [sys.executable, "-m", "benchmarks.fuzz", "--cases", "2000", "--seed", seed]
    return found | own | {"fuzz": fuzz}


def state() -> str:
    """Digest of the commit and of what differs from it."""

    def git(*arguments: str) -> bytes:
        return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True).stdout

    differs = git("diff", "HEAD", "--", ".", f":!{LOG.relative_to(ROOT)}")
    return hashlib.sha256(git("rev-parse", "HEAD") + differs).hexdigest()[:12]


def touched(base: str) -> set[str]:
    """Names of the parts that the changes since `base` touch, by folder names."""
    command = ["git", "diff", "--name-only", base]
    changed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    names = {"root"}
    for path in changed.split():
        folders = path.split("/")
        names |= set(folders[1:2]) if folders[0] in ("synthstudio", "tests") else set()
        names |= {"pages"} if folders[0] == "docs" else set()
        names |= {"contributing"} if path == "CONTRIBUTING.md" else set()
        names |= {"training"} if folders[:2] == ["synthstudio", "inference"] else set()
        names |= {"engines"} if folders[:2] == ["synthstudio", "generation"] else set()
    return names


def run(name: str, command: list[str], done: dict[str, dict[str, object]]) -> dict[str, object]:
    """Result of one part, from the journal where it passed before."""
    if done.get(name, {}).get("passed"):
        return done[name] | {"kept": True}
    start = time.monotonic()
    with (KEPT / f"{name}.log").open("w", encoding="utf-8") as log:
        environment = os.environ | {"PYTEST_ADDOPTS": ""}
        status = subprocess.run(
            command, cwd=ROOT, stdout=log, stderr=log, env=environment
        ).returncode
    text = (KEPT / f"{name}.log").read_text(encoding="utf-8", errors="replace")
    counts = re.findall(r"^.*\d+ (?:passed|failed|skipped|deselected).*$", text, re.M)
    found = counts[-1].strip("= ") if counts else f"exit status {status}"
    seconds = round(time.monotonic() - start)
    return {"passed": status in (0, NO_TESTS), "seconds": seconds, "result": found}


def main() -> int:
    parser = argparse.ArgumentParser(prog="nightly", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="PART", choices=list(parts()), default=[])
    parser.add_argument("--changed", metavar="COMMIT", help="only parts that changes since touch")
    parser.add_argument("--list", action="store_true", help="print the parts and end")
    options = parser.parse_args()
    chosen = set(options.only or parts()) & (
        touched(options.changed) if options.changed else {*parts()}
    )
    commands = {name: command for name, command in parts().items() if name in chosen}
    if options.list:
        sys.stdout.write("\n".join(commands) + "\n")
        return 0
    KEPT.mkdir(parents=True, exist_ok=True)
    journal = KEPT / f"{state()}.json"
    done = json.loads(journal.read_text()) if journal.exists() else {}
    lines = []
    for name, command in commands.items():
        done[name] = result = run(name, command, done)
        kept = " (kept from an earlier start)" if result.pop("kept", False) else ""
        verdict = "passed" if result["passed"] else "FAILED"
        lines.append(f"{name:<13} {verdict} {result['seconds']:>6} s  {result['result']}")
        sys.stdout.write(lines[-1] + kept + "\n")
        sys.stdout.flush()
        scratch = journal.with_suffix(".part")
        scratch.write_text(json.dumps(done, indent=1))
        scratch.replace(journal)
    failed = [name for name in commands if not done[name]["passed"]]
    if failed:
        sys.stdout.write(f"failed: {', '.join(failed)}; see {KEPT.relative_to(ROOT)}/PART.log\n")
    elif len(commands) == len(parts()):
        today, cores = datetime.date.today(), os.cpu_count()
        commit = ["git", "describe", "--always", "--dirty"]
        at = subprocess.run(commit, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        head = f"make nightly, {today}, commit {at.strip()}, {cores} cores\n"
        LOG.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
