"""People on the floor of photos: where they stand, which camera sees them, how they are lit."""

import dataclasses
import math

import numpy as np
import pytest
from recipe_fake import CATALOGUE, GROUND, FakeSolve, without

from synthstudio.core.camera import Camera
from synthstudio.core.errors import RecipeError
from synthstudio.recipe.draw import draw
from synthstudio.recipe.layout.placement import corners
from synthstudio.recipe.sampling.check import left_out
from synthstudio.recipe.schema.load import parse

PHOTO = {"kind": "photo", "folder": "backgrounds"}
WISH = {"name": "v", "seed": 3, "people": {"count": [1, 3]}, "camera": {"distance_m": [3, 6]}}
POLYGON = ((0.1, 0.98), (0.35, 0.62), (0.8, 0.62), (0.9, 0.98))
SIZE = (640, 427)


def known(**facts) -> FakeSolve:
    ground = dataclasses.replace(GROUND, **facts)
    images = tuple(dataclasses.replace(b, ground=ground) for b in CATALOGUE.backgrounds)
    return without(FakeSolve(), backgrounds=images)


def frames(count, solve, **recipe):
    wish = parse({**WISH, "backdrop": PHOTO, **recipe})
    return [draw(wish, i, solve) for i in range(count)]


def inside(x: float, y: float) -> bool:
    """Whether a place is in POLYGON, a trapezium with level sides."""
    (ax, ay), (bx, by), (cx, _), (dx, _) = POLYGON
    t = (y - by) / (ay - by)
    return 0 <= t <= 1 and bx + t * (ax - bx) <= x <= cx + t * (dx - cx)


def floor_share(spec, x_m, y_m):
    camera, photo = spec.camera, spec.backdrop
    at = camera.K @ (camera.world_to_camera @ np.array([x_m, y_m, 0.0, 1.0]))[:3]
    x, y = at[:2] / at[2]
    x0, y0, x1, y1 = photo.crop_px
    x = camera.width_px - x if photo.mirrored else x
    across, down = x / camera.width_px * (x1 - x0), y / camera.height_px * (y1 - y0)
    return (x0 + across) / SIZE[0], (y0 + down) / SIZE[1]


@pytest.mark.parametrize("mirrored", [0.0, 1.0])
def test_everybody_stands_inside_the_polygon(mirrored):
    solve = known(floor=POLYGON, roll_rad=0.05)
    for spec in frames(20, solve, backdrop={**PHOTO, "mirrored": mirrored}):
        assert spec.backdrop.mirrored == mirrored
        for person in spec.people:
            assert inside(*floor_share(spec, *person.position_m[:2])), spec.index


def feet(spec, inward_m=0.3):
    out = []
    for low, high in (FakeSolve().box_m(obj)[:, :2] for obj in spec.objects):
        middle, half = (low + high) / 2, np.maximum(0, (high - low) / 2 - inward_m)
        signs = np.array([(-1, -1), (-1, 1), (1, -1), (1, 1)])
        out += [floor_share(spec, *corner) for corner in middle + signs * half]
    return out


@pytest.mark.parametrize(
    ("placement", "targets"),
    [("in_front", {}), ("beside", {}), ("in_front", {"targets": {"occluded_fraction": 0.4}})],
)
def test_objects_stand_inside_the_polygon(placement, targets):
    objects = [{"kind": "procedural", "count": 2, "placement": placement}]
    drawn = frames(15, known(floor=POLYGON), objects=objects, people={"count": 1}, **targets)
    places = [place for spec in drawn for place in feet(spec)]
    assert len(places) >= 20 and all(inside(x, y) for x, y in places)


def test_the_camera_is_the_photos_own_at_the_recipes_distance():
    for spec in frames(20, known(roll_rad=0.04), image={"width_px": 480, "height_px": 480}):
        camera, photo = spec.camera, spec.backdrop
        assert (camera.position_m[2], camera.pitch_rad) == (1.5, -0.1)
        assert camera.roll_rad == pytest.approx(0.04)
        assert camera.position_m[0] == 0 and 3 <= -camera.position_m[1] <= 6
        # Over the floor the crop's camera sees what the whole photo's saw, but for where it is.
        whole = Camera(
            width_px=640, height_px=427, focal_px=427 / 2 / math.tan(0.45),
            position_m=camera.position_m, yaw_rad=camera.yaw_rad, pitch_rad=-0.1, roll_rad=0.04,
        )  # fmt: skip
        for point in (np.array([0.3, 0.2, 0.0]), np.array([-0.5, 1.0, 1.7])):
            ahead = whole.project(whole.to_camera(point))
            x0, y0, x1, y1 = photo.crop_px
            moved = (ahead - [x0, y0]) * [480 / (x1 - x0), 480 / (y1 - y0)]
            np.testing.assert_allclose(camera.project(camera.to_camera(point)), moved, atol=1e-6)


def test_photos_without_a_ground_are_never_used_and_said():
    one = dataclasses.replace(CATALOGUE.backgrounds[2], unfit="")
    others = tuple(
        dataclasses.replace(b, ground=None, unfit="no sidecar")
        for b in CATALOGUE.backgrounds
        if b.asset != one.asset
    )
    solve = without(FakeSolve(), backgrounds=(one, *others))
    assert {spec.backdrop.asset for spec in frames(12, solve)} == {one.asset}
    recipe = parse({**WISH, "backdrop": PHOTO})
    (note,) = left_out(recipe, solve.catalogue)
    assert "5 of 6 photos" in note and "backgrounds_00.jpg and 4 more: no sidecar" in note
    anywhere = parse({**WISH, "backdrop": {**PHOTO, "ground": "any"}})
    assert left_out(anywhere, solve.catalogue) == ()
    none = without(FakeSolve(), backgrounds=others)
    with pytest.raises(RecipeError, match=r"no photo .*5 photos: .*no sidecar.*ground: any"):
        left_out(recipe, none.catalogue)
    assert len({draw(anywhere, i, none).backdrop.asset for i in range(20)}) == 5


def test_a_floor_without_room_is_exchanged_for_another():
    narrow = ((0.49, 0.9), (0.51, 0.9), (0.51, 0.93), (0.49, 0.93))
    images = tuple(
        dataclasses.replace(b, ground=dataclasses.replace(GROUND, floor=narrow if i else ()))
        for i, b in enumerate(CATALOGUE.backgrounds)
    )
    solve = without(FakeSolve(), backgrounds=images)
    for spec in frames(2, solve, people={"count": 3}):
        assert spec.backdrop.asset == images[0].asset
    full = without(FakeSolve(), backgrounds=images[1:])
    with pytest.raises(RecipeError, match=r"no room for person 2 of 3.*places with more floor"):
        frames(1, full, people={"count": 3})


def test_people_are_lit_as_the_photo_unless_the_recipe_says_no():
    sun = known(sun_elevation_rad=math.radians(30), sun_azimuth_rad=math.pi / 2)
    for spec in frames(6, sun, light={"brightness": 1.0, "sun_share": [0.2, 0.6]}):
        light = spec.light
        rgb = np.array(light.sun_rgb) + np.array(light.sky_rgb)
        np.testing.assert_allclose(rgb, [1.1, 1.0, 0.8])
        assert light.sun_rgb[1] == pytest.approx(0.4)  # contrast 0.75: halfway
        # From the right of the camera, wherever that looks.
        right = spec.camera.world_to_camera[0, :2]
        assert np.array(light.sun_direction[:2]) @ right == pytest.approx(math.cos(math.pi / 6))
        upright = 0.4 * math.sqrt(0.5) + (0.6 + np.array(light.ground_rgb)[1]) / 2
        assert light.exposure * upright == pytest.approx(0.5, rel=1e-4)
    for spec in frames(3, sun, light={"from_photo": False, "warmth": 0}):
        assert spec.light.sun_rgb[0] == pytest.approx(spec.light.sun_rgb[2])


def test_cutouts_stand_on_the_floor_in_their_real_size():
    seen = 0
    wish = {"cutouts": {"folder": "c", "count": 2, "over_person": 0.5}}
    for backdrop in (PHOTO, {"kind": "plain"}):
        for spec in frames(15, known(floor=POLYGON), backdrop=backdrop, **wish):
            camera = spec.camera
            for cutout in spec.cutouts:
                seen += 1
                (left, top), (width, height) = cutout.top_left_px, cutout.size_px
                per_m = camera.focal_px / cutout.depth_m
                assert height == pytest.approx(0.9 * per_m, abs=0.51)
                assert width == pytest.approx(0.9 * per_m * 300 / 420, abs=0.51)
                if not camera.roll_rad:  # its foot is the floor at its depth
                    foot = camera.floor_m(np.array([left + width / 2, top + height]))
                    depth = camera.to_camera(np.array([*foot, 0.0]))[2]
                    assert depth == pytest.approx(cutout.depth_m, rel=0.02)
    assert seen > 20


def test_cutouts_stand_clear_of_people():
    wish = {"cutouts": {"folder": "c", "count": 3, "over_person": 0.5}, "people": {"count": 4}}
    people = seen = 0
    for spec in frames(15, known(), **wish):
        camera, boxes = spec.camera, [FakeSolve().box_m(person) for person in spec.people]
        for cutout in spec.cutouts:
            (left, top), (width, height) = cutout.top_left_px, cutout.size_px
            x = left + width * np.linspace(0.05, 0.95, 19)
            front = camera.unproject(
                np.column_stack([x, np.full(19, top + height)]), np.full(19, cutout.depth_m)
            )
            floor = camera.to_world(front)[:, :2]
            for low, high in boxes:
                people += 1
                inside = (floor > low[:2] + 0.02) & (floor < high[:2] - 0.02)
                assert not inside.all(axis=1).any(), spec.index
            seen += 1
    assert seen > 20
    assert people > 80


def test_what_is_before_somebody_is_nearer_than_they_are():
    wish = {"cutouts": {"folder": "c", "count": 1, "over_person": 1.0}, "people": {"count": 1}}
    found = [s for s in frames(20, known(), **wish) if s.cutouts]
    for spec in found:
        seen = spec.camera.to_camera(corners(FakeSolve().box_m(spec.people[0])))
        assert spec.cutouts[0].depth_m < seen[:, 2].min()
        left, width = spec.cutouts[0].top_left_px[0], spec.cutouts[0].size_px[0]
        px = spec.camera.project(seen)[:, 0]
        assert left < px.max() and left + width > px.min()
    assert len(found) > 12


def test_cutouts_of_unknown_size_are_left_out_or_refused():
    cup, dog, obj = (
        dataclasses.replace(c, category=name, height_m=None)
        for c, name in zip(CATALOGUE.cutouts[:3], ("cup", "dog", ""), strict=True)
    )
    recipe = parse({**WISH, "cutouts": {"folder": "c"}})
    some = without(FakeSolve(), cutouts=(cup, dog, obj))
    assert {c.kind for i in range(12) for c in draw(recipe, i, some).cutouts} == {"dog"}
    (note,) = left_out(recipe, some.catalogue)
    assert "2 of 3 cut-outs" in note and "cup, no category" in note
    with pytest.raises(RecipeError, match=r"no cut-out .*height_m.*size: share"):
        left_out(recipe, without(FakeSolve(), cutouts=(cup, obj)).catalogue)
    share = parse({**WISH, "cutouts": {"folder": "c", "size": "share"}})
    assert draw(share, 0, without(FakeSolve(), cutouts=(cup, obj))).cutouts
