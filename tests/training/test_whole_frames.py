"""Whole frames of a data set, letter-boxed, and bottom-up networks that learn them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.generation.pipeline import generate
from synthstudio.generation.stage import prepare
from synthstudio.models.backbones.pyramid import ConvPyramid
from synthstudio.models.bottom_up.contract import FoundPeople, FramePeople
from synthstudio.models.bottom_up.fcpose import FCPose
from synthstudio.models.bottom_up.openpose import OpenPose
from synthstudio.models.bottom_up.personlab import PersonLab
from synthstudio.recipe.schema.load import parse
from synthstudio.training.data.frames import WholeFrames, collate
from synthstudio.training.data.windows import Letterbox

SIZE = (128, 160)
SKELETON = get_skeleton("coco17")
RECIPE = {
    "name": "whole-frames",
    "frames": 4,
    "seed": 3,
    "skeleton": "coco17",
    "image": {"width_px": 320, "height_px": 240, "supersample": 1},
    "camera": {"distance_m": [3.0, 3.5]},
    "people": {"count": 2, "arrangement": {"kind": "group", "spread_m": [0.8, 1.2]}},
    "objects": [],
    "backdrop": {"kind": "plain"},
}


@pytest.fixture(scope="module")
def dataset(once: Callable[..., Path]) -> Dataset:
    def make(folder: Path) -> None:
        generate(prepare(parse(RECIPE), assets=folder, device="cpu"), folder / "set", workers=1)

    return Dataset(once("whole-frames", make) / "set")


@pytest.mark.parametrize("size", [(128, 160), (256, 192), (480, 640), (96, 256)])
def test_a_letterbox_holds_the_whole_image_in_the_middle(size: tuple[int, int]) -> None:
    box = Letterbox.of((240, 320), size)
    corners = box.to_frame(np.array([[0.0, 0.0], [320.0, 240.0]]))
    assert corners.min() >= -1e-9
    assert (corners[1] <= np.array(size[::-1]) + 1e-9).all()
    spare = np.array(size[::-1]) - (corners[1] - corners[0])
    assert spare.min() == pytest.approx(0, abs=1e-9)
    assert corners[0] == pytest.approx(spare / 2)
    places = np.array([[3.5, 200.25]])
    assert box.to_image(box.to_frame(places)) == pytest.approx(places)


def test_labels_lie_on_the_people_who_are_seen(dataset: Dataset, tmp_path: Path) -> None:
    """Joints, boxes and masks against the stored labels, and masks against the pixels."""
    frames = WholeFrames(dataset.place, size=(256, 192), cache=tmp_path)
    assert len(frames) == 4
    for row in range(4):
        (image, people), stored = frames[row], dataset.people_of(row)
        assert image.shape == (3, 256, 192)
        scale = 192 / 320
        above = (256 - 240 * scale) / 2
        assert people.joints_px == pytest.approx(stored.joints_px * scale + [0, above], abs=1e-3)
        boxes = stored.amodal_boxes_px[:, 2:] * scale
        assert people.boxes_px[:, 2:] == pytest.approx(boxes, abs=1e-3)
        assert people.masks is not None
        area = people.masks.sum((1, 2))
        assert area == pytest.approx(stored.modal_area_px * scale**2, rel=0.05)
        inside = ((people.joints_px >= 0) & (people.joints_px < [192, 256])).all(-1)
        on = [
            people.masks[p][tuple(people.joints_px[p, j].astype(int)[::-1])]
            for p, j in zip(*np.nonzero(inside & (stored.state == 2)), strict=True)
        ]
        assert np.mean(on) > 0.85  # an ear's or elbow's centre may lie beside the outline
        rows = np.arange(256) + 0.5
        grey = (rows < above - 2) | (rows > 256 - above + 2)
        assert (image[:, grey] == 114).all()
        assert image[:, ~grey].float().std() > 5
        assert not people.masks[:, grey].any()


def test_nobody_seen_is_nobody_taught(dataset: Dataset, tmp_path: Path) -> None:
    frames = WholeFrames(dataset.place, size=(240, 320), cache=tmp_path).frames
    people = frames.people_of(0)
    assert len(people.joints_px) == 2 and np.isfinite(people.joints_px).all()
    state = frames.state.copy()
    state[0] = 1  # all hidden
    state[1, :2] = (255, 0)  # unlabelled, outside the frame
    made = dataclasses.replace(frames, state=state).people_of(0)
    assert np.isnan(made.joints_px[0]).all() and np.isnan(made.joints_px[1, 0]).all()
    assert made.joints_px[1, 1:] == pytest.approx(people.joints_px[1, 1:])
    assert made.boxes_px == pytest.approx(people.boxes_px)
    unmasked = dataclasses.replace(frames, masked=np.zeros(4, bool))
    assert unmasked.people_of(0).masks is None and people.masks is not None
    nobody = dataclasses.replace(frames, first=np.zeros(5, np.int64)).people_of(0)
    assert nobody.joints_px.shape == (0, 17, 2)
    assert nobody.masks is not None and nobody.masks.shape == (0, 240, 320)


def features() -> ConvPyramid:
    torch.manual_seed(0)
    return ConvPyramid(widths=(8, 16, 24), channels=12)


SYSTEMS: dict[str, Callable[[], Any]] = {
    "openpose": lambda: OpenPose(features(), SKELETON, channels=12),
    "personlab": lambda: PersonLab(features(), SKELETON, channels=12),
    "fcpose": lambda: FCPose(features(), SKELETON, channels=12, maximum=8),
}


STEPS = 300


def mean_oks(people: list[FramePeople], found: list[FoundPeople]) -> float:
    """OKS of each labelled person's best detection, 0 without one; joints not found count 0."""
    best = []
    for frame, said in zip(people, found, strict=True):
        for xy, box in zip(frame.joints_px, frame.boxes_px, strict=True):
            known = np.isfinite(xy).all(-1)
            squared = ((said.joints_px - xy) ** 2).sum(-1)
            similar = np.exp(-squared / (box[2] * box[3] * (2 * SKELETON.sigmas) ** 2))
            best.append(np.nan_to_num(similar)[:, known].mean(-1).max(initial=0))
    return float(np.mean(best))


@pytest.mark.nightly("300 steps; six steps of each are trained in test_frame_systems.py")
@pytest.mark.parametrize("name", SYSTEMS)
def test_a_network_learns_generated_frames(name: str, dataset: Dataset, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    frames = WholeFrames(dataset.place, size=SIZE, cache=tmp_path)
    images, people = next(iter(DataLoader(frames, batch_size=4, collate_fn=collate)))
    assert images.shape == (4, 3, *SIZE)
    net = SYSTEMS[name]()
    targets = net.targets(people)
    before = mean_oks(people, net.eval().decode(net(images)))
    optimizer = torch.optim.AdamW(net.train().parameters(), lr=4e-3)
    losses = []
    for _ in range(STEPS):
        loss = torch.stack(list(net.losses(net(images), targets).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    after = mean_oks(people, net.eval().decode(net(images)))
    assert np.mean(losses[-10:]) < 0.3 * losses[0]
    assert after > before + 0.3
