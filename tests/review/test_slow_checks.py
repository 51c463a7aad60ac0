"""`review check`: whom validation or audit doubts comes first in the risk queue."""

import dataclasses
import json
import shutil
from contextlib import closing

import numpy as np
import pyarrow.parquet as pq
import pytest
from command_line import run, run_json
from people_rows import JOINTS, by_signal, make_rows, write_rows

from synthstudio.core.errors import DatasetError, ReviewError
from synthstudio.dataset.derive import replaced
from synthstudio.dataset.durable import canonical_json, read_json
from synthstudio.dataset.reader import Dataset
from synthstudio.generation.audit import Finding, Tally
from synthstudio.generation.pipeline import generate
from synthstudio.generation.stage import prepare
from synthstudio.recipe.schema.load import parse
from synthstudio.review.history import content_key
from synthstudio.review.risk.findings import last_runs
from synthstudio.review.risk.queue import risk_order
from synthstudio.review.risk.scores import risk_of
from synthstudio.review.risk.table import people_table
from synthstudio.review.store import default_url, open_store

HIDDEN_BY = ("hidden_joint", "hidden_instance", "hidden_share")
WRIST = JOINTS.index("left_wrist")
RECIPE = {"name": "tiny", "frames": 3, "seed": 3, "skeleton": "coco17", "people": {"count": 2}}
RECIPE["image"] = {"width_px": 240, "height_px": 180, "supersample": 1}
RECIPE["backdrop"] = {"kind": "plain"}


def check(dataset, *words):
    return run_json("review", "check", dataset.folder, *words)


def queue(dataset):
    (folder := dataset.folder.parent / "studio").mkdir(exist_ok=True)
    with closing(open_store(default_url(folder))) as store:
        made = risk_of(store, people_table(dataset))
        return risk_order(made, share=0.0), last_runs(store, content_key(dataset))


def damaged(dataset, folder, frame, place, change):
    """Copy a data set with one person's row changed; hashes are made to fit again."""
    shutil.copytree(dataset.folder, folder)
    (shard,) = (folder / "shards").iterdir()
    path = shard / "instances.parquet"
    rows = pq.read_table(path)
    listed = rows.to_pylist()
    change([row for row in listed if row["frame_index"] == frame][place])
    for name in ("joints_px", "state", "cause", "visibility_fractions", "occluder_id", *HIDDEN_BY):
        rows = replaced(rows, name, [row[name] for row in listed])
    pq.write_table(rows, path)
    return Dataset(folder)


@pytest.fixture(scope="module")
def sticks(tmp_path_factory):
    return write_rows(make_rows(10), tmp_path_factory.mktemp("sound") / "set")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    out = tmp_path_factory.mktemp("drawn") / "set"
    generate(prepare(parse(RECIPE), assets=out.parent, device="cpu"), out)
    return Dataset(out)


def moved(row):
    row["joints_px"][2 * WRIST] += 40.0


def lied(row):
    """A joint in plain view is labelled hidden by its own body; all else says the same."""
    j = next(j for j in range(17) if row["visibility_fractions"][5 * j] == 1.0)
    row["state"][j], row["cause"][j], row["occluder_id"][j] = 1, "self", row["instance"]
    row["visibility_fractions"][5 * j : 5 * j + 5] = [0.05, 0.95, 0.0, 0.0, 0.0]
    place = sum(k < j for k in row["hidden_joint"])
    for name, value in zip(HIDDEN_BY, (j, row["instance"], 0.95), strict=True):
        row[name].insert(place, value)


def test_a_moved_joint_comes_first(sticks, tmp_path):
    assert queue(sticks)[1] == {}
    reported = check(sticks, "--no-audit")
    assert reported == {"validation": {"frames": 10, "people": 0}}
    order, ran = queue(sticks)
    assert by_signal(order.risk, int(order.rows[0])).get("validation") is None
    assert (ran["validation"].people, ran["validation"].frames) == (0, None) and "audit" not in ran
    bad = damaged(sticks, tmp_path / "set", 6, 2, moved)
    assert check(bad, "--no-audit") == {"validation": {"frames": 10, "people": 1}}
    order, _ = queue(bad)
    row = int(order.rows[0])
    assert row == 6 * 4 + 2 != int(queue(sticks)[0].rows[0])
    assert by_signal(order.risk, row)["validation"] > 0.9
    assert any("wrist" in text for text in order.risk.reasons(row, maximum=9))
    # Only the first frames: what a whole run found is replaced.
    assert check(bad, "--no-audit", "--frames", 6)["validation"] == {"frames": 6, "people": 0}
    order, ran = queue(bad)
    assert "validation" not in by_signal(order.risk, row) and ran["validation"].frames == 6
    assert check(bad, "--no-audit", "--frames", 7)["validation"]["people"] == 1


def test_what_only_rays_can_tell_comes_first(drawn, tmp_path):
    """The label fits its shares, its place and its 3D: nothing but an audit knows better."""
    sound = check(drawn, "--frames", 2)
    assert sound == {k: {"frames": 2, "people": 0} for k in ("validation", "audit")}
    assert [run.frames for run in queue(drawn)[1].values()] == [2, 2]
    bad = damaged(drawn, tmp_path / "set", 2, 1, lied)
    assert check(bad, "--no-audit")["validation"]["people"] == 0
    wanted = np.flatnonzero(people_table(bad).frame == 2)[1]
    before = queue(bad)[0]
    assert "audit" not in by_signal(before.risk, int(wanted))
    assert check(bad)["audit"] == {"frames": 3, "people": 1}
    order, ran = queue(bad)
    assert order.rows[0] == wanted and by_signal(order.risk, int(wanted))["audit"] > 0.8
    assert order.risk.score[wanted] > before.risk.score[wanted] + 0.5
    assert any("audit" in text for text in order.reasons(0))
    assert set(ran) == {"validation", "audit"}


def test_an_audit_made_elsewhere_is_taken(sticks, tmp_path):
    here = Dataset(shutil.copytree(sticks.folder, tmp_path / "set"))
    differs = Finding(
        frame=8, instance=3, joint="nose", stored=(1.0, 0.0, 0.0, 0.0, 0.0),
        again=(0.1, 0.9, 0.0, 0.0, 0.0), stored_cause="visible", again_cause="self",
    )  # fmt: skip
    output = {**Tally(frames=9).report(), "findings": [dataclasses.asdict(differs)]}
    file = tmp_path / "audit.json"
    file.write_text(json.dumps(output))
    reported = check(here, "--audited", file)
    assert reported["audit"] == {"frames": 9, "people": 1}
    assert queue(here)[0].rows[0] == 8 * 4 + 2
    for words in (["--frames", 1], ["--no-audit"]):
        run("review", "check", here.folder, "--audited", file, *words, code=2)
    file.write_text(json.dumps(output).replace('"instance": 3', '"instance": 9'))
    before = queue(here)[1]
    with pytest.raises(ReviewError, match="another data set"):
        check(here, "--audited", file)
    assert queue(here)[1]["audit"] == before["audit"]
    # A set that cannot be drawn again is not audited.
    known = read_json(here.folder / "dataset.json")
    known["recipe"] = {"name": "imported", "imported": {"format": "coco", "of": None}}
    (here.folder / "dataset.json").write_bytes(canonical_json(known))
    taken = Dataset(here.folder)
    with pytest.raises(DatasetError, match="imported"):
        check(taken)
    assert queue(taken)[1]["audit"] == before["audit"]
