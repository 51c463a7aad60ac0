"""`Occlude`: pastes over people as a transform of albumentations."""

from __future__ import annotations

import os
from typing import Any

import albumentations as A
import numpy as np
from albumentations.core.transforms_interface import BaseTransformInitSchema

from synthstudio.core.arrays import U8
from synthstudio.core.errors import ArgumentError
from synthstudio.transforms import arrays
from synthstudio.transforms.pasting import VISIBLE

_FIRST_LABEL = 5
"""Columns of albumentations' keypoints before label fields: x, y, z, angle, scale."""


class Occlude(A.DualTransform):  # type: ignore[misc]
    """Paste objects over people: cut-outs, rendered objects, synthetic shapes. Visibility follows.

    For images (H, W, 3) uint8 in `A.Compose` with
    `A.KeypointParams("xy", label_fields=["visibility"], remove_invisible=False)`: the label field
    is COCO's v of each keypoint (2 visible, 1 hidden, 0 unlabelled), and 2 becomes 1 under a paste.
    With "visible_share" in `label_fields` the visible fraction of each joint (0 to 1, NaN
    unknown) follows too. Boxes are unchanged: they are amodal. Of `masks`, one a person, and `mask`
    covered pixels become 0. The seed is that of `A.Compose`.

    Args:
        cutouts: A folder of RGBA pictures, such as `synthstudio objects` writes; None: shapes.
        fraction: Minimum and maximum part of a person to cover, above 0, up to 1: of the
            mask, else of the convex hull of the joints.
        synthetic: Fraction of pastes with synthetic colours, mostly of synthetic shapes.
        people: Probability of a paste for each person in the image.
        joints: Keypoints per person in images with several people; None:
            all keypoints are of one person.
        visibility: The label field with v; None: not needed.
        visible_share: The label field with visible fractions.
        p: Probability of applying the transform.

    Raises:
        ArgumentError: for arguments out of range; on call, for unsupported images and keypoints.
        AssetError: for a folder without cut-outs.
    """

    class InitSchema(BaseTransformInitSchema):  # type: ignore[misc]
        cutouts: Any
        fraction: Any
        synthetic: Any
        people: Any
        joints: Any
        visibility: Any
        visible_share: Any

    def __init__(
        self,
        cutouts: str | os.PathLike[str] | None = None,
        fraction: tuple[float, float] = arrays.FRACTION,
        synthetic: float = arrays.SYNTHETIC_SHARE,
        people: float = 1.0,
        joints: int | None = None,
        visibility: str | None = "visibility",
        visible_share: str = "visible_share",
        p: float = 0.5,
    ) -> None:
        super().__init__(p=p)
        arrays.to_options(fraction=fraction, synthetic=synthetic, people=people)
        arrays.to_cutouts(cutouts)
        self.cutouts = None if cutouts is None else str(cutouts)  # a path, since it is pickled
        self.fraction = (fraction[0], fraction[1])
        self.synthetic, self.people, self.joints = synthetic, people, joints
        self.visibility, self.visible_share = visibility, visible_share

    @property
    def targets_as_params(self) -> list[str]:
        """The pastes depend on the image and its keypoints."""
        return ["image", "keypoints"]

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        rows, labels = np.asarray(data["keypoints"], np.float64), self._label_columns()
        count = self._people(len(rows))
        v = np.full(len(rows), 2.0)
        if self.visibility is not None and len(rows):
            v = rows[:, labels[self.visibility]]
        fractions = arrays.fractions_of(v)
        if self.visible_share in labels and len(rows):
            fractions[v > 0, VISIBLE] = rows[v > 0, labels[self.visible_share]]
        joints = np.concatenate([rows[:, :2], v[:, None]], 1) if len(rows) else np.zeros((0, 3))
        found = (data.get(name) for name in ("masks", "bboxes"))
        masks, boxes = (np.asarray(a) if a is not None and len(a) == count else None for a in found)
        if boxes is not None:
            low, high = np.split(boxes[:, :4] * np.tile(params["shape"][1::-1], 2), 2, axis=1)
            boxes = np.concatenate([low, high - low], 1)
        made = arrays.occlude_people(
            data["image"],
            joints.reshape(count, -1 if count else 1, 3),
            seed=int(self.random_generator.integers(2**62)),
            boxes=boxes,
            masks=masks,
            visibility_fractions=fractions.reshape(count, -1 if count else 1, fractions.shape[1]),
            cutouts=self.cutouts,
            fraction=self.fraction,
            synthetic=self.synthetic,
            people=self.people,
        )
        return {"made": made, "source": data["image"], "labels": labels}

    def apply(self, img: U8, *args: Any, made: arrays.Occluded, source: Any, **params: Any) -> U8:
        """The image (H, W, 3) under the pastes."""
        return made.image if img is source else arrays.apply_pastes(img, made.pastes)[0]

    def apply_to_mask(self, mask: U8, *args: Any, made: arrays.Occluded, **params: Any) -> U8:
        """The mask (H, W) or (H, W, C) with 0 under the pastes."""
        out = np.array(mask)
        out[made.cover >= 128] = 0
        return out

    def apply_to_bboxes(self, bboxes: Any, *args: Any, **params: Any) -> Any:
        """The boxes unchanged: they are amodal."""
        return bboxes

    def apply_to_keypoints(
        self,
        keypoints: Any,
        *args: Any,
        made: arrays.Occluded,
        labels: dict[str, int],
        **params: Any,
    ) -> Any:
        """The keypoints (N, 5 + labels) with their new visibility."""
        out = np.array(keypoints)
        if len(out) and self.visibility is not None:
            out[:, labels[self.visibility]] = made.keypoints[..., 2].ravel()
        if len(out) and self.visible_share in labels:
            out[:, labels[self.visible_share]] = made.visible_share.ravel()
        return out

    def _label_columns(self) -> dict[str, int]:
        processor = self.get_processor("keypoints")
        fields = [] if processor is None else list(processor.params.label_fields or [])
        if processor is None or (self.visibility is not None and self.visibility not in fields):
            raise ArgumentError(
                "the keypoints lack visibility",
                where="Occlude",
                expected=f"A.Compose(..., keypoint_params=A.KeypointParams('xy', "
                f"label_fields=[{self.visibility!r}], remove_invisible=False))",
                got=f"label fields {fields}",
            )
        return {name: _FIRST_LABEL + place for place, name in enumerate(fields)}

    def _people(self, rows: int) -> int:
        each = self.joints or rows
        if rows and rows % each:
            raise ArgumentError(
                "number of keypoints is not a multiple of `joints`",
                where="keypoints",
                expected=f"a multiple of {each}",
                got=str(rows),
                then="Pass remove_invisible=False to A.KeypointParams.",
            )
        return rows // each if rows else 0
