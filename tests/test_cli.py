"""Every command runs; every bad input is one message and exit status 1, with nothing written."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest
import trimesh
from PIL import Image

from synthstudio import cli
from synthstudio.cli import main
from synthstudio.core.images import image_size
from synthstudio.formats.coco.file import annotation_files, image_folder
from synthstudio.recipe.schema.load import json_schema, load

SCENES = Path(__file__).resolve().parents[1] / "scenes"
QUICK = str(SCENES / "quickstart.yaml")


class Ran:
    """What a command did."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    def call(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["synthstudio", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data set made by the command itself, in a process of its own."""
    out = tmp_path_factory.mktemp("cli") / "set"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "synthstudio",
            "generate",
            QUICK,
            "--frames",
            "6",
            "--out",
            str(out),
            "--workers",
            "2",
            "--json",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    output = json.loads(done.stdout)
    assert output["frames"] == 6
    assert output["people"] == 12
    assert "Traceback" not in done.stderr
    return out


def test_stats_counts_every_joint(run, dataset: Path) -> None:  # type: ignore[no-untyped-def]
    counted = json.loads(run("stats", dataset, "--json").out)
    assert sum(counted["causes"].values()) == 12 * 23
    text = run("stats", dataset)
    assert text.code == 0
    assert "left_wrist" in text.out
    assert "object" in text.out


def test_coverage_is_counted_drawn_and_followed_up(run, dataset: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    reported = json.loads(run("coverage", dataset, "--json").out)
    assert (reported["frames"], reported["people"]) == (6, 12)
    assert sum(reported["cells"]["count"]) == 12 * 23
    sheet, follow = tmp_path / "some" / "sheet.jpg", tmp_path / "next.yaml"
    ran = run("coverage", dataset, "--sheet", sheet, "--write", follow, "--at-least", 3)
    assert ran.code == 0
    assert "people by pose family and side seen" in ran.out
    assert str(sheet) in ran.err and str(follow) in ran.err
    assert image_size(sheet)[0] > 1500
    recipe = load(follow)
    assert recipe.frames < 6
    assert recipe.quotas is not None and recipe.quotas.view
    assert run("generate", follow, "--out", tmp_path / "out", "--frames", 1).code == 0
    wrong = run("coverage", dataset, "--sheet", tmp_path / "sheet.tiff")
    assert wrong.code == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["next.yaml", "out", "some"]


def test_strict_says_that_targets_were_missed(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path, out = tmp_path / "luck.yaml", tmp_path / "out"
    path.write_text(
        "name: luck\nframes: 3\nimage: {width_px: 160, height_px: 120}\n"
        "things: [{kind: procedural}]\n"
        "targets: {occluded_fraction: 0.85, search: false}\n"
    )
    ran = run("generate", path, "--out", out, "--strict", "--json")
    assert ran.code == 1
    assert "target not met: occluded_fraction: error in the median" in ran.err
    reported = json.loads(ran.out)
    assert reported["frames"] == 3
    assert reported["unmet"]
    requested = json.loads(run("stats", out, "--json").out)["targets"]
    assert requested["occluded_fraction"]["people"] == requested["people"] > 0
    assert "requested against achieved" in run("stats", out).out
    lenient = run("generate", path, "--out", out, "--resume")
    assert lenient.code == 0
    assert "target not met" in lenient.err


def test_export_then_pycocotools_opens_it(run, dataset: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    made = run("export", dataset, "--out", tmp_path / "coco", "--json")
    assert made.code == 0
    reported = json.loads(made.out)
    from pycocotools.coco import COCO

    images = people = 0
    for path in annotation_files(tmp_path / "coco"):
        coco = COCO(str(path))
        images, people = images + len(coco.imgs), people + len(coco.anns)
        for image in coco.imgs.values():
            with Image.open(image_folder(path) / image["file_name"]) as opened:
                assert opened.size == (image["width"], image["height"])
    assert Path(reported["annotations"]) == tmp_path / "coco" / "annotations"  # of several splits
    assert (images, people) == (reported["images"], reported["people"]) == (6, reported["people"])
    again = run("export", dataset, "--out", tmp_path / "coco")
    assert again.code == 1
    assert "a folder of its own" in again.err


def test_frame_is_the_same_and_says_so(run, dataset: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    made = run("frame", dataset, 3, "--out", tmp_path / "f.jpg", "--drawn", tmp_path / "f.png")
    assert made.code == 0
    assert "same bytes" in made.err
    stored = next(dataset.rglob("000003.jpg")).read_bytes()
    assert (tmp_path / "f.jpg").read_bytes() == stored
    assert image_size(tmp_path / "f.png")[0] >= 320
    missing = run("frame", dataset, 99)
    assert missing.code == 1
    assert "does not hold this frame" in missing.err


def test_audit_agrees(run, dataset: Path) -> None:  # type: ignore[no-untyped-def]
    found = json.loads(run("audit", dataset, "--json").out)
    assert found["disagreement_rate"] == 0
    assert found["joints"] > 200


def test_preview_draws_a_picture(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    made = run("preview", QUICK, "--index", 2, "--out", tmp_path / "p.png")
    assert made.code == 0
    assert image_size(tmp_path / "p.png")[0] >= 320


def test_schema_is_printed(run) -> None:  # type: ignore[no-untyped-def]
    assert json.loads(run("schema").out) == json_schema()


def test_parts_merge(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    one = run("generate", QUICK, "--frames", 3, "--part", "1/1", "--out", tmp_path / "p1")
    assert one.code == 0
    joined = run("merge", tmp_path / "p1", "--out", tmp_path / "whole", "--json")
    assert json.loads(joined.out)["frames"] == 3


def test_plan_says_rate_time_and_disk(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    output = run("generate", QUICK, "--frames", 30, "--plan", "--out", tmp_path / "never", "--json")
    assert output.code == 0
    plan = json.loads(output.out)
    assert plan["frames"] == 30
    assert plan["frames_per_second"] > 0
    assert plan["disk_bytes"] > 10_000
    assert list(tmp_path.iterdir()) == []


ALIASES = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a]\nname: bomb\nc: [*b,*b,*b]\n"
BAD_RECIPES = {
    "not YAML": ("name: [unclosed", "not a recipe in YAML"),
    "unknown field": ("name: x\nframez: 3\n", "framez"),
    "doubled field": ("name: x\nname: y\n", "name"),
    "alias bomb": (ALIASES, "alias"),
    "min above max": ("name: x\ncamera: {distance_m: [5, 3]}\n", "camera.distance_m"),
    "probability 1.5": ("name: x\npeople: {wardrobe: {hat: 1.5}}\n", "people.wardrobe.hat"),
    "zero frames": ("name: x\nframes: 0\n", "frames"),
    "missing folder": ("name: x\nbackdrop: {kind: photo, folder: nowhere}\n", "nowhere"),
    "absolute folder": ("name: x\nbackdrop: {kind: photo, folder: /etc}\n", "relative"),
}


@pytest.mark.parametrize("fault", BAD_RECIPES)
def test_bad_recipes(run, tmp_path: Path, fault: str) -> None:  # type: ignore[no-untyped-def]
    text, message = BAD_RECIPES[fault]
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    ran = run("generate", path, "--out", tmp_path / "out")
    assert ran.code == 1
    assert message in ran.err
    assert ran.err.count("error:") == 1
    assert "Traceback" not in ran.err
    assert not (tmp_path / "out").exists()


def test_missing_recipe(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    ran = run("generate", tmp_path / "none.yaml")
    assert ran.code == 1
    assert "no recipe there" in ran.err


def _photo_recipe(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    path = tmp_path / "photo.yaml"
    path.write_text("name: x\nframes: 1\nbackdrop: {kind: photo, folder: photos}\n")
    return path


def test_an_empty_folder_of_photos(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    ran = run("generate", _photo_recipe(tmp_path), "--out", tmp_path / "out")
    assert ran.code == 1
    assert "photos" in ran.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0 cut short", b"GIF89a no photo"])
def test_damaged_photos_are_named(run, tmp_path: Path, content: bytes) -> None:  # type: ignore[no-untyped-def]
    path = _photo_recipe(tmp_path)
    (tmp_path / "photos" / "broken.jpg").write_bytes(content)
    ran = run("generate", path, "--out", tmp_path / "out")
    assert ran.code == 1
    assert "broken.jpg" in ran.err
    assert not (tmp_path / "out").exists()


def test_a_mesh_in_kilometres_says_so(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "things").mkdir()
    trimesh.creation.box((2000, 2000, 2000)).export(tmp_path / "things" / "tower.obj")
    path = tmp_path / "m.yaml"
    path.write_text("name: x\nframes: 1\nthings: [{kind: mesh, folder: things}]\n")
    ran = run("generate", path, "--out", tmp_path / "out")
    assert ran.code == 1
    assert "tower.obj" in ran.err
    assert not (tmp_path / "out").exists()


def test_a_users_mesh_becomes_a_thing_in_the_frame(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "things").mkdir()
    trimesh.creation.box((0.6, 0.6, 1.2)).export(tmp_path / "things" / "box.glb")
    path = tmp_path / "m.yaml"
    path.write_text("name: x\nframes: 2\nthings: [{kind: mesh, folder: things}]\n")
    assert run("generate", path, "--out", tmp_path / "out").code == 0
    assert json.loads(run("stats", tmp_path / "out", "--json").out)["frames"] == 2


def test_a_folder_with_other_things_in_it(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "mine.txt").write_text("keep me")
    ran = run("generate", QUICK, "--frames", 1, "--out", tmp_path)
    assert ran.code == 1
    assert "holds mine.txt" in ran.err
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_going_on_needs_resume_and_the_same_recipe(run, dataset: Path) -> None:  # type: ignore[no-untyped-def]
    assert "--resume" in run("generate", QUICK, "--frames", 6, "--out", dataset).err
    other = run("generate", QUICK, "--frames", 6, "--seed", 5, "--resume", "--out", dataset)
    assert other.code == 1
    assert "seed" in other.err
    same = run("generate", QUICK, "--frames", 6, "--resume", "--out", dataset, "--json")
    assert json.loads(same.out)["made"] == 0


def test_no_cuda_is_one_message(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from synthstudio.render import runtime

    if runtime.resolve_device("auto") != "cpu":
        pytest.skip("this machine has CUDA")
    ran = run("generate", QUICK, "--device", "cuda", "--out", tmp_path / "out")
    assert ran.code == 1
    assert "no CUDA device" in ran.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("generate",),
        ("generate", QUICK, "--workers", 0),
        ("generate", QUICK, "--part", "3"),
        ("nonsense",),
        ("frame", "x", -1),
    ],
)
def test_wrong_usage_exits_with_2(run, arguments: tuple[object, ...]) -> None:  # type: ignore[no-untyped-def]
    assert run(*arguments).code == 2


@pytest.mark.parametrize("command", ["stats", "audit", "coverage", "export", "frame"])
def test_a_folder_that_is_no_data_set(run, tmp_path: Path, command: str) -> None:  # type: ignore[no-untyped-def]
    more = {"export": ("--out", tmp_path / "o"), "frame": (0,)}.get(command, ())
    ran = run(command, tmp_path, *more)
    assert ran.code == 1
    assert "no data set" in ran.err


def test_ctrl_c_says_that_nothing_complete_is_lost(tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "synthstudio",
            "generate",
            QUICK,
            "--frames",
            "5000",
            "--out",
            str(out),
        ],
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background has them ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        for _ in range(600):
            if (out / "run.log").exists() and "started" in (out / "run.log").read_text():
                break
            time.sleep(0.1)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        _, output = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "--resume" in output
    assert "Traceback" not in output
    assert not list(out.glob("shards/.tmp-*"))


def test_ctrl_c_while_text_is_executed_ends_with_the_same_status(tmp_path: Path) -> None:
    # Imports of dataclasses and numba run exec("text"), which has CPython die of SIGINT later.
    (tmp_path / "interrupted.py").write_text(
        "from synthstudio import cli\n"
        "@cli.app.command()\n"
        "def interrupt():\n"
        "    exec('raise KeyboardInterrupt')\n"
        "cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "interrupted", "interrupt"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 130
    assert "--resume" in done.stderr


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("Failed to allocate 921600 bytes on device 'cpu'"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        cv2.error("(-4:Insufficient memory) Failed to allocate 3 bytes"),
    ],
)
def test_too_little_memory_is_one_message(  # type: ignore[no-untyped-def]
    run, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def app() -> None:
        raise error

    caused = RuntimeError("Failed to load the shared library")
    caused.__cause__ = OSError("warp.so: failed to map segment from shared object")
    assert cli._is_out_of_memory(caused)
    monkeypatch.setattr("synthstudio.cli.commands", lambda: app)
    ended = run("demo")
    assert ended.code == 1 and ended.err.startswith("error: there is not enough memory")
    error = RuntimeError("a fault of ours")
    with pytest.raises(RuntimeError, match="of ours"):
        run("demo")


def test_a_changed_or_missing_stored_image_is_noticed(  # type: ignore[no-untyped-def]
    run, dataset: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(dataset, broken)
    image = next(broken.rglob("000003.jpg"))
    data = bytearray(image.read_bytes())
    data[len(data) // 2] ^= 1
    image.write_bytes(data)
    for command in (("frame", broken, 3), ("export", broken, "--out", tmp_path / "coco")):
        ran = run(*command)
        assert ran.code == 1
        assert "000003.jpg" in ran.err
    assert not (tmp_path / "coco").exists()
    image.unlink()
    ran = run("frame", broken, 3)
    assert ran.code == 1
    assert "000003.jpg" in ran.err
    assert [p.name for p in tmp_path.iterdir()] == ["broken"]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail any connection that a command tries in this process."""

    def refuse(*_: object) -> None:
        raise AssertionError("a command opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
