"""The form of a recipe: values in, faults beside their fields, and no way to a folder."""

from pathlib import Path

import pytest
import yaml
from job_orders import RECIPE, settings_in

from synthstudio.core.errors import RecipeError
from synthstudio.recipe.schema.load import dump, load, parse
from synthstudio.studio import recipe_form as form
from synthstudio.studio.recipe_form import scenes

SCENES = sorted((Path(__file__).resolve().parents[2] / "scenes").glob("*.yaml"))


@pytest.mark.parametrize("path", SCENES, ids=lambda p: p.stem)
def test_every_field_of_every_scene_round_trips(path):
    recipe = load(path)
    values = dump(recipe)
    fields = form.main_fields(recipe, max_frames=20_000)
    for part in form.sections(recipe):
        fields += form.section_fields(recipe, part)
    assert len({f.path for f in fields}) == len(fields) > 60
    lines = {f.path: form.to_yaml_line(form.value_at(values, f.path)) for f in fields}
    output = {path: form.parse_yaml_line(line) for path, line in lines.items()}
    assert form.apply_edits(recipe, output) == (recipe, {})
    assert len([f for f in fields if f.help]) > 0.9 * len(fields)


def test_no_field_leads_to_a_folder():
    folder = {"kind": "photo", "folder": "photos"}
    recipe = parse({**RECIPE, "backdrop": folder, "cutouts": {"folder": "cut"}})
    fields = [f for part in form.sections(recipe) for f in form.section_fields(recipe, part)]
    assert not [f for f in fields if "folder" in f.name]
    for path, value in (
        (("backdrop", "folder"), "other"),
        (("backdrop",), {**folder, "folder": "other"}),
        (("cutouts",), {"folder": "../../etc"}),
        (("cutouts",), {"folder": "other"}),
        (("motion",), {"folder": "other"}),
    ):
        made, faults = form.apply_edits(recipe, {path: value})
        assert made is None and faults, path
    assert form.apply_edits(recipe, {("backdrop", "kind"): "photo"})[1] == {}


def test_faults_stand_beside_their_fields():
    recipe = parse(RECIPE)
    edits = {("frames",): 0, ("camera", "height_m"): [3, 1], ("people", "identities"): 0}
    made, faults = form.apply_edits(recipe, edits)
    assert made is None and set(faults) == {"frames", "camera.height_m", "people.identities"}
    assert "low 3 is greater than 1" in faults["camera.height_m"]
    camera = {f.name: f for f in form.section_fields(recipe, "camera")}
    assert form.field_errors(faults, camera["camera.height_m"]) == faults["camera.height_m"]
    assert form.field_errors(faults, camera["camera.vertical_fov_deg"]) == ""
    inside = {"camera.height_m.normal.sd": "too small"}
    assert form.field_errors(inside, camera["camera.height_m"]) == "too small"
    twice = form.apply_edits(recipe, {("layers",): ["depth", "depth"]})[1]
    assert "each layer once" in twice["layers"]


def test_text_that_is_no_value():
    bad = ["[1, 2", "&a [1]", "*a", "{a: *b}", "x" * 4001, "!!python/object:os.system {}"]
    for text in (*bad, "[" * 300, "2026-13-45T99:99:99Z"):
        with pytest.raises(RecipeError):
            form.parse_yaml_line(text)


def test_scenes_of_a_folder(tmp_path):
    settings = settings_in(tmp_path)
    folder = settings.scenes
    (folder / "quickstart.yaml").write_text(yaml.safe_dump({**RECIPE, "name": "q"}))
    (folder / "broken.yaml").write_text("name: [")
    photo = {**RECIPE, "backdrop": {"kind": "photo", "folder": "photos"}}
    (folder / "aaa.yaml").write_text(yaml.safe_dump(photo))
    (folder / "hides.yaml").write_text(yaml.safe_dump({**RECIPE, "occlude": {"each": 2}}))
    found, wrong = scenes(settings)
    assert [s.name for s in found] == ["quickstart", "tiny", "aaa", "hides"]
    assert [s.usable for s in found] == [True, True, False, False]
    assert "photos" in found[2].why_not and "occlude" in found[3].why_not
    assert len(wrong) == 1 and wrong[0].startswith("broken.yaml")
