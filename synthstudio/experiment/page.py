"""What an experiment on photos found, as one self-contained page and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from synthstudio.evaluation.intervals import few_seeds_note
from synthstudio.evaluation.storage import interval
from synthstudio.experiment.config import ExperimentConfig
from synthstudio.experiment.results import MEASURES, PARTS, Comparison, Findings, verdict
from synthstudio.report import plots
from synthstudio.report.html import render
from synthstudio.training.poses import SMALL_BANK

FEW_PHOTOS = 50


def sentences(found: Findings) -> list[str]:
    """One plain sentence a question: what helped, what harmed, what was not shown."""
    return [_sentence(comparison) for comparison in found.comparisons]


def _sentence(comparison: Comparison) -> str:
    by: dict[str, list[str]] = {}
    for cell in comparison.cells:
        if cell.measure == "PCK":
            word, part = verdict(cell.found), PARTS[cell.part]
            if word in ("helped", "harmed"):
                part += f" {cell.found.text()}"
            by.setdefault(word, []).append(part)
    order = ("helped", "harmed", "not shown", "nothing to measure")
    parts = [f"{word}: {'; '.join(by[word])}" for word in order if word in by]
    if set(by) == {"not shown"}:
        parts = ["not shown on any joints"]
    text = comparison.question.text
    return f"{text[0].upper()}{text[1:]}. " + ". ".join(p[0].upper() + p[1:] for p in parts) + "."


def warning(facts: dict[str, Any]) -> str:
    """What a reader must know before all else, or nothing."""
    test = facts["photos"]["test"]
    if test >= FEW_PHOTOS:
        return ""
    return (
        f"{test} held-out photos are too few for firm words: this shows that the experiment "
        "runs, not what helps."
    )


def notes(found: Findings, facts: dict[str, Any], config: ExperimentConfig) -> list[str]:
    """What a reader must know to judge the metrics."""
    photos, people = facts["photos"], facts["people"]
    pasted = (
        "cut-outs and built-in things"
        if facts["cutouts"]
        else "built-in things alone (no cut-outs were given)"
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
    if found.seeds == 1:
        out.append("One seed: the spread between trainings is in no interval.")
    if note := few_seeds_note(found.seeds):
        out.append(note)
    out.append(_costs(facts["operations"]))
    if config.pretrain is not None:
        out.append("Pretraining: as many steps again on generated people, joints by their names.")
    out.append(about_bank(facts))
    return out + list(facts["notes"])


def about_bank(facts: dict[str, Any]) -> str:
    """How many poses ORN knows, in a sentence."""
    if not facts["bank"]:
        return "ORN has no bank of poses in any arm: few people have half of their joints labelled."
    note = f"; fewer than {SMALL_BANK} help little" if facts["poses"] < SMALL_BANK else ""
    return (
        f"ORN's bank: {facts['poses']:,} poses of the training photos, half mirrored{note}. "
        "A pretrained one is filled up with generated poses where there is room."
    )


def _costs(operations: dict[str, int]) -> str:
    """What KPE costs beside ORN; `operations`: of a picture, by block."""
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
        lines += [f"## {title}", "", *_lines(_figures(found, measure)), ""]
        lines += [
            f"### Differences, {measure} in points",
            "",
            *_lines(_differences(found, measure)),
            "",
        ]
    lines += ["## Notes", "", *(f"* {note}" for note in notes(found, facts, config)), ""]
    return "\n".join(lines)


def html(found: Findings, facts: dict[str, Any], config: ExperimentConfig) -> bytes:
    kinds = {"built-in things": facts["kinds"], "cut-outs": facts["cutouts"]}
    return render(
        "experiment.html",
        warning=warning(facts),
        sentences=sentences(found),
        tables=[
            (measure.lower(), title, _figures(found, measure), _differences(found, measure))
            for measure, title in MEASURES.items()
        ],
        forests=[
            (
                a.question.text,
                plots.forest(
                    [(c.part, c.found) for c in a.cells if c.measure == "PCK"], unit="points"
                ),
            )
            for a in found.comparisons
        ],
        notes=notes(found, facts, config),
        occluders=[
            (name, ", ".join(parts["train"]), ", ".join(parts["test"]))
            for name, parts in kinds.items()
            if parts
        ],
    )


def _figures(found: Findings, measure: str) -> list[list[str]]:
    rows = [["", *PARTS.values()]]
    for arm in found.arms:
        rows.append([arm.title, *(interval(vars(found.cell(arm.name, p, measure))) for p in PARTS)])
    rows.append(["joints tested", *(f"{found.counts[p]:,}" for p in PARTS)])
    return rows


def _differences(found: Findings, measure: str) -> list[list[str]]:
    rows = [["", *PARTS.values()]]
    for comparison in found.comparisons:
        cells = [c.found.marked() for c in comparison.cells if c.measure == measure]
        rows.append([comparison.question.text, *cells])
    return rows


def _lines(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *rest = rows
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rest)]
