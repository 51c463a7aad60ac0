"""Streams that are closed or full, and inputs from outside: one message, never a traceback."""

import json
import os
import sys
from contextlib import chdir

import pytest
from exchange_sets import make_set
from programs import finished, here
from typer.testing import CliRunner
from waiting import PATIENCE_S

from synthstudio.cli import app
from synthstudio.core.errors import SynthStudioError

MAIN = "from synthstudio.cli import main; main()"


def _shell(line, folder):
    program = f'{sys.executable} -c "{MAIN}"'
    line, env = line.replace("$S", program), {**os.environ, "PYTHONPATH": here()}
    done = finished("bash", "-c", line, cwd=folder, env=env, timeout=PATIENCE_S)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def folder(once):
    return once("streams", lambda made: make_set(made / "set"))


@pytest.mark.parametrize(("streams", "status"), [("<&- >&- 2>&-", 0), (">/dev/full", 1)])
def test_closed_and_full_streams(streams, status, folder, tmp_path):
    code, _, err = _shell(
        f"$S filter {folder}/set 'occluded >= 0' --count --json {streams}", tmp_path
    )
    assert code == status, err
    assert "Traceback" not in err and "Exception" not in err
    if streams == ">/dev/full":
        assert err.startswith("error: the output: the disk is full")


def test_a_closed_stderr_gets_no_ones_file(folder, tmp_path):
    line = f"$S export {folder}/set --out coco 2>&-"
    assert _shell(line, tmp_path)[0] == 0
    json.loads((tmp_path / "coco/annotations/person_keypoints_train.json").read_text())
    assert _shell("$S stats nothing 2>&-", tmp_path)[0] == 1
    assert _shell("$S stats nothing 2>/dev/full", tmp_path)[0] == 1


@pytest.mark.parametrize(
    "words",
    [
        ("stats", "BAD"),
        ("export", "SET", "--out", "BAD"),
        ("generate", "BAD.yaml"),
        ("report", "SET", "--out", "BAD.html"),
    ],
)
def test_path_bytes_that_are_not_utf8(words, folder, tmp_path):
    bad = os.fsdecode(b"n\xff")
    words = tuple(w.replace("BAD", bad).replace("SET", f"{folder}/set") for w in words)
    with chdir(tmp_path):
        wrong = CliRunner().invoke(app, list(words)).exception
    assert isinstance(wrong, SynthStudioError), repr(wrong)
    if words[0] == "stats":
        code, _, err = _shell(r"$S stats $'n\xff'", tmp_path)
        assert code == 1 and err.startswith("error: ") and "Traceback" not in err, err
    assert not list(tmp_path.iterdir())
