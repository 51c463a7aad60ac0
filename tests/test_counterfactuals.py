"""Variants on the real stage: what may differ does, and nothing else; caches change no byte."""

import dataclasses

import asset_roots
import numpy as np
import pytest

from benchmarks.counterfactuals import Tally, compare, pairs
from synthstudio.core.rng import stream
from synthstudio.core.spec import from_json, to_json
from synthstudio.generation import pipeline
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.recipe.schema.load import parse

WISH = {
    "name": "pairs",
    "seed": 11,
    "streams": "",  # of this seed three frames have cut-outs
    "image": {"width_px": 256, "height_px": 192},
    "people": {"count": 2, "identities": 8},
    "objects": [{"kind": "procedural", "count": [1, 2], "hides": [0.3, 0.6]}],
    "cutouts": {"folder": "occluders", "size": "share", "count": [0, 1], "over_person": 1.0},
}
ROOM = {**WISH, "seed": 12, "backdrop": {"kind": "room"}, "cutouts": None}
ALL = {"clean": 1, "occluder": 1, "appearance": 1, "light": 1, "view": 1}


@pytest.fixture(scope="module")
def assets(tmp_path_factory):
    root = tmp_path_factory.mktemp("assets")
    asset_roots.save(root / "occluders" / "disc.png", asset_roots.disc((160, 120), soft=True))
    return root


def _settings(assets, wish, **variants):
    return prepare(parse({**wish, "variants": variants}), assets=assets, device="cpu")


@pytest.fixture(scope="module")
def compared(assets):
    out = []
    for wish in (WISH, ROOM):
        stage = FrameGenerator(_settings(assets, wish, clean=1, occluder=1))
        out += list(pairs(stage, range(3)))
    return out


def test_pairs_differ_only_where_something_was_removed_or_its_shadow_fell(compared):
    tally = Tally()
    for clean, occluded in compared:
        compare(clean, occluded, tally)
    assert tally.faults == []
    assert tally.with_objects == tally.pairs == 12
    assert tally.with_cutouts >= 2
    assert tally.hidden > 10
    assert tally.flips > 20
    assert 0.02 < tally.covered / tally.pixels < 0.5
    assert 0.005 < tally.shadowed / tally.pixels < 0.3
    assert tally.differing <= tally.covered + tally.shadowed


def test_a_joint_hidden_by_something_else_is_found(compared):
    clean, occluded = compared[0]
    person = occluded.labels.people[0]
    other = tuple(((999, share),) for share in person.visibility_fractions[:, 0])
    blamed = dataclasses.replace(
        person, hidden_by=other, occluder_id=np.full_like(person.occluder_id, 999)
    )
    people = (blamed, *occluded.labels.people[1:])
    labels = dataclasses.replace(occluded.labels, people=people)
    tally = Tally()
    compare(clean, dataclasses.replace(occluded, labels=labels), tally)
    assert any("flips without" in found or "hidden by" in found for found in tally.faults)


def _bytes(frame):
    people = frame.labels.people
    joints = [(p.joints_px.tobytes(), p.visibility_fractions.tobytes(), p.modal) for p in people]
    return to_json(frame.spec), frame.jpeg, joints, frame.layers


def test_frames_made_alone_and_in_any_order_are_those_of_the_sequence(assets):
    settings = _settings(assets, WISH, **ALL)
    stage = FrameGenerator(settings)
    specs = [pipeline.draw_spec(stage, i) for i in range(12)]
    in_sequence, held, labels = [], [], {}
    for spec in specs:
        frame = pipeline.make_frame(stage, spec)
        in_sequence.append(_bytes(frame))
        held.append(len(stage.recent))
        labels[spec.group_id, spec.variant] = frame.labels.people
    # Joints stay in other clothes and light, and in other light all labels do.
    for group in {group for group, _ in labels}:
        base, dressed, lit = (labels[group, k] for k in ("base", "appearance", "light"))
        for a, b, c in zip(base, dressed, lit, strict=True):
            assert a.joints_world_m.tobytes() == b.joints_world_m.tobytes()
            assert a.joints_world_m.tobytes() == c.joints_world_m.tobytes()
            assert a.modal == c.modal
            assert a.visibility_fractions.tobytes() == c.visibility_fractions.tobytes()
    # Memory is bounded: two people, at most two objects, light and backdrop, of two frames.
    assert max(held) <= 12 and stage.group.cache_info().currsize <= 2
    order = stream(1, "shuffled").permutation(12)
    shuffled = FrameGenerator(settings)
    for i in (int(k) for k in order):
        spec = pipeline.draw_spec(shuffled, i)
        assert _bytes(pipeline.make_frame(shuffled, from_json(to_json(spec)))) == in_sequence[i]
    for i in (3, 6):
        alone = FrameGenerator(settings)
        assert _bytes(pipeline.make_frame(alone, pipeline.draw_spec(alone, i))) == in_sequence[i]
