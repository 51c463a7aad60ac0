"""What the catalogue tells of a kind of garment, and the layers in which kinds are worn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from synthstudio.body.clothes.garment_mesh import Basis
from synthstudio.body.clothes.tailor import Shape, Tailored
from synthstudio.core.catalogue import GarmentKind
from synthstudio.core.spec import Pattern, Vec2

SOCKS, TIGHTS, SHOES, GLOVES, SKIN, BOTTOM, TOP = 5, 7, 10, 12, 15, 20, 30
OVER, COAT, SCARF, HAIR, HAT = 33, 35, 37, 40, 50
BEARD, GLASSES, MASK = 60, 70, 80
"""Layers from the skin outwards; SKIN is a top that is tucked in."""

FIT = "loose"
"""The one shape parameter that scales a design at no cost; every other one is a new cut."""

ALL: tuple[Pattern, ...] = ("plain", "stripes", "checks", "dots", "plaid", "camouflage")
SHIRT: tuple[Pattern, ...] = ("plain", "stripes", "checks", "plaid")
WOOL: tuple[Pattern, ...] = ("plain", "knit", "stripes")
PLAIN: tuple[Pattern, ...] = ("plain",)
TORSO, PELVIS = frozenset({"torso"}), frozenset({"pelvis"})
ANYBODY: Vec2 = (0.0, 1.0)
MEN: Vec2 = (0.0, 0.5)
WOMEN: Vec2 = (0.5, 1.0)


Cutter = Callable[[Basis, Shape], Tailored]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What the catalogue tells of a kind, how it is cut, its layer, and what it hides for sure."""

    kind: GarmentKind
    cut: Cutter
    layer: int
    hides: frozenset[str] = frozenset()
