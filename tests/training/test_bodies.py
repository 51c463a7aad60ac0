"""Silhouettes and picture sizes: they lie where crops say, and attention is told of the person."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from test_looking import CPU, net_of

from synthstudio.dataset.reader import Dataset
from synthstudio.evaluation.attention import attention_ratios
from synthstudio.training import diagnostics
from synthstudio.training.config import NO_AUGMENTATION
from synthstudio.training.data import batches, sources
from synthstudio.training.data.windows import PADDING
from synthstudio.training.evaluate import Silhouettes, image_sizes
from synthstudio.training.predictions import clip_windows, predict_subset


def test_silhouettes_hold_what_is_covered_and_fill_their_boxes(
    pairs: Path, people: sources.TrainingData
) -> None:
    crops, frame = people.train.crops, people.spec
    rows = np.arange(len(crops))
    made = batches.make_batch(crops, rows, frame, NO_AUGMENTATION)
    found = Silhouettes(Dataset(pairs), crops, frame)(rows, made.view)
    assert found.shape == (len(crops), *frame.cells) and found.max() == 1
    cover = made.labels.occluder[:, 0].numpy()
    assert (cover <= found + 0.02).all() and cover.max() > 0.9
    # The silhouette reaches the sides of its box, which the window holds with PADDING about it.
    longer = np.array([max(b[3], b[2] * 4 / 3) for b in crops.box]) * PADDING
    for body, box, high in zip(found, crops.box, longer, strict=True):
        y, x = np.nonzero(body > 0.02)
        extent = np.array([np.ptp(x), np.ptp(y)]) + 1
        wanted = box[2:] / high * frame.cells[0]
        inside = np.abs(extent - wanted) <= 2.5
        assert inside.any() and (extent <= wanted + 2.5).all()  # a picture's edge may cut it


def test_unknown_silhouettes_are_no_numbers(pairs: Path, people: sources.TrainingData) -> None:
    bodies = Silhouettes(Dataset(pairs), people.train.crops, people.spec)
    bodies.masks = {k: (size, None) for k, (size, _) in bodies.masks.items()}
    rows = np.arange(2)
    view = batches.make_batch(people.train.crops, rows, people.spec, NO_AUGMENTATION).view
    assert np.isnan(bodies(rows, view)).all()


def test_attention_is_told_of_the_person_where_silhouettes_are_known(
    pairs: Path, people: sources.TrainingData
) -> None:
    assert people.val is not None
    net = net_of(people)
    bodies = Silhouettes(Dataset(pairs), people.train.crops, people.spec)
    with_them, without = (
        attention_ratios(
            diagnostics.attention_maps(net, people.val, people.spec, device=CPU, silhouettes=b)
        )
        for b in (bodies, None)
    )
    assert without["person"] == {}
    assert without["on_occluder"] == with_them["on_occluder"]
    person = with_them["person"]
    # An untrained network looks everywhere alike: on the person that is 1, on both masks.
    for name in ("on_occluder", "on_moved_mask"):
        assert person[name]["value"] == pytest.approx(1, abs=0.25)


def test_windows_end_with_their_pictures(pairs: Path, people: sources.TrainingData) -> None:
    assert people.val is not None
    torch.manual_seed(0)
    free = predict_subset(net_of(people), people.val, people.spec, device=CPU)
    high = np.maximum(free.box[:, 3], free.box[:, 2] * 48 / 36) * PADDING
    size = free.window[:, 2:] - free.window[:, :2]
    assert size == pytest.approx(np.stack([high * 36 / 48, high], 1), rel=1e-4)
    middle = (free.window[:, 2:] + free.window[:, :2]) / 2
    assert middle == pytest.approx(free.box[:, :2] + free.box[:, 2:] / 2, abs=1e-2)
    sizes = image_sizes(Dataset(pairs), free.frame)
    identity = {(r["index"]): (r["width_px"], r["height_px"]) for r in Dataset(pairs).iter_frames()}
    assert [tuple(s) for s in sizes] == [identity[int(f)] for f in free.frame]
    cut = clip_windows(free, sizes).window
    assert (cut[:, :2] >= 0).all() and (cut[:, 2:] <= sizes).all()
    within = (free.window[:, :2] >= 0).all(1) & (free.window[:, 2:] <= sizes).all(1)
    assert (cut[within] == free.window[within]).all() and not within.all()
