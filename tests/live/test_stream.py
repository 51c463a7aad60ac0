"""Cameras, videos and network streams that are missing, stall, break off or change in size."""

import logging
import threading

import cv2
import dancers
import numpy as np
import pytest
from waiting import PATIENCE_S, wait_for

from synthstudio.core.errors import ArgumentError, DeviceError, FormatError
from synthstudio.inference.stream import Stream, stream_source


@pytest.fixture
def clip(tmp_path):
    places = [[(5.0 * k, 60.0)] for k in range(30)]
    return dancers.video(tmp_path / "a.mp4", [dancers.picture(p) for p in places])


class FakeCapture:
    """Stands for cv2.VideoCapture: `pictures` as they come, None at the end, or a function."""

    def __init__(self, *pictures, opens=True, **stated):
        self.pictures, self.opens, self.stated = list(pictures), opens, stated
        self.released = False

    def __call__(self, *place):
        self.place = place
        return self

    def isOpened(self):
        return self.opens

    def get(self, what):
        named = {cv2.CAP_PROP_FPS: "fps", cv2.CAP_PROP_FRAME_COUNT: "count"}
        return self.stated.get(named.get(what, ""), 0.0)

    def read(self):
        given = self.pictures.pop(0) if self.pictures else None
        given = given() if callable(given) else given
        return given is not None, given

    def release(self):
        self.released = True


GREY = np.full((24, 32, 3), 90, np.uint8)


@pytest.fixture
def capture(monkeypatch):
    def put(*pictures, **how):
        made = FakeCapture(*pictures, **how)
        monkeypatch.setattr(cv2, "VideoCapture", made)
        return made

    return put


def test_a_file_gives_every_picture(clip):
    stream = Stream(stream_source(clip))
    found = list(stream)
    assert [f.number for f in found] == list(range(30)) and stream.fps == 30
    assert found[0].rgb.shape == (240, 320, 3)
    assert found[0].rgb[100, 15, 0] > 200 > found[0].rgb[100, 15, 2]  # RGB


def test_a_paced_video_gives_a_slow_reader_the_newest_picture(capture, clip):
    made = capture(*[GREY] * 30, count=30.0, fps=500.0)
    frames = iter(Stream(stream_source(clip, realtime=True)))
    first = next(frames)
    wait_for(lambda: made.released, "the end of the video")
    rest = list(frames)
    assert first.number < 29 and [f.number for f in rest] == [29]  # the last one is there
    assert rest[0].time_s == pytest.approx(29 / 500)
    assert rest[0].arrived_s - first.arrived_s > rest[0].time_s - first.time_s - 0.03


def test_a_slow_reader_gets_the_newest_picture_of_a_camera(capture):
    made = capture(*(np.full((24, 32, 3), k, np.uint8) for k in range(100)))
    frames = iter(Stream(stream_source(0)))
    first = next(frames)
    wait_for(lambda: made.released, "the end of the pictures")
    newest = next(frames) if first.number < 99 else first
    assert newest.number == 99 == newest.rgb[0, 0, 0]
    with pytest.raises(DeviceError, match="camera 0: the camera disconnected"):
        next(frames)


@pytest.mark.parametrize("source", ["rtsp://user:secret@127.0.0.1:9/cam", 7])
def test_a_source_that_is_missing_or_goes_away_is_told(source, capture):
    made = capture(opens=False)
    with pytest.raises(DeviceError) as error:
        list(Stream(stream_source(source)))
    assert "secret" not in str(error.value) and made.released
    assert error.value.where in ("camera 7", "rtsp://127.0.0.1:9/cam")
    made = capture(GREY, GREY)
    with pytest.raises(DeviceError):
        list(Stream(stream_source(source)))
    assert made.released


@pytest.mark.parametrize("source", [0, "rtsp://127.0.0.1/cam"])
def test_one_that_stalls_is_told(source, capture):
    hang = threading.Event()
    capture(GREY, lambda: hang.wait(PATIENCE_S) and None)
    try:
        with pytest.raises(DeviceError, match=r"no more pictures.*within 0.3 s"):
            list(Stream(stream_source(source), timeout_s=0.3))
    finally:
        hang.set()


def test_pictures_that_change_in_size_are_told(capture, clip):
    capture(GREY, GREY, np.zeros((32, 24, 3), np.uint8))
    with pytest.raises(FormatError, match=r"picture 2: the picture size changes.*32 x 24.*24 x"):
        list(Stream(stream_source(clip)))


def test_a_video_of_jpegs_of_two_sizes_comes_in_the_first_ones(tmp_path):
    """A real one: MJPEG is one JPEG after the other, and OpenCV scales what FFmpeg decodes."""
    parts = []
    for size in [(48, 64)] * 30 + [(64, 48)] * 30:
        good, data = cv2.imencode(".jpg", np.full((*size, 3), 120, np.uint8))
        assert good
        parts.append(data.tobytes())
    path = tmp_path / "a.avi"
    path.write_bytes(b"".join(parts))
    assert [f.rgb.shape for f in Stream(stream_source(path))] == [(48, 64, 3)] * 60


def test_videos_without_pictures_are_told_and_one_cut_off_ends_early_with_a_word(
    tmp_path, capture, caplog
):
    damaged = tmp_path / "a.mp4"
    damaged.write_bytes(b"\0" * 4000)
    capture(count=10.0)
    with pytest.raises(FormatError):
        list(Stream(stream_source(damaged)))
    capture(GREY, GREY, GREY, count=30.0, fps=25.0)
    with caplog.at_level(logging.WARNING, logger="synthstudio"):
        assert len(list(Stream(stream_source(damaged)))) == 3
    assert "only 3 of 30" in caplog.text


@pytest.mark.parametrize(
    "source", ["file:///etc/passwd", "concat://a|b", "rtsp://", "http://[::1", "100", "udp://x"]
)
def test_other_addresses_and_cameras_are_refused(source):
    with pytest.raises(ArgumentError):
        stream_source(source)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.txt").touch()
    (tmp_path / "damaged.mp4").write_bytes(b"\0" * 4000)
    for name in ("a.txt", "b.mp4", "damaged.mp4"):
        with pytest.raises(FormatError):
            list(Stream(stream_source(tmp_path / name)))
