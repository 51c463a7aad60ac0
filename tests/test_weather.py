"""Weather and what lies on the lens: its picture, its labels, where it may be."""

import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from stick_people import make_spec

from synthstudio.compose import blend
from synthstudio.core.camera import Camera
from synthstudio.core.errors import RecipeError
from synthstudio.core.scene import FOG_END_M, NO_PART, CutoutLayer, Rendering
from synthstudio.core.spec import ClipSpec, WeatherSpec, from_json, to_json
from synthstudio.generation import pipeline
from synthstudio.generation.audit import audit
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.props import weather
from synthstudio.recipe.schema.load import dump, load, parse

SCENES = Path(__file__).resolve().parents[1] / "scenes"
KINDS = ("rain", "snow", "fog", "lens_dirt", "lens_drops")
ALL = dict.fromkeys(KINDS, 1.0) | {"amount": 0.8}


def _settings(frames=3, weather=ALL, **more):
    text = dump(load(SCENES / "uses" / "weather.yaml")) | {"frames": frames, "weather": weather}
    text["image"] |= {"width_px": 200, "height_px": 150, "supersample": 1}
    text["objects"] = []
    return prepare(parse(text | more), assets=SCENES, device="cpu")


FRAME = make_spec(
    Camera(
        width_px=160,
        height_px=120,
        focal_px=60 / math.tan(0.4),
        position_m=(0.0, -5.0, 1.2),
        yaw_rad=0.0,
        pitch_rad=0.0,
    ),
    people=0,
)


def _layers(kind, amount=0.5, **more):
    item = WeatherSpec(kind=kind, amount=amount, seed=4)
    return weather.weather_layers(dataclasses.replace(FRAME, **more), item, instance=1002)


def _rendering(rgb, depth_m):
    return Rendering(
        rgb=rgb,
        depth_m=np.full(rgb.shape[:2], depth_m, np.float32),
        instance=np.zeros(rgb.shape[:2], np.int32),
        part=np.full(rgb.shape[:2], NO_PART, np.uint8),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_layers_fill_the_frame_and_are_the_same_each_time(kind):
    first, again = _layers(kind), _layers(kind)
    for layer, other in zip(first, again, strict=True):
        assert layer.alpha.shape == (120, 160) and layer.rgb.shape == (120, 160, 3)
        assert layer.alpha.min() >= 0 and layer.alpha.max() <= 1
        assert np.array_equal(layer.alpha, other.alpha) and np.array_equal(layer.rgb, other.rgb)
    faint, strong = (sum(k.alpha.mean() for k in _layers(kind, amount)) for amount in (0.05, 1))
    assert kind == "fog" or faint < strong / 2


@pytest.mark.parametrize("kind", ["rain", "snow"])
def test_optical_depth_is_the_cross_section_of_the_particles_of_a_slice(kind):
    """Counted anew: number a cubic metre x volume x mean cross-section over the slice's area."""
    made, particles = _layers(kind, 1.0), weather._FALLING[kind]
    view_m2 = 4 * math.tan(0.4) ** 2 * 160 / 120  # at one metre
    for layer, (low, high) in zip(made, itertools.pairwise(weather._SLICES_M), strict=True):
        area_m2, volume_m3 = view_m2 * layer.depth_m**2, view_m2 * (high**3 - low**3) / 3
        count = particles.per_m3[1] * volume_m3
        if count < 200:
            continue  # too few for a mean
        found = -np.log1p(-np.minimum(layer.alpha.astype(np.float64), 0.999999)).mean()
        least, most = (
            count * math.pi / 4 * d**2 * math.exp(2 * 0.4**2) / area_m2
            for d in particles.diameter_m
        )
        assert 0.5 * least < found < 1.5 * most, (layer.depth_m, found)


def test_rain_falls_during_a_clip_and_dirt_stays():
    def at(kind, time_s):
        clip = ClipSpec(clip_id="0-0", frame=0, frames=9, time_s=time_s, motions=())
        return _layers(kind, clip=clip)

    for kind in KINDS:
        pairs = zip(at(kind, 0.0), at(kind, 0.04), strict=True)
        still = all(np.array_equal(a.alpha, b.alpha) for a, b in pairs)
        assert still == (kind not in ("rain", "snow"))


def test_fog_lets_through_as_bouguer_says():
    black = np.zeros((120, 160, 3), np.uint8)
    (layer,) = _layers("fog", 0.6)
    for depth_m in (2.0, 9.0, np.inf):
        seen = blend.over(_rendering(black, depth_m), (layer,)).rgb
        opaque = 1 - np.exp(-layer.per_m * layer.alpha * min(depth_m, FOG_END_M))
        level = ((seen[..., 0] / 255 + 0.055) / 1.055) ** 2.4
        colour = ((layer.rgb[..., 0] / 255 + 0.055) / 1.055) ** 2.4
        inside = seen[..., 0] > 20
        assert np.abs(level - opaque * colour)[inside].max() < 0.006


def test_a_drop_shows_the_scene_turned_about_its_middle():
    left_half = np.zeros((120, 160, 3), np.uint8)
    left_half[:, :80] = 255
    y, x = np.mgrid[0:120, 0:160].astype(np.float32) + 0.5
    drop = CutoutLayer(
        instance=1002,
        left_px=0,
        top_px=0,
        rgb=np.full((120, 160, 3), 255, np.uint8),
        alpha=(np.hypot(x - 80, y - 60) < 20).astype(np.float32),
        depth_m=0.0,
        seen_px=np.stack([80 - 3 * (x - 80), 60 - 3 * (y - 60)], axis=-1),
    )
    seen = blend.over(_rendering(left_half, 5.0), (drop,))
    assert seen.rgb[60, 66].max() < 30 and seen.rgb[60, 94].min() > 225
    assert seen.rgb[60, 20].min() == 255 and seen.rgb[60, 140].max() == 0
    assert seen.instance[60, 80] == 1002 and seen.instance[60, 20] == 0


@pytest.fixture(scope="module")
def drawn():
    settings = _settings(variants={"clean": 1})
    stage = FrameGenerator(settings)
    return stage, [pipeline.draw_spec(stage, index) for index in range(3)]


def test_each_kind_is_an_object_of_its_own_that_the_second_oracle_finds(drawn, tmp_path):
    stage, specs = drawn
    base, clean = specs[:2]
    assert {w.kind for w in base.weather} >= {"lens_dirt", "lens_drops"} and not clean.weather
    assert from_json(to_json(base)) == base
    frame, without = (pipeline.make_frame(stage, spec) for spec in (base, clean))
    named = {kind: instance for instance, kind, _ in frame.labels.objects}
    assert {w.kind for w in base.weather} <= named.keys()
    ids = {named[w.kind] for w in base.weather}
    for person, plain in zip(frame.labels.people, without.labels.people, strict=True):
        for j, hidden in enumerate(person.hidden_by):
            lost = sum(share for instance, share in hidden if instance in ids)
            seen = plain.visibility_fractions[j, 0]
            assert person.visibility_fractions[j, 0] <= seen + 1e-9
            assert lost <= 1 + 1e-9 and (lost == 0 or person.visibility_fractions[j, 3] > 0)
    pipeline.generate(stage.settings, tmp_path / "set")
    found = audit(tmp_path / "set", stage.settings, frames=3).report()
    assert found["passed"] and found["joints"] > 60, found


def test_it_rains_under_covered_skies_only():
    stage = FrameGenerator(_settings(8, weather={"rain": 1.0, "snow": 1.0, "fog": 1.0}))
    for index in range(8):
        spec = pipeline.draw_spec(stage, index)
        kinds = {item.kind for item in spec.weather}
        assert kinds == ({"rain", "fog"} if spec.backdrop.sky.cover >= 0.5 else set())


def test_indoors_only_the_lens_is_dirty():
    room = {"kind": "room", "walls": 0.99}
    stage = FrameGenerator(_settings(2, backdrop=room))
    for index in range(2):
        kinds = {item.kind for item in pipeline.draw_spec(stage, index).weather}
        assert kinds == {"lens_dirt", "lens_drops"}


def test_weather_changes_no_other_draw():
    wet, dry = (FrameGenerator(_settings(1, weather=w)) for w in (ALL, None))
    with_it, without = (pipeline.draw_spec(stage, 0) for stage in (wet, dry))
    assert with_it.light.sun_rgb < without.light.sun_rgb  # clouds and fog spread the sun's light
    assert dataclasses.replace(with_it, weather=(), light=without.light) == without


@pytest.mark.parametrize(
    "wrong", [{"rain": 1.5}, {"amount": 2}, {"amount": [0.5, 0.1]}, {"mist": 0.5}, {"fog": "yes"}]
)
def test_senseless_weather_is_refused(wrong):
    with pytest.raises(RecipeError, match="weather"):
        _settings(weather=wrong)


def test_rain_needs_the_open_air():
    with pytest.raises(RecipeError, match="weather: rain, snow and fog need"):
        _settings(weather={"rain": 0.1}, backdrop={"kind": "room", "walls": 1})
