"""What people send to the page Try it: what is taken, what is refused and logged, what is left."""

import base64
import dataclasses
import logging
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from attackers import bomb, picture
from job_orders import LEAD, settings_in

from synthstudio.cli.review import parse_studio
from synthstudio.core.errors import FormatError, StudioError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.inference.predict import CropPredictions
from synthstudio.inference.stream import LiveFrame
from synthstudio.studio import answers
from synthstudio.studio.settings import Limits

LIMITS = Limits()
SKELETON = get_skeleton("coco17")


class Net:
    """Stands for an exported network: joints in a row across each crop."""

    size, skeleton = (96, 72), SKELETON

    def __call__(self, crops):
        joints = len(SKELETON.joints)
        row = np.stack([np.linspace(10, 60, joints), np.linspace(10, 90, joints)], 1)
        fractions = np.tile(np.eye(4)[np.arange(joints) % 4], (len(crops), 1, 1))
        full = np.full((len(crops), joints), 0.9)
        parts = {"xy": np.tile(row, (len(crops), 1, 1)), "visibility_fractions": fractions}
        parts["peaks"] = np.zeros((len(crops), joints, 0, 3))
        return CropPredictions(**parts, score=full, quality=full, present=full)


NET = Net()


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def left_over():
    return list(Path(tempfile.gettempdir()).glob("synthstudio-try-*"))


def video(path, *, count=20, size=(96, 64)):
    out = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, size)
    for k in range(count):
        out.write(np.full((size[1], size[0], 3), 4 * k, np.uint8))
    out.release()
    return path.read_bytes()


def test_a_photo_is_answered_with_hidden_joints_in_words():
    rgb = answers.checked_photo(picture(), limits=LIMITS, who=LEAD)
    assert answers.photo_people(NET, rgb, []).people >= 1  # whom the detector finds, or one
    found = answers.photo_people(NET, rgb, [[0, 0, rgb.shape[1], rgb.shape[0]]])
    assert found.people == 1 and found.jpeg[:2] == b"\xff\xd8"
    assert found.lines[0] == "person 1: left eye hidden by own body"
    assert "person 1: right eye hidden by another person" in found.lines
    assert "person 1: left ear hidden by an object" in found.lines
    several = answers.photo_people(NET, rgb, [[0, 0, 40, 60], [50, 10, 40, 60]])
    assert several.people == 2
    frame = LiveFrame(number=0, time_s=0.0, arrived_s=0.0, rgb=rgb)
    seen = answers.new_follower(NET, [[0, 0, 40, 60], [50, 10, 40, 60]], minimum=0.0).step(frame)
    moved = dataclasses.replace(seen.people[0], track=77)
    other = dataclasses.replace(seen, people=[moved, *seen.people[1:]])
    assert answers.shown(seen, SKELETON).jpeg != answers.shown(other, SKELETON).jpeg  # numbers
    said = answers.camera_people(seen, 3, SKELETON)
    assert [one["name"] for one in said["people"]] == ["person 1", "person 2"]
    assert said["n"] == 3 and len(said["people"][0]["joints"]) == 17
    x, y, cause = said["people"][0]["joints"][1]  # in shares of the picture
    size = [rgb.shape[1], rgb.shape[0]]
    assert (x, y) == pytest.approx(seen.people[0].xy[1] / size, abs=1e-4)
    assert cause == "self" and cause in said["colours"]


def test_a_video_is_answered_and_leaves_nothing(tmp_path):
    done = []
    found = answers.video_people(
        NET, video(tmp_path / "a.mp4"), ".MP4", [], limits=LIMITS, who=LEAD, progress=done.append
    )
    assert len(found) == 4 and all(one.people == 1 for one in found)
    assert done == [1, 6, 11, 16] and not left_over()


MP4 = b"\0\0\0\x18ftypisom" + bytes(4000)
BAD_VIDEOS = [(b"", ".mp4"), (MP4, ".mp4"), (MP4, ".html"), (MP4, "/../../a.mp4")]
BAD_VIDEOS += [(b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", ".mp4")]
BAD_VIDEOS += [(b"ffconcat version 1.0\nfile /etc/passwd\n", ".mkv")]
BAD_VIDEOS += [(bytes(20 * 2**20 + 1), ".mp4"), (b"\x1a\x45\xdf\xa3" + bytes(60), ".webm")]
BAD_VIDEOS += [(b"RIFF\xff\xff\xff\xffAVI LIST", ".avi")]


def test_what_is_no_video_is_refused_and_leaves_nothing(caplog, tmp_path, monkeypatch):
    caplog.set_level(logging.WARNING, "synthstudio.studio.guard")
    for number, (data, suffix) in enumerate(BAD_VIDEOS, start=1):
        with pytest.raises((StudioError, FormatError)) as error:
            answers.video_people(NET, data, suffix, [], limits=LIMITS, who=LEAD)
        assert caplog.text.count("a video to try") == number and not left_over()
        assert tempfile.gettempdir() not in str(error.value)  # no place of the server's
    monkeypatch.setattr(answers, "_VIDEO_PIXELS", 5_000)
    with pytest.raises(FormatError, match="too large"):
        answers.video_people(NET, video(tmp_path / "a.mp4"), ".mp4", [], limits=LIMITS, who=LEAD)
    assert not left_over()


def message(data, n=1):
    return {"n": n, "image": "data:image/jpeg;base64," + base64.b64encode(data).decode()}


JPEG = "data:image/jpeg;base64,"
BAD_MESSAGES = [None, [], "x", {}, {"n": 1}, {"n": 1, "image": 5}]
BAD_MESSAGES += [{"n": 1, "image": "http://127.0.0.1/a.jpg"}, {"n": 1, "image": JPEG + "%%%"}]
BAD_MESSAGES += [{"n": 1, "image": "data:image/svg+xml;base64,AAAA"}]
BAD_MESSAGES += [{"n": 1, "image": JPEG + "A" * 700_001}, message(bomb(6_000))]
BAD_MESSAGES += [message(picture(kind="JPEG"), n=n) for n in (-1, True, "1", 2**60)]
BAD_MESSAGES += [message(picture(kind="JPEG")[:50])]
BAD_MESSAGES += [message(picture(kind="JPEG", size=(2000, 999)))]


def test_a_camera_says_a_picture_and_all_else_is_refused_and_logged(caplog):
    caplog.set_level(logging.WARNING, "synthstudio.studio.guard")
    found = answers.camera_frame(message(picture(kind="JPEG"), n=7), who=LEAD)
    assert found is not None and found[0] == 7 and found[1].shape == (80, 96, 3)
    for number, said in enumerate(BAD_MESSAGES, start=1):
        assert answers.camera_frame(said, who=LEAD) is None
        assert caplog.text.count("a camera's picture") == number


def test_boxes_are_read_or_refused():
    wrong = ("1,2,3", "a", "1,2,0,4", "nan,1,2,3", "1,2,inf,3", "1,2,3,4;x", "1,2,3,4;" * 30)
    for text in wrong:
        with pytest.raises(StudioError, match="invalid boxes"):
            answers.parse_boxes(text)
    assert answers.parse_boxes(" ") == []
    assert answers.parse_boxes("1, 2, 3,4; 5,6,7,8.5") == [[1, 2, 3, 4], [5, 6, 7, 8.5]]


def test_models_are_given_ones_those_of_the_runs_folder_and_ours(tmp_path, monkeypatch):
    runs = tmp_path / "runs"
    for name in ("a", "b", "empty"):
        (runs / name).mkdir(parents=True)
    for file in ("a/model.onnx", "b/model.onnx"):
        (runs / file).touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.onnx").touch()
    (runs / "link").symlink_to(tmp_path / "out")
    (tmp_path / "own.onnx").touch()
    given = ["--runs", str(runs), "--model", str(tmp_path / "own.onnx"), "--model", str(runs / "a")]
    settings = parse_studio([*given, "--exports", str(tmp_path)])
    assert list(answers.models(settings)) == ["own", "a", "a (another)", "b", "default"]
    for wrong in (tmp_path / "nothing.onnx", runs / "empty", tmp_path / "a.txt"):
        with pytest.raises(StudioError, match="not an exported network"):
            parse_studio(["--model", str(wrong), "--exports", str(tmp_path)])
    only = answers.models(settings_in(tmp_path))
    assert list(only) == ["default"] and answers.load(only["default"]).skeleton.name == "coco23"
    monkeypatch.setattr(answers, "WEIGHTS", tmp_path)
    assert answers.models(settings_in(tmp_path)) == {}
