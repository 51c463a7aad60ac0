"""What a recipe says about quotas: shares of all people that every part of a run keeps to."""

from __future__ import annotations

import itertools
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from synthstudio.core.bins import BODIES, GENDERS, HEIGHTS, VIEWS, WEIGHTS
from synthstudio.recipe.schema.distributions import AnyNumber, Base, Weight, weighted

_PARTS = (*GENDERS, *WEIGHTS, *HEIGHTS)
_BODY_NAMES = tuple(
    "-".join(filter(None, parts))
    for parts in itertools.product(("", *GENDERS), ("", *WEIGHTS), ("", *HEIGHTS))
    if any(parts)
)
FULL_TURN = (-180.0, 180.0)


def bodies_in(name: str) -> frozenset[str]:
    """Return the bins of core.bins.BODIES that a quota's name covers: tall, woman-heavy, ..."""
    parts = set(name.split("-"))
    if not parts <= set(_PARTS):
        return frozenset()
    return frozenset(body for body in BODIES if parts <= set(body.split("-")))


def _views(shares: dict[str, float]) -> dict[str, float]:
    for name in shares:
        if name not in VIEWS:
            raise ValueError(f"{name!r} is no view: {', '.join(VIEWS)}")
    return shares


def _bodies(shares: dict[str, float]) -> dict[str, float]:
    taken: dict[str, str] = {}
    for name in shares:
        bodies = bodies_in(name)
        if not bodies:
            raise ValueError(
                f"{name!r} is no body: parts of {', '.join(_PARTS)} joined by -, at most one of a "
                "kind"
            )
        for body in sorted(bodies):
            if body in taken:
                raise ValueError(f"{taken[body]!r} and {name!r} overlap: both hold {body}")
            taken[body] = name
    return shares


Shares = Annotated[dict[str, Weight], Field(min_length=1, max_length=64), AfterValidator(weighted)]


class Quotas(Base):
    """Shares that every part of a run keeps nearly, planned from each person's number alone."""

    view: Annotated[Shares, AfterValidator(_views)] | None = Field(
        default=None,
        json_schema_extra={"propertyNames": {"enum": list(VIEWS)}},
        description="Which side of people the camera sees: front, front_left, left, back_left, "
        "back, back_right, right, front_right, and their shares; null: as facing_deg says.",
    )
    family: Shares | None = Field(
        default=None,
        description="Families of poses and their shares; null: as people.poses says.",
    )
    body: Annotated[Shares, AfterValidator(_bodies)] | None = Field(
        default=None,
        json_schema_extra={"propertyNames": {"enum": list(_BODY_NAMES)}},
        description="Bodies and their shares: man, woman, slim, medium, heavy, short, mid, tall "
        "or several joined, as woman-heavy-tall; null: as the identities come.",
    )

    def check(
        self, families: dict[str, float] | None, facing_deg: AnyNumber, *, holding: bool
    ) -> None:
        """Raise ValueError where what the recipe says elsewhere does not allow the quotas.

        `holding`: whether some people's poses are replaced by those in which they hold or lean.
        """
        if self.family is not None and holding:
            raise ValueError(
                "quotas.family plans every pose, but people.hold gives some people others: set "
                "its share and lean to 0"
            )
        for name, share in (self.family or {}).items():
            if share > 0 and families is not None and not families.get(name, 0.0) > 0:
                raise ValueError(
                    f"quotas.family: {name} has a share of {share:g}, but people.poses.families "
                    "gives it no weight"
                )
        if self.view is not None and facing_deg != FULL_TURN:
            raise ValueError(
                "quotas.view says how people face, and so does people.facing_deg: leave that at "
                "[-180, 180]"
            )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.view is None and self.family is None and self.body is None:
            raise ValueError("quotas: at least one of view, family, body")
        return self
