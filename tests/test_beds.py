"""People in bed: blankets lie over bodies, hide what the second oracle says, follow targets."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy.interpolate import LinearNDInterpolator

from benchmarks import physics
from synthstudio.core.errors import RecipeError
from synthstudio.core.spec import ObjectSpec, from_json, to_json
from synthstudio.generation import pipeline
from synthstudio.generation.audit import audit
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.props import procedural
from synthstudio.recipe.schema.load import dump, load, parse

SCENES = Path(__file__).resolve().parents[1] / "scenes"
FRAMES = 3
HIDDEN, OBJECT = 1, "object"


def _settings(**more):
    text = dump(load(SCENES / "uses" / "in_bed.yaml"))
    text |= {"frames": FRAMES, **more}
    text["image"] |= {"width_px": 200, "height_px": 150, "supersample": 1}
    text["people"]["bed"] |= {"blanket": 1} | more.get("bed", {})
    text.pop("bed", None)
    return prepare(parse(text), assets=SCENES, device="cpu")


@pytest.fixture(scope="module")
def drawn():
    stage = FrameGenerator(_settings())
    return stage, [pipeline.draw_spec(stage, index) for index in range(FRAMES)]


def _blanket(spec):
    return next(obj for obj in spec.objects if obj.kind == "blanket")


def test_people_lie_in_beds_with_blankets_over_them(drawn):
    stage, specs = drawn
    assert {"bed", "hospital_bed"} & {obj.kind for spec in specs for obj in spec.objects}
    for spec in specs:
        blanket = _blanket(spec)
        assert (blanket.role, blanket.held_by) == ("occluder", 0)
        assert from_json(to_json(spec)) == spec
        cloth = stage.triangles_m(blanket).reshape(-1, 3)
        rim = np.ptp(cloth[:, 2]) > 0.1 and cloth[:, 2] < np.percentile(cloth[:, 2], 2)
        over = LinearNDInterpolator(cloth[~rim][:, :2], cloth[~rim][:, 2])
        body = stage.triangles_m(spec.people[0]).reshape(-1, 3)
        gap = over(body[:, :2]) - body[:, 2]
        covered = np.isfinite(gap)
        assert 0.1 < covered.mean() < 1.0
        assert gap[covered].min() > 0.0, spec.people[0].pose.name
        assert gap[covered].min() < 0.03
    report = physics.check(stage, specs)
    assert report.passed and report.through == 0, report.text()


def test_the_second_oracle_agrees_about_blankets_and_clean_has_none(tmp_path):
    settings = _settings(variants={"clean": 1})
    pipeline.generate(settings, tmp_path / "set")
    found = audit(tmp_path / "set", settings, frames=FRAMES).report()
    assert found["passed"] and found["state_differs"] == found["cause_differs"] == 0
    stage = FrameGenerator(settings)
    base, clean = (pipeline.make_frame(stage, pipeline.draw_spec(stage, k)) for k in (0, 1))
    assert not any(obj.kind == "blanket" for obj in clean.spec.objects)
    assert _hidden(base) > _hidden(clean)


def _hidden(frame):
    return 1.0 - frame.labels.people[0].modal_area_px / frame.labels.people[0].amodal_area_px


def test_the_blanket_follows_pulled_up_and_the_target():
    def fractions(**more):
        stage = FrameGenerator(_settings(**more))
        return [_hidden(pipeline.make_frame(stage, pipeline.draw_spec(stage, k))) for k in (0, 1)]

    low, high = fractions(bed={"pulled_up": 0.15}), fractions(bed={"pulled_up": 0.9})
    assert all(a + 0.2 < b for a, b in zip(low, high, strict=True))
    for share in (0.3, 0.6):
        found = fractions(targets={"occluded_fraction": share})
        assert np.abs(np.array(found) - share).max() < 0.1


@pytest.mark.parametrize(
    "change",
    [
        {"heights_m": ((0.1, 0.2),)},
        {"heights_m": ((0.1, 0.2), (0.1,))},
        {"heights_m": ((0.1, float("nan")), (0.1, 0.2))},
        {"heights_m": ((0.1, 0.1), (0.1, 0.1))},
        {"heights_m": ((0.1,) * 300, (0.2,) * 300)},
        {"kind": "bed"},
    ],
)
def test_senseless_heights_are_refused(change):
    good = ObjectSpec(kind="blanket", heights_m=((0.0, 0.1), (0.2, 0.1)))
    assert procedural.build(good, instance=1002)
    with pytest.raises(RecipeError, match="heights"):
        procedural.build(dataclasses.replace(good, **change), instance=1002)
