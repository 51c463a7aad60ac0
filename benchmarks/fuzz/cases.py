"""What a case is: a target, and a number that decides its input and what is asked of it.

`coco:17` is case 17 of the target coco: the number (with the seed) picks a sound input, the damage
and the calls. So a name is all that anybody needs to run a case again.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks.fuzz.mutate import Files, mutate


class Name(NamedTuple):
    """What a case is called."""

    target: str
    number: int

    def __str__(self) -> str:
        return f"{self.target}:{self.number}"

    @classmethod
    def parse(cls, text: str) -> Name:
        target, _, number = text.partition(":")
        return cls(target, int(number))


@dataclass(kw_only=True)
class Case:
    """A case while it runs. `input`: its folder; `out`: a free place; `sound`: inputs as made."""

    rng: random.Random
    input: Path
    out: Path
    sound: Path
    changes: tuple[str, ...] = ()
    """Names in `input` that what is asked may change or add to: a store, a run that is resumed."""
    done: list[str] = field(default_factory=list)
    """What was asked, for the report of a fault."""

    def pick(self, *calls: Callable[[], object]) -> None:
        """Do one of these."""
        self.rng.choice(calls)()


@dataclass(frozen=True, kw_only=True)
class Target:
    """A kind of input. `inputs(sound)`: sound ones; `ask(case)`: use a damaged one.

    `weight`: cases of it among the sum of all weights. `mended(files, rng)`: make damage consistent
    (hashes), so that what lies deeper is reached.
    """

    name: str
    weight: int
    inputs: Callable[[Path], list[Files]]
    ask: Callable[[Case], object]
    mutate: Callable[[Files, random.Random], Files] = mutate
    mended: Callable[[Files, random.Random], Files] = lambda files, rng: files


def generator(seed: int, name: Name, what: str) -> random.Random:
    return random.Random(f"{seed} {name} {what}")


def files_of(target: Target, seed: int, name: Name, inputs: list[Files]) -> Files:
    """The damaged input of a case; one in fifty is sound, and has to be taken."""
    files = dict(generator(seed, name, "input").choice(inputs))
    rng = generator(seed, name, "damage")
    if rng.random() >= 0.02:
        files = target.mutate(files, rng)
    return target.mended(files, generator(seed, name, "mend"))
