"""A strict reader of AMASS files (.npz): SMPL-H as first published, SMPL-X ("stageii") since.

Format: Mahmood et al. 2019, "AMASS: Archive of Motion Capture as Surface Shapes". `poses` are
axis-angle vectors, (F, 156) of SMPL-H's 52 joints or (F, 165) of SMPL-X's 55; a file may have
`root_orient` (F, 3) and `pose_body` (F, 63) instead. The first 22 joints are the same in both.
`trans` (F, 3) is in metres, z up. Fingers, faces, body shapes and soft tissue are not read, and
a member that is not read is not opened: SMPL-X files hold a pickled one.

No number of the SMPL models is used here: the zero pose is a plain T-pose with usual lengths. In
theirs the thighs are some degrees apart, and arms and trunk not quite straight; where a limb
points is off by those degrees in every frame, so that feet come some centimetres nearer to each
other. `betas` are not read either: `trans` counts as that of a person with legs of LEG_M.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from synthstudio.body import recording
from synthstudio.body.recording import Motion
from synthstudio.core.arrays import F64, Array
from synthstudio.core.errors import AssetError, FormatError
from synthstudio.core.images import check_bytes
from synthstudio.core.safe_files import read_npz

MAX_BYTES = 128 * 1024 * 1024
"""MAX_FRAMES of SMPL-X, each pose twice in float64, take 96 MB."""
_MAX_SIZE = 1e4
"""In radians or metres: what is beyond is no pose and no place."""
_WIDTHS = {156: "SMPL-H", 165: "SMPL-X"}
_RATES = ("mocap_framerate", "mocap_frame_rate")
_MEMBERS = ("trans", "poses", "root_orient", "pose_body", *_RATES)

_STATURE_M = recording.LEG_M / (0.245 + 0.246)
# Joint: parent, offset in shares of stature (x to the left, y up, z forward); of the right side
# the mirror image. Limbs and feet are as long as Winter's (see recording.LEG_M); only where a
# limb points and how far the hips are apart matters to a body.
_ZERO_POSE: dict[str, tuple[str, tuple[float, float, float]]] = {
    "pelvis": ("", (0, 0, 0)),
    "left_hip": ("pelvis", (0.05, 0, 0)), "right_hip": ("pelvis", (-0.05, 0, 0)),
    "spine1": ("pelvis", (0, 0.06, 0)),
    "left_knee": ("left_hip", (0, -0.245, 0)), "right_knee": ("right_hip", (0, -0.245, 0)),
    "spine2": ("spine1", (0, 0.08, 0)),
    "left_ankle": ("left_knee", (0, -0.246, 0)), "right_ankle": ("right_knee", (0, -0.246, 0)),
    "spine3": ("spine2", (0, 0.06, 0)),
    "left_foot": ("left_ankle", (0, -0.039, 0.08)),
    "right_foot": ("right_ankle", (0, -0.039, 0.08)),
    "neck": ("spine3", (0, 0.12, 0)),
    "left_collar": ("spine3", (0.02, 0.088, 0)), "right_collar": ("spine3", (-0.02, 0.088, 0)),
    "head": ("neck", (0, 0.05, 0)),
    "left_shoulder": ("left_collar", (0.109, 0, 0)),
    "right_shoulder": ("right_collar", (-0.109, 0, 0)),
    "left_elbow": ("left_shoulder", (0.186, 0, 0)),
    "right_elbow": ("right_shoulder", (-0.186, 0, 0)),
    "left_wrist": ("left_elbow", (0.146, 0, 0)), "right_wrist": ("right_elbow", (-0.146, 0, 0)),
}  # fmt: skip
JOINTS = tuple(_ZERO_POSE)
"""The joints that are read, in the order of the file."""
_USED = 3 * len(JOINTS)
_TO_Y_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""From the world, which is z up, to the axes of the zero pose, in which y is up."""


def read_amass(path: Path) -> Motion:
    """Return the motion in an AMASS file; AssetError names the member that is at fault."""
    where = path.name
    check_bytes(path, limit=MAX_BYTES)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            arrays = read_npz(path, _MEMBERS, Path(scratch), limit=MAX_BYTES, fortran=True)
        except FormatError as error:
            raise _fault(
                where,
                "this is no AMASS file that can be read",
                f"an .npz archive of plain arrays, each at most {MAX_BYTES // 2**20} MB",
                str(error.__cause__ or error)[:200],
                "It may have been cut short: copy it again, or take it out of the folder.",
            ) from error
        poses = _poses(arrays, where)
        root = _numbers(arrays, "trans", (3,), where)
        fps = _rate(arrays, where)
    if len(root) != len(poses):
        raise _fault(
            f"{where}: trans",
            "places and poses differ in number",
            f"{len(poses):,} as poses have",
            f"{len(root):,}",
        )
    turns = Rotation.from_rotvec(poses.reshape(-1, 3)).as_matrix()
    rotations = turns.reshape(len(poses), len(JOINTS), 3, 3)
    rotations[:, 0] = _TO_Y_UP @ rotations[:, 0]
    return recording.recorded(
        joints=JOINTS,
        parents=tuple(JOINTS.index(above) if above else -1 for above, _ in _ZERO_POSE.values()),
        offsets=_STATURE_M * np.array([offset for _, offset in _ZERO_POSE.values()]),
        rotations=rotations,
        root=root @ _TO_Y_UP.T,
        fps=fps,
        where=where,
        at=lambda frame: f"{where}: poses: frame {frame + 1}",
    )


def _rate(arrays: Mapping[str, Array], where: str) -> float:
    name = next((name for name in _RATES if name in arrays), None)
    if name is None:
        raise _fault(
            where,
            "not an AMASS motion: it has no frame rate",
            " or ".join(_RATES),
            _listed(arrays),
        )
    value = arrays[name]
    rate = float(value.reshape(())) if _plain(value) and value.size == 1 else np.nan
    if not recording.FPS_RANGE[0] <= rate <= recording.FPS_RANGE[1]:  # nan is not
        raise _fault(
            f"{where}: {name}",
            "wrong frame rate",
            "one number, {:g} to {:g} frames a second".format(*recording.FPS_RANGE),
            str(value.reshape(-1)[:3].tolist())[:60],
        )
    return rate


def _poses(arrays: Mapping[str, Array], where: str) -> F64:
    """(F, 66): the axis-angle vectors of JOINTS."""
    if "poses" in arrays:
        return _numbers(arrays, "poses", tuple(_WIDTHS), where)[:, :_USED]
    if "root_orient" in arrays and "pose_body" in arrays:
        root = _numbers(arrays, "root_orient", (3,), where)
        body = _numbers(arrays, "pose_body", (_USED - 3,), where)
        if len(root) == len(body):
            return np.concatenate([root, body], axis=1)
        raise _fault(
            f"{where}: pose_body",
            "root_orient and pose_body differ in number",
            f"{len(root):,} as root_orient has",
            f"{len(body):,}",
        )
    raise _fault(
        where,
        "not an AMASS motion: it has no poses",
        "poses, or root_orient and pose_body",
        _listed(arrays),
        "Files of body shapes (shape.npz, neutral_stagei.npz) have none: take them out.",
    )


def _numbers(arrays: Mapping[str, Array], name: str, widths: tuple[int, ...], where: str) -> F64:
    """The member's numbers, (F, one of widths); of poses only those of JOINTS."""
    at = f"{where}: {name}"
    if name not in arrays:
        raise _fault(where, f"not an AMASS motion: it has no {name}", name, _listed(arrays))
    value = arrays[name]
    if not _plain(value) or value.ndim != 2 or value.shape[1] not in widths:
        shapes = " or ".join(
            f"(F, {width}){f' of {_WIDTHS[width]}' if width in _WIDTHS else ''}" for width in widths
        )
        raise _fault(at, "wrong shape", f"numbers, {shapes}", f"{value.dtype} {value.shape}")
    maximum = min(recording.MAX_FRAMES, recording.MAX_TURNS // len(JOINTS))
    if not 1 <= len(value) <= maximum:
        then = "Cut it up." if len(value) else "Take the file out of the folder."
        raise _fault(at, "wrong number of frames", f"1 to {maximum:,}", f"{len(value):,}", then)
    out = np.array(value[:, :_USED], np.float64)
    good = (np.abs(out) <= _MAX_SIZE).all(axis=1)  # nan is not
    if not good.all():
        row = out[np.argmin(good)]
        raise _fault(
            f"{at}: frame {np.argmin(good) + 1}",
            "not a usable number",
            f"finite numbers, at most {_MAX_SIZE:g}",
            f"{row[np.argmin(np.abs(row) <= _MAX_SIZE)]:g}",
            "Mend that frame, or take the file out of the folder.",
        )
    return out


def _plain(value: Array) -> bool:
    return value.dtype.kind in "fiu" and value.dtype.itemsize <= 8


def _listed(arrays: Mapping[str, Array]) -> str:
    return ", ".join(sorted(arrays)) or f"none of {', '.join(_MEMBERS)}"


def _fault(
    where: str, what: str, expected: str, got: str | None = None, then: str = ""
) -> AssetError:
    return AssetError(what, where=where, expected=expected, got=got, then=then or None)
