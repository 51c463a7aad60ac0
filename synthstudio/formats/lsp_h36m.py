"""LSP and Human3.6M-style 3D: an .npz of plain arrays, and images/.

joints.npz (LSP)      joints (N, 3, 14): pixel indices x, y, and visible: 1, 0 hidden; NaN: outside
                      or unlabelled; as `joints(:, :, n)` of LSP's joints.mat, a person a column
poses.npz (H36M)      positions_2d (N, 17, 2) continuous pixels, positions_3d (N, 17, 3) rotation
                      centres in camera metres, state (N, 17): 2, 1, 0 outside, 255 unlabelled;
                      K (N, 3, 3), world_to_camera (N, 4, 4), size_px (N, 2): width, height;
                      NaN: unknown, K also with lens distortion (the sidecar has both)
both                  image (N): the picture's name; joint_names

No array holds objects: `numpy.load(..., allow_pickle=False)` reads all. To the sidecar: boxes,
masks, 3D joints regressed from the surface, fractions, causes, joints missing in the skeleton,
pictures without people.
"""

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synthstudio.core.arrays import F64, Array
from synthstudio.core.errors import FormatError
from synthstudio.core.labels import STATE_HIDDEN, STATE_OUTSIDE, STATE_VISIBLE
from synthstudio.core.safe_files import NpzWriter, plain_name, read_npz
from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.visibility import is_labelled
from synthstudio.dataset.rows import KINEMATIC, NO_STATE, Row, distortion_of, kinematic_camera_m
from synthstudio.formats import checked, exchange
from synthstudio.formats.exchange import HALF_PX

_NAME_CHARS = 64
_CAUSES = {
    STATE_VISIBLE: "visible",
    STATE_HIDDEN: "unknown",
    STATE_OUTSIDE: "truncated",
    NO_STATE: "unlabelled",
}
Columns = Mapping[str, tuple[tuple[int, ...], str]]
_LSP: Columns = {"image": ((), f"<U{_NAME_CHARS}"), "joints": ((3, 14), "<f8")}
_H36M: Columns = {
    "image": ((), f"<U{_NAME_CHARS}"),
    "positions_2d": ((17, 2), "<f8"),
    "positions_3d": ((17, 3), "<f8"),
    "state": ((17,), "|u1"),
    "K": ((3, 3), "<f8"),
    "world_to_camera": ((4, 4), "<f8"),
    "size_px": ((2,), "<i4"),
}


def to_lsp(frame: Row, row: Row) -> Row:
    """Return a person's entry in each array; the row is in LSP's joints."""
    px, state = np.reshape(row["joints_px"], (-1, 2)), np.array(row["state"])
    labelled = is_labelled(state)
    joints = np.where(labelled, [*(px.T - HALF_PX), state == STATE_VISIBLE], math.nan)
    return {"image": frame["file_name"], "joints": joints}


def from_lsp(entry: Mapping[str, Array], frame: Row, number: int) -> Row:
    """Undo `to_lsp`; ValueError."""
    points = []
    for x, y, v in entry["joints"].T.tolist():
        if v != v:
            points.append(checked.ABSENT)
        elif v in (0, 1):
            points.append((checked.number(x) + HALF_PX, checked.number(y) + HALF_PX, 1 + int(v)))
        else:
            raise ValueError(f"visible must be 1, 0 or NaN, not {v}")
    return checked.person_of(points, frame, number)


def to_h36m(frame: Row, row: Row) -> Row:
    """Return a person's entry in each array; the row is in Human3.6M's joints."""
    return {
        "image": frame["file_name"],
        "positions_2d": np.reshape(row["joints_px"], (17, 2)),
        "positions_3d": kinematic_camera_m(row, frame),
        "state": row["state"],
        "K": _or_nan(None if distortion_of(frame["spec"]) else frame["K"], (3, 3)),
        "world_to_camera": _or_nan(frame["world_to_camera"], (4, 4)),
        "size_px": (frame["width_px"], frame["height_px"]),
    }


def from_h36m(entry: Mapping[str, Array], frame: Row, number: int) -> Row:
    """Undo `to_h36m`; ValueError. Without a camera the positions are those of joints_camera_m."""
    state, px, camera_m = entry["state"].tolist(), entry["positions_2d"], entry["positions_3d"]
    if not set(state) <= set(_CAUSES):
        raise ValueError("a state must be 0, 1, 2 or 255")
    own: Row = {"state": state, "joints_px": px.ravel().tolist()}
    row = checked.person_of(checked.points_of(own), frame, number)
    if (np.abs(px[np.isfinite(px)]) > checked.LARGEST_PX).any():
        raise ValueError("a joint is far outside the image")
    row |= {**own, "cause": [_CAUSES[s] for s in state]}
    found = _or_null(camera_m)
    if found is None or frame["world_to_camera"] is None:
        row["joints_camera_m"] = found
    else:
        row[KINEMATIC] = _to_world(camera_m, frame["world_to_camera"])
    return row


def _to_world(camera_m: Array, world_to_camera: Sequence[float]) -> list[float]:
    m = np.reshape(world_to_camera, (4, 4))
    # The inverse of a rigid motion: R^T (x - t).
    return [float(v) for v in ((camera_m - m[:3, 3]) @ m[:3, :3]).ravel()]


def _or_nan(values: Sequence[float] | None, shape: tuple[int, ...]) -> F64:
    return np.full(shape, math.nan) if values is None else np.reshape(values, shape)


def _or_null(values: Array) -> list[float] | None:
    if np.isnan(values).all():
        return None
    if (np.abs(values[np.isfinite(values)]) > 1e9).any() or np.isinf(values).any():
        raise ValueError("a number out of range")
    return [float(v) for v in values.ravel()]


@dataclass(frozen=True, kw_only=True)
class ArrayFormat:
    """An archive of arrays; `to_entry` and `from_entry` convert one person."""

    file_name: str
    skeleton: str
    columns: Columns
    to_entry: Callable[[Row, Row], Row]
    from_entry: Callable[[Mapping[str, Array], Row, int], Row]

    def write(
        self, pictures: Iterable[exchange.Picture], out: Path, target: exchange.Target
    ) -> Path:
        """Write the archive; return it. OSError."""
        with (
            tempfile.TemporaryDirectory(dir=out) as scratch,
            NpzWriter(Path(scratch), self.columns) as writer,
        ):
            for frame, people, _ in pictures:
                for row in people:
                    writer.add(self.to_entry(frame, row))
            writer.save(out / self.file_name, {"joint_names": target.skeleton.joints})
        return out / self.file_name

    def read(self, path: Path, images: Path | None, also: Sequence[str]) -> exchange.Opened:
        """Open the archive (or its folder); images are beside it, or in `images`. FormatError."""
        file, root = exchange.locate(path, self.file_name, images)
        skeleton = get_skeleton(self.skeleton)
        scratch = tempfile.TemporaryDirectory()
        try:
            arrays = read_npz(file, [*self.columns, "joint_names"], Path(scratch.name))
            _check(arrays, self.columns, skeleton.joints, str(file))
            rows = _rows_by_image(arrays["image"], also, str(file))
        except BaseException:
            scratch.cleanup()
            raise
        names = exchange.sorted_by_stem(rows)

        def samples() -> Iterator[exchange.ReadSample]:
            for name in names:
                entries = [
                    {c: arrays[c][k] for c in self.columns if c != "image"} for k in rows[name]
                ]
                frame, image = exchange.frame_with_image(root, name, skeleton)
                with checked.reading(f"{file}, image {name}"):
                    if entries and "K" in self.columns:
                        frame |= _camera(entries[0], frame)
                    people = [self.from_entry(e, frame, n) for n, e in enumerate(entries, 1)]
                yield frame, people, image

        return exchange.Opened(
            skeleton=skeleton, names=names, samples=samples(), close=scratch.cleanup
        )

    def round_trip(self, frame: Row, people: Sequence[Row], extras: bool) -> list[Row]:
        found = []
        for number, row in enumerate(people, 1):
            entry = self.to_entry(frame, row)
            arrays = {name: np.array(entry[name], kind) for name, (_, kind) in self.columns.items()}
            found.append(self.from_entry(arrays, frame, number))
        return found


LSP = ArrayFormat(
    file_name="joints.npz", skeleton="lsp14", columns=_LSP, to_entry=to_lsp, from_entry=from_lsp
)
H36M = ArrayFormat(
    file_name="poses.npz", skeleton="h36m17", columns=_H36M, to_entry=to_h36m, from_entry=from_h36m
)


def _rows_by_image(images: Array, also: Sequence[str], where: str) -> dict[str, list[int]]:
    """The rows of each image; none for those named only in the sidecar."""
    found: dict[str, list[int]] = {name: [] for name in also}
    for k, image in enumerate(images.tolist()):
        found.setdefault(plain_name(image, where=f"{where}, row {k}"), []).append(k)
    return found


def _camera(entry: Mapping[str, Array], frame: Row) -> Row:
    if entry["size_px"].tolist() != [frame["width_px"], frame["height_px"]]:
        raise ValueError(f"size_px is {entry['size_px'].tolist()}")
    return {name: _or_null(entry[name]) for name in ("K", "world_to_camera")}


def _check(
    arrays: Mapping[str, Array], columns: Columns, joints: tuple[str, ...], where: str
) -> None:
    names = arrays.get("joint_names", np.array(joints))
    for name, (shape, kind) in columns.items():
        found = arrays.get(name)
        fits = found is not None and found.shape[1:] == shape and found.ndim == 1 + len(shape)
        fits = fits and found.dtype.kind == np.dtype(kind).kind  # type: ignore[union-attr]
        if not fits or len(found) != len(arrays["image"]):  # type: ignore[arg-type]
            got = "nothing" if found is None else f"{found.dtype} {found.shape}"
            raise FormatError(
                f"invalid array {name}",
                where=where,
                expected=f"{kind} (N, {', '.join(map(str, shape))})",
                got=got,
            )
    if names.shape != (len(joints),) or names.tolist() != list(joints):
        raise FormatError(
            "wrong joints", where=where, expected=", ".join(joints), got=str(names.tolist())[:300]
        )
