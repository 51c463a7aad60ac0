"""Ages in years: statures as the WHO's tables have them, by Anny's own measure."""

from statistics import NormalDist

import pytest

from synthstudio.body.atlas import bare_body, load_atlas
from synthstudio.body.wardrobe import garments
from synthstudio.core.rng import stream
from synthstudio.core.spec import Phenotype
from synthstudio.recipe.sampling.people import aged, identity, stature_m
from synthstudio.recipe.schema.load import parse
from synthstudio.recipe.schema.recipe import Recipe

# WHO 2006 and 2007, read from the standards' own tables: years, median and +2 SD in cm.
TABLE = {
    0.0: {2: (87.1, 93.2), 4: (103.3, 111.7), 8: (127.3, 138.6), 12: (149.1, 163.3),
          19: (176.5, 191.1)},
    1.0: {2: (85.7, 92.2), 4: (102.7, 111.3), 8: (126.6, 138.2), 12: (151.2, 164.9),
          19: (163.2, 176.2)},
}  # fmt: skip


def _recipe(**shape: object) -> Recipe:
    return parse({"name": "ages", "seed": 3, "people": {"identities": 40, "shape": shape}})


@pytest.mark.parametrize("gender", [0.0, 1.0])
def test_statures_are_the_tables(gender):
    for years, (median, tall) in TABLE[gender].items():
        assert stature_m(years, gender, 0.0) == pytest.approx(median / 100, abs=0.001)
        assert stature_m(years, gender, 2.0) == pytest.approx(tall / 100, abs=0.003)


@pytest.mark.parametrize("years", [2.0, 3.5, 9.0, 16.0, 21.0, 60.0, 88.0])
def test_anny_is_as_tall_as_was_meant(years):
    """Weight and muscle change the stature of Anny's old people by some centimetres."""
    rng = stream(0, "test")
    for key in range(2):
        gender, weight, muscle, proportions = rng.random(4) * (1, 0.8, 0.6, 0.6)
        shape = {"muscle": 0.2 + muscle, "weight": 0.1 + weight, "proportions": 0.2 + proportions}
        start = Phenotype(gender=round(float(gender)), age=0.67, height=0.4, **shape)
        made = aged(start, years, stream(1, key))
        sd = NormalDist().inv_cdf(float(stream(1, key).random()))
        wanted = stature_m(years, made.gender, max(-2.2, min(2.2, sd)))
        found = bare_body(load_atlas(), made, {}).stature_m
        assert found == pytest.approx(wanted, abs=0.015 if years < 40 else 0.05)
        assert 0 < made.height < 1


def test_the_pool_has_the_ages_asked_for_and_the_rest_as_before():
    kinds = garments()
    plain, old = _recipe(), _recipe(age_years=[2, 90])
    ages = []
    for number in range(40):
        one, other = identity(plain, number, kinds), identity(old, number, kinds)
        assert one.years is None and other.years is not None
        ages.append(other.years)
        for name in ("gender", "weight"):
            assert getattr(one.phenotype, name) == getattr(other.phenotype, name)
        assert one.look.skin_rgb == other.look.skin_rgb
        assert other == identity(old, number, kinds)
    assert min(ages) < 12 and max(ages) > 75
