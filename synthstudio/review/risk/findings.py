"""Findings of slow checks (validation and audit), stored for the risk queue."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from sqlalchemy import delete, insert, select

from synthstudio.core.errors import ReviewError
from synthstudio.core.progress import OnProgress, counter
from synthstudio.dataset.durable import read_json
from synthstudio.dataset.reader import Dataset
from synthstudio.quality.checks import KINDS
from synthstudio.quality.rows import checked_frames
from synthstudio.review.history import content_key
from synthstudio.review.models import RiskRow, SettingRow, utc_now
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.risk.signals import Signal, readable, signal
from synthstudio.review.store import Store
from synthstudio.review.values import HIDDEN_BY, Pair

if TYPE_CHECKING:
    from synthstudio.generation import audit

Kind = Literal["validation", "audit"]
_KINDS: tuple[Kind, ...] = get_args(Kind)
_RUN = "run of "
"""The key of the setting with the time of a check's last run."""
_WARNING = 0.4
_MAX_TEXTS = 6
_MAX_CHARS = 200
_CAUSES = {**HIDDEN_BY, "truncated": "outside"}
LARGE_DIFFERENCE = 0.1
"""Minimum difference of fractions that is not rounding."""


@dataclass(frozen=True, kw_only=True)
class PersonFinding:
    """One check's score of a person, 0 to 1, and reason."""

    frame: int
    instance: int
    score: float
    text: str


@dataclass(frozen=True, kw_only=True)
class CheckRun:
    """When a check last ran, number of suspicious people, of how many frames (None: all)."""

    at: datetime
    people: int
    frames: int | None


def parse_audit(findings: object, where: str) -> list[PersonFinding]:
    """The joints with differing oracles in `synthstudio audit --json`; ReviewError."""
    if not isinstance(findings, list):
        raise ReviewError(
            "this audit does not list the joints that differ",
            where=where,
            expected="a list `findings`",
            got=type(findings).__name__,
            then="Make it with: synthstudio audit DATASET --json > FILE",
        )
    return [_audit_finding(one, f"{where}, findings[{k}]") for k, one in enumerate(findings)]


def _audit_finding(finding: Any, where: str) -> PersonFinding:
    try:
        frame, instance, joint = finding["frame"], finding["instance"], finding["joint"]
        causes = finding["stored_cause"], finding["again_cause"]
        fractions = float(finding["stored"][0]), float(finding["again"][0])
        if type(frame) is not int or type(instance) is not int or not math.isfinite(sum(fractions)):
            raise ValueError("not numbers")
        if not all(isinstance(text, str) for text in (joint, *causes)):
            raise ValueError("not names")
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ReviewError(
            "not a finding of an audit",
            where=where,
            got=repr(error)[:120],
            expected="frame, instance, joint, stored, again and their causes",
        ) from error
    return _difference(frame, instance, joint, fractions, causes)


def _difference(
    frame: int, instance: int, joint: str, fractions: tuple[float, float], causes: tuple[str, str]
) -> PersonFinding:
    """A joint with a differing audit. `fractions`, `causes`: as labelled and as audited."""
    clear = abs(fractions[0] - fractions[1]) > LARGE_DIFFERENCE or causes[0] != causes[1]
    first, second = (
        f"{_CAUSES.get(cause, cause)} ({share:.0%} in sight)"
        for cause, share in zip(causes, fractions, strict=True)
    )
    text = f"{readable(joint)}: labelled {first}, the audit says {second}"
    score = 1.0 if clear else 0.6  # near the threshold both may be right
    return PersonFinding(frame=frame, instance=instance, score=score, text=text)


def _of_audit(findings: Iterable[audit.Finding]) -> Iterator[PersonFinding]:
    for one in findings:
        fractions, causes = (one.stored[0], one.again[0]), (one.stored_cause, one.again_cause)
        yield _difference(one.frame, one.instance, one.joint, fractions, causes)


def store_findings(
    store: Store,
    dataset: Dataset,
    kind: Kind,
    findings: Iterable[PersonFinding],
    frames: int | None = None,
) -> CheckRun:
    """Store a check's findings, replacing the previous ones; `frames`: of the first ones only."""
    key = content_key(dataset)
    frames = None if frames is None or frames >= dataset.frames else frames
    gathered: dict[Pair, list[PersonFinding]] = {}
    for finding in sorted(findings, key=lambda one: -one.score):
        gathered.setdefault((finding.frame, finding.instance), []).append(finding)
    rows = [
        {
            "dataset": key,
            "frame": frame,
            "instance": instance,
            "kind": kind,
            "score": round(own[0].score, 2),
            "reasons": [finding.text[:_MAX_CHARS] for finding in own[:_MAX_TEXTS]],
        }
        for (frame, instance), own in sorted(gathered.items())
    ]
    run = CheckRun(at=utc_now(), people=len(gathered), frames=frames)
    value = {"at": run.at.isoformat(), "people": run.people, "frames": run.frames}
    with store.session() as session:
        session.execute(delete(RiskRow).where(RiskRow.dataset == key, RiskRow.kind == kind))
        if rows:
            session.execute(insert(RiskRow), rows)
        session.merge(SettingRow(dataset=key, key=_RUN + kind, value=value))
    return run


def last_runs(store: Store, key: str) -> dict[Kind, CheckRun]:
    with store.reading() as session:
        rows = {kind: session.get(SettingRow, (key, _RUN + kind)) for kind in _KINDS}
        return {
            kind: CheckRun(**{**row.value, "at": datetime.fromisoformat(row.value["at"])})
            for kind, row in rows.items()
            if row is not None
        }


def stored_signals(store: Store, table: PeopleTable) -> tuple[Signal, ...]:
    query = select(RiskRow.frame, RiskRow.instance, RiskRow.score, RiskRow.reasons)
    query = query.where(RiskRow.dataset == table.key)
    signals = []
    for kind in _KINDS:
        score, texts = np.zeros(table.people), dict[int, tuple[str, ...]]()
        with store.reading() as session:
            found = session.execute(query.where(RiskRow.kind == kind)).all()
        for row, one in table.placed(found):
            score[row], texts[row] = one.score, tuple(one.reasons)
        signals.append(signal(kind, score, texts=texts))
    return tuple(signals)


Begin = Callable[[str], OnProgress]
"""Starts a step of that title; returns a function of (frames done, all frames, frames/s)."""


def validate_rows(store: Store, dataset: Dataset, *, frames: int | None, begin: Begin) -> CheckRun:
    """Validate the rows of the first `frames` frames (None: all) and store the findings."""
    step = counter(begin("validating"), min(frames or dataset.frames, dataset.frames))
    stored = []
    for done, (frame, subjects, found) in enumerate(islice(checked_frames(dataset), frames), 1):
        for finding in found:
            score = 1.0 if finding.severity == "error" else _WARNING
            text = ": ".join(filter(None, (KINDS[finding.kind].title, readable(finding.what))))
            for instance in subjects if finding.person is None else [finding.person]:
                one = PersonFinding(frame=frame, instance=instance, score=score, text=text)
                stored.append(one)
        step(done)
    return store_findings(store, dataset, "validation", stored, frames)


def audit_by_rays(
    store: Store,
    dataset: Dataset,
    *,
    frames: int | None,
    assets: Path | None,
    workers: int,
    device: str,
    begin: Begin,
) -> CheckRun:
    """Audit the first `frames` frames (None: all) and store the differing joints."""
    from synthstudio.generation import audit, stage  # the renderer: slow
    from synthstudio.generation.photos.audit import is_of_photos

    report = begin("auditing")
    if is_of_photos(dataset):
        found = list(_photos(dataset, frames, assets, device, report))
    else:
        settings = stage.settings_of(dataset, assets=assets, device=device)
        tally = audit.audit(
            dataset.place, settings, frames=frames, workers=workers, on_progress=report
        )
        found = list(_of_audit(tally.findings))
    return store_findings(store, dataset, "audit", found, frames)


def import_audit(store: Store, dataset: Dataset, path: Path) -> CheckRun:
    """Store the output of `synthstudio audit --json` of this data set; ReviewError for others."""
    audit = read_json(path)
    found = parse_audit(audit.get("findings"), str(path))
    unknown = {(finding.frame, finding.instance) for finding in found}
    for row in dataset.iter_instances(["frame_index", "instance"]):
        unknown.discard((row["frame_index"], row["instance"]))
    if unknown:
        frame, instance = min(unknown)
        raise ReviewError(
            "this audit is of another data set",
            where=str(path),
            got=f"frame {frame}, person {instance}",
            expected=f"people of {dataset.place.name}",
        )
    checked = audit.get("frames")
    frames = checked if type(checked) is int else None
    return store_findings(store, dataset, "audit", found, frames)


def _photos(
    dataset: Dataset, frames: int | None, assets: Path | None, device: str, report: OnProgress
) -> Iterator[PersonFinding]:
    from synthstudio.generation.photos import audit as photos

    tally, pasted = photos.audit(
        dataset.place, assets=assets, device=device, frames=frames, on_progress=report
    )
    for finding in tally.findings:
        joint = "" if finding.joint is None else f"{readable(finding.joint)}: "
        frame, instance, text = finding.frame, finding.instance, f"{joint}{finding.what}"
        yield PersonFinding(frame=frame, instance=instance, score=1.0, text=text)
    yield from _of_audit(pasted.findings)
