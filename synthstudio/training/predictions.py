"""A network's predictions for people or frames of a data set, beside the truth, in image pixels."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn, softmax

from synthstudio.core.arrays import F64, I64, U8, Array, Bool
from synthstudio.core.errors import ModelError
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.threads import CPU_BATCH
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import Row
from synthstudio.evaluation.measures import pck
from synthstudio.evaluation.metrics import joint_subsets, pck_of, subsets_of
from synthstudio.evaluation.precision import Detections, match
from synthstudio.evaluation.storage import Predictions
from synthstudio.models.contract import FoundPeople, predict_maps
from synthstudio.models.heatmaps import decode_peak, expected_hits, find_peaks, probabilities
from synthstudio.models.pose_bank import PoseBank, fuse
from synthstudio.models.zoomnet import FoundWholeBody
from synthstudio.training import checkpoint, devices, diagnostics
from synthstudio.training.config import NO_AUGMENTATION
from synthstudio.training.data import batches
from synthstudio.training.data.batches import Batch, CropSubset, InputSpec
from synthstudio.training.data.crops import MARGIN, crop_people, crops_in_memory
from synthstudio.training.data.frames import FrameSubset, labelled, make_frame_batch
from synthstudio.training.data.samples import Report, Sample
from synthstudio.training.data.windows import Letterbox
from synthstudio.training.evaluation import (
    Decode,
    SamplePredictor,
    clip_windows,
    image_sizes,
    unpredicted,
    whole_frame_truth,
    with_found,
    with_truth,
)
from synthstudio.training.networks import BottomUpNet

PredictionColumns = dict[str, Array]
"""Columns of Predictions, some people each."""
FindFrames = Callable[[Dataset, Sequence[Row], Report], list[FoundPeople]]
"""The people found in the frames of these rows, one table each, in order."""
BATCH, FRAME_BATCH = 128, 8
_PEAK_DISTANCE = 2
"""Radius of non-maximum suppression in cells."""


def predict_subset(
    net: nn.Module,
    people: CropSubset,
    spec: InputSpec,
    *,
    device: torch.device,
    decode: Decode = "hits",
    bank: PoseBank | None = None,
    flip: bool = False,
    progress: Report = lambda done, total: None,
) -> Predictions:
    """Predict the joints of `people` from their unaugmented crops (true amodal boxes).

    `bank`: fuse the maps with these poses (for blocks without a bank). `flip`: average with the
    predictions on mirrored crops (test-time flip). Windows may reach beyond their images, whose
    sizes crops do not know: see `evaluation.clip_windows`. ModelError when out of memory.
    """
    answers: list[PredictionColumns] = []
    with devices.evaluating(net), devices.memory_guard(device, f"{BATCH} people"):
        for batch in people_batches(people, spec):
            images = batch.images.to(device)
            found = predict_images(net, images, spec.skeleton, decode=decode, flip=flip, bank=bank)
            answers.append(found | {"known": batch.labels.known.numpy()})
            progress(min(len(answers) * BATCH, len(people)), len(people))
    return of_people(people, answers, spec)


def predict_samples(weights: Path, device: str) -> SamplePredictor:
    """The predictor of challenges with the network of a weights file; ModelError."""
    on = devices.get_device(device)
    net, config, skeleton = checkpoint.load_network(weights)
    net, spec = net.to(on), InputSpec(size=config.network.size, skeleton=skeleton)

    def predict(samples: Iterable[Sample], _: Skeleton) -> tuple[Predictions, Skeleton]:
        rows: list[dict[str, Any]] = []
        sizes: list[tuple[int, int]] = []
        for sample in samples:
            frame = sample.frame
            made = crop_people(sample, skeleton, size=spec.size, joints_3d=config.joints_3d)
            rows += [row | {"frame": np.int64(frame["index"])} for row in made]
            sizes += [(frame["width_px"], frame["height_px"])] * len(made)
        if not rows:
            raise ModelError("no people in these pictures", where=str(weights))
        people = CropSubset.uniform(crops_in_memory(rows))
        found = predict_subset(net, people, spec, device=on)
        return clip_windows(found, np.array(sizes, np.float64)), skeleton

    return predict


def people_batches(people: CropSubset, spec: InputSpec) -> Iterator[Batch]:
    """Yield the batches of unaugmented people for predictions."""
    for start in range(0, len(people), BATCH):
        yield batches.make_batch(
            people.crops, people.rows[start : start + BATCH], spec, NO_AUGMENTATION
        )


@torch.inference_mode()
def predict_images(
    net: nn.Module,
    images: Tensor,
    skeleton: Skeleton,
    *,
    decode: Decode = "hits",
    flip: bool = False,
    bank: PoseBank | None = None,
    peaks: int = 0,
) -> PredictionColumns:
    """Predictions of (B, 3, H, W) uint8 on the network's device: columns of Predictions without
    `known`, with `xy` (B, J, 2) in pixels of its input; and on request `peaks`
    (B, J, K, 3: x, y, value) of each map."""
    if not getattr(net, "has_joint_maps", True):  # any module of PoseOutputs has
        return _whole_bodies(net.find(images, hits=decode == "hits"))  # type: ignore[operator]
    if images.device.type == "cpu" and len(images) > CPU_BATCH:
        how: dict[str, Any] = {"decode": decode, "flip": flip, "bank": bank, "peaks": peaks}
        few = images.split(CPU_BATCH)  # type: ignore[no-untyped-call]
        parts = [predict_images(net, some, skeleton, **how) for some in few]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    mirrored = torch.from_numpy(skeleton.flip).to(images.device) if flip else None
    maps, outputs = predict_maps(net, images, flip=mirrored)
    if bank is not None:
        maps = fuse(maps, bank(maps).maps.log())
    joints = decode_peak(maps) if decode == "peak" else expected_hits(maps)
    cell = images.shape[-1] / maps.shape[-1]

    def array(
        value: Tensor | None, shape: tuple[int, ...] = (), of: Callable[..., Tensor] = Tensor.double
    ) -> F64:
        if value is None:
            return np.full((*joints.score.shape, *shape), np.nan)
        return np.asarray(of(value.double()).cpu().numpy(), np.float64)

    found = {
        "xy": array(joints.xy) * cell,
        "score": array(joints.score),
        "peak": array(probabilities(outputs.logits[0]).flatten(2).amax(-1)),
        "present": array(outputs.presence, of=torch.sigmoid),
        "visibility_fractions": array(outputs.visibility_fractions, (4,), partial(softmax, dim=-1)),
        "quality": array(outputs.quality, of=torch.sigmoid),
        "xyz_m": array(outputs.xyz_m, (3,)),
    }
    if peaks:
        tops = find_peaks(maps, count=peaks, reach=_PEAK_DISTANCE)
        found["peaks"] = array(torch.cat([tops.xy.double() * cell, tops.score[..., None]], -1))
    return found


def _whole_bodies(found: FoundWholeBody) -> PredictionColumns:
    """The columns of ZoomNet's predictions: joints of parts predicted outside the picture
    are NaN with score 0, so they count as missed."""
    xy, score, present = (
        value.double().cpu().numpy() for value in (found.joints_px, found.scores, found.present)
    )
    return unpredicted(*score.shape) | {"xy": xy, "score": score, "present": present}


def of_people(
    people: CropSubset, answers: Sequence[PredictionColumns], spec: InputSpec
) -> Predictions:
    """The predictions for all batches of people, `known` among them, in image pixels."""
    columns = {name: np.concatenate([part[name] for part in answers]) for name in answers[0]}
    columns["xy"] = _to_image(columns["xy"], people, spec)
    corners = np.stack([np.zeros(2), np.array([spec.size[1], spec.size[0]], np.float64)])
    windows = _to_image(np.broadcast_to(corners, (len(people), 2, 2)), people, spec)
    return with_truth(people.crops, people.rows, columns, windows.reshape(len(people), 4))


def _to_image(xy: F64, people: CropSubset, spec: InputSpec) -> F64:
    """Points (R, K, 2) of the network's input in image pixels."""
    crops, rows = people.crops, people.rows
    offset = np.array([spec.size[1], spec.size[0]]) * (MARGIN - 1) / 2
    scale = crops.scale[rows].astype(np.float64)[:, None, None]
    return np.asarray((xy + offset) / scale + crops.corner[rows].astype(np.float64)[:, None])


def validate(
    net: nn.Module,
    people: CropSubset | None,
    spec: InputSpec,
    *,
    device: torch.device,
) -> dict[str, float]:
    """PCK of all, visible and hidden joints at a tenth of the longer side of the amodal box."""
    if people is None:
        return {}
    answers = predict_subset(net, people, spec, device=device)
    return _means(pck_of(answers), joint_subsets(answers))


def _means(hits: F64, subsets: Mapping[str, Bool]) -> dict[str, float]:
    means = {k: float(hits[s].mean()) if s.any() else float("nan") for k, s in subsets.items()}
    return {"pck" if name == "all" else f"pck_{name}": mean for name, mean in means.items()}


@torch.inference_mode()
def find_people(net: nn.Module, images: Tensor) -> list[FoundPeople]:
    """The people of frames (B, 3, H, W) uint8; ModelError without memory or for maps not finite."""
    device = next(net.parameters()).device
    with devices.memory_guard(device, f"{len(images)} frames"):
        found: list[FoundPeople] = net.decode(net(images.to(device)))  # type: ignore[operator]
    return found


def gather(found: list[FoundPeople], images: I64, joints: int) -> Detections:
    """The people of frames with numbers `images` as one table."""
    counts = [len(people) for people in found]
    none, no_scores = np.zeros((0, joints, 2)), np.zeros((0, joints))
    return Detections(
        image=np.repeat(images, counts).astype(np.int64),
        xy=np.concatenate([none, *(p.joints_px for p in found)]),
        joint_score=np.concatenate([no_scores, *(p.scores for p in found)]),
        score=np.concatenate([np.zeros(0), *(p.score for p in found)]),
    )


def validate_frames(
    net: nn.Module, subset: FrameSubset | None, spec: InputSpec, *, device: torch.device
) -> dict[str, float]:
    """PCK@0.1 of all, visible and hidden joints; missed people count. And the number of people
    found per true one."""
    if subset is None:
        return {}
    frames, found = subset.frames, []
    with devices.evaluating(net):
        for start in range(0, len(subset), FRAME_BATCH):
            rows = subset.rows[start : start + FRAME_BATCH]
            batch = make_frame_batch(frames, rows, spec, NO_AUGMENTATION)
            found += find_people(net, batch.images)
    people, known = labelled(frames, subset.rows)
    image = np.searchsorted(frames.first, people, side="right") - 1
    table = gather(found, subset.rows, len(spec.skeleton.joints))
    truth, boxes = frames.xy[people].astype(np.float64), frames.boxes[people].astype(np.float64)
    area = boxes[:, 2] * boxes[:, 3] / 2
    place = match(table, image, truth, known, area, sigmas=spec.skeleton.sigmas)
    predicted = np.full(truth.shape, np.nan)
    predicted[place >= 0] = table.xy[place[place >= 0]]
    hits = pck(predicted, truth, length=boxes[:, 2:].max(1), at=0.1)
    means = _means(hits, subsets_of(known, frames.state[people]))
    return means | {"found": len(table) / max(len(people), 1)}


def check_joints(net: BottomUpNet) -> None:
    """ModelError for a network that is a person detector without joints."""
    if not net.finds_joints:
        raise ModelError(
            "this network is a person detector without joints",
            where="network.head",
            expected="fcpose",
            got="detector",
            then="Export it, synthstudio export-model, and pass it to another as --detector.",
        )


def find_in_images(
    net: BottomUpNet, images: Sequence[U8], size: tuple[int, int]
) -> list[FoundPeople]:
    """The people of images (H, W, 3), each letter-boxed to `size`, in the images' pixels."""
    check_joints(net)
    boxes = [Letterbox.of(rgb.shape[:2], size) for rgb in images]
    framed = np.stack([box.framed(rgb, size) for box, rgb in zip(boxes, images, strict=True)])
    batch = torch.from_numpy(np.ascontiguousarray(framed.transpose(0, 3, 1, 2)))
    found = find_people(net, batch)
    return [
        dataclasses.replace(people, joints_px=box.to_image(people.joints_px))
        for people, box in zip(found, boxes, strict=True)
    ]


def find_in_dataset(
    net: BottomUpNet,
    dataset: Dataset,
    people: CropSubset,
    spec: InputSpec,
    *,
    splits: Sequence[str] = (),
    progress: Report = lambda done, total: None,
    find: FindFrames | None = None,
) -> tuple[Predictions, Detections]:
    """People found in the frames of a data set (of `splits`, or all), and matched with `people`.

    `find` predicts remotely; default: in this process. Found people are matched with
    true ones by OKS (evaluation/precision.py), so the same people and joints are evaluated as with
    boxes. Joints of missed people are NaN with score 0.
    """
    net.eval()
    frames = [row for row in dataset.iter_frames() if not splits or row["split"] in splits]
    parts: list[FoundPeople] = []
    if find is not None:
        parts = find(dataset, frames, progress)
    for start in range(0, len(frames) if find is None else 0, FRAME_BATCH):
        images = [dataset.rgb_of(row) for row in frames[start : start + FRAME_BATCH]]
        parts += find_in_images(net, images, spec.size)
        progress(min(start + FRAME_BATCH, len(frames)), len(frames))
    joints = len(spec.skeleton.joints)
    found = gather(parts, np.array([row["index"] for row in frames], np.int64), joints)
    sizes = image_sizes(dataset, people.crops.frame[people.rows])
    table = whole_frame_truth(people.crops, people.rows, sizes, joints)
    sigmas = spec.skeleton.sigmas
    place = match(found, table.frame, table.true_xy, table.known, table.area, sigmas=sigmas)
    return with_found(table, found, place), found


def frame_cost(net: BottomUpNet, spec: InputSpec, dataset: Dataset) -> dict[str, Any]:
    """Latency of the data set's first frame, decoding included."""
    row = next(iter(dataset.iter_frames()))
    image = dataset.rgb_of(row)
    device = next(net.parameters()).device

    def run(count: int) -> object:
        return find_in_images(net, [image] * count, spec.size)

    return diagnostics.cost(net, device, run, batch=FRAME_BATCH) | {"of": "frame"}
