"""Crops on disk: full disks and damaged caches are told; huge windows need little memory."""

import errno
import os
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from test_batches import a_person
from waiting import PATIENCE_S

from synthstudio.core.errors import DiskError, ModelError
from synthstudio.core.images import resample
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.training.data import crops, windows
from synthstudio.training.data.samples import Sample, cached_crops

BONES = get_skeleton("coco17")
SIZE = (48, 36)


def sample(seed=0):
    frame = {
        "group_id": str(seed), "camera_id": "a", "clip_frame": None, "width_px": 320,
        "height_px": 240, "split": "train", "variant": "base", "crowd_index": 0.0,
        "skeleton": "coco17", "world_to_camera": None,
    }  # fmt: skip
    unplaced = {"joints_camera_m": None, "kinematic_joints_world_m": None, "pose_family": "stand"}
    person = a_person(seed) | unplaced | {"frame_index": seed}
    rgb = stream(seed, "picture").integers(0, 256, (240, 320, 3), np.uint8)
    return Sample(frame=frame, people=[person], rgb=lambda: rgb)


def write_crops(out, *, total=2):
    samples, how = (sample(k) for k in range(2)), {"size": SIZE, "joints_3d": "kinematic"}
    progress = {"progress": lambda done, total: None}
    crops.write_crops(samples, BONES, (0, total), out, "here", **how, **progress)


def test_crops_come_back_as_they_were_cut(tmp_path):
    write_crops(tmp_path, total=50)
    assert len(crops.open_crops(tmp_path)) == 2
    held = (tmp_path / "images.npy").stat()
    assert held.st_blocks * 512 >= held.st_size  # also what nobody filled: no holes


def test_a_full_disk_is_told_before_anybody_is_cut_out(tmp_path, monkeypatch):
    def full(descriptor, start, count):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    monkeypatch.setattr(crops, "crop_people", lambda *given, **named: pytest.fail("somebody was"))
    with pytest.raises(DiskError, match=r"images\.npy: the disk is full"):
        write_crops(tmp_path)


def test_two_trainings_cut_the_same_people_once(tmp_path):
    began, second_asks, made = threading.Event(), threading.Event(), []

    def make(out):
        made.append(out)
        began.set()
        assert second_asks.wait(PATIENCE_S)
        write_crops(out)
        return {"people": 2}

    def cut(number):
        if number == 2:
            second_asks.set()
        return cached_crops(tmp_path / "cache", "k" * 64, make)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cut, 1)
        assert began.wait(PATIENCE_S)
        second = pool.submit(cut, 2)
        assert first.result() == second.result()
    assert len(made) == 1 and len(crops.open_crops(first.result()[0])) == 2


@pytest.mark.parametrize("name", ["images.npy", "cover.npy", "labels.npz"])
@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-50]),
        lambda path: path.write_bytes(bytes(200)),
    ],
    ids=["missing", "empty", "short", "zeros"],
)
def test_a_damaged_cache_is_told(tmp_path, name, harm):
    write_crops(tmp_path)
    harm(tmp_path / name)
    with pytest.raises(ModelError, match=r"crop cache is damaged.*Delete that folder"):
        crops.open_crops(tmp_path)


def whole(rgb, corner, scale, size, fill):
    extent = np.array([size[1], size[0]]) / scale
    low, high = np.floor(corner).astype(int) - 1, np.ceil(corner + extent).astype(int) + 1
    block = np.full((*(high - low)[::-1], 3), fill, np.uint8)
    for y in range(max(low[1], 0), min(high[1], rgb.shape[0])):
        a, b = max(low[0], 0), min(high[0], rgb.shape[1])
        if a < b:
            block[y - low[1], a - low[0] : b - low[0]] = rgb[y, a:b]
    at = corner - low
    return resample(block, (*at, *(at + extent)), (size[1], size[0]))


def test_a_window_is_the_same_bytes_as_if_all_of_it_were_in_memory():
    rng = stream(0, "windows")
    rgb = rng.integers(0, 256, (120, 160, 3), np.uint8)
    for k in range(60):
        reach = 10.0 ** rng.uniform(1, 3.3)  # from a corner of the picture to far more than it
        corner = rng.uniform(-reach, 160, 2)
        scale, fill = 72 / reach, (114, 0)[k % 2]
        made = windows.crop_and_resize(rgb, corner, scale, (96, 72), fill=fill)
        assert (made == whole(rgb, corner, scale, (96, 72), fill)).all(), (k, corner, reach)


def test_a_huge_window_needs_no_memory_for_what_is_beyond_the_picture():
    rgb = np.full((120, 160, 3), 200, np.uint8)
    tracemalloc.start()
    made = windows.crop_and_resize(rgb, np.array([-9000.0, -9000.0]), 72 / 20_000, (96, 72))
    maximum = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert made.shape == (96, 72, 3) and maximum < 100e6  # all of it: 1.6 GB
