"""People rendered while a network learns: as a data set has them, window by window, exactly."""

import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tiny
import yaml
from safetensors.numpy import load as tensors_of
from tiny_pairs import recipe

from synthstudio.core.errors import ModelError, SynthStudioError
from synthstudio.generation.pipeline import generate
from synthstudio.generation.stage import prepare
from synthstudio.recipe.sampling.context import split_of
from synthstudio.recipe.schema.load import load, parse
from synthstudio.training.config import Config, Source
from synthstudio.training.data.crops import crop_kind
from synthstudio.training.data.rendered import RenderedPeople
from synthstudio.training.data.samples import load_dataset

SIZE = (48, 36)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = tmp_path_factory.mktemp("scene") / "pairs.yaml"
    path.write_text(yaml.safe_dump(recipe(16)))
    return path


def opened(scene, *, workers=1, **more):
    source = Source(recipe=str(scene), **({"moments": 3, "renew": 2} | more))
    config = Config(train=[source], network={"size": SIZE}, workers=workers)
    return RenderedPeople(source, config, "train", None, lambda done, total: None)


def same(a, b, rows):
    """Compare crops with the rows of others: pixels and labels."""
    assert len(a) == len(rows)
    names = ["xy", "state", "visibility_fractions", "xyz_m", "fraction", "corner", "instance"]
    for name in [*names, "variant"]:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name)[rows], name)
    for k, row in enumerate(rows):
        np.testing.assert_array_equal(a.images[k], b.images[int(row)])
        np.testing.assert_array_equal(a.cover[k], b.cover[int(row)])


def test_a_window_is_what_a_data_set_of_its_frames_holds(scene, tmp_path):
    drawn = load(scene)
    numbers = [n for n in range(8) if split_of(drawn, n) == "train"]
    assert len(numbers) < 8  # val and test moments are left out
    frames = 2 * (numbers[4] + 1)
    settings = prepare(parse(recipe(frames)), assets=tmp_path, device="cpu")
    generate(settings, tmp_path / "set", workers=1)
    kind = crop_kind(size=SIZE)
    stored = load_dataset(tmp_path / "set", kind, cache=tmp_path / "cache").samples
    with closing(opened(scene, workers=2)) as people:
        for epoch in (0, 1):
            window = people.of_epoch(epoch)
            mine = numbers[2 * epoch : 2 * epoch + 3]
            rows = np.flatnonzero(np.isin(stored.frame // 2, mine))
            same(window, stored, rows)
            assert (window.clean >= 0).all() and (window.variant[window.clean] == "clean").all()
            np.testing.assert_array_equal(window.instance[window.clean], window.instance)
        # Another window: other people, and one without what came before it.
        with closing(opened(scene)) as late:
            same(late.of_epoch(1), window, np.arange(len(window)))
    assert "rendering" not in [t.name for t in threading.enumerate()]


def test_passes_show_other_people(scene, tmp_path):
    config = tiny.config(
        Path("x"), train=[{"recipe": str(scene), "moments": 2, "renew": 1}], val=[]
    )
    with closing(tiny.loaded(config, tmp_path)) as people:
        first, second = people.of_epoch(0).crops, people.of_epoch(1).crops
        assert people.of_epoch(0) is people.train
    half = len(first) // 2
    np.testing.assert_array_equal(first.xy[half:], second.xy[:half])  # the moment that stayed
    assert not np.array_equal(first.xy[:half], second.xy[half:])


def test_refusals(scene, tmp_path):
    with pytest.raises(ModelError, match="no moments to use"):
        opened(scene, splits=("nowhere",))
    with pytest.raises(SynthStudioError, match="no recipe there"):
        opened(tmp_path / "none.yaml")
    narrow = recipe(4) | {"holdout": {"poses": ["no_such_pose"]}}
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(narrow))
    config = tiny.config(Path("x"), train=[{"recipe": str(path), "moments": 1}], val=[])
    with pytest.raises(SynthStudioError, match="no_such_pose"):
        tiny.loaded(config, tmp_path)
    assert "rendering" not in [t.name for t in threading.enumerate()]


@pytest.mark.nightly("Ray starts a cluster")
def test_people_to_train_and_to_validate_on_share_a_cluster(scene, tmp_path):
    """Weights are equal only where a cluster renders the same people."""
    pytest.importorskip("ray")
    train = [{"recipe": str(scene), "moments": 2, "renew": 1, "variants": ["base"]}]
    val = [{"recipe": str(scene), "moments": 1, "splits": ["test"]}]
    more = {"steps": 2, "batch": 4}
    plain = tiny.run(tiny.config(Path("x"), train=train, val=val, **more), tmp_path / "here")
    on_ray = [[{**source, "engine": "ray"} for source in one] for one in (train, val)]
    config = tiny.config(Path("x"), train=on_ray[0], val=on_ray[1], **more)
    done = tiny.run(config, tmp_path / "there")
    assert done.finished and plain.finished and done.epochs == 2
    weights = [(tmp_path / name / "last.safetensors").read_bytes() for name in ("here", "there")]
    tensors = [tensors_of(data) for data in weights]
    assert all(np.array_equal(tensors[0][name], tensors[1][name]) for name in tensors[0])
