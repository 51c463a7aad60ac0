"""The table of kinds of findings; findings, and their counts with examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning"]
EXAMPLES = 6
"""Number of examples kept per kind."""


@dataclass(frozen=True)
class Kind:
    """A kind of finding. `fix`: what --fix does; empty: needs manual work."""

    title: str
    severity: Severity = "error"
    fix: str = ""


_IMAGE_OUT = "the image and its annotations are left out"
_OF_MASK = "it is taken from the mask"
KINDS: dict[str, Kind] = {
    # the file
    "schema": Kind(
        "a field is missing or of the wrong type",
        fix="an entry that an import cannot take is left out, an annotation without id gets one, "
        "a size that is missing or 160.0 is written",
    ),
    "no_keypoint_category": Kind("a category has no keypoints"),
    "unknown_skeleton": Kind("the keypoints are those of no known skeleton"),
    "category_keypoints": Kind(
        "a category's keypoints do not fit together",
        fix="a category without id or names is left out",
    ),
    "category_mismatch": Kind(
        "an annotation of a category that has no such keypoints",
        fix="an annotation of no category is left out",
    ),
    "duplicate_id": Kind(
        "an id is used twice",
        fix="a copy (or a second image) is left out, another annotation gets a new id",
    ),
    "duplicate_image": Kind("two images have the same file"),
    "orphan_annotation": Kind("an annotation of no image", fix="the annotation is left out"),
    "unsafe_name": Kind("a file name that leaves its folder", fix=_IMAGE_OUT),
    "stored_bytes": Kind("stored bytes differ from their hash", fix="the frame is left out"),
    # pictures
    "image_missing": Kind("an image is missing", fix=_IMAGE_OUT),
    "image_broken": Kind("an image cannot be decoded", fix=_IMAGE_OUT),
    "image_size": Kind("an image's size differs from its entry", fix=_IMAGE_OUT),
    "image_changed": Kind("an image has other bytes than those that were labelled"),
    "image_mirrored": Kind("an image is the mirror of the one that was labelled"),
    # numbers
    "not_finite": Kind(
        "a number is NaN or infinite", fix="a joint with such a number becomes 0,0,0"
    ),
    "keypoint_count": Kind("the list of keypoints is too long or too short"),
    "num_keypoints": Kind("num_keypoints is not the count of v > 0", fix="it is recounted"),
    "bad_visibility": Kind("a v that is none of 0, 1, 2"),
    "coordinates_without_v": Kind(
        "a joint with v=0 has coordinates", fix="the joint becomes 0,0,0, as COCO writes it"
    ),
    "visible_outside": Kind(
        "a joint with v=2 outside the image", fix="the joint becomes 0,0,0: invisible"
    ),
    "hidden_outside": Kind("a joint with v=1 outside the image", severity="warning"),
    # boxes and masks
    "box_empty": Kind("a box without width or height", fix=_OF_MASK),
    "box_outside": Kind("a box lies outside the image"),
    "box_mask": Kind("a box does not hold its mask", fix=_OF_MASK),
    "box_loose": Kind("a box is far larger than its mask", severity="warning", fix=_OF_MASK),
    "area": Kind("the area is not that of the mask", fix="it is counted again"),
    "no_area": Kind("no area", severity="warning", fix="it is that of the mask"),
    "mask_size": Kind("a mask of another size than the image"),
    "mask_broken": Kind("a mask cannot be decoded"),
    # people
    "joint_far": Kind("a joint far outside its box"),
    "joints_one_point": Kind("all joints at one point"),
    "limb_length": Kind("a limb of impossible length"),
    "swapped": Kind("left and right are swapped"),
    "duplicate_keypoints": Kind("two people of one image with the same keypoints"),
    # rows of a data set against themselves
    "table_mismatch": Kind("the tables of frames and people do not fit"),
    "list_length": Kind("a list of another length than its label's"),
    "limits": Kind("a number outside what its label may be"),
    "visibility_fractions": Kind("the visibility fractions of a joint do not sum to 1"),
    "state": Kind("a state that its visibility fractions or place contradict"),
    "cause": Kind("a cause that its state or visibility fractions contradict"),
    "hidden_by": Kind("an occluder that the frame does not have, or wrong fractions"),
    "fraction": Kind("a fraction that the masks contradict"),
    "projection": Kind("a 2D joint is not the projection of its 3D joint"),
    "amodal": Kind("what is seen leaves the mask of the whole person"),
    "fields_disagree": Kind("two fields contradict each other about a joint"),
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One fault. `where` names it; `joint` is its number, if it is about one."""

    kind: str
    where: str
    what: str
    joint: int | None = None
    image: Any = None  # id of the image or frame
    person: Any = None  # id of the annotation, or instance

    @property
    def severity(self) -> Severity:
        return KINDS[self.kind].severity


@dataclass
class Findings:
    """Counts by kind and a few examples of each; in constant memory."""

    counts: Counter[str] = field(default_factory=Counter)
    kept: dict[str, list[Finding]] = field(default_factory=dict)
    images: int = 0
    people: int = 0
    not_checked: list[str] = field(default_factory=list)

    def add(self, found: Iterable[Finding]) -> None:
        for finding in found:
            self.counts[finding.kind] += 1
            kept = self.kept.setdefault(finding.kind, [])
            if len(kept) < EXAMPLES:
                kept.append(finding)

    @property
    def errors(self) -> int:
        return sum(n for kind, n in self.counts.items() if KINDS[kind].severity == "error")

    @property
    def warnings(self) -> int:
        return self.counts.total() - self.errors

    def as_json(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "people": self.people,
            "errors": self.errors,
            "warnings": self.warnings,
            "not_checked": list(self.not_checked),
            "kinds": {
                kind: {
                    "severity": row.severity,
                    "title": row.title,
                    "fix": row.fix,
                    "count": self.counts[kind],
                    "examples": [{"where": f.where, "what": f.what} for f in self.kept[kind]],
                }
                for kind, row in KINDS.items()
                if self.counts[kind]
            },
        }

    def text(self) -> str:
        head = f"{self.images} images, {self.people} people: "
        if not self.counts:
            lines = [head + "no findings"]
        else:
            lines = [head + f"{self.errors} errors, {self.warnings} warnings"]
        for kind, row in KINDS.items():
            if self.counts[kind]:
                lines.append(f"{row.severity:<8}{self.counts[kind]:>7}  {row.title} ({kind})")
                lines += [f"{'':17}{f.where}: {f.what}" for f in self.kept[kind][:2]]
        lines += [f"not checked: {what}" for what in self.not_checked]
        return "\n".join(lines)
