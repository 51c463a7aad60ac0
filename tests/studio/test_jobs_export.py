"""Exports of reviewed labels and checks of data sets, in processes of their own."""

import json
import shutil
import zipfile

import pytest
from job_orders import settings_in
from waiting import wait_for

from synthstudio.core.errors import ReviewError
from synthstudio.dataset.reader import Dataset
from synthstudio.review.datasets import content_key, register
from synthstudio.review.store import open_store
from synthstudio.studio.jobs import export_worker
from synthstudio.studio.jobs.process import ERR_NAME, OUT_NAME
from synthstudio.studio.overview import HealthChecks


def test_an_export_is_whole_or_not_there(tmp_path, small_photo_set):
    settings = settings_in(tmp_path)
    store = open_store(settings.database)
    register(store, Dataset(small_photo_set), "crates")
    first, second = settings.exports / "first.zip", settings.exports / "second.zip"
    with pytest.raises(ReviewError):  # nobody has approved anything
        export_worker.write(settings.database, small_photo_set, first, form="coco", only="approved")
    assert list(settings.exports.iterdir()) == []
    found = export_worker.write(settings.database, small_photo_set, first, form="coco", only="all")
    assert found["zip"] == "first.zip" and found["bytes"] == first.stat().st_size
    export_worker.write(settings.database, small_photo_set, second, form="coco", only="all")
    with zipfile.ZipFile(first) as one, zipfile.ZipFile(second) as two:
        assert one.testzip() is None and found["files"] == len(one.namelist())
        names = {n.removeprefix("first/"): one.read(n) for n in one.namelist()}
        again = {n.removeprefix("second/"): two.read(n) for n in two.namelist()}
    files = [name for name in names if name.startswith("annotations/")]
    assert sum(len(json.loads(names[name])["images"]) for name in files) == 5
    assert names == again
    assert not any(n.startswith(("/", "..")) for n in names)
    with pytest.raises(ReviewError, match="there already"):
        export_worker.write(settings.database, small_photo_set, first, form="coco", only="all")
    assert sorted(p.name for p in settings.exports.iterdir()) == ["first.zip", "second.zip"]
    store.close()


def checked(health_checks, dataset):
    key = content_key(dataset)

    def known():
        seen = health_checks.status(key, dataset, begin=True)
        return None if seen.state in ("checking", "waiting") else seen

    return wait_for(known, "the result of a check", patience_s=240)


@pytest.mark.nightly("processes of their own")
def test_a_clinic_remembers(tmp_path, studio_set):
    dataset = Dataset(studio_set)
    key = content_key(dataset)
    health_checks = HealthChecks(tmp_path)
    assert health_checks.status(key, dataset, begin=False).state == "unknown"
    assert health_checks.status(key, dataset, begin=True).state == "checking"
    other = Dataset(shutil.copytree(studio_set, tmp_path / "other"))
    assert health_checks.status("other", other, begin=True).state == "waiting"  # one at a time
    seen = checked(health_checks, dataset)
    assert (seen.state, seen.errors) == ("known", 0)
    again = HealthChecks(tmp_path)  # the server was started anew
    assert again.status(key, dataset, begin=False) == seen
    output = next((tmp_path / "health").glob(f"*/*/{OUT_NAME}"))
    output.write_text('{"errors": 1}')
    assert HealthChecks(tmp_path).status(key, dataset, begin=False).state == "failed"
    output.write_text("")  # the server died while it was checked
    (output.parent / ERR_NAME).write_text("checks: 3 of 12, 0.1/s\n")
    assert HealthChecks(tmp_path).status(key, dataset, begin=False).state == "unknown"
    assert not output.exists()
