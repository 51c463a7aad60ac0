"""What `recipe.draw` may ask of geometry; `stage.Stage` answers."""

from __future__ import annotations

from typing import Protocol

from synthstudio.core.catalogue import Catalogue
from synthstudio.core.scene import F64
from synthstudio.core.spec import PersonSpec, ThingSpec


class Solve(Protocol):
    """Answers are pure functions of their arguments, computed on the CPU path."""

    @property
    def catalogue(self) -> Catalogue:
        """Return what the draw may choose from."""
        ...

    def drop_m(self, person: PersonSpec) -> float:
        """Return the z_m that puts the person's lowest drawn vertex on the floor (z = 0)."""
        ...

    def joints_m(self, person: PersonSpec) -> F64:
        """Return (J, 3) world joints of the person where its spec puts it."""
        ...

    def box_m(self, item: PersonSpec | ThingSpec) -> F64:
        """Return (2, 3): the least and greatest world corner of a dressed person or a thing."""
        ...

    def gap_m(self, a: PersonSpec | ThingSpec, b: PersonSpec | ThingSpec) -> float:
        """Return how far two items stand apart in metres; negative if their outlines meet.

        Outlines are convex in each 20 cm layer of height (core.hulls), so a positive gap proves
        that the two do not touch; inf when they share no layer.
        """
        ...
