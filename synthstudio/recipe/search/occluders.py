"""The search for occluders: of scenes (scene_occluders.py) and of photos (photo_occluders.py).

Occluders are added in front of a person until the goal is met or nothing helps. For each,
numbered candidates are tried and the best is kept; a candidate's error is its person's distance
from the goal, plus the harm to others. The problem defines candidates, places and harm; this
module tries, compares and accepts them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from synthstudio.recipe.sampling.context import SampleContext
from synthstudio.recipe.search.goals import Goal, Visibility

Item = TypeVar("Item")
Seen = TypeVar("Seen", bound=Visibility)

_MAX_REFINED = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate(Generic[Item, Seen]):
    """A possible occluder, and everybody's visibility with it."""

    item: Item
    seen: list[Seen]
    error: float  # the target person's, plus the harm to others


Propose = Callable[[float], Candidate[Item, Seen] | None]
"""Takes the error to beat; None if the candidate is impossible or not better."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem(ABC, Generic[Item, Seen]):
    """The search's interface to a scene or a photo; `person` is a place among people."""

    ctx: SampleContext
    goals: list[Goal]
    starts: int  # of the search for one person if the goal is not met
    gain: float  # an occluder must lower the error by more than this
    patience: float = 0.0  # relative growth of the tolerance with each try

    @abstractmethod
    def tolerance(self, person: int, seen: Seen, *, further: bool) -> float:
        """The error that ends the search; `further`: the person has an occluder already."""

    @abstractmethod
    def rounds(
        self, person: int, key: int, seen: list[Seen], put: list[Item]
    ) -> Iterable[Iterable[Propose[Item, Seen]]]:
        """Candidates in rounds: a round is tried only if the earlier ones found nothing.

        `key` names the random streams of this occluder; `put` are the person's previous ones.
        """

    @abstractmethod
    def harm(self, person: int, before: Seen, after: Seen) -> float:
        """The cost of hiding other people more."""


def hide_person(
    problem: Problem[Item, Seen], person: int, seen: list[Seen]
) -> tuple[list[Item], list[Seen]]:
    """Occluders in front of one person, and everybody's visibility; the best of some starts."""
    goal, targets = problem.goals[person], problem.ctx.recipe.targets
    best: tuple[list[Item], list[Seen]] = [], seen
    minimum = float("inf")
    for start in range(problem.starts):
        put: list[Item] = []
        after, error = seen, goal.error_of(seen[person])
        for number in range(targets.max_objects):
            key = start * targets.max_objects + number
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
    goal, own = problem.goals[person], seen[person]
    tolerance = problem.tolerance(person, own, further=bool(put))
    now = goal.error_of(own)
    if now <= tolerance or own.area == 0 or not goal.can_improve(own):
        return None
    best: Candidate[Item, Seen] | None = None
    for proposals in problem.rounds(person, key, seen, put):
        for number, propose in enumerate(proposals):
            minimum = now if best is None else best.error
            found = propose(minimum)
            if found is not None and found.error < minimum:
                best = found
                if best.error <= tolerance * (1 + number * problem.patience):
                    break
        if best is not None and best.error < now - problem.gain:
            return best
    return None


def scored(
    problem: Problem[Item, Seen], person: int, item: Item, before: list[Seen], after: list[Seen]
) -> Candidate[Item, Seen]:
    """An occluder with its error: `before` and `after` are everybody's visibility."""
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
    for _ in range(_MAX_REFINED):
        moved = step(found)
        if moved is None or moved.error >= found.error:
            break
        found = moved
    return found
