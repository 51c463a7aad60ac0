"""Metrics of each network on the held-out photos, and intervals of the differences.

Letters: P people, J joints, G photos, S seeds. A network's predictions are reduced to sums per
photo and matched predictions before the next network is read: constant memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthstudio.core.arrays import F64, Bool
from synthstudio.core.labels import STATE_HIDDEN, STATE_VISIBLE
from synthstudio.core.skeleton import Skeleton
from synthstudio.evaluation import intervals
from synthstudio.evaluation.metrics import pck_by_group, truth_of
from synthstudio.evaluation.precision import matches
from synthstudio.evaluation.storage import Predictions, interval, select
from synthstudio.experiment.config import Arm, ExperimentConfig, Question
from synthstudio.report import pages
from synthstudio.report.pages import render
from synthstudio.training.poses import SMALL_BANK

SEED = 31
ROUNDS = {"PCK": 2000, "AP": 500}
PARTS = {
    "clean visible": "clean photos, visible joints",
    "clean hidden": "clean photos, joints marked as hidden",
    "occluded visible": "occluded people, visible joints",
    "occluded hidden": "occluded people, hidden joints",
    "under the paste": "occluded people, joints that the paste hides",
}
MEASURES = {"PCK": "PCK@0.1 of the box's longer side", "AP": "OKS-AP"}
FEW_PHOTOS = 50


def parts(predictions: Predictions) -> dict[str, Bool]:
    """The joints (P, J) of each of PARTS; occluded people are covered by a paste."""
    seen, hidden = predictions.state == STATE_VISIBLE, predictions.state == STATE_HIDDEN
    clean = predictions.known & (predictions.variant == "clean")[:, None]
    lost = (
        predictions.known
        & ((predictions.variant == "occluder") & (predictions.fraction > 0))[:, None]
    )
    paired = predictions.clean >= 0
    before = predictions.state[np.where(paired, predictions.clean, 0)] == STATE_VISIBLE
    return {
        "clean visible": clean & seen,
        "clean hidden": clean & hidden,
        "occluded visible": lost & seen,
        "occluded hidden": lost & hidden,
        "under the paste": lost & hidden & before & paired[:, None],
    }


@dataclass(frozen=True, kw_only=True)
class Reduction:
    """A network's predictions reduced: by part (hits, counts) of each photo, and AP as a function
    of the photos' weights."""

    hits: Mapping[str, tuple[F64, F64]]
    precision: Mapping[str, intervals.Statistic]
    counts: Mapping[str, int]


def reduce(predictions: Predictions, skeleton: Skeleton) -> Reduction:
    hits, precision, counts = {}, {}, {}
    for name, subset in parts(predictions).items():
        hits[name] = pck_by_group(predictions, subset)
        counts[name] = int(subset.sum())
        precision[name] = _precision(predictions, subset, skeleton)
    return Reduction(hits=hits, precision=precision, counts=counts)


def _precision(predictions: Predictions, subset: Bool, skeleton: Skeleton) -> intervals.Statistic:
    counted = subset.any(1)
    people = select(predictions, np.flatnonzero(counted))
    score = people.score.mean(1)  # of the maps, in every arm: only ORN predicts a quality
    found = matches(
        truth_of(people), people.xy, score, sigmas=skeleton.sigmas, only=subset[counted]
    )
    group = dict(zip(people.frame.tolist(), people.group.tolist(), strict=True))
    return intervals.average_precision(found, group)


Figures = dict[str, dict[str, intervals.Interval]]
"""Of an arm, or a difference: by measure and part of the joints."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Metrics of each arm, differences of each question (arm minus baseline), joints counted by
    part."""

    arms: tuple[Arm, ...]
    seeds: int
    figures: Mapping[str, Figures]
    comparisons: Mapping[Question, Figures]
    counts: Mapping[str, int]


def findings(
    arms: Sequence[Arm], results: Mapping[str, Sequence[Reduction]], questions: Sequence[Question]
) -> Findings:
    """Metrics and differences of arms by their seeds' results, all of the same photos."""
    drawn, figures = {}, {}
    for arm in arms:
        seeds = results[arm.name]
        own: Figures = {"PCK": {}, "AP": {}}
        for part in PARTS:
            own["PCK"][part] = intervals.ratio_interval(
                *_hits_and_counts(seeds, part), seed=SEED, rounds=ROUNDS["PCK"]
            )
            groups = seeds[0].hits[part][0].shape[1]
            precision = [s.precision[part] for s in seeds]
            ap = intervals.bootstrap(precision, groups=groups, seed=SEED, rounds=ROUNDS["AP"])
            drawn[arm.name, part] = ap
            own["AP"][part] = ap.interval()
        figures[arm.name] = own
    names = {arm.name for arm in arms}
    known = [q for q in questions if {q.arm, q.baseline} <= names]
    first = results[arms[0].name]
    return Findings(
        arms=tuple(arms),
        seeds=len(first),
        figures=figures,
        comparisons={q: _differences(q, results, drawn) for q in known},
        counts=first[0].counts,
    )


def _differences(
    question: Question,
    results: Mapping[str, Sequence[Reduction]],
    drawn: Mapping[tuple[str, str], intervals.Bootstrap],
) -> Figures:
    pck = {
        part: intervals.paired_interval(
            _hits_and_counts(results[question.arm], part),
            _hits_and_counts(results[question.baseline], part),
            seed=SEED,
            rounds=ROUNDS["PCK"],
        )
        for part in PARTS
    }
    arm, other = question.arm, question.baseline
    return {"PCK": pck, "AP": {part: drawn[arm, part].minus(drawn[other, part]) for part in PARTS}}


def _hits_and_counts(seeds: Sequence[Reduction], part: str) -> tuple[F64, F64]:
    return intervals.stacked([seed.hits[part] for seed in seeds])


def verdict(found: intervals.Interval) -> str:
    """Verdict of a difference: "helped", "harmed", "not shown" or "nothing to measure"."""
    if not np.isfinite(found.value) or not np.isfinite(found.low):
        return "nothing to measure"
    if not found.excludes_zero:
        return "not shown"
    return "helped" if found.value > 0 else "harmed"


def as_json(found: Findings) -> dict[str, Any]:
    """Plain values (NaN if missing; `storage.json_ready` for JSON)."""

    def plain(figures: Figures) -> dict[str, Any]:
        return {m: {p: vars(one) for p, one in parts.items()} for m, parts in figures.items()}

    return {
        "seeds": found.seeds,
        "joints": dict(found.counts),
        "arms": {
            arm.name: {"title": arm.title} | plain(found.figures[arm.name]) for arm in found.arms
        },
        "differences": [
            {"question": q.text, "arm": q.arm, "baseline": q.baseline}
            | plain(figures)
            | {"verdict": {part: verdict(one) for part, one in figures["PCK"].items()}}
            for q, figures in found.comparisons.items()
        ],
    }


def sentences(found: Findings) -> list[str]:
    """One sentence per question: what helped, what harmed, what was not shown."""
    return [_sentence(question.text, own) for question, own in found.comparisons.items()]


def _sentence(text: str, figures: Figures) -> str:
    by: dict[str, list[str]] = {}
    for part, one in figures["PCK"].items():
        word, where = verdict(one), PARTS[part]
        if word in ("helped", "harmed"):
            where += f" {one.text()}"
        by.setdefault(word, []).append(where)
    order = ("helped", "harmed", "not shown", "nothing to measure")
    parts = [f"{word}: {'; '.join(by[word])}" for word in order if word in by]
    if set(by) == {"not shown"}:
        parts = ["not shown on any joints"]
    return f"{text[0].upper()}{text[1:]}. " + ". ".join(p[0].upper() + p[1:] for p in parts) + "."


def warning(facts: dict[str, Any]) -> str:
    """The main caveat, or ""."""
    test = facts["photos"]["test"]
    if test >= FEW_PHOTOS:
        return ""
    return (
        f"{test} held-out photos are too few for conclusions: this shows that the experiment "
        "runs, not what helps."
    )


def caveats(found: Findings, facts: dict[str, Any]) -> list[str]:
    return [line for line in (warning(facts), intervals.few_seeds_note(found.seeds)) if line]


def notes(found: Findings, facts: dict[str, Any], config: ExperimentConfig) -> list[str]:
    photos, people = facts["photos"], facts["people"]
    pasted = (
        "cut-outs and built-in objects"
        if facts["cutouts"]
        else "built-in objects alone (no cut-outs were given)"
    )
    out = [
        f"{photos['train']:,} photos with {people['train']:,} people for training, "
        f"{photos['test']:,} with {people['test']:,} for the test; no photo is in both.",
        f"Skeleton {facts['skeleton']}, {len(facts['joints'])} joints labelled.",
        f"All arms: {config.size}, {config.training_steps:,} steps, {found.seeds} "
        f"seed{'s' if found.seeds > 1 else ''}; photos alone or with {facts['each']['train']} "
        f"occluded copies of each. The same steps, so an arm with copies sees each clean photo "
        "less often.",
        f"People are hidden by {pasted}; what hides them in the test was never seen in training.",
        "Occluded people: those who lost something to a paste. All are cut out by their annotated "
        "box.",
        "In brackets: 95 % intervals of a paired bootstrap, seeds first, then photos. A star: the "
        "interval excludes zero. Nothing is corrected for looking at many figures.",
    ]
    if note := intervals.few_seeds_note(found.seeds):
        out.append(note)
    out.append(_costs(facts["operations"]))
    if config.pretrain is not None:
        out.append("Pretraining: as many steps again on generated people, joints by their names.")
    out.append(bank_note(facts))
    return out + list(facts["notes"])


def bank_note(facts: dict[str, Any]) -> str:
    """A sentence on the size of ORN's bank."""
    if not facts["bank"]:
        return "ORN has no bank of poses in any arm: few people have half of their joints labelled."
    note = f"; fewer than {SMALL_BANK} help little" if facts["poses"] < SMALL_BANK else ""
    return (
        f"ORN's bank: {facts['poses']:,} poses of the training photos, half mirrored{note}. "
        "A pretrained one is filled up with generated poses where there is room."
    )


def _costs(operations: dict[str, int]) -> str:
    """A sentence on KPE's cost against ORN's; `operations` per picture, by block."""
    text = "KPE has ORN's width and backbone and is the cheaper network"
    if not {"orn", "kpe"} <= set(operations):
        return f"{text}: ORN's gain is not separated from its cost."
    kpe, orn = (operations[name] / 1e6 for name in ("kpe", "orn"))
    return (
        f"{text}: {kpe:,.0f} million operations a picture beside ORN's {orn:,.0f} million "
        "(products and convolutions). ORN's gain is not separated from its cost."
    )


def markdown(found: Findings, facts: dict[str, Any], config: ExperimentConfig) -> str:
    lines = ["# Experiment on photos", ""]
    lines += [warning(facts), ""] if warning(facts) else []
    lines += [*(f"* {s}" for s in sentences(found)), ""]
    for measure, title in MEASURES.items():
        figures, differences = _figure_rows(found, measure), _difference_rows(found, measure)
        lines += [f"## {title}", "", *_lines(figures), ""]
        lines += [f"### Differences, {measure} in points", "", *_lines(differences), ""]
    lines += ["## Notes", "", *(f"* {note}" for note in notes(found, facts, config)), ""]
    return "\n".join(lines)


def html(found: Findings, facts: dict[str, Any], config: ExperimentConfig) -> bytes:
    kinds = {"built-in objects": facts["kinds"], "cut-outs": facts["cutouts"]}
    return render(
        "experiment.html",
        warning=warning(facts),
        sentences=sentences(found),
        tables=[
            (measure.lower(), title, _figure_rows(found, measure), _difference_rows(found, measure))
            for measure, title in MEASURES.items()
        ],
        forests=[
            (question.text, pages.forest(list(figures["PCK"].items())))
            for question, figures in found.comparisons.items()
        ],
        notes=notes(found, facts, config),
        occluders=[
            (name, ", ".join(parts["train"]), ", ".join(parts["test"]))
            for name, parts in kinds.items()
            if parts
        ],
    )


def _figure_rows(found: Findings, measure: str) -> list[list[str]]:
    rows = [["", *PARTS.values()]]
    for arm in found.arms:
        figures = found.figures[arm.name][measure]
        rows.append([arm.title, *(interval(vars(figures[part])) for part in PARTS)])
    rows.append(["joints tested", *(f"{found.counts[p]:,}" for p in PARTS)])
    return rows


def _difference_rows(found: Findings, measure: str) -> list[list[str]]:
    rows = [["", *PARTS.values()]]
    for question, figures in found.comparisons.items():
        rows.append([question.text, *(one.marked() for one in figures[measure].values())])
    return rows


def _lines(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *rest = rows
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rest)]
