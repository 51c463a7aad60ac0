import json
import subprocess
import sys
from pathlib import Path

import pytest
from recipe_fake import CATALOGUE, FakeSolve

from synthstudio.core.errors import RecipeError
from synthstudio.core.spec_json import from_json, to_json
from synthstudio.recipe.draw import draw
from synthstudio.recipe.schema.load import parse

FULL = {
    "name": "full",
    "seed": 5,
    "people": {"count": [1, 4]},
    "things": [{"kind": "procedural", "count": [0, 2]}, {"kind": "mesh", "folder": "m"}],
    "cutouts": {"folder": "c", "count": [0, 2]},
    "backdrop": {
        "kind": "mix",
        "choices": [
            {"weight": 1, "backdrop": {"kind": "photo", "folder": "b"}},
            {"weight": 1, "backdrop": {"kind": "hdri", "folder": "h"}},
            {"weight": 1, "backdrop": {"kind": "room"}},
            {"weight": 1, "backdrop": {"kind": "plain"}},
        ],
    },
}


def stored(recipe, indices):
    solve = FakeSolve()
    return [to_json(draw(parse(recipe), i, solve)) for i in indices]


def test_the_same_arguments_give_the_same_frame():
    assert stored(FULL, range(30)) == stored(FULL, range(30))


def test_order_does_not_matter():
    backwards = stored(FULL, reversed(range(20)))
    assert stored(FULL, range(20)) == backwards[::-1]


def test_a_longer_run_begins_with_the_shorter():
    short, long = ({**FULL, "frames": frames} for frames in (10, 1000))
    assert stored(short, range(10)) == stored(long, range(10))


def test_neither_description_nor_layers_change_a_frame():
    other = {**FULL, "description": "x", "layers": ["depth"]}
    assert stored(FULL, range(5)) == stored(other, range(5))


def test_another_name_draws_others_and_equal_streams_the_same():
    renamed = {**FULL, "name": "other"}
    assert not set(stored(FULL, range(20))) & set(stored(renamed, range(20)))
    assert stored({**renamed, "streams": "full"}, range(5)) == stored(FULL, range(5))
    alone = stored({**FULL, "streams": ""}, range(5))
    assert alone == stored({**renamed, "streams": ""}, range(5)) != stored(FULL, range(5))


def test_frames_and_seeds_differ():
    frames = stored(FULL, range(40))
    assert len(set(frames)) == 40
    assert not set(frames) & set(stored({**FULL, "seed": 6}, range(40)))


def test_a_choice_added_to_one_purpose_changes_no_other():
    plain, lens = (
        json.loads(stored(r, [6])[0])
        for r in (FULL, {**FULL, "lens": {"blur": 1.0, "blur_sigma_px": 8}})
    )
    assert plain.pop("lens") != lens.pop("lens")
    assert plain == lens


def test_another_process_draws_the_same(tmp_path):
    script = tmp_path / "once.py"
    script.write_text(
        "import sys, json\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from recipe_fake import FakeSolve\n"
        "from synthstudio.core.spec_json import to_json\n"
        "from synthstudio.recipe.draw import draw\n"
        "from synthstudio.recipe.schema.load import parse\n"
        f"print(to_json(draw(parse(json.loads({json.dumps(FULL)!r})), 3, FakeSolve())))\n"
    )
    root = Path(__file__).parents[2]
    got = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
        env={"PYTHONPATH": str(root), "PYTHONHASHSEED": "77"},
    )
    assert got.stdout.strip() == stored(FULL, [3])[0]


def test_specs_survive_json():
    solve = FakeSolve()
    for index in range(60):
        spec = draw(parse(FULL), index, solve)
        assert from_json(to_json(spec)) == spec


def test_a_dumped_recipe_draws_the_same():
    from synthstudio.recipe.schema.load import dump

    again = json.loads(json.dumps(dump(parse(FULL))))
    assert stored(FULL, range(8)) == stored(again, range(8))


def test_the_spec_says_where_it_comes_from():
    spec = draw(parse({**FULL, "skeleton": "coco17", "image": {"supersample": 3}}), 7, FakeSolve())
    assert (spec.seed, spec.index, spec.skeleton, spec.supersample) == (5, 7, "coco17", 3)
    assert spec.group_id == "5-7"
    assert spec.variant == "base"


def test_a_negative_index_is_refused():
    with pytest.raises(RecipeError, match="count from 0"):
        draw(parse(FULL), -1, FakeSolve())


def test_every_range_of_the_recipe_holds_over_200_frames():
    solve = FakeSolve()
    poses = {pose.name for pose in CATALOGUE.poses}
    for index in range(200):
        spec = draw(parse(FULL), index, solve)
        assert 1 <= len(spec.people) <= 4
        seats = [t for t in spec.things if t.role == "seat"]
        assert 1 <= len(spec.things) - len(seats) <= 3
        assert len(spec.cutouts) <= 2
        assert {n for p in spec.people for n in p.pose.name.split("+")} <= poses
        assert spec.lens.jpeg_quality in range(80, 96)
        for person in spec.people:
            for garment in person.outfit:
                assert all(0 <= c <= 1 for c in garment.material.base_rgb)
                assert all(0 <= c <= 1 for c in garment.material.second_rgb)
