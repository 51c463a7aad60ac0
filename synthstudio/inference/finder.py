"""Person detectors: an exported one (ONNX Runtime, without PyTorch), or one of transformers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from synthstudio.core.boxes import keep_best
from synthstudio.core.errors import ModelError
from synthstudio.core.extras import import_extra
from synthstudio.inference.onnx_model import open_session, stated_size
from synthstudio.inference.sources import F64, U8, Boxes, SourceImage
from synthstudio.training.data.letterbox import Letterbox

FORMAT = "synthstudio person finder 1"
MIN_SCORE, OVERLAP = 0.5, 0.6
"""People are found by a score of at least the one; of boxes whose IoU is above the other, the
surest is kept."""
_MOST_FOUND = 100


@dataclass(frozen=True, kw_only=True, eq=False)
class Finder:
    """A detector that sees pictures at `size` (H, W), as `synthstudio export-model` writes it of a
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
        """Load a file, as `OnnxModel.load` does."""
        where = where or str(file)
        session, facts = open_session(
            file, what="person finder", form=FORMAT, where=where, device=device, threads=threads
        )
        size = stated_size(facts, where)
        inputs = {i.name: (i.type, list(i.shape)[1:]) for i in session.get_inputs()}
        outputs = {o.name: list(o.shape)[2:] for o in session.get_outputs()}
        if inputs != {"images": ("tensor(uint8)", [3, *size])} or outputs != {
            "scores": [],
            "boxes": [4],
        }:
            raise ModelError(
                "the ONNX file's inputs and outputs do not fit its metadata",
                where=where,
                expected=f"images (B, 3, {size[0]}, {size[1]}), scores (B, N), boxes (B, N, 4)",
                got=f"{inputs}, {outputs}"[:200],
            )
        return cls(session=session, name=facts.get("name", ""), size=size, min_score=min_score)

    def __call__(self, image: SourceImage) -> Boxes:
        """The people of an image, the surest first: boxes of what is seen of them, inside it."""
        lies = Letterbox.of(image.rgb.shape[:2], self.size)
        score, corners = self.detections(lies.framed(image.rgb, self.size)[None])
        sure = np.flatnonzero(score[0] >= self.min_score)
        best = sure[keep_best(corners[0, sure], score[0, sure], overlap=OVERLAP)]
        limit = np.array(image.rgb.shape[1::-1], np.float64)
        found = lies.to_image(corners[0, best].reshape(-1, 2, 2)).clip(0, limit)
        sides = found[:, 1] - found[:, 0]
        use = np.flatnonzero((sides >= 1).all(-1))[:_MOST_FOUND]
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
            raise ModelError("the detector's answers are not finite", got="NaN or infinity")
        return scores, boxes


class Detector:
    """A `transformers` person detector: the name or folder of any AutoModelForObjectDetection.

    ModelError when it cannot be loaded, or has no label "person".
    """

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
