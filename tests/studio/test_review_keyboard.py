"""A reviewer goes through people by keyboard; the store holds exactly that, and so does COCO."""

import json
import os
from contextlib import closing
from pathlib import Path

import pytest
from reviewing import Labels, Reviewer, sit_down, stored

from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.review.reviewed import export_reviewed
from synthstudio.review.store import open_store

pytestmark = [
    pytest.mark.browser,
    pytest.mark.nightly("a long journey by keys; test_new_user.py has the short one"),
]
PEOPLE = int(os.environ.get("SYNTHSTUDIO_REVIEW_PEOPLE", "9"))
"""How many; `make soak` says 200 and names a set that has as many in SYNTHSTUDIO_REVIEW_SET."""


@pytest.fixture(scope="module")
def big_set(request):
    folder = os.environ.get("SYNTHSTUDIO_REVIEW_SET")
    return Path(folder) if folder else request.getfixturevalue("studio_set")


def test_a_reviewer_by_keyboard(start_studio, big_set, page, open_as, tmp_path):
    studio = start_studio(big_set)
    desk = sit_down(open_as, page, studio)
    labels = Labels(big_set)
    reviewer = Reviewer(desk, labels)
    people = [reviewer.person(number) for number in range(PEOPLE)]
    desk.saved()
    assert people == labels.people[:PEOPLE]  # the queue "all" is in the order of the set
    events = stored(studio, big_set)
    reviewer.check(events)
    with pytest.raises(AssertionError):
        reviewer.check(events[:-1])
    approved = [p for k, p in enumerate(people) if k % 3 != 1]
    _check_coco(studio, big_set, tmp_path, reviewer, approved)


def _check_coco(studio, folder, out, reviewer, approved):
    dataset = Dataset(folder)
    with closing(open_store(f"sqlite:///{studio.db}")) as store:
        export_reviewed(store, dataset, out / "coco", form="coco", only="approved")
    entries = [
        entry
        for path in (out / "coco").rglob("*.json")
        for entry in json.loads(path.read_text()).get("annotations", [])
    ]
    names = get_skeleton(dataset.identity.skeleton).joints
    found = [
        (round(e["keypoints"][3 * j], 2), round(e["keypoints"][3 * j + 1], 2), name)
        for e in entries
        for j, name in enumerate(names)
        if e["keypoints"][3 * j + 2] == 1
    ]
    for person in approved:
        (_, change) = [c for c in reviewer.decisions[person] if c[0] == "revert"][-1]
        ((name, (x, y, state, _)),) = change.items()
        assert state == 1
        assert any(
            n == name and abs(a - (x - 0.5)) < 0.02 and abs(b - (y - 0.5)) < 0.02
            for a, b, n in found
        ), (person, name, x, y)
