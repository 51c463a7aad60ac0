"""What is damaged in a data set is one message, whichever command reads it."""

import hashlib
import json
import shutil
from contextlib import chdir
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from exchange_sets import make_set
from typer.testing import CliRunner

from synthstudio.cli import app
from synthstudio.core.errors import DatasetError, SynthStudioError
from synthstudio.dataset.durable import canonical_json
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import write_table
from synthstudio.dataset.shards import _check

COMMANDS = {
    "stats": ("stats", "set"),
    "diff": ("diff", "set", "whole"),
    "filter": ("filter", "set", "occluded >= 0", "--out", "out"),
    "filter by joints": ("filter", "set", "nose visible", "--count"),
    "filter by view": ("filter", "set", "view = front or identity = x", "--count"),
    "split": ("split", "set", "--by", "group"),
    "merge": ("merge", "--sets", "set", "whole", "--out", "out"),
    "export": ("export", "set", "--out", "out"),
    "export yolo": ("export", "set", "--format", "yolo", "--out", "out"),
    "report": ("report", "set", "--out", "out.html"),
    "coverage": ("coverage", "set"),
    "validate": ("validate", "set"),
    "frame": ("frame", "set", "0"),
}


def _of(name, change):
    def damage(folder):
        shard = folder / "shards/00000"
        path = shard / f"{name}.parquet"
        table = pq.read_table(path)
        rows = table.to_pylist()
        change(rows)
        write_table(path, pa.Table.from_pylist(rows, schema=table.schema))
        _seal(shard)

    return damage


def _seal(shard):
    value = json.loads((shard / "shard.json").read_text())
    del value["check"]
    for name, facts in value["files"].items():
        data = (shard / name).read_bytes()
        facts.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    data = canonical_json({**value, "check": _check(value)})
    (shard / "shard.json").write_bytes(data)
    index = json.loads((shard.parents[1] / "index.json").read_text())
    index["shards"][0]["sha256"] = hashlib.sha256(data).hexdigest()
    (shard.parents[1] / "index.json").write_bytes(canonical_json(index))


def _text(name, old, new):
    def change(folder):
        data = (folder / name).read_bytes()
        assert old in data
        (folder / name).write_bytes(data.replace(old, new, 1 if name.endswith("json") else -1))
        if name.endswith("parquet"):
            _seal((folder / name).parent)

    return change


SHARD, PEOPLE = "shards/00000/shard.json", "shards/00000/instances.parquet"
HEAD, _people, _frames = "dataset.json", partial(_of, "instances"), partial(_of, "frames")
HIDDEN = {"hidden_joint": [99], "hidden_instance": [1], "hidden_share": [0.5]}
DAMAGES = {
    "shares of a wrong length": _people(lambda rows: rows[0]["visibility_fractions"].pop()),
    "states of a wrong length": _people(lambda rows: rows[0]["state"].append(1)),
    "a box of three numbers": _people(lambda rows: rows[0]["modal_box_px"].pop()),
    "more rows than the shard says": _people(lambda rows: rows.append(rows[-1])),
    "fewer rows": _people(lambda rows: rows.pop()),
    "people of another shard": _people(lambda rows: rows[-1].update(frame_index=99)),
    "people in another order": _people(lambda rows: rows.reverse()),
    "a hidden joint that is none": _people(lambda rows: rows[0].update(HIDDEN)),
    "pairs of different lengths": _people(lambda rows: rows[0].update(hidden_share=[0.5] * 7)),
    "a column whose name is no UTF-8": _text(PEOPLE, b"identity", b"iden\xc3ity"),
    "a frame twice": _frames(lambda rows: rows[1].update(index=0)),
    "a frame of no width": _frames(lambda rows: rows[0].update(width_px=0)),
    "a frame of terapixels": _frames(lambda rows: rows[0].update(width_px=2**31 - 1)),
    "a camera of eight numbers": _frames(lambda rows: rows[0]["K"].pop()),
    "objects of different lengths": _frames(lambda rows: rows[0]["object_kind"].append("box")),
    "1e400 in shard.json": _text(SHARD, b'"people": ', b'"people": 1e400, "x": '),
    "NaN in shard.json": _text(SHARD, b'"people": ', b'"people": NaN, "x": '),
    "1e400 in index.json": _text("index.json", b'"people": ', b'"people": 1e400, "x": '),
    "NaN in the identity": _text(HEAD, b'"name": "sticks"', b'"name": NaN'),
    "1e999 in the identity": _text(HEAD, b'"name": "sticks"', b'"name": 1e999'),
    "no frames in a shard": _text(HEAD, b'"frames_per_shard": 4', b'"frames_per_shard": 0'),
    "an unknown skeleton": _text(HEAD, b'"skeleton": "coco23"', b'"skeleton": "worm"'),
}


@pytest.fixture
def world(tmp_path, once):
    made = once("damaged-rows", lambda folder: make_set(folder / "set"))
    shutil.copytree(made / "set", tmp_path / "set")
    (tmp_path / "whole").symlink_to(made / "set")
    return tmp_path


@pytest.mark.parametrize("damage", DAMAGES)
def test_whoever_reads_says_what_is_damaged(damage, world):
    DAMAGES[damage](world / "set")
    with pytest.raises(DatasetError) as found, chdir(world):
        dataset = Dataset(Path("set"))
        list(dataset.iter_frames())
        list(dataset.iter_instances())
    assert "set/" in str(found.value) or "skeleton" in str(found.value)


OF_EACH_KIND = ("people in another order", "a camera of eight numbers", "NaN in the identity")


@pytest.mark.parametrize("damage", OF_EACH_KIND)
def test_no_command_stumbles_over_what_is_damaged(damage, world):
    DAMAGES[damage](world / "set")
    noticed = 0
    with chdir(world):
        for words in COMMANDS.values():
            wrong = CliRunner().invoke(app, list(words)).exception
            assert isinstance(wrong, SynthStudioError | SystemExit | None), (words, repr(wrong))
            noticed += wrong is not None
    assert noticed >= 3, "hardly a command noticed"
    assert {path.name for path in world.iterdir()} <= {"set", "whole", "out", "out.html"}
