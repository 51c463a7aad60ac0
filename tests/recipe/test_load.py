import json

import pytest

from synthstudio.core.errors import RecipeError
from synthstudio.core.safe_yaml import MAX_BYTES
from synthstudio.recipe.schema import load
from synthstudio.recipe.schema.load import dump, parse
from synthstudio.recipe.schema.recipe import Recipe


def fault(tmp_path, text, name="scene.yaml"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RecipeError) as caught:
        load.load(path)
    message = str(caught.value)
    assert str(path) in message
    assert "Traceback" not in message
    return message


def test_the_least_recipe_loads_with_defaults(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: least\n")  # a byte order mark is no fault
    assert load.load(str(path)) == Recipe(name="least")
    assert load.load(str(path)).frames == 24
    path.write_text("name: a\nlens: {noise: 2e-1}\n")
    assert load.load(path).lens.noise == 0.2


WRONG = [
    ("name: a\nframes: 0\n", (":2: frames", "1", "got 0")),
    ("name: a\nframes: 1.5\n", ("frames", "got 1.5")),
    ("name: a\nframes: yes\n", ("frames", "got True")),
    ("name: a\nsead: 3\n", (":2: sead", "unknown field", "'seed'")),
    ("name: a\npeople:\n  cuont: 3\n", (":3: people.cuont", "'count'")),
    ("name: a\nobjects:\n- {kind: procedural, placment: beside}\n", ("objects.0.placment",)),
    ("name: a\nzzqq: 1\n", ("unknown field", "README")),
    ("name: a\nname: b\n", (":2", "'name' is given twice", "line 1")),
    ("name: a\npeople: {count: 1, count: 2}\n", ("'count' is given twice",)),
    ("name: a\npeople:\n  count: [3, 1]\n", (":3: people.count", "low 3", "got [3, 1]")),
    ("name: a\nlens: {blur: 1.5}\n", ("lens.blur", "1", "got 1.5")),
    ("name: a\npeople: {poses: {mix: -0.1}}\n", ("people.poses.mix", "got -0.1")),
    ("name: a\npeople: {face: {beard: 1.5}}\n", ("people.face.beard", "got 1.5")),
    ("name: a\npeople: {poses: {look: {camera: 0}}}\n", ("people.poses.look",)),
    ("name: a\ncamera: {distance_m: 0.1}\n", ("camera.distance_m", "[0.6, 60]")),
    ("name: a\ncamera: {distance_m: [1, 500]}\n", ("camera.distance_m", "outside")),
    ("name: a\ncamera: {height_m: '3'}\n", ("camera.height_m", "got '3'")),
    ("name: a\ncamera: {height_m: .nan}\n", ("camera.height_m", "nan")),
    (f"name: a\ncamera: {{height_m: {10**400}}}\n", ("camera.height_m",)),
    (f"name: a\ncamera: {{height_m: [-{10**400}, 3]}}\n", ("camera.height_m",)),
    ("name: a\ncamera: {height_m: .inf}\n", ("camera.height_m", "inf")),
    ("name: a\nimage: {width_px: 63}\n", ("image.width_px", "64")),
    ("name: a\nimage: {width_px: 99999}\n", ("image.width_px", "4096")),
    ("name: a\nsplits: {train: 0.5}\n", ("splits", "must be 1")),
    ("name: a\nlayers: [depht]\n", ("layers.0", "depth")),
    ("name: A B\n", ("name", "got 'A B'")),
    ("frames: 3\n", ("name", "needed")),
    ("name: a\nbackdrop: {kind: photo}\n", ("backdrop.folder", "needed")),
    ("name: a\nbackdrop: {kind: foto, folder: x}\n", ("backdrop", "'photo'", "foto")),
    ("name: a\nbackdrop: {kind: mix, choices: []}\n", ("backdrop.choices",)),
    ("name: a\ncutouts: {folder: c, depth_m: 2}\n", ("cutouts.depth_m", "size: share")),
    ("name: a\ncamera: 3\n", (":2: camera", "got 3")),
    ("name: a\nlight: {warmth: {choice: {0.1: 0}}}\n", ("light.warmth", "positive sum")),
    ("name: a\nobjects: [{kind: mesh, folder: a}, {kind: mesh, folder: b}]\n", ("one entry of",)),
]
TOGETHER = [
    ("name: a\npeople: {count: 2, identities: 3}\nholdout: {identities: 2}\n", ("held out",)),
    ("name: a\nsplits: {train: 1.0, val: 0, test: 0}\nholdout: {poses: [sit]}\n", ("holdout",)),
    ("name: a\nframes: 3\nlayers: [depth, depth]\n", (":3: layers: each layer once",)),
    ("name: a\nframes: 3\nskeleton: coco18\n", (":3: skeleton: one of", "coco17", "got 'coco18'")),
    (
        "name: a\npeople:\n  count: 9\n  identities: 3\n",
        (":4: people.identities: 3 less 0 held out", "too few", "got 3"),
    ),
    (
        "name: a\nbackdrop: {kind: photo, folder: x}\nvariants:\n  view: 2\n",
        (":4: variants.view: a photo shows one side",),
    ),
    (
        "name: a\n\ntargets:\n  joints: {left_wrst: 0.5}\n",
        (":4: targets.joints: 'left_wrst' is not a joint",),
    ),
    ("name: a\ntargets: {joints: {nose+left_eye: 0.9, nose: 0.1}}\n", ("its rate is lower",)),
    ("name: a\npeople: {count: 1}\ntargets: {crowd_index: 0.5}\n", ("raise people.count",)),
    ("name: a\npeople: {count: 1, interactions: {share: 1.0}}\n", ("raise people.count",)),
    ("name: a\nquotas: {family: {stand: 1}}\npeople: {hold: {share: 0.5}}\n", ("people.hold",)),
]
"""What fields make together: one sentence each, without the recipe."""


@pytest.mark.parametrize(("text", "says"), [*WRONG, *TOGETHER])
def test_wrong_values_are_named_with_line_field_and_value(tmp_path, text, says):
    message = fault(tmp_path, text)
    for part in says:
        assert part in message
    if (text, says) in TOGETHER:
        assert len(message.splitlines()) == 1 and ":1:" not in message
        assert "{" not in message and "'name'" not in message


@pytest.mark.parametrize("folder", ["/etc", "../x", "a/../b", "~/x", "C:/x", "a\\b", "", "a//b"])
def test_asset_folders_stay_below_the_root(tmp_path, folder):
    assert "folder" in fault(tmp_path, f"name: a\ncutouts: {{folder: '{folder}'}}\n")


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: [unclosed\n", "not a recipe in YAML"),
        ("name: a: b\n", "not a recipe in YAML"),
        ("\tname: a\n", "not a recipe in YAML"),
        ("", "empty file"),
        ("# nothing\n", "empty file"),
        ("- name: a\n", "got list"),
        ("just text\n", "got str"),
        ("name: a\n---\nname: b\n", "not a recipe in YAML"),
        ("name: !!python/object/apply:os.system ['true']\n", "not a recipe in YAML"),
        ("name: a\nbase: &x {frames: 3}\n", "anchors"),
        ("name: a\nframes: 010\n", "valid integer; got '010'"),
        ("name: a\nseed: 1:30\n", "valid integer; got '1:30'"),
        ("name: a\npeople: *x\n", "aliases"),
        (BOMB, "aliases"),
        ("name: a\n<<: {frames: 3}\n", "not a recipe in YAML"),
        ("name: a\0\n", "not a recipe in YAML"),
        ("? [a, b]\n: 1\n", "not a recipe in YAML"),
        ("name: " + "[" * 5000 + "\n", "cannot be read"),
        (b"name: \xff\xfe\n", "UTF-8"),
        ("name: a\ndescription: " + "x" * MAX_BYTES, "too large"),
    ],
)
def test_what_is_no_recipe_is_one_message(tmp_path, text, says):
    assert says in fault(tmp_path, text)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(RecipeError, match=r"no recipe there.*got nothing"):
        load.load(tmp_path / "absent.yaml")
    with pytest.raises(RecipeError, match="got a folder"):
        load.load(tmp_path)


def test_all_faults_come_at_once(tmp_path):
    message = fault(tmp_path, "name: a\nframes: 0\nseed: -1\nlens: {blur: 2}\nsead: 1\n")
    assert len(message.splitlines()) == 4


def test_many_faults_are_counted(tmp_path):
    text = "name: a\n" + "".join(f"zz{i}: 1\n" for i in range(30))
    assert "and 18 more" in fault(tmp_path, text)


def test_a_dumped_recipe_reads_back(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(
        "name: a\npeople: {count: {choice: {1: 0.5, 2: 0.5}}}\n"
        "camera: {distance_m: {choice: {2.5: 1, 3: 2}}, pitch_deg: [-5, 0]}\n"
        "objects: [{kind: mesh, folder: m}, {kind: procedural, kinds: {crate: 1}}]\n"
        "cutouts: {folder: c, size: share, depth_m: 2}\n"
        "backdrop: {kind: mix, choices: [{weight: 1, backdrop: {kind: room}}]}\n"
    )
    recipe = load.load(path)
    plain = dump(recipe)
    assert parse(json.loads(json.dumps(plain))) == recipe
    assert plain["lens"]["jpeg_quality"] == [80, 95]
    assert recipe.folders == {"cutouts": "c", "meshes": "m"}


def test_a_fault_does_not_repeat_the_whole_file(tmp_path):
    message = fault(tmp_path, "name: a\nbackdrop: {kind: %s}\n" % ("a" * 100_000))
    assert len(message) < 1000 and "backdrop" in message
