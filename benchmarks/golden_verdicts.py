"""The verdict check: what each hostile file is answered with, by exit status and error class."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from benchmarks.golden_case import Case, write
from benchmarks.golden_corpus import cases
from benchmarks.golden_digest import Facts, digest
from benchmarks.golden_sides import Context, Job, Side, Verdict, run_batches

LIMIT_S = 120
TRACE = re.compile(r"^Traceback \(most recent call last\)", re.M)


def jobs(found: list[Case], corpus: Path) -> list[Job]:
    """Return every command on every case; `out` is a name of its own for each."""
    listed = []
    for case in found:
        for k, words in enumerate(case.commands):
            fill = {"{here}": str(corpus / case.name), "{out}": f"out/{case.name}-{k}"}
            arguments = []
            for word in words:
                for key, value in fill.items():
                    word = word.replace(key, value)
                arguments.append(word)
            name = f"{case.name}/{words[0]}-{k}"
            listed.append(
                Job(name=name, arguments=tuple(arguments), folder="verdicts", limit_s=LIMIT_S)
            )
    return listed


def verdicts(side: Side, context: Context) -> Facts:
    """Run the commands of all cases; wording is kept apart from the verdict."""
    work = side.work / "verdicts"
    shutil.rmtree(work, ignore_errors=True)
    (work / "out").mkdir(parents=True)
    found = cases(side.inputs)
    corpus = side.work.parent / "corpus"
    write(corpus, found)
    listed = jobs(found, corpus)
    # Whatever draws stays together: what it needs is loaded once.
    drawn = [job for job in listed if job.arguments[0] in ("preview", "frame", "occlude")]
    rest = [job for job in listed if job not in drawn]
    batches = [drawn, rest[::2], rest[1::2]]
    facts: Facts = {}
    for name, verdict in sorted(run_batches(side, batches, context).items()):
        facts[f"verdicts/{name}:verdict"] = verdict_of(verdict)
        facts[f"verdicts/{name}:class"] = verdict.error
        facts[f"wording/{name}:stderr"] = digest(verdict.stderr)
    return facts


def verdict_of(verdict: Verdict) -> str:
    """Return a command's verdict: its status, and whether a traceback was shown."""
    trace = TRACE.search(verdict.stderr)
    return f"{verdict.status}{' with a traceback' if trace else ''}"
