import functools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from recipe_fake import CATALOGUE, FakeSolve, mix_of

from synthstudio.core.errors import RecipeError
from synthstudio.core.spec import to_json
from synthstudio.recipe.draw import draw
from synthstudio.recipe.schema.load import dump, parse

FULL = {
    "name": "full",
    "seed": 5,
    "people": {"count": [1, 4]},
    "objects": [{"kind": "procedural", "count": [0, 2]}, {"kind": "mesh", "folder": "m"}],
    "cutouts": {"folder": "c", "count": [0, 2]},
    "backdrop": mix_of(
        {"kind": "photo", "folder": "b"},
        {"kind": "hdri", "folder": "h"},
        {"kind": "room"},
        {"kind": "plain"},
    ),
}


@functools.cache
def firsts():
    return stored(FULL, range(12))


def test_neither_order_nor_length_description_or_layers_change_a_frame():
    assert stored(FULL, reversed(range(12))) == firsts()[::-1]
    dumped = json.loads(json.dumps(dump(parse(FULL))))
    for change in ({"frames": 1000}, {"description": "x", "layers": ["depth"]}, dumped):
        assert stored({**FULL, **change}, range(5)) == firsts()[:5]
    with pytest.raises(RecipeError, match="count from 0"):
        stored(FULL, [-1])


def stored(recipe, indices):
    solve = FakeSolve()
    return [to_json(draw(parse(recipe), i, solve)) for i in indices]


def test_another_name_or_seed_draws_others_and_equal_streams_the_same():
    renamed = {**FULL, "name": "other"}
    assert len(set(firsts())) == 12
    for other in (renamed, {**FULL, "seed": 6}):
        assert not set(firsts()) & set(stored(other, range(12)))
    assert stored({**renamed, "streams": "full"}, range(5)) == firsts()[:5]
    alone = stored({**FULL, "streams": ""}, range(5))
    assert alone == stored({**renamed, "streams": ""}, range(5)) != firsts()[:5]


def test_a_choice_added_to_one_purpose_changes_no_other():
    blurred = {**FULL, "lens": {"blur": 1.0, "blur_sigma_px": 8}}
    plain, lens = (json.loads(stored(r, [6])[0]) for r in (FULL, blurred))
    assert plain.pop("lens") != lens.pop("lens")
    assert plain == lens


def test_another_process_draws_the_same():
    here, root = Path(__file__).parent, Path(__file__).parents[2]
    code = "from test_draw import FULL, stored; print(stored(FULL, [3])[0])"
    env = {"PYTHONPATH": f"{here}:{root}", "PYTHONHASHSEED": "77"}
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
    )
    assert child.stdout.strip() == firsts()[3]


def test_every_range_of_the_recipe_holds():
    solve = FakeSolve()
    poses = {pose.name for pose in CATALOGUE.poses}
    for index in range(60):
        spec = draw(parse(FULL), index, solve)
        assert 1 <= len(spec.people) <= 4
        seats = [t for t in spec.objects if t.role == "seat"]
        assert 1 <= len(spec.objects) - len(seats) <= 3
        assert len(spec.cutouts) <= 2
        assert {n for p in spec.people for n in p.pose.name.split("+")} <= poses
        assert spec.lens.jpeg_quality in range(80, 96)
        for material in (g.material for person in spec.people for g in person.outfit):
            assert all(0 <= c <= 1 for c in (*material.base_rgb, *material.second_rgb))


def test_a_frame_is_drawn_anew_until_somebody_is_in_sight():
    far = {"name": "far", "camera": {"distance_m": [2, 12]}}

    def drawn(px):
        made = parse({**far, "people": {"count": 1, "min_visible_px": px}})
        return [draw(made, index, FakeSolve()) for index in range(30)]

    def shown(spec):
        return int(np.isfinite(FakeSolve().depths_m(spec.people, spec.camera)).sum())

    kept, anew = drawn(0), drawn(9000)
    assert {spec.attempt for spec in kept} == {0}
    assert 3 <= sum(spec.attempt > 0 for spec in anew) < 30
    for old, new in zip(kept, anew, strict=True):
        assert (new == old) == (new.attempt == 0)
        assert shown(new) > 0.8 * 9000 and (new.attempt == 0 or shown(old) < 1.2 * 9000)
    assert {spec.attempt for spec in drawn(10**6)} == {7}
