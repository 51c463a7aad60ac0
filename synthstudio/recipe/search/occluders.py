"""The search for occluders: of scenes (scene_occluders.py) and of photos (photo_occluders.py).

One occluder after another is put before a person until the goal is met or nothing helps. For each,
numbered candidates are tried and the best is kept; a candidate's error is how far its person is
from the goal, plus the harm that it does to others. What can be put, where, and what harm is are
the problem's; what is tried, compared and accepted is here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from synthstudio.recipe.schema.targets import Targets
from synthstudio.recipe.search.goals import Goal, Visibility

Item = TypeVar("Item")
Seen = TypeVar("Seen", bound=Visibility)

_MAX_REFINED = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate(Generic[Item, Seen]):
    """An occluder that could be put, and what is seen of everybody then."""

    item: Item
    seen: list[Seen]
    error: float  # of whom it is put for, and the harm to others


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """When a candidate is good enough."""

    tolerance: float  # no further candidate is tried below this error
    patience: float = 0.0  # with each try the tolerance grows by this share of itself
    gain: float = 0.0  # an occluder must lower the error by more than this


Propose = Callable[[float], Candidate[Item, Seen] | None]
"""Takes the error to beat; None where the candidate cannot be put or would not beat it."""


class Problem(Protocol[Item, Seen]):
    """What the search needs to know of a scene or a photo; `person` is a place among people."""

    @property
    def goals(self) -> Sequence[Goal]: ...

    @property
    def targets(self) -> Targets: ...

    @property
    def starts(self) -> int:
        """How often the search for one person begins anew where the goal is not met."""
        ...

    def acceptance(self, person: int, seen: Seen, *, further: bool) -> Acceptance:
        """`further`: something was put for this person already."""
        ...

    def rounds(
        self, person: int, key: int, seen: list[Seen], put: list[Item]
    ) -> Iterable[Iterable[Propose[Item, Seen]]]:
        """Candidates in rounds: a round is tried only if those before it gave nothing.

        `key` names the random streams of this occluder; `put` was put for the person before it.
        """
        ...

    def harm(self, person: int, before: Seen, after: Seen) -> float:
        """What it costs that somebody else is hidden more."""
        ...


def hide_person(
    problem: Problem[Item, Seen], person: int, seen: list[Seen]
) -> tuple[list[Item], list[Seen]]:
    """Occluders put before one person, and what is seen of everybody then.

    Where they do not meet the goal, it is tried again from the start; the best start counts.
    """
    goal, targets = problem.goals[person], problem.targets
    best: tuple[list[Item], list[Seen]] = [], seen
    minimum = float("inf")
    for start in range(problem.starts):
        put: list[Item] = []
        after, error = seen, goal.error_of(seen[person])
        for number in range(targets.objects_each):
            key = start * targets.objects_each + number
            found = _best_occluder(problem, person, key, after, put)
            if found is None:
                break
            put, after, error = [*put, found.item], found.seen, found.error
        if error < minimum:
            best, minimum = (put, after), error
        if goal.met(after[person], targets.tolerance):
            break
    return best


def _best_occluder(
    problem: Problem[Item, Seen], person: int, key: int, seen: list[Seen], put: list[Item]
) -> Candidate[Item, Seen] | None:
    """The best candidate, or None if none brings the person nearer to its goal."""
    goal, own = problem.goals[person], seen[person]
    accept = problem.acceptance(person, own, further=bool(put))
    now = goal.error_of(own)
    if now <= accept.tolerance or own.area == 0 or not goal.can_improve(own):
        return None
    best: Candidate[Item, Seen] | None = None
    for proposals in problem.rounds(person, key, seen, put):
        for number, propose in enumerate(proposals):
            minimum = now if best is None else best.error
            found = propose(minimum)
            if found is not None and found.error < minimum:
                best = found
                if best.error <= accept.tolerance * (1 + number * accept.patience):
                    break
        if best is not None and best.error < now - accept.gain:
            return best
    return None


def scored(
    problem: Problem[Item, Seen], person: int, item: Item, before: list[Seen], after: list[Seen]
) -> Candidate[Item, Seen]:
    """An occluder with its error: `before` and `after` are what is seen of everybody."""
    harm = 0.0
    for k, (old, new) in enumerate(zip(before, after, strict=True)):
        if k != person:
            harm += problem.harm(k, old, new)
    error = problem.goals[person].error_of(after[person]) + harm
    return Candidate(item=item, seen=after, error=error)


def refined(
    found: Candidate[Item, Seen],
    step: Callable[[Candidate[Item, Seen]], Candidate[Item, Seen] | None],
) -> Candidate[Item, Seen]:
    """A candidate moved on by `step` while that lowers its error."""
    for _ in range(_MAX_REFINED):
        moved = step(found)
        if moved is None or moved.error >= found.error:
            break
        found = moved
    return found
