"""`make fuzz`: python -m benchmarks.fuzz [--cases N] [--seed N] [--only TARGET:NUMBER ...]."""

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

from benchmarks.fuzz import campaign
from benchmarks.fuzz.cases import Name
from benchmarks.fuzz.targets import TARGETS

FOLDER = campaign.ROOT / ".cache" / "fuzz"
WHATS = ("taken", "refused", "traceback", "message", "litter", "memory", "hang", "died")


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000, help="cases in all (20,000)")
    parser.add_argument("--seed", type=int, default=1, help="decides every case (1)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--targets", default="", help=f"only these of {', '.join(TARGETS)}")
    parser.add_argument("--only", nargs="+", help="run these cases again, e.g. coco:17")
    parser.add_argument("--again", action="store_true", help="run the faults of the journal again")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    one = campaign.Campaign(
        folder=options.folder.resolve(),
        seed=options.seed,
        cases=options.cases,
        processes=options.processes,
        targets=tuple(filter(None, options.targets.split(","))) or tuple(TARGETS),
    )
    if options.only or options.again:
        names = [Name.parse(text) for text in options.only or ()]
        if options.again:
            names += [name for name, verdict in one.judged().items() if verdict.is_fault]
        return again(one, names)
    totals = one.run()
    print(report(totals, options.seed))
    return 1 if totals.faults else 0


def report(totals: campaign.Totals, seed: int) -> str:
    """A table of targets, and each kind of fault with the first command that shows it."""
    lines = [f"{'target':<14}{'cases':>7}" + "".join(f"{w:>10}" for w in WHATS) + "   ms a case"]
    every = Counter(totals.whats) + Counter(ms=round(1000 * totals.seconds))
    for name, counts in {**totals.targets, "all": every}.items():
        cases = sum(counts[what] for what in WHATS)
        row = "".join(f"{counts[what]:>10}" for what in WHATS)
        lines.append(f"{name:<14}{cases:>7}{row}{counts['ms'] / max(1, cases):>12.1f}")
    seconds, slowest = totals.slowest
    lines.append(
        f"processor {totals.seconds:.0f} s; largest memory {totals.peak >> 20} MB; slowest "
        f"{slowest} with {seconds:.1f} s"
    )
    lines.append(f"faults: {sum(map(len, totals.faults.values()))} of {len(totals.faults)} kinds")
    for mark, names in sorted(totals.faults.items(), key=lambda item: -len(item[1])):
        command = campaign.replay(seed, names[0])
        lines.append(f"  {len(names):>5} x {mark}\n          {command}")
    return "\n".join(lines) + "\n"


def again(one: campaign.Campaign, names: list[Name]) -> int:
    """Run cases again in this process and print what became of them."""
    faults = 0
    for name, verdict in campaign.only(one.folder, one.seed, names):
        faults += verdict.is_fault
        print(f"{name}: {verdict.what} {verdict.mark}\n{'; '.join(verdict.calls)}\n{verdict.log}")
        print(f"{verdict.seconds:.2f} s, peak {verdict.peak >> 20} MB\n")
        if verdict.is_fault:
            sound = one.folder / "sound"
            print(campaign.keep_fault(one.folder, sound, one.seed, name, verdict))
    print(f"{len(names)} cases again, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
