"""People straight from COCO files: as an import takes them, and refused where it refuses."""

import re
from pathlib import Path

import experiment_world as world
import numpy as np
import pytest
import tiny
import torch

from synthstudio.core.errors import FormatError, ModelError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.formats.export import export
from synthstudio.formats.imports import import_from
from synthstudio.models.packaged import default_tensors
from synthstudio.models.pose_bank import OUTSIDE
from synthstudio.training import checkpoint
from synthstudio.training import config as configs
from synthstudio.training.config import NO_AUGMENTATION, Augment
from synthstudio.training.data import batches, sources
from synthstudio.training.data.crops import crop_kind
from synthstudio.training.data.samples import load_dataset
from synthstudio.training.poses import pose_bank
from synthstudio.training.trainer import build, first_weights

BONES = get_skeleton("coco17")
SIZE = (48, 36)
FEW_PHOTOS = Path(__file__).resolve().parents[2] / "scenes" / "training" / "few_photos.yaml"


LABELLED = [name for name in BONES.joints if name != "right_wrist"]


def coco(folder):
    """The file of three people, whose left wrists are hidden and whose right ones unlabelled."""
    made = world.write(folder, 3, names=BONES.joints, labelled=LABELLED)
    return changed(made, lambda person: person["keypoints"].__setitem__(29, 1))


def changed(folder, change):
    """The file with each of its people changed."""
    return world.changed(folder, lambda found: [change(p) for p in found["annotations"]])


def source(file, **more):
    return {"coco": str(file), "images": str(file.parent / "images")} | more


def gathered(tmp_path, *entries, notes=None):
    config = tiny.config(Path("x"), train=list(entries), val=[])
    log = (lambda text: None) if notes is None else notes.append
    return sources.load_data(config, cache=tmp_path / "cache", log=log)


def test_they_are_those_that_an_import_gives(tmp_path):
    file = coco(tmp_path / "set")
    people = gathered(tmp_path, source(file))
    import_from("coco", file, tmp_path / "imported", images=file.parent / "images")
    kind = crop_kind(size=SIZE)
    other = load_dataset(tmp_path / "imported", kind, cache=tmp_path / "cache").samples
    assert people.skeleton.name == "coco17" and len(people.train) == len(other) == 3
    names = ["xy", "state", "present", "visibility_fractions", "xyz_m", "area", "side", "scale"]
    for name in [*names, "group"]:
        np.testing.assert_array_equal(getattr(people.train.crops, name), getattr(other, name), name)
    for k in range(3):
        np.testing.assert_array_equal(people.train.crops.images[k], other.images[k])


def test_what_nobody_labelled_stays_unknown(tmp_path):
    people = gathered(tmp_path, source(coco(tmp_path / "set")))
    crops = people.train.crops
    assert np.isnan(crops.visibility_fractions).all() and np.isnan(crops.xyz_m).all()
    assert np.isnan(crops.xy[:, 10]).all() and np.isnan(crops.present[:, 10]).all()
    assert (crops.state[:, 9] == 1).all() and (crops.state[:, 10] == 255).all()
    batch = batches.make_batch(crops, np.arange(3), people.spec, NO_AUGMENTATION)
    cover = batch.labels.occluder  # nobody said what covers these people, but not visible joints
    known = ~cover.isnan()
    assert (cover[known] == 0).all() and 0 < known.float().mean() < 0.5
    at = (batch.labels.xy * torch.tensor([9, 12])).long()
    visible = [j for j in range(17) if j not in (9, 10)]
    assert known[:, 0, at[0, visible, 1], at[0, visible, 0]].all()
    assert not batch.labels.known[:, 10].any() and batch.labels.known[:, 9].all()
    pasted = batches.make_batch(
        crops, np.arange(3), people.spec, Augment(paste=1.0, rotation_deg=0), seed=0, step=1
    )
    cover = pasted.labels.occluder
    assert (cover == 1).any() and (cover == 0).any() and cover.isnan().any()
    bank = pose_bank(people.train, BONES, size=SIZE, count=9, seed=0)
    assert len(bank.poses) == 6
    wrist = bank.poses[:3, 10]  # nobody labelled it: their left wrists, mirrored, say where
    assert torch.allclose(wrist, bank.poses[3:, 9] * torch.tensor([-1, 1]) + torch.tensor([1, 0]))


def test_the_packages_network_begins_on_few_photos(tmp_path):
    """scenes/training/few_photos.yaml: each weight is the package's, of joints by their names."""
    file, notes = coco(tmp_path / "set"), []
    asked = configs.load(FEW_PHOTOS)
    train = asked.train[0].model_copy(update=source(file))
    config = asked.model_copy(update={"train": (train,), "device": "cpu"})
    data = sources.load_data(config, cache=tmp_path / "cache", log=notes.append)
    net = build(config, data, log=notes.append)
    tensors, _ = checkpoint.read(default_tensors())
    ours = net.state_dict()
    same = [name for name, tensor in ours.items()
            if name in tensors and torch.equal(tensor, tensors[name])]  # fmt: skip
    assert re.search(r"(\d+) of \1 tensors loaded\n17 of 17 joints by name from coco23", notes[-1])
    assert notes[-1].endswith(f"\n{8000 - 6} poses of the file fill up the bank")
    other = {name for name in ours if name not in same and not name.startswith("block.bank")}
    parts = other - {"block.balance"}  # how often something hides the new people
    assert parts and parts <= set(checkpoint.JOINT_AXES)  # those with a part for each joint


def test_a_training_begins_with_a_file_a_run_or_the_packages_network(tmp_path):
    best = tmp_path / "best.safetensors"
    best.touch()
    for named, found in ((best, best), (tmp_path, best), ("default", default_tensors())):
        assert first_weights(tiny.config(Path("x"), init_from=str(named))) == found
    with pytest.raises(ModelError, match="defualt: no weights"):
        first_weights(tiny.config(Path("x"), init_from="defualt"))


def test_they_mix_with_ours_by_weight(pairs, tmp_path):
    notes = []
    file = coco(tmp_path / "set")
    people = gathered(tmp_path, {"dataset": str(pairs)}, source(file, weight=20.0), notes=notes)
    assert people.skeleton.name == "coco23"
    theirs = people.train.crops.xy[-3:]
    assert np.isfinite(theirs[:, :10]).all() and np.isnan(theirs[:, 17:]).all()
    assert any("coco17 converted to coco23" in text and "left_big_toe" in text for text in notes)
    drawn = np.concatenate([people.train.epoch_order(0, e) for e in range(40)])
    share = float((drawn >= len(people.train) - 3).mean())
    assert share == pytest.approx(60 / (60 + 32), abs=0.05)
    around = gathered(tmp_path, source(file), {"dataset": str(pairs)})
    assert around.skeleton.name == "coco17" and around.train.crops.xy.shape[1:] == (17, 2)


@pytest.mark.parametrize("case", ["upper bodies", "one person", "everybody lacks another joint"])
def test_orn_learns_from_people_as_photos_have_them(case, tmp_path):
    """No joint below the waist, a bank of one pose, nobody whole: a bank, and finite weights."""

    def lacks(found):
        if case == "one person":
            del found["annotations"][1:]
            return
        for k, person in enumerate(found["annotations"]):
            for j in range(11, 17) if case == "upper bodies" else [5 + k]:
                person["keypoints"][3 * j : 3 * j + 3] = [0, 0, 0]

    file = world.changed(coco(tmp_path / "set").parent, lacks)
    config = tiny.config(tmp_path, steps=3, train=[source(file)], val=[], augment={"paste": 0.5})
    torch.use_deterministic_algorithms(False)
    done = tiny.run(config, tmp_path / "run")
    net, _, _ = checkpoint.load_network(done.folder / "last.safetensors")
    assert done.finished and all(torch.isfinite(p).all() for p in net.parameters())
    bank = net.get_submodule("block.bank")
    assert torch.isfinite(bank.poses).all()
    lost = (bank.poses == OUTSIDE).all(-1).all(0)
    assert lost[11:].all() == (case == "upper bodies") and not lost[5:10].any()


def test_our_own_export_keeps_its_labels(pairs, tmp_path):
    made = export("coco", pairs, tmp_path / "coco")
    people = gathered(tmp_path, {"coco": str(made.files[0]), "variants": ["base"]})
    assert set(people.train.crops.variant.tolist()) == {"base", "clean"}
    assert len(people.train) == (people.train.crops.variant == "base").sum() > 0
    known = (people.train.crops.visibility_fractions, people.train.crops.xyz_m)
    assert all(np.isfinite(each).all() for each in known)


def test_what_an_import_refuses_is_refused(tmp_path):
    """Each reason is tested with imports (tests/formats)."""
    file = coco(tmp_path / "set")
    file = changed(file.parent, lambda p: p.update(bbox=[500, 10, 40, 100]))
    with pytest.raises(FormatError, match=r"(?s)image 1.*box is outside the image"):
        gathered(tmp_path, source(file))
    assert not list((tmp_path / "cache").glob("*"))  # nothing half made is left


def test_missing_files_and_sets_without_joints(tmp_path):
    with pytest.raises(FormatError, match="no such file"):
        gathered(tmp_path, {"coco": str(tmp_path / "none.json")})
    file = coco(tmp_path / "set")
    nothing = changed(file.parent, lambda p: p.update(keypoints=[0] * 51, num_keypoints=0))
    with pytest.raises(ModelError, match="no person has a labelled joint"):
        gathered(tmp_path, source(nothing))

    def few(found):
        _, second, third = found["annotations"]
        second["area"], second["bbox"], third["keypoints"] = 0, [1, 1, 0, 0], [0] * 51
        found["annotations"].append(third | {"id": 9, "iscrowd": 1})

    notes = []
    people = gathered(tmp_path, source(world.changed(file.parent, few)), notes=notes)
    assert len(people.train) == 2  # the box of the second is that of its joints
    assert any("1 x a person without a labelled joint, a box or an area" in s for s in notes)
    assert any("1 x iscrowd region" in s for s in notes)


def test_a_picture_that_changed_is_noticed(tmp_path):
    file = coco(tmp_path / "set")
    before = gathered(tmp_path, source(file))
    assert gathered(tmp_path, source(file)).key == before.key
    images = file.parent / "images"
    (images / "p00001.png").write_bytes((images / "p00002.png").read_bytes())
    with pytest.raises(ModelError, match=r"p00001\.png.*image changed.*delete"):
        gathered(tmp_path, source(file))
    assert gathered(tmp_path / "anew", source(file)).key != before.key
