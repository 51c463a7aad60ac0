"""Furnished places: free, on the floor, backs to the wall, hiding nobody; the rest stays."""

import functools
import math
from dataclasses import replace

import numpy as np
import pytest
from recipe_fake import CATALOGUE, FakeSolve

from synthstudio.props import procedural
from synthstudio.recipe.draw import draw, draw_group
from synthstudio.recipe.layout.furniture import HUNG
from synthstudio.recipe.layout.placement import corners
from synthstudio.recipe.layout.site import PEOPLE_M, box_of
from synthstudio.recipe.sampling.interiors import INTERIORS
from synthstudio.recipe.schema.load import parse

CEILING = {"ceiling_lamp", "strip_lamp"}
ROOM = {"kind": "room", "walls": 1.0, "furnished": 1.0, "ceilings": 1.0}
OPEN = {"kind": "room", "walls": 0.0, "furnished": 1.0, "ceilings": 1.0}
GROUP = {"clean": 1, "occluder": 2, "appearance": 1, "light": 1, "view": 2}


def recipe(backdrop, **more):
    wish = {
        "name": "furnished",
        "seed": 5,
        "people": {"count": [1, 3]},
        "objects": [{"kind": "procedural", "count": [0, 2]}],
        "camera": {"distance_m": [2, 7], "height_m": [0.5, 3.5], "roll_deg": [-20, 20]},
        "backdrop": backdrop,
    }
    return parse({**wish, **more})


def solver():
    return FakeSolve(catalogue=replace(CATALOGUE, objects=procedural.kinds()))


def frames(count, backdrop, **more):
    wants = recipe(backdrop, **more)
    return [draw(wants, index, solver()) for index in range(count)]


def scenery(spec):
    return [obj for obj in spec.objects if obj.role == "scenery"]


def others_m(spec):
    solve = solver()
    items = [*spec.people, *(obj for obj in spec.objects if obj.role != "scenery")]
    return np.array([solve.box_m(item) for item in items]).reshape(-1, 2, 3)


def apart_m(a, b):
    return float(np.maximum(a[0] - b[1], b[0] - a[1]).max())


def hides_somebody(spec, obj):
    eye, (low, high) = np.array(spec.camera.position_m), box_of(obj)
    fractions = np.array(list(np.ndindex(4, 4, 4))) / 3
    for person in spec.people:
        box = solver().box_m(person)
        way = box[0] + fractions * (box[1] - box[0]) - eye
        way = np.where(np.abs(way) < 1e-9, 1e-9, way)
        first, last = np.sort([(low - eye) / way, (high - eye) / way], axis=0)
        enters, leaves = first.max(axis=1), last.min(axis=1)
        if ((enters < leaves) & (enters < 1) & (leaves > 0)).any():
            return True
    return False


@functools.cache
def usual_frames(count):
    return frames(count, ROOM)


def rests(box, others, tolerance_m=2e-4):
    over = (
        (box[0, :2] >= other[0, :2] - 1e-6).all()
        and (box[1, :2] <= other[1, :2] + 1e-6).all()
        and abs(box[0, 2] - other[1, 2]) < tolerance_m
        for other in others
    )
    return box[0, 2] == 0 or any(over)


def test_furniture_is_free_inside_the_room_and_stands_hangs_or_lies_on_something():
    counts = []
    for spec in usual_frames(40):
        room, placed, standing = spec.backdrop, scenery(spec), others_m(spec)
        middle, half = np.array(room.centre_m), np.array(room.size_m[:2]) / 2
        boxes = [box_of(obj) for obj in placed]
        for number, (obj, box) in enumerate(zip(placed, boxes, strict=True)):
            exact = solver().box_m(obj)
            assert (box[0] <= exact[0] + 1e-3).all() and (box[1] >= exact[1] - 1e-3).all()
            minimum = 0.0 if obj.kind == "skirting" else PEOPLE_M
            assert all(apart_m(box, other) >= minimum - 1e-9 for other in standing)
            assert all(apart_m(box, other) > -2e-4 for other in boxes[:number]), obj
            assert (box[0, :2] >= middle - half).all() and (box[1, :2] <= middle + half).all()
            assert box[0, 2] >= 0 and box[1, 2] < room.size_m[2]
            seen = spec.camera.to_camera(corners(box))[:, 2]
            assert obj.kind == "skirting" or seen.min() > 0.29 or seen.max() < 0
            away = np.concatenate([box[0, :2] - (middle - half), middle + half - box[1, :2]])
            if obj.kind in HUNG:
                windows = [t.size_m[1] for t in placed if t.kind == "window"]
                gap = max(windows) if obj.kind == "curtains" else 0.0
                assert away[looks_away_from(obj)] < gap + 0.03, obj
            elif obj.kind in CEILING:
                assert room.size_m[2] - box[1, 2] < 0.01
            else:
                assert rests(box, boxes), obj
        counts.append(sum(obj.kind not in HUNG for obj in placed))
    assert 4 <= np.mean(counts) <= 14
    assert max(counts) <= 30


def looks_away_from(obj):
    fronts = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])
    looks = fronts @ (math.sin(obj.yaw_rad), -math.cos(obj.yaw_rad))
    assert looks.max() > 0.999
    return int(looks.argmax())


@pytest.mark.parametrize("backdrop", [ROOM, OPEN])
def test_nobody_is_hidden_by_a_place(backdrop):
    for spec in usual_frames(40)[:20] if backdrop is ROOM else frames(20, backdrop):
        assert not [t.kind for t in scenery(spec) if hides_somebody(spec, t)]


def test_all_else_stays_where_it_was():
    bare = {**ROOM, "furnished": 0.0, "ceilings": 0.0}
    usual = {"kind": "room", "walls": 1.0}
    assert frames(12, bare) == frames(12, usual)
    named = {
        "objects": [{"kind": "procedural", "count": [0, 2], "kinds": {"chair": 1, "crate": 1}}],
        "people": {"count": [1, 3], "poses": {"families": {"stand": 1}}},  # nobody needs a seat
    }
    for before, after in zip(frames(20, usual, **named), frames(20, ROOM, **named), strict=True):
        kept = tuple(obj for obj in after.objects if obj.role != "scenery")
        assert len(kept) < len(after.objects)
        same = replace(after, objects=kept, backdrop=before.backdrop)
        assert same == before


def test_a_group_shares_its_furniture_under_the_same_ids():
    for number in range(8):
        base, *variants = draw_group(recipe(ROOM, variants=GROUP), number, solver())
        places = {t: k for k, t in enumerate(base.objects) if t.role == "scenery"}
        assert places
        for spec in variants:
            assert {t: k for k, t in enumerate(spec.objects) if t.role == "scenery"} == places
            assert not [t.kind for t in scenery(spec) if hides_somebody(spec, t)]
            new = [solver().box_m(t) for t in spec.objects if t.role == "occluder"]
            assert all(apart_m(box_of(t), box) > 0 for t in places for box in new)


def test_what_is_held_out_stands_in_no_room_to_train_on():
    found = frames(40, ROOM, holdout={"occluders": ["sofa", "window"]})
    seen = {t.kind for spec in found if spec.split == "train" for t in scenery(spec)}
    assert seen and not {"sofa", "window"} & seen


def test_objects_and_seats_belong_where_the_people_are():
    people = {"count": 2, "poses": {"names": {"sit": 1}}}
    objects = [{"kind": "procedural", "count": 2, "placement": "around", "offset_m": [2, 6]}]
    inside, outside = (
        {
            obj.kind
            for spec in frames(40, place, people=people, objects=objects)
            for obj in spec.objects
            if obj.role != "scenery"
        }
        for place in ({"kind": "room", "walls": 1.0}, {"kind": "room", "walls": 0.0})
    )
    assert {"sofa", "bookcase"} <= inside - outside and {"car", "hedge"} <= outside - inside
    assert not {"door", "pillar", "surfboard"} & (inside | outside)
    places = {kind.kind: kind.places for kind in procedural.kinds()}
    no_rooms = {"indoors", "outdoors", "street", "green", "elsewhere", "vehicle"}
    assert {place for own in places.values() for place in own} == INTERIORS.keys() | no_rooms
    for spec in frames(20, ROOM, people=people, objects=objects):
        there = {obj.kind for obj in scenery(spec)}
        rooms = {name for name, one in INTERIORS.items() if one.first in there}
        new = [places[obj.kind] for obj in spec.objects if obj.role != "scenery"]
        assert new and all(not own or own & (rooms | {"indoors"}) for own in new if rooms)
    halls = frames(8, ROOM | {"rooms": {"sports_hall": 1}})
    assert all("wall_bars" in {obj.kind for obj in scenery(spec)} for spec in halls)
    named = [{"kind": "procedural", "kinds": {"car": 1}, "placement": "around", "offset_m": 6}]
    (spec,) = frames(1, {"kind": "room", "walls": 1.0}, objects=named)
    assert "car" in {obj.kind for obj in spec.objects}
    for floor, cars in (("grass", False), ("concrete", True)):
        seen = frames(20, OPEN | {"floor_patterns": {floor: 1}}, objects=[])
        assert cars == any(obj.kind == "car" for spec in seen for obj in spec.objects)
