"""The registry of objects: `@kind` over a builder adds one, `@held` sets how a hand takes it.

A builder takes half an object's width and depth, its height (metres) and its shape, and yields
pieces: base centre near the origin, z up. The name of the function is the name of the kind.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from synthstudio.core.catalogue import ObjectKind
from synthstudio.core.rng import Generator, stream
from synthstudio.core.spec import Material, Pattern, Vec3
from synthstudio.props.objects.shapes import Piece

Shape = dict[str, float]
Builder = Callable[[float, float, float, Shape], Iterable[Piece]]
STANDING: tuple[str, ...] = ("occluder", "scenery")
SEAT = (*STANDING, "seat")
TIMBER = "wood planks plain"
CLOTH = "plain stripes checks dots plaid"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of object: its builder, default materials (a slot each) and what recipes see."""

    build: Callable[[Vec3, Shape], list[Piece]]
    materials: tuple[Material, ...]
    casts_shadow: bool
    listed: ObjectKind


KINDS: dict[str, Kind] = {}


def kind(
    materials: str,
    low_m: Vec3,
    high_m: Vec3,
    patterns: str = "plain",
    *,
    roles: tuple[str, ...] = STANDING,
    shape: str = "",
    casts_shadow: bool = True,
    places: str = "",
) -> Callable[[Builder], Builder]:
    """Register the decorated builder, its sizes from `low_m` to `high_m`.

    Lists of names are parted by blanks. `materials` are keys of MATERIALS, one a slot; `shape`
    names what ObjectSpec.shape may hold; `places`: see `belongs`. What hangs from a ceiling throws
    no shadow, as the ceiling does not.
    """

    def register(build: Builder) -> Builder:
        name, used = build.__name__.rstrip("_"), materials.split()
        listed = ObjectKind(
            kind=name,
            size_low_m=low_m,
            size_high_m=high_m,
            materials=len(used),
            patterns=cast(tuple[Pattern, ...], tuple(patterns.split())),
            roles=roles,
            shape=tuple(shape.split()),
            places=frozenset(places.split()),
        )
        KINDS[name] = Kind(
            build=lambda size, shape: list(build(size[0] / 2, size[1] / 2, size[2], shape)),
            materials=tuple(MATERIALS[name] for name in used),
            casts_shadow=casts_shadow,
            listed=listed,
        )
        return build

    return register


scenery = partial(kind, roles=("scenery",))
"""Register an object that is never an intended occluder."""
indoors = partial(kind, places="indoors")
outdoors = partial(kind, places="outdoors")
elsewhere = partial(kind, places="elsewhere")
"""Register what belongs there alone (ObjectKind.places)."""


def belongs(places: str) -> Callable[[Builder], Builder]:
    """Say in which places alone the kind belongs (ObjectKind.places)."""
    return _changed(places=frozenset(places.split()))


def held(
    grip: str, *, at: Vec3 = (0.0, 0.0, 0.5), stands: bool = False, supports: bool = False
) -> Callable[[Builder], Builder]:
    """Say how and where a hand takes the kind; `stands`: it may stand about on a floor, too."""
    roles = (*(STANDING if stands else ()), "held", *(("support",) if supports else ()))
    return _changed(grip=grip, grip_share=at, roles=roles)


def _changed(**facts: Any) -> Callable[[Builder], Builder]:
    """A decorator that changes what KINDS says of the kind below it."""

    def register(build: Builder) -> Builder:
        name = build.__name__.rstrip("_")
        KINDS[name] = replace(KINDS[name], listed=replace(KINDS[name].listed, **facts))
        return build

    return register


def design(kind: str, x: float, y: float, h: float, shape: Shape | None = None) -> Generator:
    """Return the random numbers of an object's design: the kind, size and `variant` decide it."""
    variant = round((shape or {}).get("variant", 0))
    return stream(variant, kind, *(round(side * 1000) for side in (2 * x, 2 * y, h)))


def _material(
    rgb: Vec3, pattern: Pattern = "plain", *, scale_m: float = 0.1, rough: float = 0.7
) -> Material:
    dark = (rgb[0] * 0.55, rgb[1] * 0.55, rgb[2] * 0.55)
    return Material(
        base_rgb=rgb, second_rgb=dark, pattern=pattern, scale_m=scale_m, roughness=rough
    )


MATERIALS = {
    "black": _material((0.03, 0.03, 0.035), rough=0.5),
    "brass": _material((0.55, 0.38, 0.12), rough=0.3),
    "brick": _material((0.42, 0.16, 0.1), "bricks", scale_m=0.24, rough=0.9),
    "carton": _material((0.45, 0.3, 0.17), rough=0.9),
    "cloth_blue": _material((0.08, 0.16, 0.34), rough=0.9),
    "earth": _material((0.06, 0.04, 0.025), rough=0.95),
    "glass": _material((0.012, 0.015, 0.02), rough=0.12),
    "green": _material((0.05, 0.22, 0.12), rough=0.5),
    "lamp": _material((0.62, 0.6, 0.56), rough=0.2),
    "leaf": _material((0.07, 0.2, 0.045), rough=0.6),
    "leather": _material((0.2, 0.08, 0.035), rough=0.45),
    "orange": _material((0.85, 0.16, 0.02), rough=0.55),
    "paint": _material((0.12, 0.16, 0.22), rough=0.25),
    "pale_wood": _material((0.55, 0.4, 0.24), "wood", scale_m=0.12, rough=0.55),
    "paper": _material((0.75, 0.72, 0.64), "stripes", scale_m=0.02, rough=0.9),
    "picture": _material((0.2, 0.32, 0.5), "checks", scale_m=0.09, rough=0.4),
    "red": _material((0.5, 0.03, 0.03), rough=0.4),
    "rubber": _material((0.018, 0.018, 0.02), rough=0.85),
    "steel": _material((0.33, 0.34, 0.36), rough=0.35),
    "stone": _material((0.48, 0.46, 0.42), "concrete", scale_m=0.4, rough=0.9),
    "tan": _material((0.42, 0.3, 0.16), rough=0.9),
    "tape": _material((0.55, 0.42, 0.22), rough=0.35),
    "terracotta": _material((0.48, 0.19, 0.1), rough=0.85),
    "thicket": _material((0.02, 0.05, 0.015), rough=0.95),
    "white": _material((0.78, 0.78, 0.75), rough=0.5),
    "wood": _material((0.34, 0.2, 0.1), "wood", scale_m=0.12, rough=0.6),
    "yellow": _material((0.72, 0.55, 0.02), rough=0.6),
}
