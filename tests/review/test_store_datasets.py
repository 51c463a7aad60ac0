"""Which data set a review is of: content decides, and what cannot be parted is reported."""

import hashlib
import shutil

import pytest
from imported_photos import import_photos
from review_ops import ANNA, LEAD, make_set, op
from sqlalchemy import create_engine

from synthstudio.api import review as commands
from synthstudio.core.errors import ReviewError
from synthstudio.dataset.reader import Dataset
from synthstudio.review import edits, history, migrate
from synthstudio.review.check import base_of
from synthstudio.review.datasets import adopt, content_key, dataset_key, register, unassigned
from synthstudio.review.models import DatasetRow, utc_now
from synthstudio.review.reviewed import export_reviewed
from synthstudio.review.store import open_store
from synthstudio.review.values import Person


@pytest.fixture(scope="session")
def imports(tmp_path_factory):
    """Two imports of three photos each: other photos, the same dataset.json."""
    folder = tmp_path_factory.mktemp("imports")
    first, second = import_photos(folder / "a", 40), import_photos(folder / "b", 90)
    both = [(d.folder / "dataset.json").read_bytes() for d in (first, second)]
    assert both[0] == both[1]
    return first, second


def approve(store, dataset, key, frame=0):
    person = Person(dataset=key, frame=frame, instance=1)
    done = op("status", 0, person=person, status="approved")
    edits.apply(store, done, who=ANNA, base=base_of(dataset, frame, 1))


def old_store(url, dataset):
    """A store of revision 0002 with one approval under the hash of dataset.json."""
    key = hashlib.sha256((dataset.folder / "dataset.json").read_bytes()).hexdigest()
    store = open_store(url)
    with store.session() as session:
        row = {"name": "a", "skeleton": "coco17", "people": 3, "added_at": utc_now()}
        session.add(DatasetRow(key=key, **row))
    approve(store, dataset, key)
    store.close()
    engine = create_engine(url)
    migrate.move_to(engine, "0002")
    engine.dispose()
    return key


def alone(dataset, tmp_path):
    """The data set as the only one of its folder."""
    return Dataset(shutil.copytree(dataset.folder, tmp_path / "alone" / dataset.folder.name))


def test_two_imports_are_two_data_sets(imports, store_url, tmp_path):
    first, second = imports
    store = open_store(store_url)
    keys = [register(store, d, d.folder.name) for d in imports]
    assert len(set(keys)) == 2 and len(history.datasets(store)) == 2
    approve(store, first, keys[0])
    export_reviewed(store, first, tmp_path / "a", form="coco")
    with pytest.raises(ReviewError, match="no frame has anybody"):
        export_reviewed(store, second, tmp_path / "b", form="coco")
    store.close()


def test_the_key_is_the_content(imports, tmp_path):
    first, second = imports
    again = import_photos(tmp_path / "elsewhere", 40)
    assert content_key(again) == content_key(first) != content_key(second)
    unfinished = shutil.copytree(first.folder, tmp_path / "unfinished")
    (unfinished / "index.json").unlink()
    assert content_key(Dataset(unfinished, allow_unfinished=True)) == content_key(first)
    sticks = make_set(tmp_path / "coco17"), make_set(tmp_path / "coco23", skeleton="coco23")
    assert len({content_key(d) for d in sticks}) == 2


def test_reviews_of_the_only_data_set_they_can_mean_are_adopted(imports, store_url, tmp_path):
    dataset = alone(imports[0], tmp_path)
    shutil.copytree(dataset.folder, dataset.folder.with_name("a copy"))  # no other content
    key = old_store(store_url, dataset)
    store = open_store(store_url)
    assert [old.events for old in unassigned(store)] == [1]
    assert dataset_key(store, dataset) == key == register(store, dataset, "a")
    assert unassigned(store) == [] and history.check_replay(store, key) == []
    assert history.counts(store, key).status == {"approved": 1, "pending": 2}
    # For good: another data set with this dataset.json is another one from now on.
    other = Dataset(shutil.copytree(imports[1].folder, dataset.folder.with_name("b")))
    assert register(store, other, "b") == content_key(other) != key
    assert dataset_key(store, dataset) == key
    store.close()


def test_reviews_that_may_be_of_two_are_reported_and_given_to_neither(imports, store_url, tmp_path):
    first, second = imports
    key = old_store(store_url, first)
    store = open_store(store_url)
    for dataset, other in ((first, "b"), (second, "a")):
        with pytest.raises(ReviewError, match=rf"data set's.*of {other} is the same.*adopt"):
            dataset_key(store, dataset)
    for dataset in imports:  # in the studio both open, without the reviews
        own = register(store, dataset, dataset.folder.name)
        assert own == content_key(dataset)
        assert history.counts(store, own).status == {"pending": 3}
        assert [old.key for old in unassigned(store, dataset)] == [key]
    # Somebody knows.
    assert adopt(store, second) == 1
    assert dataset_key(store, second) == key and unassigned(store) == []
    with pytest.raises(ReviewError, match="no reviews of an earlier release"):
        adopt(store, first)
    assert history.counts(store, dataset_key(store, first)).events == 0
    store.close()


def test_commands_say_whose_reviews_they_cannot_tell(imports, tmp_path, capsys):
    folder = tmp_path / "sets"
    sets = [Dataset(shutil.copytree(d.folder, folder / d.folder.name)) for d in imports]
    old_store(f"sqlite:///{folder / 'review.db'}", sets[0])
    with pytest.raises(ReviewError, match="may be another"):
        commands.counts(sets[0].folder)
    assert commands.adopt(sets[0].folder) == 1
    assert commands.counts(sets[0].folder).events == 1
    db = f"sqlite:///{folder / 'review.db'}"
    commands.import_corrections(
        sets[1].folder,
        imports[1].folder.parent / "b-coco" / "annotations.json",
        by=LEAD.name,
        images=imports[1].folder.parent / "b-coco" / "images",
        db=db,
    )
    assert commands.counts(sets[1].folder, db=db).events == 0
