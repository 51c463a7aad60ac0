import dataclasses
import math
from collections import Counter

import numpy as np
import pytest
from recipe_fake import FakeSolve

from synthstudio.core.errors import RecipeError
from synthstudio.recipe.draw import draw, draw_group
from synthstudio.recipe.layout.variants import differing
from synthstudio.recipe.sampling.context import split_of
from synthstudio.recipe.schema.load import parse

ALL = {"clean": 1, "occluder": 2, "appearance": 1, "light": 1, "view": 2}
NEAR = {"kind": "procedural", "placement": "near"}
FLAT = {kind: count for kind, count in ALL.items() if kind != "view"}
ORDER = ("base", "clean", "occluder", "occluder", "appearance", "light", "view", "view")
MAY_DIFFER = {
    "base": set(),
    "clean": {"objects", "cutouts"},
    "occluder": {"objects", "cutouts"},
    "appearance": {"people"},
    "light": {"light", "backdrop"},
    "view": {"camera", "cutouts"},
}
BACKDROPS = {
    "room": {"kind": "room", "walls": 1.0},
    "plain": {"kind": "plain"},
    "hdri": {"kind": "hdri", "folder": "h"},
}


def recipe(backdrop="room", variants=ALL, **more):
    fields = {
        "name": "v",
        "seed": 3,
        "people": {"count": [1, 3]},
        "objects": [{"kind": "procedural", "count": [0, 2]}],
        "cutouts": {"folder": "c", "count": [0, 2]},
        "backdrop": BACKDROPS[backdrop],
        "variants": variants,
    }
    return parse(fields | more)


def groups(count=10, solve=None, **wish):
    made = recipe(**wish)
    return [draw_group(made, m, solve or FakeSolve()) for m in range(count)]


@pytest.mark.parametrize("backdrop", BACKDROPS)
def test_a_group_has_its_order_one_name_and_one_split(backdrop):
    wish = recipe(backdrop)
    for i in range(2 * len(ORDER)):
        spec = draw(wish, i, FakeSolve())
        moment, place = divmod(i, len(ORDER))
        assert (spec.index, spec.variant) == (i, ORDER[place])
        assert (spec.group_id, spec.split) == (f"3-{moment}", split_of(wish, moment))
        assert spec.camera_id == max(0, place - ORDER.index("view") + 1)


@pytest.mark.parametrize("backdrop", BACKDROPS)
def test_differs_names_what_a_variant_does_not_share_and_nothing_else(backdrop):
    seen = Counter()
    for base, *others in groups(backdrop=backdrop):
        assert base.differs == ()
        for spec in others:
            assert set(spec.differs) == set(differing(base, spec)) <= MAY_DIFFER[spec.variant]
            unlike = {
                f.name
                for f in dataclasses.fields(spec)
                if getattr(spec, f.name) != getattr(base, f.name)
            }
            assert unlike - {"index", "variant", "differs", "camera_id"} == set(spec.differs)
            seen.update((spec.variant, name) for name in spec.differs)
    for variant in ("clean", "occluder", "appearance", "light", "view"):
        assert any(kind == variant for kind, _ in seen), variant


def test_without_views_a_base_is_what_it_is_without_variants():
    for moment, (base, *_) in enumerate(groups(backdrop="plain", variants=FLAT)):
        alone = draw(recipe("plain", {}), moment, FakeSolve())
        assert alone.shadow_box_m is None
        assert dataclasses.replace(base, shadow_box_m=None) == alone


def test_other_occluders_are_as_many_free_and_elsewhere():
    solve, changed = FakeSolve(), 0
    for base, _, first, second, *_ in groups(20, solve):
        for spec in (first, second):
            assert len(spec.objects) == len(base.objects)
            assert len(spec.cutouts) == len(base.cutouts)
            items = [*spec.people, *spec.objects]
            for i, item in enumerate(items):
                if getattr(item, "role", None) == "occluder":
                    assert all(solve.gap_m(item, other) >= 0.05 for other in items[:i])
            changed += spec.objects != base.objects
        if any(t.role == "occluder" for t in base.objects):
            assert first.objects != second.objects
    assert changed > 20


def test_the_same_bodies_wear_other_clothes():
    slots = {"sneakers": "shoes", "short_hair": "hair", "long_hair": "hair"}
    changed = []
    for base, *others in groups():
        for old, new in zip(base.people, others[3].people, strict=True):
            for name in ("identity", "phenotype", "pose", "position_m", "yaw_rad", "detail"):
                assert getattr(old, name) == getattr(new, name)
            assert old.look != new.look
            before, after = ({slots.get(g.kind, g.kind): g for g in p.outfit} for p in (old, new))
            for slot in ("shoes", "hair"):
                assert before[slot].shape == after[slot].shape
                assert before[slot].kind == after[slot].kind
            assert before["shoes"].material != after["shoes"].material
            changed.append({g.kind for g in old.outfit} != {g.kind for g in new.outfit})
    assert any(changed)


def _turned_deg(view, base, middle):
    (x, y), (x0, y0) = (np.array(c.position_m[:2]) - middle for c in (view, base))
    return math.degrees(math.atan2(y, x) - math.atan2(y0, x0)) % 360


def test_a_ring_stands_evenly_about_the_people_and_sees_them():
    angles = []
    for base, *_, left, right in groups(objects=[]):
        middle = np.mean([p.position_m[:2] for p in base.people], axis=0)
        trunks = np.array([[*p.position_m[:2], 1.0] for p in base.people])
        for camera in (left.camera, right.camera):
            angles.append(_turned_deg(camera, base.camera, middle))
            assert camera.focal_px == base.camera.focal_px
            seen = camera.to_camera(trunks)
            across = camera.project(seen)[:, 0]
            assert (seen[:, 2] > 0.3).all()
            assert (across > 0).all() and (across < camera.width_px).all()
    assert np.median(angles[::2]) == pytest.approx(120)
    assert np.median(angles[1::2]) == pytest.approx(240)


def test_cameras_stand_off_everything_and_in_the_room():
    solve = FakeSolve()
    for group in groups(10, solve, objects=[{"kind": "procedural", "count": 3}]):
        (room,) = {spec.backdrop for spec in group}
        half = np.array(room.size_m[:2]) / 2
        for spec in group:
            place = np.array(spec.camera.position_m)
            for at in (place, *(np.array(obj.position_m) for obj in spec.objects)):
                assert (np.abs(at[:2] - room.centre_m) < half).all()
            for item in (*spec.people, *spec.objects) if spec.variant == "view" else ():
                low, high = solve.box_m(item)
                assert np.linalg.norm(place - np.clip(place, low, high)) >= 0.3


def test_the_shadow_box_holds_everything_of_the_group():
    solve = FakeSolve()
    for group in groups(6, solve):
        (box,) = {spec.shadow_box_m for spec in group}
        low, high = np.array(box)
        for item in (item for spec in group for item in (*spec.people, *spec.objects)):
            own = solve.box_m(item)
            assert (own[0] >= low).all() and (own[1] <= high).all()


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"variants": {"view": 1}, "backdrop": {"kind": "photo", "folder": "b"}}, "one side"),
        ({"variants": {"view": 2, "rig": {"azimuths_deg": [90]}}}, "1 for 2 views"),
        ({"variants": {"clean": 2}}, "less than or equal to 1"),
        ({"variants": {"shadow": 1}}, "shadow"),
        (
            {"objects": [{"kind": "mesh", "folder": "m", "placement": "near"}]},
            "near is for built-in hands",
        ),
        ({"variants": {"view": 1}, "objects": [NEAR]}, "near needs one still camera"),
        ({"variants": {"view": 1, "rig": {"distance_m": 0.1}}}, "0.6"),
    ],
)
def test_what_cannot_be_varied_is_said_at_load(wish, message):
    with pytest.raises(RecipeError, match=message):
        parse({"name": "v", **wish})


def test_a_rig_without_room_says_so():
    @dataclasses.dataclass
    class Wide(FakeSolve):
        def gap_m(self, a, b):
            return 1.0

        def box_m(self, item):
            return super().box_m(item) + np.array([[-3.0, -3.0, 0.0], [3.0, 3.0, 2.0]])

    rig = {"azimuths_deg": [180], "distance_m": 0.6}
    standing = {"arrangement": {"kind": "crowd", "depth_m": 8}, "poses": {"names": {"stand": 1}}}
    wish = recipe(
        variants={"view": 1, "rig": rig},
        people={"count": 25, "identities": 40, **standing},
        objects=[],
        camera={"distance_m": 30.0},
    )
    with pytest.raises(RecipeError, match="no place for camera 1 of the rig"):
        draw_group(wish, 0, Wide())
