"""The command live and `ss.live` from end to end: lines for programs, a video, no window, ends."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import cv2
import dancers
import numpy as np
import pytest
import untrained
from command_line import run
from waiting import PATIENCE_S, wait_for_line

import synthstudio as ss
from synthstudio.api.live import run_live
from synthstudio.core.errors import ArgumentError, DiskError, FormatError
from synthstudio.inference.live import video_out, window_missing

BOX = "60,30,60,120"
COUNT = 12


@pytest.fixture(scope="session")
def folder(once):
    """The weights of an untrained network, the same exported, and a short video."""

    def make(folder):
        # of this seed a box stays, untrained, on the person whom it is shown
        untrained.save(folder / "best.safetensors", seed=4)
        ss.Model.load(folder / "best.safetensors", device="cpu").export(folder / "model.onnx")
        pictures = [dancers.picture([(70.0 + 2 * k, 50.0)]) for k in range(COUNT)]
        dancers.video(folder / "a.mp4", pictures, fps=25)

    return once("live command", make)


def lines(*words):
    return [json.loads(line) for line in run("live", *words).stdout.splitlines()]


def test_programs_get_a_line_a_picture_and_one_of_all(folder):
    *pictures, last = lines(
        folder / "best.safetensors", folder / "a.mp4", "--boxes", BOX, "--minimum", 0, "--json"
    )
    assert [p["picture"] for p in pictures] == list(range(COUNT))
    assert [p["time_s"] for p in pictures] == pytest.approx(np.arange(COUNT) / 25, abs=1e-4)
    assert pictures[0]["searched"]
    person = pictures[0]["people"][0]
    assert person["bbox"] == [60, 30, 60, 120] and person["track_id"] == 1
    assert len(person["keypoints"]) == 23 * 3 and len(person["joints"]["cause"]) == 23
    said = last["summary"]
    assert (said["pictures"], said["missed"], said["most_people"]) == (COUNT, 0, 1)
    assert 0 < said["latency_p50_ms"] <= said["latency_p95_ms"] and said["frames_per_s"] > 0


def test_the_exported_network_answers_the_same_without_pytorch(folder):
    run = (
        "import sys; from synthstudio.cli import main; sys.argv[0] = 'synthstudio'\n"
        "try: main()\nexcept SystemExit: pass\n"
        "bad = sorted(m for m in sys.modules if m.split('.')[0] in ('torch', 'transformers'))\n"
        "print({'torch': bad} if bad else 'none')"
    )
    words = [str(folder / "a.mp4"), "--boxes", BOX, "--minimum", "0", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", run, "live", str(folder), *words, "--runtime", "onnx"],
        capture_output=True,
        text=True,
        check=True,
    )
    *theirs, _, torch_seen = done.stdout.splitlines()
    assert torch_seen == "none"
    *ours, _ = lines(folder / "best.safetensors", *words)
    for a, b in zip(map(json.loads, theirs), ours, strict=True):
        for one, other in zip(a["people"], b["people"], strict=True):
            assert one["keypoints"] == pytest.approx(other["keypoints"], abs=0.3)


def test_a_video_is_written_and_keeps_the_time(folder, tmp_path):
    out = tmp_path / "out.mp4"
    result = run_live(
        folder / "model.onnx", folder / "a.mp4", boxes=[[60, 30, 60, 120]], out=out, minimum=0
    )
    assert result["out"] == str(out) and list(tmp_path.iterdir()) == [out]
    film = cv2.VideoCapture(str(out))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == COUNT
    assert film.get(cv2.CAP_PROP_FPS) == 25
    good, drawn = film.read()
    assert good and drawn.shape[1] == 320 and drawn.shape[0] > 240  # the legend below
    assert np.abs(drawn[:240].astype(int) - 90).max() > 60  # something is drawn
    film.release()
    picture = dancers.picture([(70.0, 50.0)])
    with video_out(tmp_path / "a.avi") as write:
        for number in (3, 4, 9):  # missed pictures are made up for
            write(picture, number, 25.0)
    film = cv2.VideoCapture(str(tmp_path / "a.avi"))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == 7
    film.release()


def test_a_video_that_cannot_be_whole_is_not_there(tmp_path, monkeypatch):
    def full(path, *more):  # OpenCV says nothing
        Path(path).write_bytes(b"")
        return Mock()

    full.fourcc = cv2.VideoWriter.fourcc
    monkeypatch.setattr(cv2, "VideoWriter", full)
    raised = pytest.raises(DiskError, match="incomplete")
    with raised, video_out(tmp_path / "a.mp4") as write:
        write(dancers.picture([]), 0, 25.0)
    assert not list(tmp_path.iterdir())


def test_without_a_window_it_says_so_and_goes_on(folder, capsys, monkeypatch):
    run_live(folder / "model.onnx", folder / "a.mp4", boxes=[[60, 30, 60, 120]], frames=2)
    if window_missing():
        assert "no window: " in capsys.readouterr().err
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:           QT5\n")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert window_missing() == "no display"
    monkeypatch.setenv("DISPLAY", ":0")
    assert window_missing() == ""


def test_q_in_the_window_ends_it(folder, monkeypatch):
    shown = []
    monkeypatch.setattr("synthstudio.api.live.window_missing", lambda: "")
    monkeypatch.setattr(cv2, "imshow", lambda title, bgr: shown.append(bgr.shape))
    monkeypatch.setattr(cv2, "waitKey", lambda ms: ord("q") if len(shown) == 3 else -1)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda title, what: 1.0)
    result = run_live(folder / "model.onnx", folder / "a.mp4", boxes=[[60, 30, 60, 120]])
    assert result["pictures"] == len(shown) == 3


def test_ctrl_c_ends_it_with_a_whole_video(folder, tmp_path):
    long, out = tmp_path / "long.mp4", tmp_path / "out.mp4"
    dancers.video(long, [dancers.picture([(70.0, 50.0)])] * 600)
    words = ["live", str(folder / "model.onnx"), str(long), "--boxes", BOX, "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "synthstudio", *words, "--realtime", "--out", str(out)],
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_for_line(process, '"picture": 3')
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    summary = json.loads(rest.splitlines()[-1])["summary"]
    film = cv2.VideoCapture(str(out))
    count = film.get(cv2.CAP_PROP_FRAME_COUNT)
    film.release()
    assert summary["pictures"] <= count <= summary["pictures"] + summary["missed"]
    assert summary["pictures"] < 600


def test_a_function_may_find_people_who_come_by_columns(folder):
    asked = []

    def find(rgb):
        asked.append(rgb.shape)
        return [[60, 30, 60, 120]]

    found = list(ss.live(folder / "model.onnx", folder / "a.mp4", finder=find, minimum=0, every=0))
    assert asked == [(240, 320, 3)] and len(found) == COUNT and found[0].searched
    assert all(len(f.people) == 1 for f in found)
    people = found[3].people
    assert people.joints_px.shape == (1, 23, 2) and people.instance.tolist() == [1]
    assert found[3].image.shape == (240, 320, 3) and found[3].drawn().shape[1] == 320


@pytest.mark.parametrize(
    "how",
    [
        {"boxes": [[1, 2, 3, 4]], "detector": "x"},
        {"boxes": [[1, 2, 3]]},
        {"boxes": [[1, 2, 0, 4]]},
        {"boxes": [[1, 2, 3, 4]], "timeout_s": 0},
        {"every": -1},
        {"minimum": float("nan")},
        {"min_cutoff_hz": 0},
        {"beta": -1},
        {"boxes": [[1, 2, 3, 4]], "out": "a.txt"},
        {"boxes": [[900, 0, 9, 9]], "out": "a.mp4"},
    ],
)
def test_what_cannot_be_is_told_and_leaves_no_video(folder, how, tmp_path):
    if "out" in how:
        how = how | {"out": tmp_path / how["out"]}
    with pytest.raises((ArgumentError, FormatError), match=[*how][-1]):
        run_live(folder / "model.onnx", folder / "a.mp4", **how)
    assert not list(tmp_path.iterdir())


def test_without_boxes_somebody_is_looked_for_in_the_whole_picture(folder):
    """And by the package's own network: on stick people it need not find any."""
    first, *_ = lines(folder / "model.onnx", folder / "a.mp4", "--minimum", 0, "--json")
    assert first["searched"] and first["people"]
    x, y, width, height = first["people"][0]["bbox"]
    assert 0 <= x < x + width <= 320 and 0 <= y < y + height <= 240
    *pictures, last = lines("default", folder / "a.mp4", "--minimum", 0, "--json")
    assert last["summary"]["pictures"] == len(pictures) == COUNT
    assert all(len(person["keypoints"]) == 23 * 3 for p in pictures for person in p["people"])


@pytest.mark.parametrize("words", [[], ["a.mp4", "--camera", "0"], ["a.mp4", "--boxes", "1,2,3"]])
def test_a_command_that_is_no_command_says_how(words):
    run("live", "model.onnx", *words, code=2)
