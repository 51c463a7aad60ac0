"""What slow checks found, kept in the store so that the queue can use it: validation and audit.

    validation_findings(dataset) ─┐
    audit_findings(json)         ─┴─► keep(store, key, kind, ...) ─► stored(store, table) -> Signals
                                                                  └► runs(store, key) -> Runs

A person's row in the table `risk` holds texts, each with its kind and score before a colon, as in
"validation 1.00: left wrist: a joint far outside its box (30 px)", and the largest of these scores.


Validation and audit of a data set, run now; what they doubt is kept for the risk queue."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sqlalchemy import and_, delete, or_, select
from sqlalchemy.orm import Session

from synthstudio.core.errors import ReviewError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.durable import read_json
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import pair_rows
from synthstudio.quality.findings import KINDS
from synthstudio.quality.rows import check_frame
from synthstudio.review.datasets import dataset_key
from synthstudio.review.models import RiskRow, SettingRow, utc_now
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.risk.signals import NOBODY, Signal, readable
from synthstudio.review.store import Store

Kind = Literal["validation", "audit"]
_WEIGHTS: dict[Kind, float] = {"validation": 0.95, "audit": 0.9}
_RUN = "run of "
"""The key of a setting that says when a kind of check was run."""
_WARNING = 0.4
_AT_ONCE = 200
_MOST_TEXTS = 6
_MOST_CHARS = 200
_CAUSES = {
    "self": "hidden by the person",
    "person": "hidden by another person",
    "object": "hidden by a thing",
    "truncated": "outside",
}
LARGE_DIFFERENCE = 0.1
"""A share that another oracle decides this much differently is surely no rounding."""


@dataclass(frozen=True, kw_only=True)
class PersonFinding:
    """What one check says of a person: 0 to 1, and why."""

    frame: int
    instance: int
    score: float
    text: str


@dataclass(frozen=True, kw_only=True)
class CheckRun:
    """When a check was last run, how many people it doubts, of which frames.

    `frames`: only the first so many; None: all.
    """

    at: datetime
    people: int
    frames: int | None


def validation_findings(
    dataset: Dataset,
    *,
    frames: int | None = None,
    on_step: Callable[[int], None] = lambda done: None,
) -> Iterator[PersonFinding]:
    """Yield what `validate` finds in the rows of each person; pictures are not read.

    One frame is in memory at a time. Findings about a whole frame count for all its people.
    `frames`: only the first so many.
    """
    skeleton = get_skeleton(dataset.identity.skeleton)
    samples = pair_rows(dataset.iter_frames(), dataset.iter_instances())
    for done, (frame, people) in enumerate(islice(samples, frames), 1):
        everybody = [row["instance"] for row in people]
        for finding in check_frame(frame, people, skeleton)[0]:
            score = 1.0 if finding.severity == "error" else _WARNING
            joint = None if finding.joint is None else skeleton.joints[finding.joint]
            text = finding_text(KINDS[finding.kind].title, finding.what, joint)
            own = everybody if finding.person is None else [finding.person]
            for instance in own:
                yield PersonFinding(frame=frame["index"], instance=instance, score=score, text=text)
        on_step(done)


def finding_text(title: str, what: str, joint: str | None) -> str:
    """Return a finding of `validate` in words, the joint that it is about first."""
    if joint is None:
        return f"{title}: {what}" if what else title
    rest = what.removeprefix(joint).strip()
    return f"{readable(joint)}: {title} ({rest})" if rest else f"{readable(joint)}: {title}"


def audit_findings(path: Path) -> Iterator[PersonFinding]:
    """Yield the joints on which `synthstudio audit --json` (in a file) says the oracles differ.

    ReviewError for a file that is none, or that lists no findings.
    """
    yield from parse_audit(read_json(path).get("findings"), str(path))


def parse_audit(findings: object, where: str) -> Iterator[PersonFinding]:
    """Yield what a list of an audit's findings says; ReviewError for anything else."""
    if not isinstance(findings, list):
        raise ReviewError(
            "this audit does not list the joints that differ",
            where=where,
            expected="a list `findings`",
            got=type(findings).__name__,
            then="Make it with: synthstudio audit DATASET --json > FILE",
        )
    for place, finding in enumerate(findings):
        yield _audit_finding(finding, f"{where}, findings[{place}]")


def _audit_finding(finding: Any, where: str) -> PersonFinding:
    try:
        frame, instance, joint = finding["frame"], finding["instance"], finding["joint"]
        causes = finding["stored_cause"], finding["again_cause"]
        shares = float(finding["stored"][0]), float(finding["again"][0])
        if type(frame) is not int or type(instance) is not int or not math.isfinite(sum(shares)):
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
    # Near the threshold both may be right.
    sure = 1.0 if abs(shares[0] - shares[1]) > LARGE_DIFFERENCE or causes[0] != causes[1] else 0.6
    first, second = (
        f"{_CAUSES.get(cause, cause)} ({share:.0%} in sight)"
        for cause, share in zip(causes, shares, strict=True)
    )
    text = f"{readable(joint)}: labelled {first}, the audit says {second}"
    return PersonFinding(frame=frame, instance=instance, score=sure, text=text)


def store_findings(
    store: Store,
    key: str,
    kind: Kind,
    findings: Iterable[PersonFinding],
    *,
    frames: int | None = None,
) -> CheckRun:
    """Store what a check found in place of what it found before; return what `last_runs` then says.

    All or nothing; findings of other kinds stay. Memory grows with the people in doubt.
    `frames`: only the first so many were looked at; None: all.
    """
    gathered: dict[tuple[int, int], list[PersonFinding]] = {}
    for finding in findings:
        own = gathered.setdefault((finding.frame, finding.instance), [])
        own.append(finding)
        own.sort(key=lambda d: -d.score)
        del own[_MOST_TEXTS:]
    with store.session() as session:
        _remove_findings(session, key, kind)
        people = iter(sorted(gathered))
        while some := list(islice(people, _AT_ONCE)):
            had = {(row.frame, row.instance): row for row in _rows(session, key, some)}
            for person in some:
                texts = [f"{kind} {d.score:.2f}: {d.text[:_MOST_CHARS]}" for d in gathered[person]]
                row = had.get(person) or RiskRow(
                    dataset=key, frame=person[0], instance=person[1], reasons=[]
                )
                row.reasons = [*row.reasons, *texts]
                row.score = _score(row.reasons)
                session.add(row)
            session.flush()
            session.expunge_all()
        run = CheckRun(at=utc_now(), people=len(gathered), frames=frames)
        value = {"at": run.at.isoformat(), "people": run.people, "frames": run.frames}
        session.merge(SettingRow(dataset=key, key=_RUN + kind, value=value))
    return run


def last_runs(store: Store, key: str) -> dict[Kind, CheckRun]:
    with store.reading() as session:
        rows = {kind: session.get(SettingRow, (key, _RUN + kind)) for kind in _WEIGHTS}
        return {
            kind: CheckRun(**{**row.value, "at": datetime.fromisoformat(row.value["at"])})
            for kind, row in rows.items()
            if row is not None
        }


def _remove_findings(session: Session, key: str, kind: Kind) -> None:
    rows = session.scalars(select(RiskRow).where(RiskRow.dataset == key)).all()
    alone = []
    for row in rows:
        kept = [text for text in row.reasons if not text.startswith(f"{kind} ")]
        if not kept:
            alone.append((row.frame, row.instance))
        elif len(kept) < len(row.reasons):
            row.reasons, row.score = kept, _score(kept)
    session.flush()
    session.expunge_all()
    for start in range(0, len(alone), _AT_ONCE):
        session.execute(
            delete(RiskRow).where(RiskRow.dataset == key, _any(alone[start : start + _AT_ONCE]))
        )


def _rows(session: Session, key: str, people: list[tuple[int, int]]) -> list[RiskRow]:
    query = select(RiskRow).where(RiskRow.dataset == key, _any(people))
    return list(session.scalars(query))


def _any(people: list[tuple[int, int]]) -> Any:
    return or_(*(and_(RiskRow.frame == f, RiskRow.instance == i) for f, i in people))


def stored_signals(store: Store, table: PeopleTable) -> tuple[Signal, ...]:
    texts: dict[Kind, dict[int, tuple[str, ...]]] = {"validation": {}, "audit": {}}
    scores = {kind: np.zeros(table.people, np.float32) for kind in texts}
    query = select(RiskRow.frame, RiskRow.instance, RiskRow.score, RiskRow.reasons)
    with store.reading() as session:
        result = session.execute(query.where(RiskRow.dataset == table.key))
        for page in result.partitions(2000):
            numbers = np.array([(r.frame, r.instance) for r in page], np.int64).reshape(-1, 2)
            for row, stored in zip(table.rows_of(*numbers.T).tolist(), page, strict=True):
                if row >= 0:
                    _add_reasons(texts, scores, row, stored.reasons)
    return tuple(_signal(kind, table.people, scores[kind], texts[kind]) for kind in texts)


def _add_reasons(
    texts: Mapping[Kind, dict[int, tuple[str, ...]]],
    scores: Mapping[Kind, np.ndarray],
    row: int,
    reasons: list[str],
) -> None:
    for kind, found in texts.items():
        own = [text for text in reasons if text.startswith(f"{kind} ")]
        if own:
            found[row] = tuple(text.partition(": ")[2] for text in own)
            scores[kind][row] = _score(own)


def _score(reasons: list[str]) -> float:
    matches = [re.match(r"[a-z]+ (0\.\d\d|1\.00): ", text) for text in reasons]
    return max((float(match[1]) for match in matches if match), default=0.0)


def _signal(
    kind: Kind, people: int, score: np.ndarray, texts: Mapping[int, tuple[str, ...]]
) -> Signal:
    return Signal(
        name=kind,
        weight=_WEIGHTS[kind],
        score=score,
        texts=texts,
        joint=np.full(people, NOBODY, np.int16),
        value=np.zeros(people, np.float32),
    )


Report = Callable[[int, int, float], None]
Begin = Callable[[str], Report]
"""Begins a step of that title; what it returns is told frames done, all frames, frames/s."""
_SENTENCE = re.compile(r"frame (\d+), person (\d+)(?:, (\w+))?: (.*)")


def validate_rows(
    store: Store, dataset: Dataset, *, frames: int | None = None, begin: Begin
) -> CheckRun:
    """Validate the rows of the first `frames` frames (None: all) and keep what is found.

    It takes the place of what an earlier run found. DatasetError, Refused ("busy").
    """
    total, started = min(frames or dataset.frames, dataset.frames), time.monotonic()
    report = begin("validating")

    def step(done: int) -> None:
        report(done, total, done / max(1e-6, time.monotonic() - started))

    found = validation_findings(dataset, frames=frames, on_step=step)
    return _store(store, dataset, "validation", list(found), frames)


def audit_by_rays(
    store: Store,
    dataset: Dataset,
    *,
    frames: int | None = None,
    assets: Path | None = None,
    workers: int = 1,
    device: str = "auto",
    begin: Begin,
) -> CheckRun:
    """Audit the first `frames` frames (None: all) and keep the joints on which it differs.

    Sets of photos are audited as they are by `synthstudio audit`, in one process. DatasetError
    for imported sets, whose frames nobody can make again.
    """
    from synthstudio.generation.photos.audit import is_of_photos  # loads the renderer: slow

    report = begin("auditing")
    if is_of_photos(dataset):
        found = _photos(dataset, frames, assets, device, report)
    else:
        found = _rendered(dataset, frames, assets, workers, device, report)
    return _store(store, dataset, "audit", list(found), frames)


def import_audit(store: Store, dataset: Dataset, path: Path) -> CheckRun:
    """Keep what a file says that `synthstudio audit --json` printed of this data set.

    ReviewError for another file, and for an audit of people whom the set does not hold.
    """
    found = list(audit_findings(path))
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
    checked = read_json(path).get("frames")
    return _store(store, dataset, "audit", found, checked if type(checked) is int else None)


def _store(
    store: Store, dataset: Dataset, kind: Kind, found: list[PersonFinding], frames: int | None
) -> CheckRun:
    part = None if frames is None or frames >= dataset.frames else frames
    return store_findings(store, dataset_key(store, dataset), kind, found, frames=part)


def _rendered(
    dataset: Dataset,
    frames: int | None,
    assets: Path | None,
    workers: int,
    device: str,
    report: Report,
) -> Iterator[PersonFinding]:
    from synthstudio.generation import audit, stage

    settings = stage.settings_of(dataset, assets=assets, device=device)
    tally = audit.audit(dataset.place, settings, frames=frames, workers=workers, on_progress=report)
    return parse_audit([asdict(one) for one in tally.findings], dataset.place.name)


def _photos(
    dataset: Dataset, frames: int | None, assets: Path | None, device: str, report: Report
) -> Iterator[PersonFinding]:
    from synthstudio.generation import audit
    from synthstudio.generation.photos import audit as photos

    started = time.monotonic()
    tally, pasted = photos.audit(
        dataset.place,
        photos.settings_of(dataset, assets=assets, device=device),
        lambda built, rows, fresh, joints, frame: audit.compare(
            built, rows, fresh, joints=joints, frame=frame
        ),
        frames=frames,
        on_frame=lambda done, all_: report(done, all_, done / (time.monotonic() - started)),
    )
    yield from map(_sentence, tally.findings)
    for one in pasted:
        yield from parse_audit([asdict(finding) for finding in one.findings], dataset.place.name)


def _sentence(text: str) -> PersonFinding:
    match = _SENTENCE.fullmatch(text)
    if match is None:
        raise ReviewError("not a finding of an audit of photos", where="audit", got=text[:80])
    frame, instance, joint, what = match.groups()
    return PersonFinding(
        frame=int(frame),
        instance=int(instance),
        score=1.0,
        text=f"{joint.replace('_', ' ')}: {what}" if joint else what,
    )
