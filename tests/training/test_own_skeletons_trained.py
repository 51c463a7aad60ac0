"""Networks learn joints of one's own: trained, evaluated, exported and used."""

import json
from contextlib import closing
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
from made_predictions import person
from own_skeleton_sets import JOINTS, horse_set, write_coco

import synthstudio as ss
from synthstudio.core.errors import DatasetError, FormatError, ModelError
from synthstudio.core.skeleton import definition, get_skeleton, own_skeleton
from synthstudio.dataset.merge import merge_sets
from synthstudio.dataset.reader import Dataset
from synthstudio.formats.imports import import_from
from synthstudio.inference import write
from synthstudio.inference.networks import labelled_people
from synthstudio.review.history import content_key
from synthstudio.review.risk.predictions import iter_predictions
from synthstudio.review.store import default_url, open_store


@pytest.fixture(scope="module")
def horses(tmp_path_factory):
    return horse_set(tmp_path_factory.mktemp("horses"), 8).folder


def test_a_run_on_own_joints_is_used_like_others(horses, tmp_path):
    sources = {"train": [{"dataset": str(horses)}], "val": [{"dataset": str(horses)}]}
    settings = tiny.config(horses, **sources, steps=3)
    tiny.run(settings, tmp_path / "run")
    model = ss.Model.load(tmp_path / "run", device="cpu")
    skeleton = ss.Dataset(horses).skeleton
    assert model.skeleton.name == skeleton.name and list(model.skeleton.joints) == JOINTS
    assert "horse" in repr(model)

    found = ss.evaluate(
        tmp_path / "run", horses, out=tmp_path / "found", device="cpu", workers=1, progress=False
    )
    assert found.metrics is not None

    # A set of the same names whose mirror swaps nothing is another one, wherever it is asked about.
    value = definition(skeleton) | {"pairs": []}
    file = write_coco(tmp_path / "coco", 1)
    import_from("coco", file, tmp_path / "other", skeleton=own_skeleton(value))
    with pytest.raises(FormatError, match=r"no common joint.*got horse with other pairs"):
        ss.evaluate(
            tmp_path / "run", tmp_path / "other", out=tmp_path / "no", device="cpu", workers=1
        )
    with pytest.raises(FormatError, match=r"no common joint.*got horse with other pairs"):
        labelled_people(
            tmp_path / "other", splits=(), size=(48, 36), skeleton=skeleton, cache=tmp_path / "c"
        )
    with pytest.raises(DatasetError, match="expected horse; got horse with other pairs"):
        merge_sets([Dataset(horses), Dataset(tmp_path / "other")], tmp_path / "no")

    people = model.predict(ss.Dataset(horses)[0].image, boxes=[[10.0, 10.0, 140.0, 100.0]])
    assert people.joints_px.shape == (1, 9, 2)


def test_a_network_fills_only_joints_that_are_its_own(horses):
    dataset, coco17 = ss.Dataset(horses), get_skeleton("coco17")
    person = own_skeleton({"name": "person", "joints": JOINTS, "same_as": {"Nose": "nose"}})
    names = own_skeleton({"name": "names", "joints": list(coco17.joints)})
    for ours, network in (
        (names, coco17),  # the nose of a horse, a person's network
        (coco17, names),
        (person, coco17),  # one joint is a person's, the others are not
        (dataset.skeleton, person),
    ):
        of = SimpleNamespace(skeleton=ours, place=horses)
        with pytest.raises(ModelError, match="skeletons of data set and network differ") as raised:
            write.check_skeleton(of, network)
        assert "{" not in str(raised.value)


def test_a_network_fills_joints_under_the_sets_own_names(tmp_path):
    same = {"Snout": "nose", "L_Front": "left_wrist"}
    own = own_skeleton({"name": "horse", "joints": ["L_Front", "Snout"], "same_as": same})
    file = write_coco(tmp_path / "coco", 1)
    held = json.loads(file.read_text("utf-8"))
    held["categories"][0] |= {"keypoints": list(own.joints), "skeleton": []}
    held["annotations"][0] |= {"keypoints": [40, 40, 2, 50, 50, 2], "num_keypoints": 2}
    file.write_text(json.dumps(held), "utf-8")
    import_from("coco", file, tmp_path / "set", skeleton=own)
    xy = np.stack([np.arange(17.0), np.arange(17.0) + 50], 1)
    found = person(xy, [1, 1, 9, 9], instance=1)
    with closing(open_store(default_url(tmp_path))) as store:
        dataset = Dataset(tmp_path / "set")
        write.store_predictions(store, dataset, "net", [found], get_skeleton("coco17"))
        (kept,) = iter_predictions(store, content_key(dataset), "net")
    assert kept.joints == {"Snout": (0.0, 50.0, 1.0), "L_Front": (9.0, 59.0, 1.0)}
