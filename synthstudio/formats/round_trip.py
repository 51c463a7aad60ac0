"""What reading back our own file gives, for each format: two pure functions, one after the other.

`restore` (sidecar.py) compares it with what a file says, to see which joints somebody changed. All
take a frame's row, its people in the format's skeleton, and whether the file still has our extras.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.rows import Row
from synthstudio.formats import arrays, cvat, label_studio, mpii, ochuman, yolo
from synthstudio.formats.coco_entries import annotation_entries, instance_row

Echo = Callable[[Row, Sequence[Row], bool], list[Row]]
_COCO = ("id", "bbox", "area", "segmentation", "keypoints")


def whole(frame: Row, people: Sequence[Row], extras: bool) -> list[Row]:
    """Return the rows themselves: the format holds all of them."""
    return list(people)


def coco(frame: Row, people: Sequence[Row], extras: bool) -> list[Row]:
    """Return COCO's echo; without our extras only what any tool keeps."""
    joints = len(get_skeleton(frame["skeleton"]).joints)
    entries = annotation_entries(frame, people)
    if not extras:
        entries = [{name: entry[name] for name in _COCO} for entry in entries]
    return [instance_row(entry, frame, n, joints) for n, entry in enumerate(entries, 1)]


def yolo_(frame: Row, people: Sequence[Row], extras: bool) -> list[Row]:
    """Return YOLO's echo."""
    return yolo.from_yolo(
        yolo.to_yolo(frame, people), frame, len(get_skeleton(frame["skeleton"]).joints)
    )


def cvat_(frame: Row, people: Sequence[Row], extras: bool) -> list[Row]:
    """Return CVAT's echo."""
    joints = get_skeleton(frame["skeleton"])
    text = cvat.to_cvat(frame, people, joints)
    return cvat.from_cvat(cvat.elements(text.encode(), "echo")[1:], frame, joints)


def label_studio_(frame: Row, people: Sequence[Row], extras: bool) -> list[Row]:
    """Return Label Studio's echo."""
    joints = get_skeleton(frame["skeleton"])
    task = label_studio.to_label_studio(frame, people, joints)
    return label_studio.from_label_studio(task, frame, joints, Counter())


def mpii_(frame: Row, people: Sequence[Row], extras: bool) -> list[Row]:
    """Return MPII's echo."""
    return mpii.from_mpii(mpii.to_mpii(frame, people), frame)


def ochuman_(frame: Row, people: Sequence[Row], extras: bool) -> list[Row]:
    """Return OCHuman's echo."""
    return ochuman.from_ochuman(ochuman.to_ochuman(frame, people)["annotations"], frame)


def lsp(frame: Row, people: Sequence[Row], extras: bool) -> list[Row]:
    """Return LSP's echo."""
    return [arrays.from_lsp(arrays.to_lsp(frame, row), frame, n) for n, row in enumerate(people, 1)]


def h36m(frame: Row, people: Sequence[Row], extras: bool) -> list[Row]:
    """Return Human3.6M's echo."""
    return [
        arrays.from_h36m(arrays.as_arrays(arrays.to_h36m(frame, row)), frame, n)
        for n, row in enumerate(people, 1)
    ]
