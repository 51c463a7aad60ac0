"""Data sets as sequences: access, views, columns, torch."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from programs import python
from torch.utils.data import DataLoader

import synthstudio as ss
from synthstudio.core.errors import ArgumentError, DatasetError
from synthstudio.core.masks import decode
from synthstudio.dataset import reader

SCENES = Path(__file__).resolve().parents[2] / "scenes"


def test_a_data_set_is_a_sequence(people):
    assert len(people) == 24
    assert [frame.index for frame in people] == list(range(24))
    assert people[-1].index == 23
    assert [f.index for f in people[4:8]] == [4, 5, 6, 7]
    assert people[4:8][-1].index == 7 and len(people[4:8][1:]) == 3
    with pytest.raises(IndexError):
        people[24]
    with pytest.raises(ArgumentError, match="number or a slice"):
        people["first"]


def test_people_are_the_rows(people):
    stored = reader.Dataset(people.path)
    for frame in people[:6]:
        rows = stored.instances(frame.index)
        columns = frame.people
        assert len(columns) == len(rows)
        for i, (row, person) in enumerate(zip(rows, columns, strict=True)):
            assert np.array_equal(columns.joints_px[i].ravel(), row["joints_px"], equal_nan=True)
            assert columns.visibility_fractions[i].ravel().tolist() == row["visibility_fractions"]
            assert columns.visible_share[i].tolist() == row["visibility_fractions"][::5]
            assert list(columns.cause[i]) == row["cause"] and person.cause == tuple(row["cause"])
            assert columns.boxes_px[i].tolist() == row["modal_box_px"]
            assert columns.occluded_fraction[i] == row["occluded_fraction"]
            mask = {"size": row["mask_size"], "counts": row["modal_counts"]}
            assert np.array_equal(columns.masks[i], decode(mask).astype(bool))
            assert columns.masks[i].sum() == row["modal_area_px"]


def test_fewer_people_by_mask_numbers_and_slice(people):
    everybody = next(people.people())
    hidden = everybody.occluded_fraction > 0.2
    some = everybody[hidden]
    assert len(some) == hidden.sum() and (some.occluded_fraction > 0.2).all()
    assert len(everybody[:3]) == 3 and everybody[[2, 0]].instance[1] == everybody.instance[0]
    assert everybody[-1].instance == everybody.instance[-1]


def test_a_stored_frame_is_the_made_one(people):
    recipe = ss.Recipe.load(SCENES / "people.yaml").with_(frames=24)
    assert people.recipe is not None and people.recipe.to_dict() == recipe.to_dict()
    made, stored = pickle.loads(pickle.dumps((next(ss.stream(recipe, start=5)), people[5])))
    assert made.encoded == stored.encoded
    assert np.array_equal(made.people.visibility_fractions, stored.people.visibility_fractions)
    assert made.spec == stored.spec and made.split == stored.split
    assert np.array_equal(made.K, stored.K)
    assert np.array_equal(ss.preview(recipe, 5).image, stored.image)


def test_a_query_is_a_data_set_and_exports_what_filter_finds(people, tmp_path):
    hard = people.query("occluded > 0.2")
    assert 0 < len(hard) < len(people)
    assert all((frame.people.occluded_fraction > 0.2).any() for frame in hard)
    assert len(hard.query("occluded > 0.2")) == len(hard)
    table = hard.to_pandas(["occluded_fraction"])
    assert list(table.columns) == ["frame_index", "occluded_fraction"]
    assert set(table["frame_index"]) == set(hard.indices.tolist())
    made = hard.export("coco", tmp_path / "hard")
    assert made.images == len(hard) and made.people == len(table)


def test_torch_crops_lie_on_their_people(people):
    crops = people.torch(size=(96, 72))
    batch = next(iter(DataLoader(crops, batch_size=6, num_workers=2)))
    assert batch["image"].shape == (6, 3, 96, 72) and batch["image"].dtype == torch.uint8
    for joints, box, index, instance in zip(
        *(batch[name] for name in ("joints_px", "box_px", "frame", "instance")), strict=True
    ):
        frame = people.frame(int(index))
        row = frame.people.instance.tolist().index(int(instance))
        back = joints.numpy() * (box[2].item() / 72) + box[:2].numpy()
        assert np.allclose(back, frame.people.joints_px[row], atol=1e-3, equal_nan=True)
    everybody = sum(len(frame.people) for frame in people)
    splits = [len(people.torch(split=split)) for split in ("train", "val", "test")]
    assert sum(splits) == len(crops) <= everybody


def test_batches_of_a_stream_are_the_crops_of_the_stored_set(people):
    recipe = ss.Recipe.load(SCENES / "people.yaml").with_(frames=3)
    stored = [sample for sample in people.torch(size=(96, 72)) if sample["frame"] < 3]
    batches = list(ss.stream(recipe, batch=2, size=(96, 72), device="cpu"))
    sizes = [len(crops) for crops, _ in batches]
    assert sum(sizes) == len(stored) > 2 and set(sizes[:-1]) == {2}
    crops = torch.cat([crops for crops, _ in batches])
    assert torch.equal(crops, torch.stack([sample["image"] for sample in stored]))
    for name in batches[0][1]:
        got = torch.cat([labels[name] for _, labels in batches])
        expected = torch.stack([torch.as_tensor(sample[name]) for sample in stored])
        assert torch.equal(got.nan_to_num(), expected.nan_to_num()), name


def test_a_million_frames_are_not_opened(people, monkeypatch):
    opened = []
    real = reader.read_entry

    def counted(folder):
        opened.append(folder)
        return real(folder)

    monkeypatch.setattr(reader, "read_entry", counted)
    ss.Dataset(people.path)[20].people  # noqa: B018
    assert len(opened) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda: ss.Dataset(3),
        lambda: ss.Dataset("nowhere"),
        lambda: ss.generate(["no"], "out"),
        lambda: ss.generate("nowhere.yaml", "out"),
        lambda: ss.Recipe.load(b"bytes"),
        lambda: ss.Recipe.parse({"name": "x", "unknown": 1}),
        lambda: ss.preview({"name": "x"}, -1),
        lambda: ss.stream({"name": "x"}, start="0"),
        lambda: ss.stream({"name": "x"}, device="tpu"),
        lambda: ss.stream({"name": "x"}, batch=0),
        lambda: ss.stream({"name": "x"}, batch=8, size=(4, 4)),
        lambda: ss.export(torch.utils.data.TensorDataset(), "coco", "out"),
        lambda: ss.import_("nowhere.json", "out"),
        lambda: ss.import_("nowhere.json", "out", format="voc"),
        lambda: ss.audit({"images": []}),
        lambda: ss.occlude("nowhere.json", "photos", {"name": "x"}, "out", each=0),
        lambda: ss.train("nowhere.yaml", "out"),
        lambda: ss.train({}, "out"),
        lambda: ss.Model.load("nowhere"),
    ],
)
def test_bad_arguments_are_our_errors(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ss.SynthStudioError) as caught:
        call()
    assert "Traceback" not in str(caught.value) and len(str(caught.value)) < 600
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "call",
    [
        lambda ds: ds.query(5),
        lambda ds: ds.query("left_wrist flies"),
        lambda ds: ds.torch(size=(3, 3)),
        lambda ds: ds.torch(size="large"),
        lambda ds: ds.torch(split="holdout"),
        lambda ds: ds.export("voc", "out"),
        lambda ds: ds.frame(99),
        lambda ds: ds.frame(0).layer("depth"),
        lambda ds: ds[:2].frame(7),
        lambda ds: ds.to_arrow(["speed"]),
        lambda ds: ss.audit(ds, frames=0),
        lambda ds: ss.audit(ds, workers=-1),
    ],
)
def test_bad_questions_are_our_errors(call, people):
    with pytest.raises((ArgumentError, DatasetError)):
        call(people)


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, synthstudio\n"
        "heavy = {'numpy', 'torch', 'pyarrow', 'pydantic', 'streamlit', 'sqlalchemy'}\n"
        "sys.exit(bool(heavy & set(sys.modules)) or 'generate' not in dir(synthstudio))"
    )
    assert python("-c", code).returncode == 0
