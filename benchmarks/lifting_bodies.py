"""Bodies and key poses that the lifters of benchmarks/lifting.py learn and are tested on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from synthstudio.body.poses import LIMITS_RAD
from synthstudio.core.rng import Generator
from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.spec import Phenotype

SKELETON = get_skeleton("coco17")
BODIES = 24
"""So many bodies share the people of one part."""
STRAY_RAD = 0.2


def phenotypes(rng: Generator) -> list[Phenotype]:
    """BODIES adults."""
    names = ("gender", "muscle", "weight", "height", "proportions")
    return [
        Phenotype(**dict(zip(names, five, strict=True)), age=float(rng.uniform(0.6, 1.0)))
        for five in rng.uniform(0, 1, (BODIES, 5)).tolist()
    ]


def strayed(angles_rad: Mapping[str, float], rng: Generator) -> dict[str, float]:
    """Every angle strayed within its limits."""
    return {
        name: float(np.clip(angles_rad.get(name, 0) + rng.normal(0, STRAY_RAD), *limits))
        for name, limits in LIMITS_RAD.items()
    }
