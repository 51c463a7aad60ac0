"""Ages in years as Anny's axes: apparent age and stature.

Statures of children are medians and spreads of the WHO Child Growth Standards (2006; 2 to 4 years)
and the WHO Reference (2007; 5 to 19 years), both normal at every age; adults keep those of
19 years and lose height from 30 on (Sorkin, Muller and Andres 1999).
"""

from __future__ import annotations

import dataclasses
from statistics import NormalDist

import numpy as np

from synthstudio.core.rng import Generator, stream
from synthstudio.core.spec import Phenotype
from synthstudio.recipe.schema.distributions import sample
from synthstudio.recipe.schema.people import Shape

_YEARS = (1, 4, 11, 16, 25, 90)
_AGES = (0.05, 0.215, 0.415, 0.67, 0.69, 1.0)
"""Years and Anny's axis: up to 16 Anny's own calibration, from a young adult on MakeHuman's."""
_WHO_YEARS = (2, 3, 4, *range(5, 20))
# Median stature in cm and the coefficient of variation in percent, boys and girls.
_BOYS_CM = (
    87.13, 96.09, 103.33, 109.73, 115.95, 121.73, 127.27, 132.57, 137.78, 143.11, 149.08, 156.04,
    163.18, 168.96, 172.90, 175.16, 176.14, 176.54,
)  # fmt: skip
_GIRLS_CM = (
    85.73, 95.06, 102.73, 109.07, 115.12, 120.81, 126.56, 132.49, 138.64, 144.99, 151.23, 156.37,
    159.79, 161.67, 162.52, 162.85, 163.06, 163.15,
)  # fmt: skip
_BOYS_CV = (
    3.508, 3.858, 4.059, 4.156, 4.249, 4.342, 4.438, 4.535, 4.626, 4.703, 4.753, 4.760, 4.714,
    4.619, 4.495, 4.364, 4.241, 4.134,
)  # fmt: skip
_GIRLS_CV = (
    3.764, 4.007, 4.193, 4.346, 4.447, 4.525, 4.581, 4.612, 4.614, 4.584, 4.523, 4.439, 4.345,
    4.255, 4.176, 4.109, 4.053, 4.009,
)  # fmt: skip
_LOSS_YEARS = (30, 70, 80, 90)
_LOSS_CM = ((0.0, 3.0, 5.0, 7.0), (0.0, 5.0, 8.0, 11.0))  # men, women; 90 goes on as 70 to 80
_MAX_SD = 2.2
# Anny's stature at height 0 and 1 by age, men and women, as tests/recipe/test_ages.py checks.
_GRID = (0.05, 0.1, 0.2, 1 / 3, 0.45, 2 / 3, 1.0)
_LOW_M = (
    (0.5321, 0.6122, 0.7798, 1.0085, 1.1328, 1.3677, 1.3355),
    (0.5158, 0.5778, 0.7083, 0.8889, 1.0031, 1.2312, 1.2168),
)
_HIGH_M = (
    (1.0490, 1.2070, 1.5265, 1.9556, 2.1313, 2.4599, 2.4311),
    (1.0319, 1.1702, 1.4503, 1.8270, 1.9956, 2.3171, 2.2981),
)


def years_of(shape: Shape, seed: int, number: int) -> float | None:
    if shape.age_years is None:
        return None
    return round(sample(shape.age_years, stream(seed, "years", number)), 2)


def aged(phenotype: Phenotype, years: float, rng: Generator) -> Phenotype:
    """The body at that age, with its stature deviation from the median kept."""
    sd = NormalDist().inv_cdf(min(max(float(rng.random()), 1e-9), 1 - 1e-9))
    wanted = stature_m(years, phenotype.gender, max(-_MAX_SD, min(_MAX_SD, sd)))
    age = float(np.interp(years, _YEARS, _AGES))
    low, high = (_mixed(tables, age, _GRID, phenotype.gender) for tables in (_LOW_M, _HIGH_M))
    height = min(max((wanted - low) / (high - low), 0.0), 1.0)
    return dataclasses.replace(phenotype, age=round(age, 4), height=round(height, 4))


def stature_m(years: float, gender: float, sd: float) -> float:
    """The stature at an age, `sd` standard deviations from the median; gender 0 a man."""
    median = _mixed((_BOYS_CM, _GIRLS_CM), years, _WHO_YEARS, gender)
    spread = _mixed((_BOYS_CV, _GIRLS_CV), years, _WHO_YEARS, gender) / 100
    lost = _mixed(_LOSS_CM, years, _LOSS_YEARS, gender)
    return (median * (1 + spread * sd) - lost) / 100


def _mixed(
    tables: tuple[tuple[float, ...], tuple[float, ...]],
    at: float,
    places: tuple[float, ...],
    gender: float,
) -> float:
    man, woman = (float(np.interp(at, places, table)) for table in tables)
    return man + gender * (woman - man)
