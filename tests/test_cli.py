"""Every command runs; every bad input is one message and exit status 1, with nothing written."""

import json
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import pytest
import trimesh
from programs import python

from synthstudio import cli
from synthstudio.cli import main
from synthstudio.core.images import image_size
from synthstudio.recipe.schema.load import load

SCENES = Path(__file__).resolve().parents[1] / "scenes"
QUICK = str(SCENES / "quickstart.yaml")
TINY = "image: {width_px: 96, height_px: 72, supersample: 1}\n"


@pytest.fixture
def run(capsys, monkeypatch):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["synthstudio", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return SimpleNamespace(code=code, out=captured.out, err=captured.err)

    return call


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a command opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    out = tmp_path_factory.mktemp("cli") / "set"
    words = ["generate", QUICK, "--frames", "6", "--out", str(out), "--json"]
    done = python("-m", "synthstudio", *words)
    assert done.returncode == 0, done.stderr
    output = json.loads(done.stdout)
    assert (output["frames"], output["people"]) == (6, 12)
    assert "Traceback" not in done.stderr
    return out


def test_what_is_counted_covered_and_audited(run, dataset, tmp_path):
    counted = json.loads(run("stats", dataset, "--json").out)
    assert sum(counted["causes"].values()) == 12 * 23
    text = run("stats", dataset).out
    assert "left_wrist" in text and "object" in text
    found = json.loads(run("audit", dataset, "--json").out)
    assert found["disagreement_rate"] == 0 and found["joints"] > 200
    run("filter", dataset, "instance = 2", "--keep-people", "--out", tmp_path / "some" / "kept")
    some = json.loads(run("audit", tmp_path / "some" / "kept", "--json").out)
    assert some["disagreement_rate"] == 0 and 0 < some["joints"] < found["joints"]
    assert "same" in run("frame", tmp_path / "some" / "kept", 3).out
    reported = json.loads(run("coverage", dataset, "--json").out)
    assert (reported["frames"], reported["people"]) == (6, 12)
    assert sum(reported["cells"]["count"]) == 12 * 23
    sheet, follow = tmp_path / "some" / "sheet.jpg", tmp_path / "next.yaml"
    ran = run("coverage", dataset, "--sheet", sheet, "--write", follow, "--at-least", 3)
    assert ran.code == 0 and "people by pose family and side seen" in ran.out
    assert str(sheet) in ran.err and str(follow) in ran.err and image_size(sheet)[0] > 1500
    recipe = load(follow)
    assert recipe.frames < 6 and recipe.quotas is not None and recipe.quotas.view
    assert run("coverage", dataset, "--sheet", tmp_path / "sheet.tiff").code == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["next.yaml", "some"]


def test_strict_says_that_targets_were_missed(run, tmp_path):
    path, out = tmp_path / "luck.yaml", tmp_path / "out"
    path.write_text(
        f"name: luck\nframes: 3\n{TINY}objects: [{{kind: procedural}}]\n"
        "targets: {occluded_fraction: 0.85, search: false}\n"
    )
    ran = run("generate", path, "--out", out, "--strict", "--json")
    assert ran.code == 1
    assert "target not met: occluded_fraction: error in the median" in ran.err
    reported = json.loads(ran.out)
    assert reported["frames"] == 3 and reported["unmet"]
    requested = json.loads(run("stats", out, "--json").out)["targets"]
    assert requested["occluded_fraction"]["people"] == requested["people"] > 0
    assert "requested against achieved" in run("stats", out).out
    lenient = run("generate", path, "--out", out, "--resume")
    assert lenient.code == 0 and "target not met" in lenient.err


def test_frame_is_the_same_and_says_so(run, dataset, tmp_path):
    made = run("frame", dataset, 3, "--out", tmp_path / "f.jpg", "--drawn", tmp_path / "f.png")
    assert made.code == 0 and "same bytes" in made.out
    assert (tmp_path / "f.jpg").read_bytes() == next(dataset.rglob("000003.jpg")).read_bytes()
    assert image_size(tmp_path / "f.png")[0] >= 320
    missing = run("frame", dataset, 99)
    assert missing.code == 1 and "the frame is not in the data set" in missing.err


# Bad input ------------------------------------------------------------------------------------

PHOTO = "name: x\nframes: 1\nbackdrop: {kind: photo, folder: photos}\n"
BAD = {
    "unknown field": ("name: x\nframez: 3\n", "framez"),
    "missing folder": ("name: x\nbackdrop: {kind: photo, folder: nowhere}\n", "nowhere"),
    "no photos": (PHOTO, "photos"),
    "cut photo": (PHOTO, "broken.jpg", b"\xff\xd8\xff\xe0 cut short"),
    "mesh in kilometres": ("name: x\nobjects: [{kind: mesh, folder: objects}]\n", "tower.obj"),
    "no recipe": (None, "no recipe there"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_recipes_and_assets_are_named(run, tmp_path, fault):
    text, message, *photo = BAD[fault]
    for folder in ("photos", "objects"):
        (tmp_path / folder).mkdir()
    if photo:
        (tmp_path / "photos" / "broken.jpg").write_bytes(photo[0])
    trimesh.creation.box((2000, 2000, 2000)).export(tmp_path / "objects" / "tower.obj")
    path = tmp_path / "bad.yaml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    ran = run("generate", path, "--out", tmp_path / "out")
    assert ran.code == 1 and message in ran.err
    assert ran.err.count("error:") == 1 and "Traceback" not in ran.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("generate",),
        ("generate", QUICK, "--workers", 0),
        ("generate", QUICK, "--part", "3"),
        ("nonsense",),
        ("frame", "x", -1),
        ("audit", "x", "--engine", "slurm"),
        ("predict", "x", "--batch", 5000),
        ("export", "x", "--out", "y", "--boxes", "nobody"),
        ("compress", "run", "--dataset", "x"),
    ],
)
def test_wrong_usage_exits_with_2(run, arguments):
    assert run(*arguments).code == 2


# Ends from outside ----------------------------------------------------------------------------


def test_ctrl_c_while_text_is_executed_ends_with_the_same_status(tmp_path):
    # Imports of dataclasses and numba run exec("text"), which has CPython die of SIGINT later.
    (tmp_path / "interrupted.py").write_text(
        "from synthstudio import cli\n"
        "@cli.app.command()\n"
        "def interrupt():\n"
        "    exec('raise KeyboardInterrupt')\n"
        "cli.main()\n"
    )
    done = python("-m", "interrupted", "interrupt", cwd=tmp_path)
    assert done.returncode == 130
    assert "--resume" in done.stderr


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("Failed to allocate 921600 bytes on device 'cpu'"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        cv2.error("(-4:Insufficient memory) Failed to allocate 3 bytes"),
        "caused",
    ],
)
def test_too_little_memory_is_one_message(run, monkeypatch, error):
    def app():
        raise raised

    raised = RuntimeError("Failed to load the library") if isinstance(error, str) else error
    if isinstance(error, str):
        raised.__cause__ = OSError("warp.so: failed to map segment from shared object")
    monkeypatch.setattr(cli, "commands", lambda: app)
    ended = run("demo")
    assert ended.code == 1 and ended.err.startswith("error: there is not enough memory")
    raised = RuntimeError("a fault of ours")
    with pytest.raises(RuntimeError, match="of ours"):
        run("demo")
