"""Predictions of other programs: COCO keypoint results, and keypoint files used as predictions.

https://cocodataset.org/#format-results: a list of {image_id, category_id, keypoints, score}, the
third number of a keypoint its score. Files lack joint names: `pictures.json` of `predict` has them,
else their number (ORDERS) or the caller decides.
"""

import difflib
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from synthstudio.core.errors import FormatError
from synthstudio.core.safe_json import read_list, read_value
from synthstudio.core.skeleton import FOREIGN, SKELETONS, Skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.formats import checked
from synthstudio.formats.coco.dialects import joined_keypoints
from synthstudio.formats.coco.file import (
    category_skeleton,
    id_key,
    named_skeleton,
    plain_joint_name,
    read_entries,
)
from synthstudio.formats.exchange import HALF_PX

PICTURES = "pictures.json"
"""Beside a results file of `predict`: the names of its pictures and joints."""
CAUSES_PREDICTED = ("visible", "self", "person", "object")
_PERSON = 1
_NAMED = ["index", "file_name"]
_MAX_BYTES = 256_000_000


def _both(*names: str) -> tuple[str, ...]:
    return tuple(f"{side}_{name}" for name in names for side in ("left", "right"))


_LIMBS = _both("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_HALPE26 = (
    "nose", *_both("eye", "ear"), *_LIMBS, "head_top", "neck", "pelvis",
    *_both("big_toe", "small_toe", "heel"),
)  # fmt: skip
_MEDIAPIPE33 = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye",
    "right_eye_outer", *_both("ear"), "mouth_left", "mouth_right",
    *_both("shoulder", "elbow", "wrist", "pinky", "index", "thumb", "hip", "knee", "ankle", "heel"),
    *_both("big_toe"),
)  # fmt: skip
Order = Skeleton | tuple[str, ...]
"""Joints of a file or network, in order: a skeleton's, or names (`numbers_in`)."""
ORDERS: dict[str, Skeleton] = {
    **SKELETONS,
    **FOREIGN,
    # Fang et al., Halpe-FullBody (github.com/Fang-Haoshu/Halpe-FullBody): body, then face, hands.
    "halpe26": named_skeleton(_HALPE26),
    "halpe136": named_skeleton((*_HALPE26, *(f"point_{k}" for k in range(26, 136)))),
    # MediaPipe's pose_landmarker; its foot index is the tip of the big toe.
    "mediapipe33": named_skeleton(_MEDIAPIPE33),
}
"""Named keypoint orders."""
_KNOWN = {joint for skeleton in ORDERS.values() for joint in skeleton.joints}
LEFT_OUT = "-"
"""The name of a column that is left out."""
_BY_COUNT = {17: "coco17", 23: "coco23", 26: "halpe26", 33: "mediapipe33", 133: "coco133",
             136: "halpe136"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Result:
    """One predicted person. `image`: the id of its image; `joints`: x, y (continuous pixels) and
    score of predicted ones; `names`: all that its order has; `clipped`: scores above 1; `unsure`:
    joints with a place and a score of 0, which count as not found."""

    image: int | str
    joints: Mapping[str, tuple[float, float, float]]
    causes: Mapping[str, str]
    box: list[float] | None
    score: float
    instance: int | None
    names: tuple[str, ...]
    clipped: int = 0
    unsure: int = 0


def own_results(
    path: Path, dataset: Dataset, keypoints: str | Sequence[str] | None
) -> tuple[list[tuple[int, Result]], int, str]:
    """Predicted people with their frames of a data set; the number of people in other images; and
    the key that images are matched by. FormatError when all are in other images."""
    entries, names = read_results(path, dataset.skeleton, keypoints)
    frames, named = frames_by_id(dataset, names, [e.image for e in entries])
    own = [(frames[e.image], e) for e in entries if e.image in frames]
    if entries and not own:
        raise FormatError(
            "no prediction belongs to an image of the data set",
            where=str(path),
            expected=f"image ids such as {', '.join(map(repr, [*frames][:: len(frames) - 1]))}",
            got=", ".join(dict.fromkeys(repr(e.image) for e in entries[:3])),
            then="Use the image ids or file names of the exported or imported file.",
        )
    number = "id of the imported file" if dataset.source_ids() else "frame number"
    keys = {"file name" if named or isinstance(e.image, str) else number for _, e in own}
    return own, len(entries) - len(own), " and ".join(sorted(keys))


def read_results(
    path: Path, skeleton: Skeleton, keypoints: str | Sequence[str] | None = None
) -> tuple[list[Result], dict[int | str, str]]:
    """The people of a file in joints of `skeleton`, and the names of its images by their ids.

    `keypoints`: order of the file's keypoints, a name of ORDERS or the joints' names; None: from
    the file, else by their number. FormatError.
    """
    if not path.is_file():
        raise FormatError("no such file", where=str(path))
    names: dict[int | str, str] = {}
    scored = is_list(path)
    categories: list[dict[str, Any]] = []
    values: list[tuple[str, Any]] = []
    if scored:
        values = [(f"{path}, byte {span.start}", span.value) for span in read_list(path)]
        beside = path.with_name(PICTURES)
        head = read_value(beside, limit=_MAX_BYTES) if beside.is_file() else {}
        with checked.reading(str(beside)):
            names = {id_key(e["id"]): str(e["file_name"]) for e in head.get("images", [])}
            categories = head.get("categories", [])
    else:
        for key, entry in read_entries(path):
            with checked.reading(str(path)):
                if key == "images":
                    names[id_key(entry["id"])] = str(entry["file_name"])
                elif key == "categories":
                    categories.append(entry)
                elif key == "annotations" and not entry.get("iscrowd") and entry.get("keypoints"):
                    values.append((f"{path}, annotation {str(entry.get('id'))[:40]}", entry))
    given = order_of(keypoints)
    columns: dict[tuple[str, int], tuple[Order, tuple[int | None, ...]]] = {}

    def columns_of(category: Any, count: int) -> tuple[int | None, ...]:
        key = str(category), count
        if key not in columns:
            order = given or _order(category, categories, skeleton, count)
            columns[key] = order, numbers_in(order, skeleton)
        return columns[key][1]

    found = [_result(value, where, skeleton, columns_of, scored=scored) for where, value in values]
    if found and not any(one.names for one in found):
        raise FormatError(
            "no common joints of file and data set",
            where=str(path),
            expected=", ".join(skeleton.joints)[:300],
            got=", ".join(names_of(next(iter(columns.values()))[0]))[:300],
            then="Name the order of its keypoints, or rename those of the file's categories.",
        )
    return found, names


def is_list(path: Path) -> bool:
    """Whether a file is a JSON list: results, where annotations are an object."""
    with path.open("rb") as file:
        return file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["


def order_of(keypoints: str | Sequence[str] | None) -> Order | None:
    """The order of a name of ORDERS, or of the given names; None: unknown. FormatError."""
    if keypoints is None:
        return None
    if isinstance(keypoints, str) and "," in keypoints:
        keypoints = [name.strip() for name in keypoints.split(",")]
    if not isinstance(keypoints, str):
        return tuple(keypoints)
    if keypoints not in ORDERS:
        raise FormatError(
            "unknown order of keypoints",
            where="keypoints",
            expected=f"{', '.join(ORDERS)}, or names joined by commas",
            got=keypoints[:80],
        )
    return ORDERS[keypoints]


def names_of(order: Order) -> tuple[str, ...]:
    return order if isinstance(order, tuple) else order.joints


def numbers_in(order: Order, skeleton: Skeleton) -> tuple[int | None, ...]:
    """For each joint of an order its index in a data set's skeleton; None if missing there.

    Skeletons by `same_as` (`Skeleton.numbers_in`). Names are the data set's joints; but names of
    which it lacks some, all known, are `known_as`. FormatError for a joint that is named twice.
    """
    if not isinstance(order, tuple):
        return order.numbers_in(skeleton)
    names = [name if name in skeleton.joints else plain_joint_name(name) for name in order]
    at = {name: j for j, name in enumerate(skeleton.known_as) if name}
    given = {name for name in order if name != LEFT_OUT}
    if given <= {*skeleton.joints} or not {*map(plain_joint_name, given)} <= _KNOWN:
        at |= {name: j for j, name in enumerate(skeleton.joints)}
    keys = [at.get(name, old) for name, old in zip(names, order, strict=True) if old != LEFT_OUT]
    if len(set(keys)) < len(keys):
        raise FormatError(
            "a joint is named twice",
            where="keypoints",
            expected="each joint once",
            got=", ".join(order)[:300],
            then=f"Write {LEFT_OUT} for a column to leave out.",
        )
    return tuple(map(at.get, names))


def unknown_note(order: Order | None, skeleton: Skeleton) -> list[str]:
    """A note on names of an order that neither the data set nor a known skeleton has."""
    names = order if isinstance(order, tuple) else ()
    known = [LEFT_OUT, *skeleton.joints, *_KNOWN]
    unknown = [n for n in names if n not in known and plain_joint_name(n) not in known]
    near = [difflib.get_close_matches(name, sorted(known), n=1) for name in unknown]
    hints = [f" (did you mean {hint[0]}?)" if hint else "" for hint in near]
    listed = ", ".join(name + hint for name, hint in zip(unknown, hints, strict=True))
    return [f"Unknown joints, ignored: {listed}."] if unknown else []


def _result(
    value: Any,
    where: str,
    skeleton: Skeleton,
    columns_of: Callable[[Any, int], tuple[int | None, ...]],
    *,
    scored: bool,
) -> Result:
    """One person; the third number of a joint is a result's score, else COCO's 0, 1 or 2."""
    with checked.reading(where):
        flat = checked.numbers(value["keypoints"], 1e6)
        if "foot_kpts" in value:  # COCO-WholeBody
            flat = joined_keypoints(value, result=scored)
        columns = columns_of(value.get("category_id", _PERSON), len(flat) // 3)
        names = [None if j is None else skeleton.joints[j] for j in columns]
        if len(flat) != 3 * len(names):
            raise ValueError(
                f"{len(names)} joints need {3 * len(names)} numbers, got {len(flat)}; "
                "`keypoints` names another order"
            )
        stated = (value.get("joints") or {}).get("cause") if scored else None
        joints, causes, clipped, unsure = {}, {}, 0, 0
        for j, name in enumerate(names):
            x, y, third = flat[3 * j : 3 * j + 3]
            if third <= 0 or name is None:
                unsure += bool(scored and third == 0 and (x or y))
                continue
            joints[name] = (x + HALF_PX, y + HALF_PX, min(third, 1.0) if scored else 1.0)
            clipped += scored and third > 1
            cause = stated[j] if stated else "visible" if not scored and third == 2 else None
            if cause in CAUSES_PREDICTED:
                causes[name] = cause
        number = value.get("instance_number")
        return Result(
            image=id_key(value["image_id"]),
            joints=joints,
            causes=causes,
            box=checked.box(value["bbox"]) if value.get("bbox") is not None else None,
            score=checked.number(value.get("score", 1.0)),
            instance=None if number is None else checked.integer(number),
            names=tuple(name for name in names if name),
            clipped=clipped,
            unsure=unsure,
        )


def _order(
    category: Any, categories: list[dict[str, Any]], skeleton: Skeleton, count: int
) -> Order:
    """The joints of a category; by their number if the file has no names."""
    for one in categories:
        if one.get("id") == category and one.get("keypoints"):
            own = category_skeleton(one, where="categories") if "own_skeleton" in one else None
            return own or tuple(map(str, one["keypoints"]))
    known = None if count == len(skeleton.joints) else order_of_count(count)
    return known or skeleton


def order_of_count(count: int) -> Skeleton | None:
    return ORDERS[_BY_COUNT[count]] if count in _BY_COUNT else None


def frames_by_id(
    dataset: Dataset, names: Mapping[int | str, str], images: Iterable[int | str]
) -> tuple[dict[int | str, int], bool]:
    """Frames by image id (of the imported file, else the frame's number) and by file name, with
    those of the ids `images`, which may be names with folders, or numbers as text.

    `names`: the file's own names of images. Where ids and names disagree, as in a file that
    counts images from 1, the names decide, and True is returned, too; those of `predict` are
    frame numbers.
    """
    of_predict = bool(names) and all(
        isinstance(number, int) and name == f"{number:06d}" for number, name in names.items()
    )
    ids = {} if of_predict else dataset.source_ids()
    own = {row["index"]: row["file_name"] for row in dataset.iter_frames(_NAMED)}
    by_id = {id_key(ids.get(frame, frame)): frame for frame in own}
    tables = [_by_name(_original_names(dataset)), _by_name(own)]
    listed = [] if of_predict else [one for files in tables if (one := _named(files, names))]
    decide = bool(listed) and not any(
        all(by_id.get(key) == frame for key, frame in one.items()) for one in listed
    )
    texts: dict[int | str, str] = {
        image: image for image in images if isinstance(image, str) and image not in by_id
    }
    out = {**by_id, **{k: f for files in tables for k, f in files.items() if k not in by_id}}
    if decide:
        out = {k: f for k, f in out.items() if k not in names} | max(listed, key=len)
    numbers = {text: by_id.get(int(text)) for text in texts.values() if text.isdecimal()}
    out |= {text: frame for text, frame in numbers.items() if frame is not None}
    for files in tables:
        out |= _named(files, texts)
    return out, decide


def _named(files: Mapping[int | str, int], names: Mapping[int | str, str]) -> dict[int | str, int]:
    """Frames of named images by the keys of `names`; without its folders a name counts where
    no other means the same frame."""
    whole = {key: files[name] for key, name in names.items() if name in files}
    bare = {key: PurePosixPath(name.replace("\\", "/")).name for key, name in names.items()}
    rest = {key: files[name] for key, name in bare.items() if key not in whole and name in files}
    many = Counter([*whole.values(), *rest.values()])
    return whole | {key: frame for key, frame in rest.items() if many[frame] == 1}


def _by_name(names: Mapping[int, str]) -> dict[int | str, int]:
    """Frames by whole names, then by the last parts that one frame alone has."""
    out: dict[int | str, int] = {name: frame for frame, name in names.items()}
    for part in ("name", "stem"):
        short = {frame: getattr(PurePosixPath(name), part) for frame, name in names.items()}
        many = Counter(short.values())
        for frame, name in short.items():
            if many[name] == 1:
                out.setdefault(name, frame)
    return out


def _original_names(dataset: Dataset) -> dict[int, str]:
    rows = (dataset.sources_of_shard(shard) for shard in dataset.shard_digests)
    return {frame: row["name"] for part in rows for frame, row in part.items()}


def frames_by_bytes(
    dataset: Dataset, images: Path, names: Mapping[int | str, str], path: Path
) -> dict[int | str, int]:
    """Frames by image id, matched by content of the named images in a folder; FormatError."""
    if not names:
        raise FormatError(
            "the file does not name its images",
            where=str(path),
            expected=f"a list of images, or {PICTURES} beside it",
            then="Leave out --images if its ids are frame numbers.",
        )
    own: dict[str, int] = {}
    for row in dataset.iter_frames(["index", "image_sha256"]):
        own.setdefault(row["image_sha256"], row["index"])
    found: dict[int | str, int] = {}
    for number, name in names.items():
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise FormatError("an image lies outside its folder", where=str(path), got=name[:80])
        file = images / name
        if file.is_file():
            if (frame := own.get(hashlib.sha256(file.read_bytes()).hexdigest())) is not None:
                found[number] = frame
    return found
