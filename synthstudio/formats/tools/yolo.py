"""YOLO pose in Ultralytics' layout, there and back.

    data.yaml               kpt_shape, flip_idx, the splits
    images/SPLIT/NAME.jpg   labels/SPLIT/NAME.txt: a line a person
    class cx cy w h, then x y v a joint; all but class and v divided by the picture's sides

x / W is of the continuous pixel, so in [0, 1]. A joint outside the picture or unlabelled is 0 0 0;
v 2 visible, 1 hidden. The box is the modal one. To the sidecar: everything else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from synthstudio.core.errors import FormatError
from synthstudio.core.images import SUFFIXES, read_bytes
from synthstudio.core.labels import STATE_HIDDEN, STATE_VISIBLE
from synthstudio.core.own_skeletons import definition
from synthstudio.core.safe_files import file_inside, plain_name
from synthstudio.core.skeleton import FOREIGN, SKELETONS, Skeleton, get_skeleton
from synthstudio.dataset.rows import Row
from synthstudio.formats import checked
from synthstudio.formats.coco.file import match_skeleton
from synthstudio.formats.exchange import (
    Opened,
    Picture,
    ReadSample,
    Target,
    format_number,
    frame_with_image,
    locate,
    save_image,
    sorted_by_stem,
    split_image_name,
)

HEAD_NAME = "data.yaml"
SPLITS = ("train", "val", "test")
MAX_YAML_BYTES = 200_000
MAX_YAML_DEPTH = 16
MAX_TEXT_BYTES = 16 * 1024 * 1024
_INSIDE = 1e-6
"""How far a number may lie outside 0 to 1: rounding of others."""


image_name = split_image_name


def to_yolo(frame: Row, people: Iterable[Row]) -> str:
    return "".join(_line(frame, row) for row in people)


def _line(frame: Row, row: Row) -> str:
    w, h = frame["width_px"], frame["height_px"]
    left, top, width, height = row["modal_box_px"]
    x0, y0 = max(0.0, left), max(0.0, top)
    x1, y1 = max(x0, min(w, left + width)), max(y0, min(h, top + height))
    parts = [
        "0",
        *map(format_number, ((x0 + x1) / 2 / w, (y0 + y1) / 2 / h, (x1 - x0) / w, (y1 - y0) / h)),
    ]
    px = row["joints_px"]
    for state, x, y in zip(row["state"], px[::2], px[1::2], strict=True):
        inside = state in (STATE_HIDDEN, STATE_VISIBLE) and 0 <= x <= w and 0 <= y <= h
        parts += map(format_number, (x / w, y / h, state) if inside else (0, 0, 0))
    return " ".join(parts) + "\n"


def from_yolo(
    text: str, frame: Row, joints: int, *, dims: int = 3, person_class: int | None = 0
) -> list[Row]:
    """Undo `to_yolo`; ValueError. `dims` 2: no v, then 0 0 is no joint."""
    people: list[Row] = []
    w, h = frame["width_px"], frame["height_px"]
    for line in text.splitlines():
        parts = line.split()
        if not parts or (person_class is not None and parts[0] != str(person_class)):
            continue
        if len(parts) != 5 + dims * joints:
            raise ValueError(f"a line has {5 + dims * joints} numbers, not {len(parts)}")
        if len(people) >= checked.MAX_PEOPLE:
            raise ValueError("too many people in a picture")
        values = [checked.number(float(part)) for part in parts[1:]]
        cx, cy, bw, bh = (_share(v) for v in values[:4])
        points = []
        for j in range(joints):
            x, y = (_share(v) for v in values[4 + dims * j : 6 + dims * j])
            v = values[6 + dims * j] if dims == 3 else 2.0 * bool(x or y)
            if v not in (0, 1, 2):
                raise ValueError(f"v is 0, 1 or 2, not {v}")
            points.append((x * w, y * h, int(v)))
        box = [(cx - bw / 2) * w, (cy - bh / 2) * h, bw * w, bh * h]
        people.append(checked.person_of(points, frame, len(people) + 1, box_px=box))
    return people


def _share(value: float) -> float:
    if not -_INSIDE <= value <= 1 + _INSIDE:
        raise ValueError(f"{value} is no share of a picture's side")
    return value


def data_yaml(skeleton: Skeleton, splits: Iterable[str]) -> str:
    """Return the text of data.yaml. A split without pictures points to the training pictures.

    There is no `path`: then Ultralytics starts at the file's own folder. There is no `kpt_names`:
    CVAT and its datumaro take any key that they do not know for a split. Joints are known by
    their number and mirror pairs.
    """
    present = set(splits)
    lines = {s: f"images/{s}" if s in present else "" for s in SPLITS}
    train = lines["train"] or next((v for v in lines.values() if v), "images/train")
    head: dict[str, Any] = {
        "train": train,
        "val": lines["val"] or train,
        **({"test": lines["test"]} if lines["test"] else {}),
        "kpt_shape": [len(skeleton.joints), 3],
        "flip_idx": skeleton.flip.tolist(),
        "names": {0: definition(skeleton)["category"] if skeleton.own else "person"},
    }
    joints = f"# joints: {', '.join(skeleton.joints)}\n"
    return joints + yaml.safe_dump(head, sort_keys=False, default_flow_style=None, width=1000)


def write(pictures: Iterable[Picture], out: Path, target: Target) -> Path:
    """Write the folder; return data.yaml. OSError."""
    splits: set[str] = set()
    for frame, people, data in pictures:
        split = Path(frame["file_name"]).parent.name
        if split not in splits:
            splits.add(split)
            for kind in ("images", "labels"):
                (out / kind / split).mkdir(parents=True)
        save_image(out, (frame, people, data))
        (out / _label_name(frame["file_name"])).write_text(to_yolo(frame, people), "utf-8")
    path = out / HEAD_NAME
    path.write_text(data_yaml(target.skeleton, splits), "utf-8")
    return path


def round_trip(frame: Row, people: Sequence[Row], extras: bool) -> list[Row]:
    joints = len(get_skeleton(frame["skeleton"]).joints)
    return from_yolo(to_yolo(frame, people), frame, joints)


def read(
    path: Path, images: Path | None, also: Sequence[str], *, skeleton: Skeleton | None = None
) -> Opened:
    """Open a folder or its data.yaml; pictures lie beside, or below `images`. FormatError."""
    head, root = locate(path, HEAD_NAME, images)
    config = _read_head(head)
    with checked.reading(str(head)):
        joints, dims = (checked.integer(v, 1, 1000) for v in config["kpt_shape"])
        if dims not in (2, 3):
            raise ValueError(f"kpt_shape ends in 2 or 3, not {dims}")
        found = _skeleton(config, joints, skeleton)
        person_class = _person_class(config.get("names"))
        folders = _folders(config)
    names = [name for split in folders for name in _listed(root, folders[split])]
    split_of = {folder: split for split, found in folders.items() for folder in found}
    left = Counter[str]()

    def samples() -> Iterator[ReadSample]:
        for name in sorted_by_stem(names):
            split = split_of[Path(name).parent.as_posix()]
            frame, image = frame_with_image(root, name, found, split=split)
            label = root / _label_name(name)
            if not label.is_file():
                left["picture without a label file: nobody is in it"] += 1
            with checked.reading(str(label)):
                text = _read_text(root, name) if label.is_file() else ""
                people = from_yolo(text, frame, joints, dims=dims, person_class=person_class)
                left["line of another class"] += _lines(text) - len(people)
            yield frame, people, image

    return Opened(
        skeleton=found,
        names=sorted_by_stem(names),
        samples=samples(),
        notes=lambda: [f"{n} x {what}" for what, n in sorted(left.items()) if n],
    )


def _label_name(name: str) -> str:
    before, _, after = f"/{name}".rpartition("/images/")
    return f"{before}/labels/{after}".removeprefix("/").rpartition(".")[0] + ".txt"


def _read_text(root: Path, name: str) -> str:
    path = file_inside(root, _label_name(name), where=f"label of {name}")
    if path.stat().st_size == 0:
        return ""
    return read_bytes(path, limit=MAX_TEXT_BYTES).decode("utf-8")


def _lines(text: str) -> int:
    return sum(1 for line in text.splitlines() if line.strip())


def _read_head(path: Path) -> dict[str, Any]:
    where = str(path)
    with checked.reading(where):
        text = read_bytes(path, limit=MAX_YAML_BYTES).decode("utf-8-sig")
    try:
        _check_yaml(text, where)
        config = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise FormatError(f"no YAML: {str(error)[:200]}", where=where) from error
    if not isinstance(config, dict):
        raise FormatError("no data.yaml of Ultralytics", where=where, expected="a mapping")
    return config


def _check_yaml(text: str, where: str) -> None:
    """Refuse aliases, of which a few lines stand for gigabytes, and depth, which takes hours."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        opens = isinstance(event, yaml.CollectionStartEvent)
        depth += opens - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or depth > MAX_YAML_DEPTH:
            raise FormatError(
                f"the YAML has aliases (*), or nesting below {MAX_YAML_DEPTH}", where=where
            )


def _skeleton(config: dict[str, Any], joints: int, wanted: Skeleton | None) -> Skeleton:
    """Return the skeleton by the joints' names, or by their number and mirror pairs."""
    names = config.get("kpt_names")
    if isinstance(names, dict) and names:
        names = next(iter(names.values()))
    found = wanted if names is None else match_skeleton(names, wanted)
    if found is None and names is None:
        fitting = [s for s in (*SKELETONS.values(), *FOREIGN.values()) if len(s.joints) == joints]
        flips = config.get("flip_idx")
        fitting = [s for s in fitting if flips is None or s.flip.tolist() == flips]
        found = (
            fitting[0] if len(fitting) == 1 or (fitting and fitting[0].name in SKELETONS) else None
        )
    if found is None or len(found.joints) != joints:
        raise ValueError(f"no skeleton with these {joints} keypoints is known: {str(names)[:300]}")
    return found


def _person_class(names: Any) -> int | None:
    """Return the number of the class of people; None when there is but one class."""
    listed = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(listed, dict) or len(listed) < 2:
        return None
    people = [k for k, v in listed.items() if str(v).lower() == "person"]
    if len(people) != 1:
        raise ValueError(f"names: which class is person? {str(names)[:200]}")
    return checked.integer(people[0])


def _folders(config: dict[str, Any]) -> dict[str, list[str]]:
    """Return the picture folders of each split, each folder in its first split only."""
    found: dict[str, list[str]] = {}
    seen: set[str] = set()
    for split in SPLITS:
        value = config.get(split) or []
        for name in value if isinstance(value, list) else [value]:
            folder = plain_name(name, where=f"{HEAD_NAME}, {split}")
            if folder not in seen:
                seen.add(folder)
                found.setdefault(split, []).append(folder)
    if not found:
        raise ValueError("no train, val or test")
    return found


def _listed(root: Path, folders: Iterable[str]) -> Iterator[str]:
    for folder in folders:
        where = root / folder
        if not where.is_dir() or not where.resolve().is_relative_to(root.resolve()):
            raise FormatError("there is no such folder of pictures", where=str(where))
        for path in sorted(where.iterdir()):
            if path.suffix.lower() in SUFFIXES:
                yield f"{folder}/{path.name}"
