"""What hides people in training never hides them in the test."""

import json
from pathlib import Path

import asset_roots
import pytest

from synthstudio.core.errors import AssetError
from synthstudio.experiment import occluders
from synthstudio.props import procedural
from synthstudio.recipe.schema.load import parse


def test_kinds_are_known_and_in_one_part() -> None:
    known = {obj.kind for obj in procedural.kinds()}
    assert not set(occluders.KINDS["train"]) & set(occluders.KINDS["test"])
    assert set(occluders.KINDS["train"]) | set(occluders.KINDS["test"]) <= known
    for name in occluders.KINDS:
        for cutouts in (False, True):
            made = parse(occluders.recipe(name, seed=4, cutouts=cutouts))
            assert made.photo_options.ground == "any"
            assert made.occlude is not None and not made.occlude.by.get("person")


def held(tmp_path: Path, folder: Path, seed: int = 0) -> dict[str, list[str]]:
    return occluders.split_cutouts(folder, tmp_path / f"out-{seed}", seed=seed)


def test_cutouts_are_parted_by_category_with_their_licences(tmp_path: Path) -> None:
    folder = asset_roots.cutouts(tmp_path / "objects")
    extra = json.loads((folder / "manifest.json").read_text())
    (folder / "dog2.png").write_bytes((folder / "dog.png").read_bytes() + b"\0")
    (folder / "manifest.json").write_text(
        json.dumps([*extra, {"file": "dog2.png", "category": "dog", "license": "CC0"}])
    )
    found = held(tmp_path, folder)
    assert sorted(found["train"] + found["test"]) == sorted(p.name for p in folder.glob("*.png"))
    assert found["train"] and found["test"]
    assert ("dog.png" in found["train"]) == ("dog2.png" in found["train"])
    for name, files in found.items():
        ledger = json.loads((tmp_path / "out-0" / name / "cutouts/manifest.json").read_text())
        assert sorted(entry["file"] for entry in ledger) == sorted(files)
        assert all(entry["license"] == "CC0" for entry in ledger)
    assert any(held(tmp_path, folder, seed)["test"] != found["test"] for seed in (1, 2, 3))


def test_cutouts_without_categories_are_parted_by_file_and_too_few_are_refused(
    tmp_path: Path,
) -> None:
    folder = asset_roots.cutouts(tmp_path / "objects")
    (folder / "manifest.json").unlink()
    found = held(tmp_path, folder)
    assert len(found["train"]) == len(found["test"]) == 2
    for name in ("clock", "dog", "tv"):
        (folder / f"{name}.png").unlink()
    with pytest.raises(AssetError):
        held(tmp_path, folder, seed=1)


@pytest.mark.parametrize(
    ("categories", "use"),
    [
        (("backpack", "office chair", "suitcase", "chair"), "hide people in training"),
        (("bicycle", "dining table", "table", "fence"), "are held out for the test"),
    ],
)
def test_kin_of_the_objects_of_one_part_alone_is_told_as_such(
    tmp_path: Path, categories: tuple[str, ...], use: str
) -> None:
    folder = asset_roots.cutouts(tmp_path / "objects")
    ledger = json.loads((folder / "manifest.json").read_text())
    reported = [entry | {"category": c} for entry, c in zip(ledger, categories, strict=True)]
    (folder / "manifest.json").write_text(json.dumps(reported))
    with pytest.raises(AssetError, match=f"all cut-outs are sorts of built-in objects that {use}"):
        held(tmp_path, folder)
    reported[0]["category"] = "dog"
    (folder / "manifest.json").write_text(json.dumps(reported))
    assert all(held(tmp_path, folder).values())
