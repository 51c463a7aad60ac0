"""Boxes of people from a transformers person detector."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from synthstudio.core.errors import ModelError
from synthstudio.core.extras import import_extra
from synthstudio.inference.sources import U8, Boxes, SourceImage


class Detector:
    """A `transformers` person detector: the name or folder of any AutoModelForObjectDetection.

    ModelError when it cannot be loaded, or has no label "person".
    """

    def __init__(self, name: str, *, device: torch.device, min_score: float = 0.5) -> None:
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
