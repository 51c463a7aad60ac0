"""When the slow checks that feed the risk queue were run, in words."""

from __future__ import annotations

from collections.abc import Mapping

from synthstudio.review.risk.findings import CheckRun, Kind

_CHECKS: tuple[tuple[Kind, str], ...] = (("validation", "Validation"), ("audit", "The audit"))
COMMAND = "`synthstudio review check DATASET`"


def checks_words(ran: Mapping[Kind, CheckRun], *, frames: int) -> str:
    """Return of whom the checks have doubts and since when; how to run those that never were.

    `frames`: how many the data set has.
    """
    if not ran:
        return (
            f"Validation and audit have not been run yet: {COMMAND} runs both, and whom they "
            "doubt then comes first here."
        )
    told = [_said(title, ran[kind], frames) for kind, title in _CHECKS if kind in ran]
    lacking = [title.lower() for kind, title in _CHECKS if kind not in ran]
    if lacking:
        told.append(f"{lacking[0].capitalize()} has not been run yet: {COMMAND} runs it.")
    return " ".join(told)


def _said(title: str, run: CheckRun, frames: int) -> str:
    people = {0: "nobody", 1: "1 person"}.get(run.people, f"{run.people:,} people")
    some = "all frames" if run.frames is None else f"the first {run.frames:,} of {frames:,} frames"
    return f"{title} of {some} doubts {people} ({run.at:%d %b %Y %H:%M} UTC)."
