"""Distributions in a recipe: a number, a range, a normal, a weighted choice.

    3.2                                             always 3.2
    [2.5, 5.0]                                      uniform
    {normal: {mean: 0, sd: 5, low: -15, high: 15}}  normal, truncated at low and high
    {choice: {1: 0.2, 2: 0.8}}                      one of the values, by weight

A draw takes exactly one random number, whatever the form.
"""

import bisect
import functools
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Tag,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from synthstudio.core.rng import Generator

T = TypeVar("T")

Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Whole = Annotated[int, Field(strict=True)]
Weight = Annotated[float, Field(strict=True, ge=0.0, allow_inf_nan=False)]


def _one_line_each(schema: dict[str, Any]) -> None:
    for field in schema.get("properties", {}).values():
        if "description" in field:
            field["description"] = " ".join(field["description"].split())


class Base(BaseModel):
    """Shared by all parts of a recipe: unknown fields are errors, values are frozen.

    The text below a field is its description.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        json_schema_extra=_one_line_each,
    )


def ordered(span: tuple[float, float]) -> tuple[float, float]:
    """The span; ValueError if its low is greater than its high."""
    if span[0] > span[1]:
        raise ValueError(f"a range is [low, high]: low {span[0]:g} is greater than {span[1]:g}")
    return span


def weighted(weights: dict[Any, float]) -> dict[Any, float]:
    """The weights; ValueError unless their sum is positive."""
    if not sum(weights.values()) > 0:
        raise ValueError("weights must have a positive sum")
    return weights


class Normal(Base):
    """A normal distribution, truncated at both ends."""

    mean: Real
    """Its mode."""
    sd: Weight
    """Its standard deviation before truncation."""
    low: Real
    """Lower limit."""
    high: Real
    """Upper limit."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        ordered((self.low, self.high))
        if not self.low <= self.mean <= self.high:
            raise ValueError(f"mean {self.mean:g} lies outside [{self.low:g}, {self.high:g}]")
        return self


class NormalNumber(Base):
    """`{normal: {mean: ..., sd: ..., low: ..., high: ...}}`."""

    normal: Normal
    """A truncated normal distribution."""


class ChoiceNumber(Base):
    """`{choice: {value: weight, ...}}`."""

    choice: Annotated[
        dict[Annotated[float, Field(allow_inf_nan=False)], Weight],
        Field(min_length=1, max_length=100, description="Values and their weights."),
        AfterValidator(weighted),
    ]


class ChoiceCount(Base):
    """`{choice: {value: weight, ...}}` with whole values."""

    choice: Annotated[
        dict[int, Weight],
        Field(min_length=1, max_length=100, description="Whole values and their weights."),
        AfterValidator(weighted),
    ]


def _form(value: Any) -> str | None:
    """The form of a distribution by its YAML type; None if it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return "fixed"
    if isinstance(value, list | tuple):
        return "range" if len(value) == 2 else None
    fields = value if isinstance(value, dict) else getattr(type(value), "model_fields", {})
    return next((form for form in ("normal", "choice") if set(fields) == {form}), None)


Number = Annotated[
    Annotated[Real, Tag("fixed")]
    | Annotated[tuple[Real, Real], AfterValidator(ordered), Tag("range")]
    | Annotated[NormalNumber, Tag("normal")]
    | Annotated[ChoiceNumber, Tag("choice")],
    Discriminator(
        _form,
        custom_error_type="distribution",
        custom_error_message="not a number, [low, high], {normal: ...} or {choice: ...}",
    ),
]
"""A distribution over real numbers."""

Count = Annotated[
    Annotated[Whole, Tag("fixed")]
    | Annotated[tuple[Whole, Whole], AfterValidator(ordered), Tag("range")]
    | Annotated[ChoiceCount, Tag("choice")],
    Discriminator(
        _form,
        custom_error_type="distribution",
        custom_error_message="not a whole number, [low, high] or {choice: {value: weight}}",
    ),
]
"""A distribution over whole numbers; ranges include both ends."""

AnyNumber = float | tuple[float, float] | NormalNumber | ChoiceNumber
AnyCount = int | tuple[int, int] | ChoiceCount


_LARGE = 10**300
"""Larger whole numbers may not fit a float."""


@dataclass(frozen=True)
class Within:
    """Limits of a distribution's support, included in the JSON Schema."""

    low: float
    high: float

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Check the support once the form is known."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Add limits to plain numbers and ranges, for editors' checks."""
        out = handler(schema)
        forms: list[dict[str, Any]] = out.get("oneOf") or out.get("anyOf") or [out]
        for form in forms:
            for part in [form, *form.get("prefixItems", [])]:
                if part.get("type") in ("number", "integer"):
                    part["minimum"], part["maximum"] = self.low, self.high
        return out

    def _check(self, value: Any) -> Any:
        low, high = support(value)
        if low < self.low or high > self.high:
            given = [f"{v:g}" if abs(v) < _LARGE else "a number too large" for v in (low, high)]
            got = given[0] if low == high else f"[{given[0]}, {given[1]}]"
            raise ValueError(f"outside [{self.low:g}, {self.high:g}]: {got}")
        return value


def bell(mean: float, sd: float, low: float, high: float) -> NormalNumber:
    return NormalNumber(normal=Normal(mean=mean, sd=sd, low=low, high=high))


def support(of: AnyNumber | AnyCount) -> tuple[float, float]:
    """The minimum and maximum that a distribution can give."""
    if isinstance(of, NormalNumber):
        return of.normal.low, of.normal.high
    if isinstance(of, ChoiceNumber | ChoiceCount):
        values = [value for value, weight in of.choice.items() if weight > 0]
        return min(values), max(values)
    return of if isinstance(of, tuple) else (of, of)


def sample(of: AnyNumber, rng: Generator) -> float:
    """One value of a distribution over real numbers."""
    return quantile(of, float(rng.random()))


def quantile(of: AnyNumber, u: float) -> float:
    """The quantile at u in [0, 1) of the distribution."""
    if isinstance(of, tuple):
        return min(of[0] + (of[1] - of[0]) * u, of[1])
    if isinstance(of, ChoiceNumber):
        return float(at_share(of.choice, u))
    if isinstance(of, NormalNumber):
        return _normal(of.normal, u)
    return float(of)


def sample_count(of: AnyCount, rng: Generator) -> int:
    """One value of a distribution over whole numbers."""
    u = float(rng.random())
    if isinstance(of, tuple):
        return min(of[0] + int((of[1] - of[0] + 1) * u), of[1])
    return at_share(of.choice, u) if isinstance(of, ChoiceCount) else of


def pick(weights: Mapping[T, float], rng: Generator) -> T:
    """One key, with probability proportional to its weight."""
    return at_share(weights, float(rng.random()))


def at_share(weights: Mapping[T, float], u: float) -> T:
    """The key at fraction u in [0, 1) of the weights; never one of weight 0."""
    keys = [key for key, weight in weights.items() if weight > 0]
    sums = list(itertools.accumulate(weights[key] for key in keys))
    return keys[min(bisect.bisect_right(sums, u * sums[-1]), len(keys) - 1)]


def _normal(of: Normal, u: float) -> float:
    """Invert the cumulative distribution between the limits."""
    if of.sd == 0 or of.low == of.high:
        return of.mean
    bell, low, high = _cut_bell(of.mean, of.sd, of.low, of.high)
    share = min(max(low + (high - low) * u, 1e-12), 1 - 1e-12)
    return min(max(bell.inv_cdf(share), of.low), of.high)


@functools.lru_cache(maxsize=256)
def _cut_bell(mean: float, sd: float, low: float, high: float) -> tuple[NormalDist, float, float]:
    """The whole distribution, and its fractions below the limits."""
    bell = NormalDist(mean, sd)
    return bell, bell.cdf(low), bell.cdf(high)
