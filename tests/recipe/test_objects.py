from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from recipe_fake import CATALOGUE, OBJECTS, FakeSolve

from synthstudio.core.errors import RecipeError
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.recipe.draw import draw
from synthstudio.recipe.layout.placement import CLEAR_M, corners
from synthstudio.recipe.schema.load import parse

STANDING = {"families": {"stand": 1}}


def frames(count, solve=None, **recipe):
    wish = {"people": {"count": 2, "poses": STANDING}, "name": "t", **recipe}
    solve = solve or FakeSolve()
    return solve, [draw(parse(wish), i, solve) for i in range(count)]


def joints_behind(solve, spec, obj):
    camera = spec.camera
    box = camera.to_camera(corners(solve.box_m(obj)))
    outline = camera.project(box)
    out = []
    for person in spec.people:
        joints = camera.to_camera(solve.joints_m(person))
        pixels = camera.project(joints)
        inside = ((pixels >= outline.min(axis=0)) & (pixels <= outline.max(axis=0))).all(axis=1)
        out.append(int((inside & (joints[:, 2] > box[:, 2].min())).sum()))
    return out


def test_objects_in_front_hide_about_what_was_asked_and_more_hides_more():
    wide = {"kind": "procedural", "kinds": {"crate": 1, "table": 1}, "hides": [0.3, 0.5]}
    solve, specs = frames(50, objects=[wide])
    hidden = [max(joints_behind(solve, spec, spec.objects[0])) / 23 for spec in specs]
    assert np.mean([0.2 <= share <= 0.7 for share in hidden]) > 0.85
    assert np.mean([share > 0 for share in hidden]) > 0.95

    def mean(low, high):
        obj = {"kind": "procedural", "kinds": {"crate": 1, "table": 1, "bookcase": 1}}
        alone = {"count": 1, "poses": STANDING}
        solve, specs = frames(20, objects=[{**obj, "hides": [low, high]}], people=alone)
        return np.mean([joints_behind(solve, s, s.objects[0])[0] for s in specs])

    assert mean(0.05, 0.15) < 5
    assert mean(0.5, 0.7) > 10


def test_objects_in_front_stand_between_camera_and_somebody():
    obj = {"kind": "procedural", "kinds": {"lamp_post": 1}, "offset_m": 0.0, "hides": 1.0}
    on_the_way = 0
    for spec in frames(60, objects=[obj])[1]:
        camera, post = (np.array(x.position_m[:2]) for x in (spec.camera, spec.objects[0]))
        for place in (np.array(person.position_m[:2]) for person in spec.people):
            way, from_person = camera - place, post - place
            aside = abs(way[0] * from_person[1] - way[1] * from_person[0]) / np.linalg.norm(way)
            if aside < 1e-6:
                on_the_way += 1
                assert 0.15 <= from_person @ way / (way @ way) <= 0.6
    # The others found no free place there, and stepped aside.
    assert 45 <= on_the_way <= 60


def test_hands_before_the_camera_reach_in_from_an_edge_and_hide_about_what_was_asked():
    near = {"kind": "procedural", "placement": "near", "hides": [0.1, 0.4]}
    wish = {"name": "t", "people": {"count": 1, "poses": STANDING}, "objects": [near]}
    stage = FrameGenerator(prepare(parse(wish), assets=Path(), device="cpu"))
    hidden = []
    for spec in (draw(stage.settings.recipe, index, stage) for index in range(8)):
        (hand,), camera = spec.objects, spec.camera
        depth = camera.to_camera(stage.triangles_m(hand).reshape(-1, 3))[:, 2]
        assert CLEAR_M < depth.min() < depth.max() < 1.2
        joints = camera.to_camera(stage.joints_m(spec.people[0]))
        column, row = camera.project(joints).astype(int).T
        hidden.append(np.mean(stage.depths_m((hand,), camera)[row, column] < joints[:, 2]))
        foot = camera.project(camera.to_camera(np.array([hand.position_m])))
        assert ((foot < 0) | (foot > (camera.width_px, camera.height_px))).any()
    assert min(hidden) > 0.05 and max(hidden) < 0.45  # to a joint
    assert np.ptp(hidden) > 0.2


def test_objects_beside_keep_their_side():
    obj = {"kind": "procedural", "kinds": {"lamp_post": 1}, "placement": "beside"}
    for offset in (-1.2, 1.2):
        _, specs = frames(30, objects=[{**obj, "offset_m": offset}])
        for spec in specs:
            shift = [spec.objects[0].position_m[0] - p.position_m[0] for p in spec.people]
            assert any(s / offset > 1 - 1e-9 for s in shift)


def test_sizes_keep_to_their_kind_and_meshes_to_their_file():
    around = {"placement": "around", "offset_m": [1, 3]}
    mesh = {"kind": "mesh", "folder": "m", "placement": "around", "offset_m": 3, "scale": 2}
    _, specs = frames(90, objects=[{"kind": "procedural", **around}, mesh])
    kinds = {kind.kind: kind for kind in OBJECTS if "occluder" in kind.roles}
    meshes = {mesh.asset: mesh for mesh in CATALOGUE.meshes}
    seen, bare = Counter(), 0
    for obj in (obj for spec in specs for obj in spec.objects):
        seen[obj.kind] += 1
        if obj.kind == "mesh":
            assert obj.size_m == tuple(2 * s for s in meshes[obj.asset].size_m)
            continue
        kind = kinds[obj.kind]
        assert len(obj.materials) in (0, kind.materials)
        bare += not obj.materials
        for size, low, high in zip(obj.size_m, kind.size_low_m, kind.size_high_m, strict=True):
            assert low <= size <= high
        assert {m.pattern for m in obj.materials} <= set(kind.patterns)
    assert set(seen) == {*kinds, "mesh"}
    assert 20 < bare < 54  # two in five keep the colours that their builder gives them


def test_cutouts_keep_size_shape_and_limits():
    wish = {"folder": "occluders", "size": "share", "count": 2, "height_share": [0.2, 0.4]}
    specs = frames(100, cutouts={**wish, "max_scale": 0.5})[1]
    for spec, cutout in ((one, c) for one in specs for c in one.cutouts):
        width, height = cutout.size_px
        assert height <= 0.4 * spec.camera.height_px + 1
        assert height <= 0.5 * 420 + 1
        assert width / height == pytest.approx(300 / 420, rel=0.02)
        assert 0.8 <= cutout.gain <= 1.2
        assert cutout.depth_m is None
        assert cutout.kind in {"kind0", "kind1", "kind2"}


def test_a_hold_out_of_every_kind_leaves_an_error_not_a_leak():
    with pytest.raises(RecipeError, match="no kind of object is left"):
        crates = [{"kind": "procedural", "kinds": {"crate": 1}}]
        frames(20, objects=crates, holdout={"occluders": ["crate"]})
