"""Adapters of top-down networks in files: a function for each kind of file of other programs, and
exported networks of ours.

Each takes an opened file and returns the number of joints and the predictor, a function of an RGB
image (H, W, 3) and boxes (P, 4: x y w h) to joints (P, J, 3: x, y, score), in continuous pixels;
ModelError where inputs or outputs differ from the original's. Pre- and postprocessing follow the
networks' authors.
"""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from synthstudio.core.arrays import F32, F64, U8, Array
from synthstudio.core.errors import ModelError
from synthstudio.dataset.durable import file_sha256
from synthstudio.formats.coco.results import ORDERS, Order, names_of, order_of_count
from synthstudio.inference.model_files import FileModel, OnnxModel, open_model
from synthstudio.inference.predict import predict
from synthstudio.inference.sources import Boxes, SourceImage
from synthstudio.inference.tracking import overlaps
from synthstudio.training.data.windows import crop_and_resize
from synthstudio.training.outside import Network, Predict

PADDING = 1.25
"""Box padding of MMPose and ViTPose (GetBBoxCenterScale)."""
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
DEVIATION = np.array([58.395, 57.12, 57.375], np.float32)
"""ImageNet's mean colour (RGB), as subtracted by MMPose and ViTPose."""
_HALF = 0.5
_POINTS, _JOINTS, _LARGER = 39, 33, 1.25  # of mediapipe
_CENTRE, _SCALE = 33, 34
_REACH, _CONFIDENT = 3, 0.5
_PARTS = 32  # of a pixel, to which mediapipe's OpenCV (3.4) rounds places
_AROUND = 1.2  # of movenet
_EXPECTED = "outputs simcc_x (1, J, k W) and simcc_y (1, J, k H)"
_GREY, _CONFIDENCE, _OVERLAP, _MAX = 114, 0.001, 0.7, 300  # of ultralytics
_KERNEL = 11  # of vitpose


def each(one: Callable[[U8, F64], F64]) -> Callable[[U8, F64], F64]:
    """A function of an image and boxes (P, 4), from one of an image and a box."""
    return lambda rgb, boxes: np.stack([one(rgb, box) for box in boxes])


def centre_and_scale(box: F64, size: tuple[int, int]) -> tuple[F64, F64]:
    """Centre and extent (x, y) of a box x y w h, widened by PADDING and to the shape of (H, W)."""
    aspect = size[1] / size[0]
    w, h = box[2:] * PADDING
    extent = (w, w / aspect) if w > h * aspect else (h * aspect, h)
    return box[:2] + box[2:] / 2, np.array(extent)


def normalised(crop: Array) -> F32:
    """An RGB crop (H, W, 3) as the input (1, 3, H, W) of networks with ImageNet's normalisation."""
    scaled = (crop.astype(np.float32) - MEAN) / DEVIATION
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])


def mediapipe(model: FileModel) -> tuple[int, Predict]:
    """MediaPipe's BlazePose lite, full and heavy (pose_landmark_*.tflite, or as .onnx).

    github.com/google/mediapipe, modules/pose_landmark: PoseLandmarkByRoi (ImageToTensor without a
    border's colour, RefineLandmarksFromHeatmap with a kernel of 7 from a confidence of 0.5 on) and
    PoseLandmarksToRoi (points 33 and 34 give the middle, half the side and the angle; 1.25 times as
    large). Its detector is not used: the first pass is on the box, the second on the region it
    found.
    """
    size = model.square_size()

    def look(rgb: U8, centre: F64, side: float, angle: float) -> F64:
        """Points (39, 3: x, y, visibility) in a rotated square of the image."""
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        cells = (np.indices((size, size))[::-1] / size - 0.5) * side
        x, y = np.rint((np.tensordot(turn, cells, 1).T + centre).T * _PARTS) / _PARTS
        crop = np.floor(bilinear(rgb, x, y) + _HALF).astype(np.float32)
        outputs = list(model.run(crop[None] / np.float32(255)).values())
        flat = [o for o in outputs if o.size == 5 * _POINTS]
        maps = [o for o in outputs if o.ndim == 4 and o.shape[3] == _POINTS]
        if len(flat) != 1 or len(maps) != 1:
            raise model.refuse(
                "outputs of 195 numbers and (1, h, w, 39)", [o.shape for o in outputs]
            )
        points = flat[0].reshape(_POINTS, 5).astype(np.float64)
        xy = local_means(points[:, :2] / size, maps[0][0].astype(np.float64))
        placed = (xy - 0.5) * side @ turn.T + centre
        return np.column_stack([placed, 1 / (1 + np.exp(-points[:, 3]))])

    def one(rgb: U8, box: F64) -> F64:
        found = look(rgb, box[:2] + box[2:] / 2, _LARGER * box[2:].max(), 0.0)
        dx, dy = found[_SCALE, :2] - found[_CENTRE, :2]
        side, angle = _LARGER * 2 * np.hypot(dx, dy), np.pi / 2 - np.arctan2(-dy, dx)
        return look(rgb, found[_CENTRE, :2], max(side, 1.0), angle)[:_JOINTS]

    return _JOINTS, each(one)


def local_means(xy: F64, maps: F64) -> F64:
    """Positions (K, 2), 0 to 1 of the crop, at the local weighted mean of their maps (h, w, K)."""
    out, (high, wide) = xy.copy(), maps.shape[:2]
    for k, (column, row) in enumerate(np.floor(np.nan_to_num(xy) * [wide, high]).astype(int)):
        if not (0 <= column < wide and 0 <= row < high):
            continue
        top, left = max(row - _REACH, 0), max(column - _REACH, 0)
        near = 1 / (1 + np.exp(-maps[top : row + _REACH + 1, left : column + _REACH + 1, k]))
        if near.max() >= _CONFIDENT:
            across, down = np.arange(near.shape[1]) + left, np.arange(near.shape[0]) + top
            middle = np.array([near.sum(0) @ across, near.sum(1) @ down]) / near.sum()
            out[k] = middle / [wide, high]
    return out


def bilinear(rgb: U8, x: Array, y: Array) -> F32:
    """Colours at places x, y counted from pixels' centres; beyond the edge, those of the edge."""
    x, y = (np.clip(np.nan_to_num(v), 0, rgb.shape[axis] - 1) for v, axis in ((x, 1), (y, 0)))
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, bottom = np.ceil(x).astype(int), np.ceil(y).astype(int)
    across, down = ((v % 1)[..., None].astype(np.float32) for v in (x, y))
    near, far = (
        np.stack([rgb[row, c] for row in (top, bottom)]).astype(np.float32) for c in (left, right)
    )
    upper, lower = near + (far - near) * across
    return np.asarray(upper + (lower - upper) * down, np.float32)


def movenet(model: FileModel) -> tuple[int, Predict]:
    """MoveNet SinglePose Lightning and Thunder (.onnx or .tflite of the TF Hub models).

    tensorflow.org/hub/tutorials/movenet: a square crop resized as tf.image.crop_and_resize does,
    black outside the image; the output (1, 1, 17, 3) is y, x, score relative to the crop. The
    tutorial crops 1.2 times as far as the farthest joint of the last image is from the hips; here
    it is a square of 1.2 longer sides about the middle of the box.
    """
    size = model.square_size()

    def run(crop: U8) -> F64:
        (found, *_) = model.run(crop[None].astype(model.dtype)).values()
        if found.shape[:2] != (1, 1) or found.shape[3:] != (3,):
            raise model.refuse("an output (1, 1, J, 3)", found.shape)
        return np.asarray(found[0, 0], np.float64)

    def one(rgb: U8, box: F64) -> F64:
        side = _AROUND * box[2:].max()
        corner = box[:2] + box[2:] / 2 - side / 2
        extent = np.array([rgb.shape[1::-1]], np.float32).T
        ends = np.stack([corner, corner + side])[..., None] / extent
        first, last = ends.astype(np.float32)
        step = (last - first) * (extent - 1) / np.float32(size - 1)
        x, y = at = first * (extent - 1) + np.arange(size, dtype=np.float32) * step
        inside_x, inside_y = (at >= 0) & (at <= extent - 1)
        crop = bilinear(rgb, x, y[:, None]) * (inside_x & inside_y[:, None])[..., None]
        found = run(crop.astype(np.uint8))  # cut off, not rounded, as there
        return np.column_stack([found[:, [1, 0]] * side + corner, found[:, 2]])

    return len(run(np.zeros((size, size, 3), np.uint8))), each(one)


def onnx(model: FileModel) -> tuple[int, Predict]:
    """Any top-down network as .onnx, by this contract.

    Input (1 or B, 3, H, W) RGB, uint8 or float32 from 0 to 1, of the box widened by 1.25 and to its
    shape. Output: joints (B, J, 2 or 3: x, y, perhaps a score) in pixels of the input, or heat maps
    (B, J, h, w), read at the peak moved a quarter of a cell towards the higher neighbour.
    """
    size = height, width = model.planar_size()

    def run(crop: U8) -> F64:
        """(J, 3) in pixels of the input."""
        value = np.ascontiguousarray(crop.transpose(2, 0, 1)[None], model.dtype)
        if model.dtype != "uint8":
            value /= 255
        found = np.asarray(next(iter(model.run(value).values())), np.float64)
        if found.ndim == 4:
            cells, score = peaks(found[0])
            return np.column_stack([cells * [width, height] / found.shape[:1:-1], score])
        if found.ndim != 3 or found.shape[2] not in (2, 3):
            raise model.refuse("joints (B, J, 2 or 3) or maps (B, J, h, w)", found.shape)
        if found.size and np.abs(found[0, :, :2]).max() <= 1:
            raise model.refuse("joints in pixels of the input", "all from -1 to 1")
        score = found[0, :, 2] if found.shape[2] == 3 else np.ones(found.shape[1])
        return np.column_stack([found[0, :, :2], score])

    def one(rgb: U8, box: F64) -> F64:
        centre, scale = centre_and_scale(box, size)
        corner, zoom = centre - scale / 2, width / scale[0]
        found = run(crop_and_resize(rgb, corner, zoom, size))
        found[:, :2] = found[:, :2] / zoom + corner
        return found

    return len(run(np.zeros((height, width, 3), np.uint8))), each(one)


def peaks(maps: F64) -> tuple[F64, F64]:
    """Cells (J, 2) x y, counted from the corner, of the peaks of (J, h, w); their heights (J,)."""
    count, _, wide = maps.shape
    score, at = maps.reshape(count, -1).max(1), maps.reshape(count, -1).argmax(1)
    y, x = at // wide + 1, at % wide + 1
    padded, every = np.pad(maps, ((0, 0), (1, 1), (1, 1)), mode="edge"), np.arange(count)
    across = padded[every, y, x + 1] - padded[every, y, x - 1]
    down = padded[every, y + 1, x] - padded[every, y - 1, x]
    return np.column_stack([x, y]) - 0.5 + 0.25 * np.sign(np.column_stack([across, down])), score


def rtmpose(model: FileModel) -> tuple[int, Predict]:
    """RTMPose (MMDeploy's or rtmlib's .onnx): SimCC vectors of x and y.

    github.com/open-mmlab/mmpose: TopdownAffine and get_warp_matrix (mmpose/structures/bbox/
    transforms.py), PoseDataPreprocessor (mean, deviation, RGB), get_simcc_maximum
    (mmpose/codecs/utils/ post_processing.py) and SimCCLabel.decode. Pixels are counted from their
    centres there.
    """
    size = height, width = model.planar_size()

    def vectors(crop: U8) -> tuple[F64, F64]:
        found = [np.asarray(v, np.float64) for v in model.run(normalised(crop)).values()]
        if len(found) != 2 or any(v.ndim != 3 for v in found):
            raise model.refuse(_EXPECTED, [v.shape for v in found])
        across, down = found
        if across.shape[2] * height != down.shape[2] * width or len(across[0]) != len(down[0]):
            raise model.refuse(_EXPECTED, [v.shape for v in found])
        return across[0], down[0]

    def one(rgb: U8, box: F64) -> F64:
        centre, scale = centre_and_scale(box - [_HALF, _HALF, 0, 0], size)
        zoom = width / scale[0]
        corner = np.array([width, height]) / 2 - zoom * centre
        matrix = np.array([[zoom, 0, corner[0]], [0, zoom, corner[1]]])
        across, down = vectors(cv2.warpAffine(rgb, matrix, (width, height)).astype(np.uint8))
        score = np.minimum(across.max(1), down.max(1))
        cells = np.stack([across.argmax(1), down.argmax(1)], 1).astype(np.float64)
        cells[score <= 0] = np.nan
        xy = cells / (across.shape[1] / width) / [width, height] * scale + centre - scale / 2
        return np.concatenate([xy + _HALF, score[:, None]], 1)

    return len(vectors(np.zeros((height, width, 3), np.uint8))[0]), each(one)


def ultralytics(model: FileModel) -> tuple[int, Predict]:
    """Ultralytics' YOLO-pose (.onnx of `yolo export format=onnx`), a bottom-up system.

    github.com/ultralytics/ultralytics: LetterBox (data/augment.py), non_max_suppression
    (utils/nms.py) with `val`'s confidence of 0.001 and overlap of 0.7, scale_coords (utils/ops.py).
    Each box gets the detected person of the largest score times overlap with it, or none.
    """
    stated = json.loads(model.facts.get("imgsz", "[640, 640]"))
    count, numbers = json.loads(model.facts.get("kpt_shape", "[17, 3]"))
    if len(model.shape) != 4 or model.shape[1] != 3:
        raise model.refuse("an input (1, 3, H, W)", model.shape)
    target = np.array([model.shape[3] or stated[1], model.shape[2] or stated[0]])

    def detect(image: U8) -> tuple[F64, F64, F64]:
        """Boxes x y w h, scores and joints (N, J, 2 or 3) in pixels of the input."""
        value = np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32) / 255
        rows = np.asarray(next(iter(model.run(value).values())), np.float64)
        if rows.ndim == 3 and rows.shape[2] == 6 + count * numbers:  # with built-in suppression
            corner, size = rows[0, :, :2], rows[0, :, 2:4] - rows[0, :, :2]
            best: Array | slice = slice(None)
            rows, score = rows[0], rows[0, :, 4]
        elif rows.ndim == 3 and rows.shape[1] >= 5 + count * numbers:
            rows = rows[0].T
            score = rows[:, 4 : -count * numbers].max(1)
            corner, size = rows[:, :2] - rows[:, 2:4] / 2, rows[:, 2:4]
            boxes, best_scores = np.column_stack([corner, size]).tolist(), score.tolist()
            best = np.array(cv2.dnn.NMSBoxes(boxes, best_scores, _CONFIDENCE, _OVERLAP), int)[:_MAX]
        else:
            raise model.refuse(f"an output (1, {5 + count * numbers}, N)", rows.shape)
        people = rows[:, -count * numbers :].reshape(len(rows), count, numbers)
        return np.column_stack([corner, size])[best], score[best], people[best]

    def predict(rgb: U8, boxes: F64) -> F64:
        extent = np.array(rgb.shape[1::-1])
        inner = np.maximum(np.round(extent * (target / extent).min()), 1).astype(int)
        gain, pad = inner / extent, np.round((target - inner) / 2 - 0.1).astype(int)
        image = np.full((target[1], target[0], 3), _GREY, np.uint8)
        inside = image[pad[1] : pad[1] + inner[1], pad[0] : pad[0] + inner[0]]
        inside[:] = rgb if (inner == extent).all() else cv2.resize(rgb, inner.tolist())
        found, score, people = detect(image)
        placed = (found - [*pad, 0, 0]) / np.tile(gain, 2) + [_HALF, _HALF, 0, 0]
        fits = score * overlaps(boxes, placed)
        out = np.full((len(boxes), count, 3), np.nan)
        if (hit := fits.max(1, initial=0) > 0).any():
            chosen = people[fits[hit].argmax(1)]
            xy = np.clip((chosen[..., :2] - pad) / gain, 0, extent) + _HALF
            scores = chosen[..., 2:] if numbers == 3 else np.ones_like(xy[..., :1])
            out[hit] = np.concatenate([xy, scores], 2)
        return out

    return count, predict


def vitpose(model: FileModel) -> tuple[int, Predict]:
    """ViTPose (.onnx): heat maps by unbiased data processing (UDP), decoded as DARK does.

    github.com/ViTAE-Transformer/ViTPose (mmpose/core: TopDownAffine and keypoints_from_heatmaps
    with use_udp, post_dark_udp with a kernel of 11), which github.com/huggingface/transformers
    (models/vitpose/image_processing_vitpose.py) follows with less blur.
    """
    size = height, width = model.planar_size()

    def maps_of(crop: U8) -> F64:
        (maps, *more) = model.run(normalised(crop)).values()
        if more or maps.ndim != 4:
            raise model.refuse("one output (1, J, h, w)", maps.shape)
        return np.asarray(maps[0], np.float64)

    def one(rgb: U8, box: F64) -> F64:
        centre, scale = centre_and_scale(box - [_HALF, _HALF, 0, 0], size)
        zoom = (np.array([width, height]) - 1) / scale
        matrix = np.column_stack([np.diag(zoom), zoom * (scale / 2 - centre)])
        maps = maps_of(cv2.warpAffine(rgb, matrix, (width, height)).astype(np.uint8))
        cells, score = newton_peaks(maps)
        xy = cells * scale / (np.array(maps.shape[:0:-1]) - 1) + centre - scale / 2
        return np.concatenate([xy + _HALF, score[:, None]], 1)

    return len(maps_of(np.zeros((height, width, 3), np.uint8))), each(one)


def newton_peaks(maps: F64) -> tuple[F64, F64]:
    """Cells (J, 2) x y of the peaks of (J, h, w), moved by Newton's step on the log of the blurred
    map (NaN without a peak), and their heights (J,)."""
    count, _, wide = maps.shape
    score, at = maps.reshape(count, -1).max(1), maps.reshape(count, -1).argmax(1)
    y, x = (at // wide + 1)[:, None, None], (at % wide + 1)[:, None, None]
    blurred = np.stack([cv2.GaussianBlur(m, (_KERNEL, _KERNEL), 0) for m in maps])
    log = np.pad(np.log(np.clip(blurred, 1e-3, 50)), ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows, columns = np.mgrid[-1:2, -1:2]
    near = log[np.arange(count)[:, None, None], y + rows, x + columns]
    here, left, right = near[:, 1, 1], near[:, 1, 0], near[:, 1, 2]
    above, below = near[:, 0, 1], near[:, 2, 1]
    slope = np.stack([right - left, below - above], 1) / 2
    cross = (near[:, 2, 2] - right - below + 2 * here - left - above + near[:, 0, 0]) / 2
    bends = [[right - 2 * here + left, cross], [cross, below - 2 * here + above]]
    hessian = np.moveaxis(np.array(bends), 2, 0) + np.finfo(np.float32).eps * np.eye(2)
    step = np.linalg.solve(hessian, slope[..., None])[..., 0]
    peak = np.stack([at % wide, at // wide], 1)
    return np.where(score[:, None] > 0, peak - step, np.nan), score


LOADERS: dict[str, Callable[[FileModel], tuple[int, Predict]]] = {
    each_kind.__name__: each_kind
    for each_kind in (mediapipe, movenet, onnx, rtmpose, ultralytics, vitpose)
}


def open_network(
    path: Path, kind: str, joints: Order | None = None, device: str = "auto"
) -> Network:
    """A .onnx or .tflite file of a `kind`, one of LOADERS; ModelError for a file
    that cannot be run, or whose inputs and outputs differ from the original's."""
    model = open_model(path, device)
    count, run = LOADERS[kind](model)
    return Network(
        name=path.stem,
        predict=run,
        joints=_order(model, joints, count),
        sha256=file_sha256(path),
        kind=f"{kind} file",
    )


def _order(model: FileModel, joints: Order | None, count: int) -> Order:
    """The order of `count` joints: the given one, or by number; ModelError."""
    order = joints or order_of_count(count)
    if order is None or len(names_of(order)) != count:
        raise ModelError(
            "the file's joint order is unknown",
            where=model.where,
            expected=f"{count} names, or one of {', '.join(ORDERS)}",
            got="none" if joints is None else f"{len(names_of(joints))} names",
            then="Pass keypoints.",
        )
    return order


def own_network(model: OnnxModel, path: Path, *, name: str = "") -> Network:
    """An exported network of ours, with causes of occlusion. `name`: by default its training's."""

    def run(rgb: U8, boxes: F64) -> dict[str, F64]:
        image = SourceImage(number=0, name="image", rgb=rgb)
        given = Boxes(xywh=boxes, score=np.ones(len(boxes)), measured=True)
        people = list(predict(model, [image], lambda _: given, size=model.size))
        names = ("xy", "score", "visibility_fractions", "present", "quality")
        return {name: np.stack([getattr(p, name) for p in people]) for name in names}

    return Network(
        name=name or model.name or path.stem,
        predict=run,
        joints=model.skeleton,
        sha256=file_sha256(path),
        kind=f"exported network {model.size[0]}x{model.size[1]}",
    )
