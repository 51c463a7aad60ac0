"""YOLO pose in Ultralytics' layout.

    data.yaml               kpt_shape, flip_idx, the splits
    images/SPLIT/NAME.jpg   labels/SPLIT/NAME.txt: a line a person
    class cx cy w h, then x y v a joint; all but class and v divided by the picture's sides

x / W is of the continuous pixel, so in [0, 1]. A joint outside the picture or unlabelled is 0 0 0;
v 2 visible, 1 hidden. data.yaml describes boxes and joints, and has the joints' sigmas. To
the sidecar: everything else.

Reading follows Ultralytics (ultralytics/data: check_det_dataset, img2label_paths and
verify_image_label in utils.py, get_img_files in base.py): `path` is the base of splits, by default
the file's folder; a missing ../train is train; a split is a folder with its subfolders,
a list of them, or a .txt that lists pictures; a label file has its picture's path with the last
/images/ as /labels/; a class is a number, 0.0 too. An invalid line is left out and
counted. Unlike Ultralytics nothing outside the folder of data.yaml (or --images) is read.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from synthstudio.core.errors import AssetError, FormatError, SynthStudioError
from synthstudio.core.images import list_pictures, read_bytes
from synthstudio.core.safe_files import file_inside, plain_name
from synthstudio.core.skeleton import FOREIGN, SKELETONS, Skeleton, definition, get_skeleton
from synthstudio.dataset.rows import Row
from synthstudio.formats import checked, exchange
from synthstudio.formats.coco.file import match_skeleton

HEAD_NAME = "data.yaml"
SPLITS = ("train", "val", "test")
_PEOPLE = re.compile("(?i)persons?|people|humans?|pedestrians?|body|pose|man|woman|player|athlete")
_NAMELESS = re.compile("(?i)[0-9]*|(class|object|item|keypoints?|skeleton|label)[_ -]?[0-9]*")
_NO_LABELS = ("classes.txt", "obj.txt", "train.txt", "val.txt", "test.txt")
"""Other tools' files among label files."""
MAX_YAML_BYTES = 200_000
MAX_YAML_DEPTH = 16
MAX_TEXT_BYTES = 16 * 1024 * 1024
_INSIDE = 0.01
"""Tolerance of numbers outside 0 to 1, as in Ultralytics."""


def to_yolo(frame: Row, people: Iterable[Row]) -> str:
    return "".join(_line(frame, row) for row in people)


def _line(frame: Row, row: Row) -> str:
    w, h = frame["width_px"], frame["height_px"]
    of = exchange.EXPORTED_BOX if exchange.EXPORTED_BOX in row else "modal_box_px"
    left, top, width, height = row[of]
    x0, y0 = max(0.0, left), max(0.0, top)
    x1, y1 = max(x0, min(w, left + width)), max(y0, min(h, top + height))
    parts = [
        "0",
        *map(
            exchange.format_number,
            ((x0 + x1) / 2 / w, (y0 + y1) / 2 / h, (x1 - x0) / w, (y1 - y0) / h),
        ),
    ]
    for x, y, v in checked.points_of(row):
        inside = 0 <= x <= w and 0 <= y <= h
        parts += map(exchange.format_number, (x / w, y / h, v) if inside else checked.ABSENT)
    return " ".join(parts) + "\n"


def from_yolo(
    text: str,
    frame: Row,
    joints: int,
    *,
    dims: int = 3,
    person_class: int | None = 0,
    left_out: exchange.Skipped,
    where: str,
) -> list[Row]:
    """Undo `to_yolo`. `dims` 2: no v; 0 0 is unlabelled. `left_out` counts skipped lines."""
    people: list[Row] = []
    for number, line in enumerate(text.splitlines(), 1):
        parts = line.split()
        if not parts:
            continue
        try:
            with checked.reading(f"{where}, line {number}"):
                if person_class is not None and _number(parts[0]) != person_class:
                    left_out["line of another class"] += 1
                    continue
                people.append(_person(parts, frame, joints, dims, len(people) + 1))
        except FormatError as error:
            left_out.add("annotation", error)
    return people


def _person(parts: Sequence[str], frame: Row, joints: int, dims: int, number: int) -> Row:
    """The person of a line; without joints if it is a box only. ValueError."""
    w, h = frame["width_px"], frame["height_px"]
    if len(parts) not in (5, 5 + dims * joints):
        raise ValueError(f"expected {5 + dims * joints} numbers, got {len(parts)}")
    values = [_number(part) for part in parts[1:]]
    cx, cy, bw, bh = (_share(v) for v in values[:4])
    points: list[checked.Point] = []
    for at in range(4, len(values), dims):
        x, y = (_share(v) for v in values[at : at + 2])
        v = values[at + 2] if dims == 3 else 2.0 * bool(x or y)
        if v not in (0, 1, 2):
            raise ValueError(f"v must be 0, 1 or 2, not {v}")
        points.append((x * w, y * h, int(v)))
    box = checked.box([(cx - bw / 2) * w, (cy - bh / 2) * h, bw * w, bh * h])
    return checked.person_of(points or [checked.ABSENT] * joints, frame, number, box_px=box)


def _number(text: str) -> float:
    return checked.number(float(text))


def _share(value: float) -> float:
    if not -_INSIDE <= value <= 1 + _INSIDE:
        raise ValueError(f"{value} is not within 0 to 1 of the image's side")
    return value


def data_yaml(skeleton: Skeleton, folders: Mapping[str, str], notes: Mapping[str, str]) -> str:
    """Return the text of data.yaml. `folders`: the splits'; `notes`: comments by title.

    There is no `path`: then Ultralytics uses the file's folder. There is no `kpt_names`:
    CVAT and datumaro treat any unknown key as a split. Joints are identified by
    their number and mirror pairs.
    """
    head: dict[str, Any] = {
        **folders,
        "kpt_shape": [len(skeleton.joints), 3],
        "flip_idx": skeleton.flip.tolist(),
        "names": {0: definition(skeleton)["category"] if skeleton.own else "person"},
    }
    sigmas = ", ".join(map(exchange.format_number, skeleton.sigmas))
    described = {"joints": ", ".join(skeleton.joints), "sigmas": sigmas, **notes}
    comments = "".join(f"# {name}: {value}\n" for name, value in described.items())
    return comments + yaml.safe_dump(head, sort_keys=False, default_flow_style=None, width=1000)


def write(pictures: Iterable[exchange.Picture], out: Path, target: exchange.Target) -> Path:
    """Write labels/ and data.yaml; return the latter. OSError.

    Ultralytics needs train and val: one without pictures is the other's folder, else that of test.
    """
    splits: set[str] = set()
    for frame, people, _ in pictures:
        split = Path(frame["file_name"]).parent.name
        if split not in splits:
            splits.add(split)
            (out / "labels" / split).mkdir(parents=True)
        (out / _label_name(frame["file_name"])).write_text(to_yolo(frame, people), "utf-8")
    path, contents = out / HEAD_NAME, target.contents.notes()
    notes = {"labelled": contents["joints"], "boxes": contents["boxes"]}
    folders = {s: f"images/{s}" for s in SPLITS if s in splits} or {"train": "images/train"}
    first = next(iter(folders.values()))
    folders = {"train": first, "val": first, **folders}
    if folders["train"] == folders["val"]:
        notes["splits"] = "train and val are the same pictures: Ultralytics needs both"
        target.notes.append(f"{HEAD_NAME}: {notes['splits']}.")
    path.write_text(data_yaml(target.skeleton, folders, notes), "utf-8")
    return path


def round_trip(frame: Row, people: Sequence[Row], extras: bool) -> list[Row]:
    joints, text = len(get_skeleton(frame["skeleton"]).joints), to_yolo(frame, people)
    return from_yolo(text, frame, joints, left_out=exchange.Skipped(), where="round trip")


def read(
    path: Path, images: Path | None, also: Sequence[str], *, skeleton: Skeleton | None = None
) -> exchange.Opened:
    """Open a folder or its data.yaml; pictures lie beside, or below `images`. FormatError."""
    head, root = exchange.locate(path, HEAD_NAME, images)
    config = _read_head(head)
    with checked.reading(str(head)):
        joints, dims = (checked.integer(v, 1, 1000) for v in config["kpt_shape"])
        if dims not in (2, 3):
            raise ValueError(f"kpt_shape must end in 2 or 3, not {dims}")
        found = _skeleton(config, joints, skeleton)
        person_class = _person_class(config.get("names"), skeleton)
        left = exchange.Skipped()
        split_of = _pictures(config, root, images is not None, left)
    left["label file without a picture"] += _lonely_labels(root, split_of)

    def samples() -> Iterator[exchange.ReadSample | SynthStudioError]:
        for name in exchange.sorted_by_stem(split_of):
            label = _label_name(name)
            try:
                frame, image = exchange.frame_with_image(root, name, found, split=split_of[name])
                with checked.reading(label):
                    text = _read_text(root, label, name)
                left["picture without a label file: no people"] += text is None
            except (AssetError, FormatError) as error:
                yield error
                continue
            people = from_yolo(
                text or "",
                frame,
                joints,
                dims=dims,
                person_class=person_class,
                left_out=left,
                where=label,
            )
            yield frame, people, image

    return exchange.Opened(
        skeleton=found, names=exchange.sorted_by_stem(split_of), samples=samples(), left_out=left
    )


def _label_name(name: str) -> str:
    before, _, after = f"/{name}".rpartition("/images/")
    return f"{before}/labels/{after}".removeprefix("/").rpartition(".")[0] + ".txt"


def _lonely_labels(root: Path, pictures: Iterable[str]) -> int:
    known = {root / _label_name(name) for name in pictures}
    return sum(
        path not in known and path.name not in _NO_LABELS
        for folder in {path.parent for path in known}
        for path in folder.glob("*.txt")
    )


def _read_text(root: Path, label: str, name: str) -> str | None:
    """The label file of a picture; None without one."""
    if not (root / label).is_file():
        return None
    path = file_inside(root, label, where=f"label of {name}")
    return _text(path) if path.stat().st_size else ""


def _read_head(path: Path) -> dict[str, Any]:
    where = str(path)
    with checked.reading(where):
        text = read_bytes(path, limit=MAX_YAML_BYTES).decode("utf-8-sig")
    try:
        _check_yaml(text, where)
        config = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise FormatError(f"invalid YAML: {str(error)[:200]}", where=where) from error
    if not isinstance(config, dict):
        raise FormatError("no data.yaml of Ultralytics", where=where, expected="a mapping")
    return config


def _check_yaml(text: str, where: str) -> None:
    """Refuse aliases (a few lines can expand to gigabytes) and deep nesting (slow)."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        opens = isinstance(event, yaml.CollectionStartEvent)
        depth += opens - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or depth > MAX_YAML_DEPTH:
            raise FormatError(
                f"the YAML has aliases (*), or nesting below {MAX_YAML_DEPTH}", where=where
            )


def _skeleton(config: dict[str, Any], joints: int, wanted: Skeleton | None) -> Skeleton:
    """The skeleton by the joints' names, or by their number and mirror pairs."""
    names = config.get("kpt_names")
    if isinstance(names, dict) and names:
        names = next(iter(names.values()))
    found = wanted if names is None else match_skeleton(names, wanted)
    flips = config.get("flip_idx")
    if found is None and names is None:
        fitting = [s for s in (*SKELETONS.values(), *FOREIGN.values()) if len(s.joints) == joints]
        fitting = [s for s in fitting if flips is None or s.flip.tolist() == flips]
        if len(fitting) == 1 or (fitting and fitting[0].name in SKELETONS):
            found = fitting[0]
    if found is None or len(found.joints) != joints:
        got = str(names)[:300] if names is not None else f"flip_idx {str(flips)[:200]}"
        raise ValueError(
            f"no known skeleton has these {joints} keypoints: {got}; pass one by --skeleton"
        )
    if flips is not None and flips != found.flip.tolist():
        raise ValueError(
            f"flip_idx differs from that of the named skeleton {found.title}: expected "
            f"{found.flip.tolist()}, got {str(flips)[:200]}; correct or remove it"
        )
    return found


def _person_class(names: Any, wanted: Skeleton | None) -> int | None:
    """The number of the class of people; None for the only class of a `wanted` skeleton.

    A single generic name (0, class_0, object, item, ...) is taken as people.
    """
    listed = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(listed, dict) or not listed:
        return None
    people = [k for k, v in listed.items() if _PEOPLE.fullmatch(str(v).strip())]
    if len(people) == 1:
        return int(_number(str(people[0])))
    only = str(next(iter(listed.values())))
    if len(listed) == 1 and (wanted is not None or _NAMELESS.fullmatch(only)):
        return None
    raise ValueError(
        f"names: which class is person? {str(names)[:200]}; name one person, or give the joints' "
        "own skeleton by --skeleton"
    )


def _pictures(
    config: dict[str, Any], root: Path, given: bool, left: exchange.Skipped
) -> dict[str, str]:
    """Each picture's name below `root`, and split by innermost folder; `given`: no `path`."""
    base = PurePosixPath() if given else _base(config.get("path"), root)
    entries = {split: config.get(split) for split in SPLITS}
    entries["val"] = entries["val"] or config.get("validation")
    folders: dict[str, str] = {}
    for split, value in entries.items():
        for name in value if isinstance(value, list) else [value] if value else []:
            folders.setdefault(_inside(root, base, name, split), split)
    if not folders:
        raise ValueError("no train, val or test")
    found: dict[str, str] = {}
    for folder in sorted(folders, key=lambda name: -len(PurePosixPath(name).parts)):
        nested = any(other != folder and f"{other}/".startswith(f"{folder}/") for other in folders)
        for picture in _listed(root, folder, exchange.Skipped() if nested else left):
            found.setdefault(picture, folders[folder])
    return found


def _base(path: Any, root: Path) -> PurePosixPath:
    """Base of splits below `root`; `root` itself for an absolute or missing path.

    Ultralytics resolves the latter in its own folder of data sets.
    """
    if not isinstance(path, str) or not path:
        return PurePosixPath()
    pure, top = PurePosixPath(path.replace("\\", "/")), root.resolve()
    elsewhere = pure.is_absolute() or not (root / pure).is_dir()
    if (root / pure).resolve() == top or (elsewhere and pure.name == top.name):
        return PurePosixPath()
    if elsewhere:
        raise ValueError(
            f"path: {path[:200]} is not a folder below {root}; correct it, or pass the pictures' "
            "folder by --images"
        )
    return PurePosixPath(plain_name(pure.as_posix(), where=f"{HEAD_NAME}, path"))


def _inside(root: Path, base: PurePosixPath, name: Any, split: str) -> str:
    """Name of a split's folder or list below `root`; FormatError."""
    where = f"{HEAD_NAME}, {split}"
    if isinstance(name, str):
        name = (base / name.replace("\\", "/")).as_posix()
        up = name.removeprefix(f"{base}/") if base.parts else name
        if up.startswith("../") and not (root / base / up).resolve().is_relative_to(root.resolve()):
            name = (base / up.removeprefix("../")).as_posix()  # Roboflow's ../train/images
    return plain_name(name, where=where)


def _listed(root: Path, name: str, left: exchange.Skipped) -> Iterator[str]:
    """Names of the pictures of a folder, with those in its folders, or of a list (.txt)."""
    where = root / name
    if where.suffix == ".txt" and where.is_file():
        top = PurePosixPath(name).parent
        for line in _text(file_inside(root, name, where=name)).splitlines():
            if line.strip():
                yield plain_name((top / line.strip()).as_posix(), where=name)
        return
    if not where.is_dir() or not where.resolve().is_relative_to(root.resolve()):
        raise FormatError(
            "no such folder of pictures",
            where=str(where),
            then=f"Correct train, val and test of {HEAD_NAME}, or path.",
        )
    pictures, others = list_pictures(where)
    left.update(others)
    for path in pictures:
        yield f"{name}/{path.relative_to(where).as_posix()}" if name != "." else path.name


def _text(path: Path) -> str:
    return read_bytes(path, limit=MAX_TEXT_BYTES).decode("utf-8-sig")
