"""The form of a recipe: values in, faults beside their fields, and no way to a folder."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from job_orders import RECIPE, settings_in

from synthstudio.core.errors import RecipeError
from synthstudio.recipe.schema.load import dump, load, parse
from synthstudio.studio.generating import form
from synthstudio.studio.generating.job_list import (
    bytes_text,
    ended_text,
    progress_text,
    seconds_text,
    waiting_text,
)
from synthstudio.studio.generating.scenes import scenes
from synthstudio.studio.jobs.job_store import Job

SCENES = sorted((Path(__file__).resolve().parents[2] / "scenes").glob("*.yaml"))


@pytest.mark.parametrize("path", SCENES, ids=lambda p: p.stem)
def test_every_field_of_every_scene_round_trips(path: Path) -> None:
    recipe = load(path)
    values = dump(recipe)
    fields = form.main_fields(values, max_frames=20_000)
    for part in form.sections(values):
        fields += form.section_fields(values, part)
    assert len({f.path for f in fields}) == len(fields) > 60
    output = {
        f.path: form.parse_yaml_line(form.to_yaml_line(form.value_at(values, f.path)))
        for f in fields
    }
    made, faults = form.apply_edits(recipe, output)
    assert faults == {} and made == recipe
    named = [f for f in fields if f.help]
    assert len(named) > 0.9 * len(fields)


def test_no_field_leads_to_a_folder() -> None:
    folder = {"kind": "photo", "folder": "photos"}
    recipe = parse({**RECIPE, "backdrop": folder, "cutouts": {"folder": "cut"}})
    values = dump(recipe)
    fields = [f for part in form.sections(values) for f in form.section_fields(values, part)]
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


def test_faults_stand_beside_their_fields() -> None:
    recipe = parse(RECIPE)
    edits = {("frames",): 0, ("camera", "height_m"): [3, 1], ("people", "identities"): 0}
    made, faults = form.apply_edits(recipe, edits)
    assert made is None and set(faults) == {"frames", "camera.height_m", "people.identities"}
    assert "low 3 is greater than 1" in faults["camera.height_m"]
    camera = {f.name: f for f in form.section_fields(dump(recipe), "camera")}
    assert form.field_errors(faults, camera["camera.height_m"]) == faults["camera.height_m"]
    assert form.field_errors(faults, camera["camera.vertical_fov_deg"]) == ""
    inside = {"camera.height_m.normal.sd": "too small"}
    assert form.field_errors(inside, camera["camera.height_m"]) == "too small"
    assert (
        "each layer once"
        in form.apply_edits(recipe, {("layers",): ["depth", "depth"]})[1]["layers"]
    )


BAD_YAML = ["[1, 2", "&a [1]", "*a", "{a: *b}", "x" * 4001, "!!python/object:os.system {}"]
BAD_YAML += ["[" * 300, "2026-13-45T99:99:99Z"]


@pytest.mark.parametrize("text", BAD_YAML)
def test_text_that_is_no_value(text: str) -> None:
    with pytest.raises(RecipeError):
        form.parse_yaml_line(text)


def test_ranges_beyond_a_slider_become_text() -> None:
    def kind(count: object) -> str:
        values = dump(parse({**RECIPE, "people": {"count": count, "identities": 90}}))
        fields = {f.name: f for f in form.main_fields(values, max_frames=10)}
        return fields["people.count"].kind

    assert [kind(2), kind([1, 8]), kind([6, 25])] == ["range", "range", "range"]
    assert kind({"choice": {1: 1, 4: 2}}) == "text"


def test_changing_does_not_touch_the_scene() -> None:
    values = dump(parse(RECIPE))
    made = form.with_edits(values, {("camera", "height_m"): [1, 2], ("frames",): 9})
    assert made["frames"] == 9 and values["frames"] == 4
    assert values["camera"]["height_m"] != made["camera"]["height_m"] == [1, 2]


def test_scenes_of_a_folder(tmp_path: Path) -> None:
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


def test_jobs_in_words() -> None:
    now = datetime.now(UTC)
    frames = {"done": 30, "total": 120, "per_second": 2.0, "message": "", "spec": {}}
    when = {"created": now, "started": now, "ended": None, "stopping": False}
    job = Job(id=1, kind="generate", who="Lea", state="running", out="first", **frames, **when)
    assert progress_text(job) == "30 of 120 frames · 2.0 a second, 45 s left"
    over = replace(job, ended=now + timedelta(seconds=70), state="done")
    told = ended_text(over, now + timedelta(hours=3))
    assert told == "30 of 120 frames · took 70 s · 3 h ago"
    assert waiting_text(replace(job, state="queued")) == "Waiting in the queue."
    times = [seconds_text(s) for s in (-1, 7, 100, 7200, 4e5)]
    assert times == ["0 s", "7 s", "2 min", "2 h", "5 days"]
    sizes = [bytes_text(b) for b in (12, 1_500, 25e6, 3.2e9)]
    assert sizes == ["12 bytes", "1.5 kB", "25 MB", "3.2 GB"]
