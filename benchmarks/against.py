"""Is anything slower than at another commit? `make bench-against BASE=COMMIT`.

Both checkouts run the same commands on their own recipes on the same machine, on one core, each
command in turn (base, new, new, base, ...), the shorter the more often. What counts is processor
time, which a busy neighbour stretches less than the clock does; a ratio is the median of pairs.

`--scenes quickstart,crowd --frames 24 --pairs 3` times the frames of scenes alone, without what a
process needs to begin; a name may be the path of a recipe.
"""

import argparse
import os
import resource
import shutil
import statistics
import tempfile
from pathlib import Path

from benchmarks.golden_sides import ROOT, Side, python, sides

GENERATED = ("generate", "SCENES/quickstart.yaml", "--frames", "64", "--out", "made")
COMMANDS = (
    ("--help",),
    GENERATED,
    ("generate", "SCENES/target_fraction.yaml", "--frames", "24", "--out", "targets"),
    ("audit", "made", "--frames", "24"),
    ("stats", "made"),
    ("coverage", "made", "--json"),
    ("validate", "made"),
    ("filter", "made", "occluded > 0.1", "--out", "filtered"),
    ("split", "made", "--by", "group", "--out", "split"),
    ("export", "made", "--format", "coco", "--out", "coco"),
    ("export", "made", "--format", "yolo", "--out", "yolo"),
    ("import", "yolo", "--format", "yolo", "--out", "imported"),
)
STREAMED = """
import sys, time, synthstudio
recipe = synthstudio.Recipe.load(sys.argv[1]).with_(frames=1 + int(sys.argv[2]))
frames = synthstudio.stream(recipe)
next(frames)
began = time.process_time()
for _ in frames: pass
print(time.process_time() - began)
"""
LIMIT = 1.03
MIN_PAIRS, LONG_S = 3, 40.0
"""A command is run again until the base has used this many processor seconds for it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", required=True, help="Commit to compare with.")
    parser.add_argument("--pairs", type=int, default=25, help="At most this many of a command.")
    parser.add_argument("--scenes", default="", help="Time frames of these alone.")
    parser.add_argument("--frames", type=int, default=24, help="So many of each, after the first.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="against-") as folder:
        base, new = sides(options.base, ROOT / ".cache" / "golden")
        base, new = (
            Side(name=side.name, root=side.root, work=Path(folder) / name)
            for side, name in ((base, "base"), (new, "new"))
        )
        if options.scenes:
            for scene in options.scenes.split(","):
                compare_frames(base, new, scene, options.frames, options.pairs)
            return
        for side in (base, new):  # compiles, fills caches, and makes what later commands read
            side.work.mkdir()
            for words in COMMANDS:
                run(side, words)
        seconds: dict[tuple[str, str], list[float]] = {}
        for words in COMMANDS:
            for number in range(options.pairs):
                for side in (base, new) if number % 2 else (new, base):
                    took = run(side, words)
                    seconds.setdefault((side.name, " ".join(words)), []).append(took)
                if number + 1 >= MIN_PAIRS and sum(seconds[base.name, " ".join(words)]) > LONG_S:
                    break
    print(f"processor seconds, base {options.base}; new / base: median of pairs, quartiles")
    slower = []
    for words in COMMANDS:
        name = " ".join(words)
        was, now = seconds[base.name, name], seconds[new.name, name]
        ratios = [b / a for a, b in zip(was, now, strict=True)]
        ratio = statistics.median(ratios)
        low, _, high = statistics.quantiles(ratios)
        print(
            f"  {name:<66} {statistics.median(was):7.2f} {statistics.median(now):7.2f} "
            f"{ratio:6.3f} ({low:.3f} to {high:.3f}, {len(ratios)} pairs)"
        )
        slower += [name] if ratio > LIMIT else []
    print(f"slower by more than {LIMIT - 1:.0%}: {', '.join(slower) or 'nothing'}")


def compare_frames(base: Side, new: Side, scene: str, frames: int, pairs: int) -> None:
    """Print a scene's milliseconds a frame of both sides, and how many times as fast the new is."""
    took: dict[str, list[float]] = {base.name: [], new.name: []}
    for number in range(pairs):
        for side in (base, new) if number % 2 else (new, base):
            side.work.mkdir(exist_ok=True)
            path = Path(scene) if scene.endswith(".yaml") else side.scenes / f"{scene}.yaml"
            done = python(side, ["-c", STREAMED, str(path), str(frames)])
            if done.returncode:
                raise SystemExit(f"{side.name}: {scene}: {done.stderr[-1000:]}")
            took[side.name].append(1000 * float(done.stdout) / frames)
    was, now = took[base.name], took[new.name]
    ratios = sorted(a / b for a, b in zip(was, now, strict=True))
    print(
        f"  {Path(scene).stem:<14} {statistics.median(was):7.1f} {statistics.median(now):7.1f} ms, "
        f"{statistics.median(ratios):.2f} times as fast ({ratios[0]:.2f} to {ratios[-1]:.2f}, "
        f"{frames} frames, {pairs} pairs)",
        flush=True,
    )


def run(side: Side, words: tuple[str, ...]) -> float:
    """The processor seconds of a command; SystemExit when it fails."""
    call = [word.replace("SCENES", str(side.scenes)) for word in words]
    if "--out" in words:
        shutil.rmtree(side.work / words[words.index("--out") + 1], ignore_errors=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = python(side, ["-m", "synthstudio", *call])
    if done.returncode:
        raise SystemExit(f"{side.name}: {' '.join(call)}: {done.stderr[-1000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
