"""`ss.Model` and `ss.predict`: inference with a trained network."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray

from synthstudio import __version__
from synthstudio.api import arguments as args
from synthstudio.api.datasets import Dataset
from synthstudio.core.arrays import F64, I64, U8
from synthstudio.core.errors import ArgumentError, ModelError
from synthstudio.core.images import read_rgb
from synthstudio.core.labels import LABELS
from synthstudio.core.people import People, as_column, stack
from synthstudio.core.skeleton import Skeleton
from synthstudio.formats.coco.results import order_of
from synthstudio.inference import adapters
from synthstudio.inference.finder import Detector, Finder, find_people
from synthstudio.inference.model_files import SUFFIX, OnnxModel
from synthstudio.inference.predict import Person, Predictor, smoothed
from synthstudio.inference.predict import predict as predict_crops
from synthstudio.inference.sources import (
    Boxes,
    FindPeople,
    Source,
    SourceImage,
    boxes_from_file,
    open_source,
)
from synthstudio.inference.write import labels_of
from synthstudio.models.packaged import DEFAULT, default_model
from synthstudio.training.config import Config
from synthstudio.training.outside import Network

if TYPE_CHECKING:
    from synthstudio.models.contract import System


_NOT_PREDICTED = (
    "joints_camera_m",
    "joints_world_m",
    "kinematic_joints_world_m",
    "modal_counts",
    "amodal_counts",
    "depth_m",
    "stature_m",
)
SUFFIXES = (SUFFIX, ".tflite")
_FRAMES_AT_ONCE = 8  # a whole frame's maps are larger than a crop's


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PredictedPeople(People):
    """Predicted people with confidences; NaN for outputs that the network lacks.

    `origin` is "predicted"; `instance` numbers people of one picture from 1, or is the track of
    a clip or video plus 1.
    """

    picture: I64  # (P,) number of the picture, as frame_index
    name: NDArray[np.object_]  # (P,) its file name
    score: F64  # (P,) of the person, 0 to 1
    joint_score: F64  # (P, J) confidence from the heat maps
    expected_oks: F64  # (P, J)
    in_picture: F64  # (P, J) probability that the joint is inside the picture


class Model:
    """A trained pose network with its skeleton and its configuration (None: an exported one)."""

    def __init__(
        self, net: System | OnnxModel, config: Config | None, skeleton: Skeleton, path: Path
    ) -> None:
        self.net = net
        self.config = config
        self.skeleton = skeleton
        self.path = path
        self.sees_frames = config is not None and config.network.sees_frames
        """Whether it is bottom-up: finds people in whole frames, without boxes."""
        self.system = "topdown" if config is None else config.network.system
        """`topdown`, `zoomnet`, or a bottom-up system (docs/research)."""
        named: Any = net if config is None else config
        self.name: str = named.name
        """The name of its training."""
        sized: Any = net if config is None else config.network
        self.size: tuple[int, int] = sized.size
        """(H, W) pixels of its input: crops, or whole frames."""

    @classmethod
    @args.checked
    def load(cls, path: args.PathLike, *, device: args.Device = "auto", model: Any = None) -> Model:
        """Load a run's best weights, a .safetensors file of one, or an exported .onnx file.

        An exported one runs in ONNX Runtime without PyTorch. "default" is the one
        that comes with the package (model card: synthstudio/inference/weights/photos.md).
        `model`: the module that was passed to `ss.train`, which weights do not contain.

        Raises:
            ModelError: for missing weights or another program's.
        """
        place = default_model() if str(path) == DEFAULT else args.to_path(path, "path")
        if place.suffix == SUFFIX:
            exported = OnnxModel.load(place, device=device)
            return cls(exported, None, exported.skeleton, place)
        from synthstudio.models.external_backbones import give
        from synthstudio.training import checkpoint, devices

        if model is not None:
            give(model)
        weights = checkpoint.weights_file(place)
        net, config, skeleton = checkpoint.load_any(weights)
        return cls(net.to(devices.get_device(device)).eval(), config, skeleton, weights)

    def predictor(self, *, flip: bool = False, peaks: int = 0) -> Predictor:
        """The predictor of crops (B, H, W, 3), which `Model.predict` cuts out.

        Raises:
            ArgumentError: for an option that an exported network or zoomnet lacks.
        """
        if isinstance(self.net, OnnxModel):
            for enabled, word in ((flip and not self.net.flip, "flip"), (peaks, "peaks")):
                if enabled:
                    raise ArgumentError(
                        f"the exported network has no {word}",
                        where=str(self.path),
                        then="Export it with --flip." if word == "flip" else "Pass the run.",
                    )
            return self.net
        from synthstudio.inference.networks import network_predictor

        if self.sees_frames:
            raise _finds_people(self.path, "predictor")
        net: Any = self.net
        return network_predictor(net, self.skeleton, flip=flip, peaks=peaks)

    def persons(
        self,
        images: Iterable[SourceImage],
        find: Callable[[SourceImage], Any] | None,
        *,
        batch: int,
        flip: bool = False,
        peaks: int = 0,
        progress: Callable[[int], None] = lambda done: None,
    ) -> Iterator[Person]:
        """Yield the people of the images in order; `find` gives an image's boxes.

        A bottom-up system takes no boxes: ArgumentError for `find`,
        `flip` or `peaks`.
        """
        if not self.sees_frames:
            predictor = self.predictor(flip=flip, peaks=peaks)
            boxes = find or find_people(self.predictor(), size=self.size)
            how: dict[str, Any] = {"size": self.size, "batch": batch, "progress": progress}
            return predict_crops(predictor, images, boxes, again=flip or bool(peaks), **how)
        from synthstudio.inference.networks import predict_frames

        for given, word in ((find is not None, "boxes"), (flip, "flip"), (bool(peaks), "peaks")):
            if given:
                raise _finds_people(self.path, word)
        net: Any = self.net
        at_once = min(batch, _FRAMES_AT_ONCE)
        return predict_frames(net, images, size=self.size, batch=at_once, progress=progress)

    @args.checked
    def predict(
        self,
        source: args.PathLike | U8 | Sequence[U8] | Any,
        *,
        boxes: Any = None,
        flip: bool = False,
        batch: Annotated[int, args.Option(minimum=1, maximum=4096)] = 64,
        smooth: Annotated[int, args.Option(minimum=0, maximum=99)] = 0,
    ) -> PredictedPeople:
        """Predict the joints of people, their causes of occlusion, and confidences.

        Args:
            source: A photo, a folder of photos, a video, a data set or a COCO file by path; or
                a picture (H, W, 3) uint8 RGB as an array or PIL image; or a list of photos.
            boxes: Boxes of people (none for a bottom-up system). For one picture (P, 4)
                numbers x, y, width, height; for several a list of such or a dict by file name;
                or the path of COCO annotations or results. Default: the source's own boxes,
                else those that the package's detector finds; if none is found, one person in
                all of it.
            flip: Also predict mirrored crops (flip test); twice the time.
            batch: Crops at once.
            smooth: Smoothing window of clips in frames, odd; 0: none.

        Raises:
            FormatError: for a source that cannot be read or a box outside its picture.
            ModelError: when a batch does not fit in the device's memory.
        """
        check_smooth(smooth)
        opened = _open(source)
        find = None if boxes is None else _find(boxes, opened)
        people = list(self.persons(opened.read(), find, batch=batch, flip=flip))
        if any(person.sequence for person in people):
            people = smoothed(people, frames=smooth)
        return _columns(people, self.skeleton)

    @args.checked
    def export(
        self,
        out: args.PathLike,
        *,
        format: Annotated[str, args.Option(choices=("onnx", "torch"))] = "onnx",
        flip: bool = False,
        floats: bool = False,
        weights: Annotated[str, args.Option(choices=("int16", "float32"))] = "int16",
    ) -> dict[str, Any]:
        """Write the network and its decoder to one file that runs without this package.

        For an fcpose run the file is its detector only, for `predict(detector=...)` and `live`.

        Args:
            out: The new file.
            format: For ONNX Runtime, or for torch.export.load.
            flip: Include the flip test; twice the time.
            floats: Take floats from 0 to 1 instead of uint8.
            weights: How an ONNX file stores them, "int16" or "float32"; it computes in float32.

        Returns:
            The file, its bytes, and the largest differences of its outputs from this network's.

        Raises:
            ModelError: for a network that is exported already, or a file whose outputs differ.
        """
        from synthstudio.inference import export as exporting

        file = args.to_file(out, "out", new=True)
        writers: dict[str, Callable[..., exporting.Exported]] = {
            "onnx": exporting.export_onnx, "torch": exporting.export_torch
        }  # fmt: skip
        if self.system == "fcpose":
            writers = {"onnx": exporting.export_finder}
        if isinstance(self.net, OnnxModel):
            raise ModelError("this network is exported already", where=str(self.path))
        if self.system not in ("topdown", "fcpose"):
            raise ModelError(
                "only top-down networks and fcpose can be exported",
                where=str(self.path),
                got=self.system,
                then="Use its weights: synthstudio predict, or Model.load.",
            )
        net: Any = self.net
        about = exporting.Info(
            size=self.size,
            name=self.name,
            version=__version__,
            flip=flip,
            floats=floats,
            weights=weights,
        )
        write = writers[args.to_choice(format, "format", tuple(writers))]
        made = write(net, self.skeleton, file, about)
        return {
            "out": str(made.path),
            "bytes": made.bytes,
            "joints_px": made.joints_px,
            "probabilities": made.probabilities,
        }

    def __repr__(self) -> str:
        kind: str = "onnx" if self.config is None else self.config.network.head
        kind = kind if self.system == "topdown" else self.system
        return f"Model({str(self.path)!r}, {kind}, {self.skeleton.title})"


def _finds_people(path: Path, word: str) -> ArgumentError:
    return ArgumentError(
        "a bottom-up network finds people itself",
        where=f"{path}: {word}",
        expected="a top-down network",
        then=f"Leave out {word}.",
    )


def predict(model: Model | args.PathLike, source: Any, **options: Any) -> PredictedPeople:
    """Find people's joints in pictures: `Model.load(model).predict(source, ...)`.

    Raises:
        ModelError, FormatError: as `Model.load` and `Model.predict`.
    """
    loaded = model if isinstance(model, Model) else Model.load(model)
    return loaded.predict(source, **options)


def check_smooth(frames: int) -> None:
    """ArgumentError for a smoothing window without a middle frame."""
    if frames and frames % 2 == 0:
        raise ArgumentError("an even window", where="smooth", expected="odd, or 0", got=str(frames))


def _open(source: Any) -> Source:
    if isinstance(source, Dataset):
        return open_source(source._stored)
    if args.is_path(source):
        return open_source(args.to_place(source, "source"))
    if hasattr(source, "shape") or hasattr(source, "convert"):
        source = [source]
    if not isinstance(source, Sequence) or isinstance(source, bytes):
        raise ArgumentError(
            "unsupported source",
            where="source",
            expected="a path, a picture (H, W, 3) uint8, or a list of either",
            got=args.shown(source),
        )

    def read() -> Iterator[SourceImage]:
        for number, picture in enumerate(source):
            name = str(picture if args.is_path(picture) else number)
            yield SourceImage(number=number, name=name, rgb=_pixels(picture))

    return Source(kind="photos", path=Path("pictures"), total=len(source), read=read)


def _pixels(picture: Any) -> U8:
    if args.is_path(picture):
        return read_rgb(Path(picture))
    if hasattr(picture, "convert"):  # a PIL image
        picture = picture.convert("RGB")
    rgb = np.asarray(picture)
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or 0 in rgb.shape:
        raise ArgumentError(
            "not an image",
            where="source",
            expected="(H, W, 3) uint8 RGB",
            got=f"{rgb.shape} {rgb.dtype}",
        )
    return rgb


def _find(boxes: Any, source: Source) -> Callable[[SourceImage], Any]:
    if args.is_path(boxes):
        return boxes_from_file(args.to_path(boxes, "boxes"), source)
    if isinstance(boxes, Mapping):
        by_name = {str(name): _xywh(value) for name, value in boxes.items()}
        return lambda picture: _boxes(by_name.get(picture.name, np.zeros((0, 4))))
    nested = source.total != 1 or (len(boxes) == 1 and np.ndim(boxes[0]) == 2)
    by_number = [_xywh(value) for value in boxes] if nested else [_xywh(boxes)]
    if source.total is not None and len(by_number) != source.total:
        raise ArgumentError(
            "boxes missing for some pictures",
            where="boxes",
            expected=f"{source.total} arrays (P, 4)",
            got=str(len(by_number)),
        )
    return lambda picture: _boxes(by_number[picture.number])


def _boxes(xywh: F64) -> Boxes:
    return Boxes(xywh=xywh, score=np.ones(len(xywh)))


def _xywh(value: Any) -> F64:
    try:
        found = np.asarray(value, np.float64)
        found = found.reshape(-1, 4) if found.size == 0 or found.ndim == 1 else found
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            "not boxes", where="boxes", expected="(P, 4) numbers x, y, w, h", got=args.shown(value)
        ) from error
    if found.ndim != 2 or found.shape[1] != 4 or not np.isfinite(found).all():
        raise ArgumentError(
            "not boxes",
            where="boxes",
            expected="(P, 4) finite numbers x, y, w, h",
            got=str(found.shape),
        )
    return found


def _columns(persons: list[Person], skeleton: Skeleton) -> PredictedPeople:
    joints = len(skeleton.joints)
    places: dict[int, int] = {}
    labels = []
    for person in persons:
        place = places[person.image] = places.get(person.image, -1) + 1
        labels.append(labels_of(person, place))
    base = stack(labels, skeleton)
    picture = np.array([person.image for person in persons], np.int64)
    fractions = np.full(base.visibility_fractions.shape, math.nan)
    for i, person in enumerate(persons):
        fractions[i, :, :4] = person.visibility_fractions

    def joined(name: str) -> F64:
        values = [getattr(person, name) for person in persons]
        return np.array(values, np.float64).reshape(len(persons), joints)

    fields = {f.name: getattr(base, f.name) for f in dataclasses.fields(base)}
    fields |= {
        name: as_column(LABELS[name], [None] * len(persons), joints) for name in _NOT_PREDICTED
    }
    fields |= {
        "frame_index": picture,
        "visibility_fractions": fractions,
        "origin": np.full((len(persons), joints), "predicted", object),
    }
    return PredictedPeople(
        **fields,
        picture=picture,
        name=np.array([person.name for person in persons], object),
        score=np.array([person.confidence for person in persons], np.float64),
        joint_score=joined("score"),
        expected_oks=joined("quality"),
        in_picture=joined("present"),
    )


def open_detector(name: str, *, device: str, min_score: float) -> FindPeople:
    """The detector of an .onnx file (`Model.export` of an fcpose run) or of transformers, by
    its name or folder; ModelError when there is none."""

    if name.endswith(SUFFIX):
        return Finder.load(args.to_path(name, "detector"), device=device, min_score=min_score)
    from synthstudio.training import devices

    return Detector(name, device=devices.get_device(device), min_score=min_score)


def to_network(
    model: Any, kind: str | None, keypoints: str | Sequence[str] | None, device: str
) -> Network | None:
    """A top-down predictor: of a function, an exported file, "default", or another
    program's file of a `kind`; None: a run. ArgumentError, FormatError, ModelError."""
    joints = order_of(keypoints)
    if callable(model) and not isinstance(model, Model):
        check_options({"kind": kind is not None}, "a file")
        return Network(name=getattr(model, "__name__", "predict"), predict=model, joints=joints)
    if kind is not None:
        path = args.to_path(model, "model")
        return adapters.open_network(path, kind, joints, device)
    if isinstance(model, Model):
        if isinstance(model.net, OnnxModel):
            return adapters.own_network(model.net, model.path)
        return None
    path = network_file(model)
    if path.suffix not in SUFFIXES:
        return None
    check_options({"keypoints": joints is not None}, "results, a function or a file with kind")
    name = DEFAULT if str(model) == DEFAULT else ""
    return adapters.own_network(OnnxModel.load(path, device=device), path, name=name)


def to_networks(
    models: Sequence[Any], kind: str | None, keypoints: str | Sequence[str] | None
) -> tuple[Network, ...]:
    """Predictors (no runs) of different names; ArgumentError."""
    found: dict[str, Network] = {}
    for model in models:
        network = to_network(model, kind, keypoints, "auto")
        if network is None or network.name in found:
            raise ArgumentError(
                "a run is not supported here" if network is None else "duplicate network name",
                where="beside",
                expected='"default", exported files, functions, or files with kind',
                got=str(model)[:80],
            )
        found[network.name] = network
    return tuple(found.values())


def network_file(model: Any) -> Path:
    """The path by which a model is identified."""
    if isinstance(model, Model):
        return model.path
    return default_model() if str(model) == DEFAULT else args.to_path(model, "model")


def check_options(given: Mapping[str, bool], whose: str) -> None:
    """ArgumentError for options that do not apply to a network."""
    if wrong := [name for name, used in given.items() if used]:
        raise ArgumentError(
            f"this applies to {whose} alone", where=", ".join(wrong), then="Leave it out."
        )
