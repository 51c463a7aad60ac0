"""Assets in MakeHuman's format: a suit of the base mesh's own helper, hair, and damaged files."""

import json
import re
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner
from wardrobe_people import OUTFITS, dressed, person

import synthstudio as ss
from synthstudio.body import makehuman, makehuman_files
from synthstudio.body.atlas import bare_body, load_atlas
from synthstudio.cli import app
from synthstudio.core import safe_files
from synthstudio.core.errors import AssetError, RecipeError
from synthstudio.core.spec import GarmentSpec, Material

HEAD = "# license: CC0\nname suit\nobj_file a.obj\nx_scale 5399 11998 1.4\nz_scale 962 5320 1.9\n"
RECIPE = {
    "name": "own",
    "frames": 3,
    "image": {"width_px": 160, "height_px": 200},
    "people": {"count": 1, "wardrobe": {"makehuman": {"folder": "packs", "share": 1}, "hat": 0.5}},
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def written(folder, faces, more="basemesh hm08\n", bindings=None, alpha=None, tag="Suit"):
    """An asset of the template's triangles `faces`, each of its vertices bound to itself."""
    folder.mkdir(parents=True)
    used, own = np.unique(faces, return_inverse=True)
    at = load_atlas().template_m[used]
    lines = bindings or [str(v) for v in used]
    head = f"{HEAD}y_scale 791 881 2.3\ntag {tag}\n{more}material a.mhmat\nverts 0\n"
    (folder / "a.mhclo").write_text(head + "\n".join(lines) + "\ndelete_verts\n100 - 110 120\n")
    obj = [f"v {x} {z} {-y}" for x, y, z in at] + [f"vt {x + 0.5} {z % 1}" for x, _, z in at]
    corners = own.reshape(-1, 3) + 1
    obj += ["f " + " ".join(f"{v}/{v}" for v in face) for face in corners.tolist()]
    (folder / "a.obj").write_text("\n".join(obj))
    (folder / "a.mhmat").write_text("diffuseColor 0.5 1 1\ndiffuseTexture a.png\n")
    if alpha is not None:
        picture = np.full((64, 64, 4), 200, np.uint8)
        picture[..., 3] = alpha
        Image.fromarray(picture).save(folder / "a.png")
    return folder / "a.mhclo"


def suit():
    return load_atlas().groups["tights"]


def scalp():
    atlas = load_atlas()
    return atlas.skin_faces[(atlas.template_m[atlas.skin_faces][..., 2] > 0.70).all(axis=1)]


def with_suit(spec, kind):
    return replace(
        spec, outfit=(*spec.outfit, GarmentSpec(kind=kind, shape={}, material=Material()))
    )


def test_an_offset_grows_with_the_body_and_turns_with_its_bones(tmp_path):
    faces = suit()
    used = np.unique(faces)
    corners = [f"{v} {v} {v} 0.5 0.25 0.25 0 0 0.4" for v in used]  # 4 cm to the front
    path = written(tmp_path / "suit", faces, bindings=corners)
    kind, _, licence = makehuman.describe(path, "suit#1")
    assert (kind.slot, kind.whole, licence) == ("top", True, "CC0")
    heads = ("# CC0, made by A", "# not CC0 but AGPL3", "# CC BY 4.0, not CC0")
    assert [*map(makehuman_files._licence, heads)] == ["CC0", "", ""]
    spec = person("man", "stand_relaxed", "sneakers", "short_hair")
    (made,) = (s for s in dressed(with_suit(spec, "suit#1")) if s.name == "suit#1")
    bare = bare_body(load_atlas(), spec.phenotype, spec.pose.angles_rad)
    depth = abs(bare.rest_m[962, 1] - bare.rest_m[5320, 1]) / 0.19
    moved = np.linalg.norm(made.vertices_m - bare.vertices_m[used], axis=1)
    assert np.median(moved) == pytest.approx(0.04 * depth, rel=0.05)


def test_skin_is_deleted_and_cloth_stays_off_it(tmp_path):
    makehuman.describe(written(tmp_path / "suit", suit()), "suit#2")
    spec = person("heavy", "crouch", "short_hair")
    skin, *_, made = sorted(dressed(with_suit(spec, "suit#2")), key=lambda s: s.name == "suit#2")
    gone = np.isin(skin.faces, [*range(100, 111), 120]).all(axis=1)
    assert gone.any()
    assert not skin.drawn[gone].any()
    assert np.isfinite(made.vertices_m).all()
    assert np.linalg.norm(made.normals, axis=1) == pytest.approx(1, abs=1e-4)


def test_a_transparent_texel_hides_nothing(tmp_path):
    stripes = np.where(np.arange(64) % 16 < 8, 255, 0).astype(np.uint8)
    whole = makehuman.read(written(tmp_path / "whole", scalp(), alpha=255, tag="Hair"))
    half = makehuman.read(written(tmp_path / "half", scalp(), alpha=stripes, tag="Hair"))
    assert half.slot == whole.slot == "hair"

    def areas(bound):
        a, b, c = (bound.drawn @ (bound.rows @ load_atlas().template_m))[bound.faces].swapaxes(0, 1)
        area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        u = bound.coords[bound.faces].mean(axis=1)[:, 0]
        return area.sum(), area[(64 * u + 0.5) % 16 < 9].sum()

    (everything, opaque), (cut, inside) = areas(whole), areas(half)
    assert cut == pytest.approx(opaque, rel=0.15)
    assert inside / cut > 0.99 > 0.8 > cut / everything


def test_labels_agree_by_rays_and_changed_files_are_refused(tmp_path, monkeypatch):
    stripes = np.where(np.arange(64) % 8 < 4, 255, 0).astype(np.uint8)
    written(tmp_path / "packs" / "hair" / "a", scalp(), alpha=stripes, tag="Hair")
    written(tmp_path / "suit" / "clothes" / "suit", suit(), alpha=255)
    pack = shutil.make_archive(str(tmp_path / "packs" / "pack"), "zip", tmp_path / "suit")
    skin(tmp_path / "packs")
    made = ss.generate(RECIPE, tmp_path / "set", assets=tmp_path, progress=False)
    assert "a" in {g.kind.split("#")[0] for f in made for g in f.spec.people[0].outfit}
    assert any(".zip/clothes/" in asset.name for asset in made.identity.assets)
    found = ss.audit(made, assets=tmp_path, progress=False).figures
    assert (found["state_differs"], found["cause_differs"]) == (0, 0)
    monkeypatch.setattr(makehuman, "_REGISTERED", {})  # as in another process
    (tmp_path / "suit" / "clothes" / "suit" / "a.mhmat").write_text("diffuseColor 1 1 1\n")
    shutil.make_archive(pack[:-4], "zip", tmp_path / "suit")
    with pytest.raises(RecipeError, match="has changed"):
        ss.audit(made, assets=tmp_path, progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("basemesh hm08", "basemesh other"), "another base mesh"),
        (("\nverts 0\n", "\nverts 0\n19158\n"), "line 11"),
        (("\nverts 0\n", "\nverts 0\n1 2 3 nan 0 0 0 0 0\n"), "line 11"),
        (("\nverts 0\n", "\nverts 0\n7\n"), "mesh and bindings differ"),
        (("obj_file a.obj", "obj_file ../a.obj"), "outside its folder"),
        (("obj_file a.obj\n", ""), "no obj_file"),
        (("x_scale 5399 11998 1.4", "x_scale 5399 11998 0"), "invalid x_scale"),
        (("delete_verts\n100", "delete_verts\n99999"), "invalid delete_verts"),
    ],
)
def test_damaged_assets_are_one_message(tmp_path, change, message):
    path = written(tmp_path / "suit", suit())
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(AssetError, match=re.escape(message)):
        makehuman.read(path)


LINK = zipfile.ZipInfo("a.mhclo")
LINK.external_attr = 0o120777 << 16
FLAGS = b"PK\1\2\x14\3\x14\0"  # what precedes them in the list at the end
SKIN = "skins/a/a.mhmat"


@pytest.mark.parametrize(
    ("name", "content", "change", "message"),
    [
        ("a.mhclo", bytes(80 << 20), None, "bytes unpack to 83,886,080"),
        ("/a.mhclo", b"1", None, "unsafe file name"),
        ("b/../../a.mhclo", b"1", None, "unsafe file name"),
        (LINK, b"1", None, "a link in it, a.mhclo"),
        ("a.mhclo", b"1", (FLAGS + b"\0", FLAGS + b"\1"), "encrypted"),
        ("a.mhclo", b"1", (b"PK\5\6", b""), "not a zip file"),
        ("a.mhclo", b"content", (b"content", b"changed"), "Bad CRC-32"),
        ("a.mhclo", b"", None, "1 files in it, more than 0"),
        (SKIN, b"uvMap ../uvs/other.mhuv\n", None, "a skin of another UV"),
        (SKIN, b"diffuseTexture b.png\n", None, "a skin without a texture"),
        (SKIN, b"diffuseTexture ../../b.png\n", None, "outside its folder"),
        (SKIN, b"diffuseTexture a.mhmat\n", None, "not a picture"),
        (SKIN, b"diffuseColor 1 nan 1\n", None, "invalid diffuseColor"),
    ],
)
def test_a_bad_archive_or_skin_is_one_finding(
    tmp_path, monkeypatch, name, content, change, message
):
    monkeypatch.setattr(safe_files, "_MAX_FILES", min(len(content), 1))
    asset = written(tmp_path / "packs" / "suit", suit())
    asset.write_text(asset.read_text().replace("a.mhmat", "b" * 5000))  # no file has that name
    archive = tmp_path / "packs" / "bad.zip"
    with zipfile.ZipFile(archive, "w") as pack:
        pack.writestr(name, content, zipfile.ZIP_DEFLATED if len(content) > 99 else None)
    archive.write_bytes(archive.read_bytes().replace(*change or (b"", b"")))
    good, bad = ss.check_assets(tmp_path / "packs")
    assert (good["slot"], bad["slot"]) == ("top", "") and message in bad["problem"]
    assert len([*tmp_path.rglob("*a.mhclo")]) == 1


@pytest.mark.parametrize(
    ("low_m", "high_m", "slot"),
    [(0, 0.5, "top"), (-0.7, 0, "bottom"), (0.64, 0.67, "eyebrows"), (0.5, 0.58, "beard")],
)
def test_parts_are_worn(tmp_path, low_m, high_m, slot):
    atlas = load_atlas()
    own = suit() if slot in ("top", "bottom") else atlas.skin_faces
    z = atlas.template_m[own][..., 2]
    path = written(tmp_path / "a", own[((z > low_m) & (z < high_m)).all(axis=1)], tag=slot)
    kind = makehuman.describe(path, slot)[0]
    assert kind.slot == slot[-5:] or kind.slot == slot
    assert (kind.whole, kind.fits(1, 0.7)) == (False, slot != "beard")
    others = {"top": ("jeans",), "bottom": ("t_shirt",)}.get(slot, ("t_shirt", "jeans"))
    skin = dressed(with_suit(person("man", "stand_relaxed", *others), slot))[0].material
    assert (skin.second_rgb == skin.base_rgb) == (slot == "eyebrows")


def skin(folder):
    """An old man's skin, whose texture lies as those of MakeHuman's own."""
    for name in ("a", "textures"):
        (folder / "skins" / name).mkdir(parents=True)
    for name, colour in (("a", (200, 150, 120)), ("n", (128, 128, 255))):
        picture = Image.new("RGB", (64, 64 if name == "a" else 32), colour)
        picture.save(folder / "skins" / "textures" / f"{name}.png")
    lines = "diffuseTexture ../textures/a.png\nnormalmapTexture ../textures/n.png\n"
    (folder / SKIN).write_text(f"tag old\ntag man\n{lines}")
    return folder / SKIN


def test_a_skin_lies_on_the_coordinates_of_the_base_mesh(tmp_path):
    kind = makehuman.describe(skin(tmp_path), "skin#1")[0]
    assert (kind.slot, kind.fits(0, 0.9), kind.fits(0, 0.7)) == ("skin", True, False)
    spec = person("man", "stand_relaxed", *OUTFITS["plain"])
    plain, own = dressed(spec)[0], dressed(with_suit(spec, "skin#1"))[0]
    assert (own.material.kind, own.material.texture, own.material.bump) == ("skin", 0, 1)
    assert makehuman.asset("skin#1").look.texture.shape == (128, 64, 4)
    assert (own.vertices_m[own.faces] == plain.vertices_m[plain.faces]).all()
    apart = own.coords[own.faces][..., :2] - load_atlas().uv[plain.faces]
    assert (np.abs(apart).max(axis=2) < 1e-6).mean() > 0.95  # all but seams


def test_published_assets_are_worn(shared_data, tmp_path):
    shutil.copytree(shared_data / "makehuman", tmp_path / "packs")
    listed = CliRunner().invoke(app, ["assets", "check", str(tmp_path / "packs"), "--json"])
    found = json.loads(listed.stdout)["assets"]
    assert (listed.exit_code, len(found)) == (0, 11) and not any(one["problem"] for one in found)
    made = ss.generate(RECIPE, tmp_path / "set", assets=tmp_path, progress=False)
    assert any("fedora" in g.kind for f in made for g in f.spec.people[0].outfit)
    assert ss.audit(made, assets=tmp_path, progress=False).figures["state_differs"] == 0
