"""`make fuzz`: python -m benchmarks.fuzz [--cases N] [--seed N] [--only TARGET:NUMBERS]."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from pathlib import Path

from benchmarks.fuzz.cases import Name
from benchmarks.fuzz.targets import TARGETS

FOLDER = Path(__file__).resolve().parents[2] / ".cache" / "fuzz"


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000, help="cases in all (20,000)")
    parser.add_argument("--seed", type=int, default=1, help="decides every case (1)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--targets", default="", help=f"only these of {', '.join(TARGETS)}")
    parser.add_argument("--only", nargs="+", help="run these cases again, e.g. coco:17.80")
    parser.add_argument("--again", action="store_true", help="run the faults of the journal again")
    parser.add_argument("--fresh", action="store_true", help="forget what was done with this seed")
    parser.add_argument("--plain", action="store_true", help="do not grow inputs by coverage")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--log", type=Path, help="write the result there too")
    options = parser.parse_args()
    from benchmarks.fuzz import campaign as running

    if options.only or options.again:
        return _again(options)
    began, load = time.monotonic(), os.getloadavg()[0]
    campaign = running.Campaign(
        options.folder.resolve(),
        seed=options.seed,
        cases=options.cases,
        processes=options.processes,
        targets=tuple(filter(None, options.targets.split(","))),
        grow=not options.plain,
    )
    totals = campaign.run(resume=not options.fresh)
    text = report(totals, options.seed)
    wall = time.monotonic() - began
    text += (
        f"this start: {wall:.0f} s on {options.processes} processes; load {load:.1f} at its begin, "
        f"{os.getloadavg()[0]:.1f} at its end\n"
    )
    print(text)
    if options.log:
        options.log.write_text(text, encoding="utf-8")
    return 1 if totals.faults else 0


def report(totals: object, seed: int) -> str:
    """A table of targets, and each kind of fault with the first command that shows it."""
    from benchmarks.fuzz.campaign import Totals, replay

    assert isinstance(totals, Totals)
    whats = ("taken", "refused", "traceback", "message", "litter", "memory", "hang", "died")
    lines = [f"{'target':<14}{'cases':>7}" + "".join(f"{w:>10}" for w in whats) + "   ms a case"]
    rows = {
        **totals.targets,
        "all": Counter(totals.whats) + Counter(ms=round(1000 * totals.seconds)),
    }
    for name, counts in rows.items():
        cases = sum(counts[w] for w in whats)
        told = "".join(f"{counts[w]:>10}" for w in whats)
        lines.append(f"{name:<14}{cases:>7}{told}{counts['ms'] / max(1, cases):>12.1f}")
    lines.append(
        f"processor {totals.seconds:.0f} s; largest memory {totals.peak >> 20} MB; slowest "
        f"{totals.slowest[1]} with {totals.slowest[0]:.1f} s; lines of the package reached: "
        f"{len(totals.lines)}"
    )
    lines.append(f"faults: {sum(map(len, totals.faults.values()))} of {len(totals.faults)} kinds")
    for mark, names in sorted(totals.faults.items(), key=lambda item: -len(item[1])):
        lines.append(f"  {len(names):>5} x {mark}\n          {replay(seed, Name.parse(names[0]))}")
    return "\n".join(lines) + "\n"


def _again(options: argparse.Namespace) -> int:
    from benchmarks.fuzz import campaign as running

    names = [Name.parse(text) for text in options.only or []]
    if options.again:
        kept = running.Campaign(options.folder, seed=options.seed, cases=0, processes=0)
        kept._read_journal()
        names += [Name.parse(n) for found in kept.totals.faults.values() for n in found]
    faults = 0
    for name, verdict in running.only(options.folder.resolve(), options.seed, names):
        faults += verdict.is_fault
        if verdict.is_fault or options.only:
            print(
                f"{name}: {verdict.what} {verdict.mark}\n{'; '.join(verdict.asked)}\n{verdict.told}"
            )
            print(f"{verdict.seconds:.2f} s, peak {verdict.peak >> 20} MB\n")
        if verdict.is_fault:
            print(
                running.keep_fault(
                    options.folder, options.folder.resolve() / "sound", options.seed, name, verdict
                )
            )
    print(f"{len(names)} cases again, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
