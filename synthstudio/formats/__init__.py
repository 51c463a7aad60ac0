"""The table of formats. A new one is a module in formats/ and an entry in FORMATS.

Formats are imported on first use, so the command line can list their names quickly.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthstudio.core.errors import FormatError

if TYPE_CHECKING:
    from synthstudio.dataset.rows import Row
    from synthstudio.formats.exchange import Opened, Picture, Target

    Write = Callable[[Iterable[Picture], Path, Target], Path]
    Read = Callable[..., Opened]
    RoundTrip = Callable[[Row, Sequence[Row], bool], list[Row]]


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format. `home` has its functions: "MODULE" or "MODULE:OBJECT".

    `skeleton`: the format's fixed one; people are converted to it. `missing`: data that go to the
    sidecar; "" if it holds whole rows and the images. `has_boxes`: people have boxes.
    `has_centres`: its 3D joints are rotation centres. `own_skeletons`: `read` takes `skeleton`,
    that of its joints. `trains`: pose networks learn from it, so its boxes are amodal by default,
    and each split has a folder of images; with `split_folders` too, but frames of none have none.
    """

    home: str
    skeleton: str | None = None
    missing: str = ""
    has_boxes: bool = True
    has_centres: bool = False
    own_skeletons: bool = False
    trains: bool = False
    split_folders: bool = False

    @property
    def write(self) -> Write:
        """(pictures, folder, target) -> the annotation file or folder; OSError.

        The folder has only images/, in which the pictures are saved unless files embed them.
        """
        return self._function("write")

    @property
    def read(self) -> Read:
        """(file or folder, folder of images or None, image names of the sidecar) -> opened.

        FormatError for an invalid file.
        """
        return self._function("read")

    @property
    def round_trip(self) -> RoundTrip:
        """(frame row, its people in the format's skeleton, with our extras) -> people as read back.

        An import compares this with the file to find edited joints.
        """
        return self._function("round_trip", _unchanged)

    def image_name(self, frame: Row) -> str:
        """The name of a frame's image in the export: without a split it is for training."""
        name = f"{frame['index']:06d}{Path(frame['file_name']).suffix}"
        if self.trains or (self.split_folders and frame["split"]):
            return f"images/{frame['split'] or 'train'}/{name}"
        return f"images/{name}" if self.missing else name

    def _function(self, name: str, default: Any = None) -> Any:
        module, _, member = self.home.partition(":")
        home: Any = importlib.import_module(f"synthstudio.formats.{module}")
        return getattr(getattr(home, member) if member else home, name, default)


def _unchanged(frame: Row, people: Sequence[Row], extras: bool) -> list[Row]:
    return list(people)


_POINTS_ONLY = "masks, amodal boxes, fractions, causes, occluders, 3D, camera, FrameSpec"
_NO_BOXES = "boxes, " + _POINTS_ONLY
FORMATS: dict[str, Format] = {
    "coco": Format(home="coco.dialects:OWN", missing="FrameSpec", own_skeletons=True, trains=True),
    "crowdpose": Format(
        home="coco.dialects:OWN", skeleton="crowdpose14", missing="FrameSpec", trains=True
    ),
    "coco-wholebody": Format(
        home="coco.dialects:WHOLE_BODY",
        skeleton="coco133",
        trains=True,
        missing="amodal masks and boxes, fractions, causes, occluders, 3D, camera, FrameSpec",
    ),
    "ochuman": Format(
        home="mpii_ochuman:OCHUMAN",
        skeleton="ochuman19",
        missing="amodal masks and boxes, fractions, occluders, 3D, camera, FrameSpec",
    ),
    "yolo": Format(home="yolo", missing=_POINTS_ONLY, own_skeletons=True, trains=True),
    "cvat": Format(
        home="cvat", missing=_NO_BOXES, has_boxes=False, own_skeletons=True, split_folders=True
    ),
    "webdataset": Format(home="webdataset"),
    "huggingface": Format(home="huggingface"),
    "label-studio": Format(home="label_studio", missing=_POINTS_ONLY, own_skeletons=True),
    "mpii": Format(home="mpii_ochuman:MPII", skeleton="mpii16", missing=_NO_BOXES, has_boxes=False),
    "lsp": Format(home="lsp_h36m:LSP", skeleton="lsp14", missing=_NO_BOXES, has_boxes=False),
    "h36m": Format(
        home="lsp_h36m:H36M",
        skeleton="h36m17",
        missing="boxes, masks, fractions, causes, occluders, 3D of the surface, FrameSpec",
        has_boxes=False,
        has_centres=True,
    ),
}


def get_format(name: str) -> Format:
    """Return a format by name; FormatError for an unknown one."""
    if name not in FORMATS:
        raise FormatError(
            "unknown format", where="format", expected=", ".join(FORMATS), got=str(name)[:80]
        )
    return FORMATS[name]
