"""What a case is: a target, and numbers that decide its input and what is asked of it.

`coco:17` is case 17 of the target coco: number 17 (with the seed) picks a sound input and the
damage. `coco:17.80` puts the damage of number 80 onto the input of case 17, which reached lines of
code that no case before it had; `coco:17.80.5` goes on from there. So a name is all that anybody
needs to run a case again.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.fuzz.mutate import Files, mutate


@dataclass(frozen=True, order=True)
class Name:
    """What a case is called."""

    target: str
    numbers: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.target}:{'.'.join(map(str, self.numbers))}"

    @classmethod
    def parse(cls, text: str) -> Name:
        target, _, numbers = text.partition(":")
        return cls(target, tuple(int(number) for number in numbers.split(".")))


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

    `weight`: cases of it among the sum of all weights. `keep`: files that stay as they are.
    `mended(files, rng)`: make damage consistent (hashes), so that what lies deeper is reached.
    """

    name: str
    weight: int
    inputs: Callable[[Path], list[Files]]
    ask: Callable[[Case], object]
    keep: tuple[str, ...] = ()
    mended: Callable[[Files, random.Random], Files] = lambda files, rng: files
    mutate: Callable[[Files, random.Random], Files] | None = None


def generator(seed: int, target: str, number: int, what: str = "") -> random.Random:
    return random.Random(f"{seed} {target} {number} {what}")


def files_of(target: Target, seed: int, name: Name, inputs: list[Files]) -> Files:
    """The damaged input of a case."""
    first = generator(seed, target.name, name.numbers[0], "input")
    files = dict(first.choice(inputs))
    for number in name.numbers:
        rng = generator(seed, target.name, number, "damage")
        if number == name.numbers[0] and rng.random() < 0.02:
            continue  # sound ones have to be taken
        if target.mutate is not None:
            files = target.mutate(files, rng)
        else:
            files = mutate(files, rng, keep=target.keep)
    return target.mended(files, generator(seed, target.name, name.numbers[-1], "mend"))
