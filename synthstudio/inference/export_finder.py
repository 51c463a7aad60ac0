"""Exporting the detector of FCPose: whole pictures in, scores and boxes of people out."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from synthstudio.core.errors import ModelError
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import Skeleton
from synthstudio.inference.export import About, Exported, checked, narrow, program_of
from synthstudio.inference.finder import FORMAT, Finder
from synthstudio.models.bottom_up.fcpose import FCPose

_BATCHES = (1, 2)


class Detections(nn.Module):
    """Images (B, 3, H, W) uint8 to the scores (B, N) and boxes (B, N, 4: x0 y0 x1 y1) px of every
    place of the detector."""

    def __init__(self, net: FCPose) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.net.detections(self.net(images))


def export_finder(net: FCPose, _: Skeleton, out: Path, about: About) -> Exported:
    """Write the detector as an ONNX file for images of `about.size` in batches of any length.

    What makes joints of people is left out. ModelError for the flip test or floats, and when the
    file's answers are further from PyTorch's than export.MOST_PX and MOST.
    """
    if about.flip or about.floats:
        raise ModelError(
            "the file of a detector takes uint8 and has no flip test",
            where=str(out),
            then="Leave that out.",
        )
    whole = Detections(copy.deepcopy(net).cpu()).eval()
    shape = (max(_BATCHES), *about.size, 3)
    pixels = stream(0, "pictures to export with").integers(0, 256, shape, dtype=np.uint8)
    images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
    with torch.no_grad():
        whole(images)
    model = program_of(whole, images, ["scores", "boxes"], {
        "format": FORMAT, "version": about.version, "name": about.name,
        "size": json.dumps(about.size),
    })  # fmt: skip
    narrow(model, weights=about.weights == "int16")
    written: bytes = model.SerializeToString()
    finder = Finder.parse(written, where=str(out), device="cpu")
    apart = [0.0, 0.0]
    for count in _BATCHES:
        with torch.inference_mode():
            ours = [each.double().numpy() for each in whole(images[:count])]
        theirs = finder.detections(pixels[:count])
        for k in (0, 1):
            apart[k] = max(apart[k], float(np.abs(ours[k] - theirs[k]).max()))
    return checked(out, written, apart[1], apart[0])
