"""The command line's surface: commands with their options, and the keys of every --json."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence

from benchmarks.golden_digest import Facts, json_parts, key_types
from benchmarks.golden_sides import INPUTS, Context, Job, Side, Verdict, run_batches, run_jobs

GROUPS = ("", "review", "experiment")
PAIRS, OTHERS = f"{INPUTS}/pairs", f"{INPUTS}/others"
COCO = f"{INPUTS}/coco/annotations.json"
PEOPLE = (f"{INPUTS}/few/coco.json", "--images", f"{INPUTS}/few/images")
DB = "sqlite:///review.db"
UNSTEADY = re.compile(
    r"second|latency|time|bytes|_ms\b|waited|memory|rate|date|folder|\bout\b|per_s"
)
"""Keys whose values tell of the machine or of paths."""

Told = dict[str, tuple[str, ...]]
QUICK: Told = {
    "stats": ("stats", PAIRS),
    "stats of photos": ("stats", f"{INPUTS}/occlude"),
    "coverage": ("coverage", PAIRS),
    "coverage written": ("coverage", PAIRS, "--write", "next.yaml", "--at-least", "3"),
    "diff": ("diff", PAIRS, OTHERS),
    "export": ("export", PAIRS, "--out", "coco"),
    "import": ("import", "coco", "--out", "imported"),
    "filter count": ("filter", PAIRS, "left_wrist hidden", "--count"),
    "filter": ("filter", PAIRS, "occluded > 0.2", "--out", "filtered"),
    "filter people": ("filter", PAIRS, "occluded > 0.2", "--keep-people", "--out", "kept"),
    "filter fields": ("filter", PAIRS, "--fields"),
    "split check": ("split", PAIRS, "--check"),
    "split": ("split", PAIRS, "--table", "splits.csv", "--out", "split"),
    "merge": ("merge", PAIRS, OTHERS, "--sets", "--out", "merged"),
    "validate": ("validate", PAIRS),
    "validate coco": ("validate", COCO),
    "validate fix": ("validate", COCO, "--fix", "fixed.json"),
    "validate photos": ("validate", *PEOPLE),
    "report": ("report", PAIRS, "--out", "report.html"),
    "frame": ("frame", PAIRS, "3", "--out", "f.jpg", "--drawn", "d.png"),
    "preview": ("preview", f"{INPUTS}/pairs.yaml", "--out", "p.png"),
    "preview moment": ("preview", f"{INPUTS}/pairs.yaml", "--moment", "--out", "m.png"),
    "review import": ("review", "import", PAIRS, "coco", "--by", "anna", "--db", DB),
    "review check": ("review", "check", PAIRS, "--no-audit", "--db", DB),
    "review stats": ("review", "stats", PAIRS, "--db", DB),
    "review history": ("review", "history", PAIRS, "--db", DB),
    "review history check": ("review", "history", PAIRS, "--check", "--db", DB),
    "review export": ("review", "export", PAIRS, "--only", "all", "--out", "reviewed", "--db", DB),
    "review members": ("review", "members", "--set", "anna", "--role", "lead", "--db", DB),
    "review backup": ("review", "backup", "--db", DB, "--out", "copy.db"),
}
NETWORKS: Told = {
    "train": ("train", f"{INPUTS}/orn.yaml", "--out", "run"),
    "train dry": ("train", f"{INPUTS}/kpe.yaml", "--out", "dry", "--fast-dev-run"),
    "evaluate": ("evaluate", f"{INPUTS}/orn", PAIRS, "--out", "evaluated"),
    "evaluate kpe": ("evaluate", f"{INPUTS}/kpe", PAIRS, "--out", "evaluated-kpe"),
    "evaluate flip": ("evaluate", f"{INPUTS}/kpe", PAIRS, "--flip", "--bank", "--out", "flipped"),
    "compare": ("compare", f"{INPUTS}/evaluation-orn", f"{INPUTS}/evaluation-kpe"),
    "compare written": ("compare", "evaluated", "evaluated-kpe", "--out", "compared"),
    "suggest": ("suggest", f"{INPUTS}/evaluation-orn", "--out", "suggested.yaml"),
    "predict": ("predict", f"{INPUTS}/orn", PAIRS, "--out", "predicted"),
    "predict photos": (
        "predict",
        f"{INPUTS}/orn",
        *PEOPLE,
        "--out",
        "found",
        "--peaks",
        "2",
        "--device",
        "cpu",
    ),
}
RENDERED: Told = {
    "audit": ("audit", PAIRS, "--frames", "8"),
    "review audit": ("review", "check", PAIRS, "--frames", "4", "--db", "sqlite:///audited.db"),
    "generate": ("generate", f"{INPUTS}/pairs.yaml", "--frames", "4", "--out", "made"),
    "generate plan": ("generate", f"{INPUTS}/pairs.yaml", "--frames", "200", "--plan"),
}
SLOW: tuple[Told, ...] = (
    {"demo": ("demo", "--frames", "4", "--out", "demo", "--workers", "1")},
    {"train-demo": ("train-demo", "--frames", "40", "--epochs", "1", "--out", "td")},
    {
        "experiment real": (
            "experiment",
            "real",
            "--annotations",
            f"{INPUTS}/people/coco.json",
            "--images",
            f"{INPUTS}/people/images",
            "--cutouts",
            f"{INPUTS}/assets/occluders",
            "--pretrain",
            PAIRS,
            "--seeds",
            "1",
            "--steps",
            "2",
            "--out",
            "experiment",
        )
    },
    {
        "occlude": (
            "occlude",
            *PEOPLE,
            "--recipe",
            "{scenes}/occlude.yaml",
            "--assets",
            f"{INPUTS}/assets",
            "--each",
            "1",
            "--out",
            "occluded",
        )
    },
)
VALUES = frozenset(
    [*QUICK, "audit", "compare", "evaluate", "evaluate kpe", "evaluate flip", "suggest"]
) - {"review backup", "review history", "review members", "export", "import", "report"}
"""Commands whose values are compared too, where they do not tell of time or place."""


def jobs_of(reported: Told, side: Side) -> list[Job]:
    """Return commands that print JSON, in one folder."""
    fill = {"{scenes}": str(side.scenes)}
    return [
        Job(
            name=name,
            arguments=tuple(w.replace("{scenes}", fill["{scenes}"]) for w in (*words, "--json")),
            folder="json",
            limit_s=900,
        )
        for name, words in reported.items()
    ]


def outputs(side: Side, context: Context, *, parts: Sequence[Told] | None = None) -> Facts:
    """Run every command with --json once; keys with types, and steady values."""
    shutil.rmtree(side.work / "json", ignore_errors=True)
    (side.work / "json").mkdir()
    chosen = (SLOW[1], SLOW[2], RENDERED, SLOW[3], SLOW[0], NETWORKS, QUICK)
    batches = [jobs_of(part, side) for part in (parts or chosen)]
    found: Facts = {}
    verdicts = run_batches(side, batches, context)
    if side.name == "base":
        for verdict in verdicts.values():  # two failures alike would prove nothing
            if verdict.error or verdict.status not in (0, 1):
                raise SystemExit(f"base: {verdict.name} failed: {verdict.stderr[-2000:]}")
    for name, verdict in verdicts.items():
        found |= json_facts(name, verdict)
    return found


def json_facts(name: str, verdict: Verdict) -> Facts:
    """Return the key paths of what a command printed, and digests of its steady values."""
    found: Facts = {f"json/{name}:status": [verdict.status, verdict.error]}
    if verdict.output is None:
        found[f"json/{name}:printed"] = "no JSON" if verdict.stdout else "nothing"
        return found
    found |= {f"json/{name}:{path}": kinds for path, kinds in key_types(verdict.output).items()}
    if name in VALUES:
        values = json_parts(verdict.output).items()
        found |= {f"values/{name}:{path}": d for path, d in values if not UNSTEADY.search(path)}
    return found


OPTION = re.compile(r"^\s+(?:-\w, )?(--[a-z][a-z-]*)(?: / (--[a-z-]+))?(?:\s+<([^>]*)>?)?", re.M)
COMMAND = re.compile(r"^  ([a-z][a-z-]*)\s", re.M)


def surface(side: Side, context: Context) -> Facts:
    """Return which options each command takes, and the choices of each."""
    first = [Job(name=group, arguments=(*group.split(), "--help")) for group in GROUPS]
    listed = run_jobs(side, first, context)
    names = []
    for group, verdict in listed.items():
        commands = verdict.stdout.partition("Commands:")[2]
        names += [f"{group} {name}".strip() for name in COMMAND.findall(commands)]
    second = [Job(name=n, arguments=(*n.split(), "--help")) for n in names if n not in GROUPS]
    found: Facts = {}
    for name, verdict in run_jobs(side, second, context).items():
        found[f"commands/{name}:there"] = verdict.status
        for option, other, kind in OPTION.findall(verdict.stdout.partition("Options:")[2]):
            found[f"commands/{name}:{option}"] = kind
            if other:
                found[f"commands/{name}:{other}"] = kind
    return found


def without_json(commands: Facts) -> list[str]:
    """Return commands that print JSON and that no call of this file reaches."""
    reported: dict[str, None] = {}
    for part in (QUICK, NETWORKS, RENDERED, *SLOW):
        for words in part.values():
            reported[words[0]] = None
            reported[" ".join(words[:2])] = None
    names = [k.removeprefix("commands/").partition(":") for k in commands]
    return sorted(n for n, _, option in names if option == "--json" and n not in reported)
