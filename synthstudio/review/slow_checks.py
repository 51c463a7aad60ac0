"""Validation and audit of a data set, run now; what they doubt is kept for the risk queue."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from synthstudio.core.errors import ReviewError
from synthstudio.dataset.durable import read_json
from synthstudio.dataset.reader import Dataset
from synthstudio.review.risk.findings import (
    Doubt,
    Kind,
    Run,
    audit_findings,
    audited,
    keep,
    validation_findings,
)
from synthstudio.review.store import Store, dataset_key

Report = Callable[[int, int, float], None]
Begin = Callable[[str], Report]
"""Begins a step of that title; what it returns is told frames done, all frames, frames/s."""
_SENTENCE = re.compile(r"frame (\d+), person (\d+)(?:, (\w+))?: (.*)")


def check_rows(store: Store, dataset: Dataset, *, frames: int | None = None, begin: Begin) -> Run:
    """Validate the rows of the first `frames` frames (None: all) and keep what is found.

    It takes the place of what an earlier run found. DatasetError, Refused ("busy").
    """
    total, started = min(frames or dataset.frames, dataset.frames), time.monotonic()
    report = begin("validating")

    def step(done: int) -> None:
        report(done, total, done / max(1e-6, time.monotonic() - started))

    found = validation_findings(dataset, frames=frames, on_step=step)
    return _kept(store, dataset, "validation", list(found), frames)


def check_by_rays(
    store: Store,
    dataset: Dataset,
    *,
    frames: int | None = None,
    assets: Path | None = None,
    workers: int = 1,
    device: str = "auto",
    begin: Begin,
) -> Run:
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
    return _kept(store, dataset, "audit", list(found), frames)


def take_audit(store: Store, dataset: Dataset, path: Path) -> Run:
    """Keep what a file says that `synthstudio audit --json` printed of this data set.

    ReviewError for another file, and for an audit of people whom the set does not hold.
    """
    found = list(audit_findings(path))
    strangers = {(doubt.frame, doubt.instance) for doubt in found}
    for row in dataset.iter_instances(["frame_index", "instance"]):
        strangers.discard((row["frame_index"], row["instance"]))
    if strangers:
        frame, instance = min(strangers)
        raise ReviewError(
            "this audit is of another data set",
            where=str(path),
            got=f"frame {frame}, person {instance}",
            expected=f"people of {dataset.folder.name}",
        )
    looked = read_json(path).get("frames")
    return _kept(store, dataset, "audit", found, looked if type(looked) is int else None)


def _kept(
    store: Store, dataset: Dataset, kind: Kind, found: list[Doubt], frames: int | None
) -> Run:
    part = None if frames is None or frames >= dataset.frames else frames
    return keep(store, dataset_key(dataset), kind, found, frames=part)


def _rendered(
    dataset: Dataset,
    frames: int | None,
    assets: Path | None,
    workers: int,
    device: str,
    report: Report,
) -> Iterator[Doubt]:
    from synthstudio.generation import audit, stage

    settings = stage.settings_of(dataset, assets=assets, device=device)
    tally = audit.audit(
        dataset.folder, settings, frames=frames, workers=workers, on_progress=report
    )
    return audited([asdict(one) for one in tally.findings], dataset.folder.name)


def _photos(
    dataset: Dataset, frames: int | None, assets: Path | None, device: str, report: Report
) -> Iterator[Doubt]:
    from synthstudio.generation import audit
    from synthstudio.generation.photos import audit as photos

    started = time.monotonic()
    tally, pasted = photos.audit(
        dataset.folder,
        photos.settings_of(dataset, assets=assets, device=device),
        lambda built, rows, fresh, joints, frame: audit.compare(
            built, rows, fresh, joints=joints, frame=frame
        ),
        frames=frames,
        on_frame=lambda done, all_: report(done, all_, done / (time.monotonic() - started)),
    )
    yield from map(_sentence, tally.findings)
    for one in pasted:
        yield from audited([asdict(finding) for finding in one.findings], dataset.folder.name)


def _sentence(text: str) -> Doubt:
    """Return what the audit of photos says of a person of a photo."""
    match = _SENTENCE.fullmatch(text)
    if match is None:
        raise ReviewError("no finding of an audit of photos", where="audit", got=text[:80])
    frame, instance, joint, what = match.groups()
    return Doubt(
        frame=int(frame),
        instance=int(instance),
        score=1.0,
        text=f"{joint.replace('_', ' ')}: {what}" if joint else what,
    )
