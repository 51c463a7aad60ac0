"""Person detectors: an exported one (ONNX Runtime, without PyTorch), or one of transformers; and
default boxes: people found by detector and network, or one person in the whole image."""

import dataclasses
import functools
import logging
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import numpy as np

from synthstudio.core.arrays import F64, U8
from synthstudio.core.errors import ModelError, import_extra
from synthstudio.core.masks import nms, object_similarity
from synthstudio.core.threads import threads_allowed
from synthstudio.inference.model_files import open_session, stated_size
from synthstudio.inference.predict import PRESENT, Person, PredictedBoxes, Predictor, predict
from synthstudio.inference.sources import Boxes, FindPeople, SourceImage, source_boxes
from synthstudio.models.packaged import default_finder
from synthstudio.training.data.windows import Letterbox

FORMAT = "synthstudio person finder 1"
MIN_SCORE, OVERLAP = 0.5, 0.6
"""Minimum score of people, and maximum IoU of two boxes, of which the most confident is kept."""
_MAX_FOUND = 100
_log = logging.getLogger("synthstudio")
MARGIN = 0.07
"""Margin between joints and box, relative to the joints' longer side: that of rendered people, the
median of four sides, the head's 0.09 and the others' 0.04 (23 joints; more where toes have none).
"""
_MIN_PX, _MIN_JOINTS = 8.0, 3
UNSURE, AGREED, SAME = 0.2, 0.16, 0.5
"""Minimum score of the detector, and of detector and network together (chosen on the photos of
the model card); minimum OKS of the same person."""
NO_BOXES = (
    "no boxes, no detector: the package's own finds 63 % of people in sports photos, and 2.5 false "
    "boxes a photo. Pass boxes, or a detector: an ONNX file, or one of transformers such as "
    "PekingU/rtdetr_v2_r18vd (docs/predict.md#boxes)"
)
_MAX_BOXES = 16
_SIGMA = 0.07
"""Sigma of all joints here: the mean of COCO's; matching is insensitive to it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Finder:
    """A detector with input `size` (H, W), as written by `synthstudio export-model` of a
    run of fcpose. People have a score of at least `min_score`."""

    session: Any
    name: str
    size: tuple[int, int]
    min_score: float = MIN_SCORE

    @classmethod
    def load(
        cls,
        file: Path | bytes,
        *,
        where: str = "",
        device: str = "auto",
        threads: int = 0,
        min_score: float = MIN_SCORE,
    ) -> Self:
        where = where or str(file)
        session, facts = open_session(
            file, what="person finder", form=FORMAT, where=where, device=device, threads=threads
        )
        size = stated_size(facts, where)
        inputs = {i.name: (i.type, list(i.shape)[1:]) for i in session.get_inputs()}
        outputs = {o.name: list(o.shape)[2:] for o in session.get_outputs()}
        expected = {"images": ("tensor(uint8)", [3, *size])}, {"scores": [], "boxes": [4]}
        if (inputs, outputs) != expected:
            raise ModelError(
                "the ONNX file's inputs and outputs contradict its metadata",
                where=where,
                expected=f"images (B, 3, {size[0]}, {size[1]}), scores (B, N), boxes (B, N, 4)",
                got=f"{inputs}, {outputs}"[:200],
            )
        return cls(session=session, name=facts.get("name", ""), size=size, min_score=min_score)

    def __call__(self, image: SourceImage) -> Boxes:
        """The visible boxes of people in an image, most confident first."""
        lies = Letterbox.of(image.rgb.shape[:2], self.size)
        score, corners = self.detections(lies.framed(image.rgb, self.size)[None])
        confident = np.flatnonzero(score[0] >= self.min_score)
        best = confident[nms(corners[0, confident], score[0, confident], overlap=OVERLAP)]
        limit = np.array(image.rgb.shape[1::-1], np.float64)
        found = lies.to_image(corners[0, best].reshape(-1, 2, 2)).clip(0, limit)
        sides = found[:, 1] - found[:, 0]
        use = np.flatnonzero((sides >= 1).all(-1))[:_MAX_FOUND]
        return Boxes(
            xywh=np.concatenate([found[use, 0], sides[use]], -1), score=score[0, best[use]]
        )

    def detections(self, images: U8) -> tuple[F64, F64]:
        """Scores (B, N) and boxes (B, N, 4: x0 y0 x1 y1) px of all places in images (B, H, W, 3) of
        its size; ModelError when they are not finite."""
        pixels = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        outputs = self.session.run(["scores", "boxes"], {"images": pixels})
        scores, boxes = (np.asarray(each, np.float64) for each in outputs)
        if not (np.isfinite(scores).all() and np.isfinite(boxes).all()):
            raise ModelError("the detector's outputs are not finite", got="NaN or infinity")
        return scores, boxes


class Detector:
    """A `transformers` person detector, by the name or folder of an AutoModelForObjectDetection.
    ModelError when it cannot be loaded or has no label "person"."""

    def __init__(self, name: str, *, device: Any, min_score: float = 0.5) -> None:
        transformers = import_extra("transformers", extra="train")
        try:
            self._processor: Any = transformers.AutoImageProcessor.from_pretrained(name)
            model: Any = transformers.AutoModelForObjectDetection.from_pretrained(name)
        except (OSError, ValueError, ImportError, KeyError) as error:
            raise ModelError(
                "the detector cannot be loaded",
                where=name,
                expected="the name or folder of a transformers object detector",
                got=str(error)[:200],
            ) from error
        names = {int(k): str(v) for k, v in model.config.id2label.items()}
        self._labels = [k for k, v in names.items() if v.lower() == "person"]
        if not self._labels:
            raise ModelError(
                "the detector has no label person",
                where=name,
                got=", ".join(list(names.values())[:8]),
            )
        self._model, self._device, self._min_score = model.to(device).eval(), device, min_score

    def __call__(self, image: SourceImage) -> Boxes:
        """People by falling score; boxes are clipped to the image."""
        import torch

        rgb: U8 = image.rgb
        height, width = rgb.shape[:2]
        inputs = self._processor(images=rgb, return_tensors="pt").to(self._device)
        with torch.inference_mode():
            outputs = self._model(**inputs)
        found = self._processor.post_process_object_detection(
            outputs, threshold=self._min_score, target_sizes=[(height, width)]
        )[0]
        use = torch.isin(found["labels"].cpu(), torch.tensor(self._labels))
        corners = found["boxes"].cpu()[use].double().numpy().reshape(-1, 4)
        corners = np.clip(corners, 0, [width, height, width, height])
        score = found["scores"].cpu()[use].double().numpy()
        sides = corners[:, 2:] - corners[:, :2]
        order = np.argsort(-score, kind="stable")
        order = order[(sides[order] > 1).all(-1)]
        return Boxes(
            xywh=np.concatenate([corners[:, :2], sides], -1)[order], score=score[order].clip(0, 1)
        )


def box_around(person: Person, size: tuple[int, int]) -> F64 | None:
    """The box x y w h about a person's joints inside a picture (W, H); None: too few joints."""
    inside = ((person.xy >= 0) & (person.xy < size)).all(-1)
    there = inside & ~(person.present < PRESENT)  # NaN: not predicted
    if there.sum() < _MIN_JOINTS:
        return None
    low, high = person.xy[there].min(0), person.xy[there].max(0)
    longer = float((high - low).max())
    if longer < _MIN_PX:
        return None
    return np.concatenate([low - MARGIN * longer, high - low + 2 * MARGIN * longer])


def find_people(predictor: Predictor, *, size: tuple[int, int]) -> FindPeople:
    """The image's own boxes; else `agreed_people` of the package's detector (loaded on
    first use, on the CPU); else one person by `find_one`, with the detector's lowest score.
    Without ONNX Runtime a warning is logged and `find_one` is used alone."""

    @functools.cache
    def look() -> FindPeople:
        if find_spec("onnxruntime") is not None:
            _log.warning(NO_BOXES)
            return agreed_people(_finder(default_finder(), threads_allowed()), predictor, size=size)
        _log.warning(
            "one person is assumed per picture: the detector needs ONNX Runtime, "
            'pip install "synthstudio[predict]"'
        )
        return find_one(predictor, size=size)

    return lambda image: look()(image) if image.boxes is None else image.boxes


@functools.cache
def _finder(path: Path, threads: int) -> Finder:
    return Finder.load(path, device="cpu", min_score=UNSURE, threads=threads)


def agreed_people(finder: FindPeople, predictor: Predictor, *, size: tuple[int, int]) -> FindPeople:
    """People found by a detector with a low threshold and confirmed by the network: expected OKS
    times detector score is at least AGREED. Of two with an OKS above SAME the better stays."""
    alone = find_one(predictor, size=size)

    def find(image: SourceImage) -> Boxes:
        if image.boxes is not None:
            return image.boxes
        boxes = finder(image)
        given = dataclasses.replace(
            image, boxes=Boxes(xywh=boxes.xywh[:_MAX_BOXES], score=boxes.score[:_MAX_BOXES])
        )
        kept = _best(list(predict(predictor, [given], source_boxes, size=size)))
        if not kept:
            return dataclasses.replace(alone(image), score=np.full(1, UNSURE))
        return PredictedBoxes(
            xywh=np.array([person.box for person in kept]),
            score=np.array([person.box_score for person in kept]),
            people=tuple(kept),
        )

    return find


def _best(people: list[Person]) -> list[Person]:
    """People with a score of at least AGREED, best first, without duplicates."""
    kept: list[Person] = []
    for person in sorted(people, key=lambda each: -each.confidence):
        if person.confidence < AGREED:
            break
        if all(_alike(person, other) <= SAME for other in kept):
            kept.append(person)
    return kept


def _alike(person: Person, other: Person) -> float:
    known = np.atleast_2d(np.isfinite(person.xy + other.xy).all(-1))
    area = np.array([other.box[2] * other.box[3]])
    sigmas = np.full(len(other.xy), _SIGMA)
    return float(object_similarity(person.xy[None], other.xy[None], known, area, sigmas)[0, 0])


def find_one(predictor: Predictor, *, size: tuple[int, int]) -> FindPeople:
    """The image's own boxes; else one person: the box about the joints predicted for the
    whole image, or the whole image if too few are inside."""

    def find(image: SourceImage) -> Boxes:
        whole = source_boxes(image)
        if image.boxes is not None:
            return whole
        alone = dataclasses.replace(image, sequence="")
        box = box_around(
            next(predict(predictor, [alone], source_boxes, size=size)), image.rgb.shape[1::-1]
        )
        if box is None:
            return whole
        low = np.maximum(box[:2], 0)
        high = np.minimum(box[:2] + box[2:], image.rgb.shape[1::-1])
        return Boxes(xywh=np.concatenate([low, high - low])[None], score=np.ones(1))

    return find
