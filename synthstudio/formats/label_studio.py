"""Label Studio keypoints: tasks.json, label_config.xml and images/.

A rectangle a person, its keypoints as children (`parentID`), positions in percent of the continuous
picture. `hidden` marks a hidden joint, as Label Studio's own COCO converter does; outside and
unlabelled joints have no region. To the sidecar: masks, fractions, causes, 3D.

Reads Label Studio's exports (HumanSignal/label-studio-sdk, src/label_studio_sdk/converter,
`Converter.annotation_result_from_task`, `convert_to_json_min`, `utils.download`): JSON, and
JSON-MIN, with regions under the names of their controls without ids. A rectangle is a
person if it has keypoints, or its label is that of one with some, or `person`, or the
only one. Keypoints without a parent are assigned by relations between regions, then to the one
remaining or enclosing person's box.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import cos, radians, sin
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse
from xml.sax.saxutils import quoteattr

from synthstudio.core.errors import AssetError, FormatError, SynthStudioError
from synthstudio.core.images import SUFFIXES
from synthstudio.core.labels import STATE_HIDDEN, STATE_VISIBLE
from synthstudio.core.safe_files import file_inside, is_file_below, plain_name
from synthstudio.core.safe_json import read_list
from synthstudio.core.skeleton import FOREIGN, SKELETONS, Skeleton, get_skeleton, spelled
from synthstudio.dataset.rows import Row
from synthstudio.formats import checked, exchange

FILE_NAME, CONFIG_NAME = "tasks.json", "label_config.xml"
_LOCAL = "/data/local-files/?d="
_POINT_PERCENT = 0.5
_PERSON = "person"
_UPLOADED = re.compile(r"[0-9a-f]{8}-")
"""Prefix of uploaded files' names."""
_OWN_ID = re.compile(r"\d{1,12}-(\d{1,3})", re.ASCII)
"""A person's id in our files: index of the frame, number of the person."""
_FEWEST = 3
"""Minimum fraction of a file's keypoint labels that must be joints of a skeleton."""


def label_config(skeleton: Skeleton) -> str:
    """Return the labelling configuration; `model_index` is the joint's number."""
    labels = "".join(
        f'    <Label value={quoteattr(joint)} model_index="{j}"/>\n'
        for j, joint in enumerate(skeleton.joints)
    )
    return (
        '<View>\n  <Image name="image" value="$image"/>\n'
        '  <RectangleLabels name="box" toName="image">\n    <Label value="person"/>\n'
        '  </RectangleLabels>\n  <KeyPointLabels name="joint" toName="image">\n'
        f"{labels}  </KeyPointLabels>\n</View>\n"
    )


def to_label_studio(frame: Row, people: Iterable[Row], skeleton: Skeleton) -> Row:
    w, h = frame["width_px"], frame["height_px"]
    found: list[Row] = []
    for row in people:
        person = f"{frame['index']}-{row['instance']}"
        x, y, bw, bh = row["modal_box_px"]
        sides = {"x": x, "y": y, "width": bw, "height": bh}
        share = {k: _percent(v, h if k in ("y", "height") else w) for k, v in sides.items()}
        box = {**share, "rotation": 0, "rectanglelabels": ["person"]}
        found.append(_region(person, "box", "rectanglelabels", box, frame))
        for j, (x, y, v) in enumerate(checked.points_of(row)):
            if not v:
                continue
            value = {
                "x": _percent(x, w),
                "y": _percent(y, h),
                "width": _POINT_PERCENT,
                "keypointlabels": [skeleton.joints[j]],
            }
            if v == STATE_HIDDEN:
                value["hidden"] = True
            region = _region(f"{person}-{j}", "joint", "keypointlabels", value, frame)
            found.append({**region, "parentID": person})
    return {
        "id": frame["index"],
        "data": {"image": _LOCAL + frame["file_name"], "split": frame["split"]},
        "annotations": [{"id": frame["index"], "result": found}],
    }


def _percent(value: float, side: int) -> float:
    return float(exchange.format_number(100 * value / side))


def _region(number: str, name: str, kind: str, value: Row, frame: Row) -> Row:
    return {
        "id": number,
        "type": kind,
        "from_name": name,
        "to_name": "image",
        "value": value,
        "original_width": frame["width_px"],
        "original_height": frame["height_px"],
        "image_rotation": 0,
    }


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The skeleton of people, label -> joint, and the labels of rectangles that are people."""

    skeleton: Skeleton
    joints: Mapping[str, str]
    people: frozenset[str] = frozenset({_PERSON})


@dataclass(kw_only=True)
class _Region:
    """A candidate box, or a point."""

    number: str
    box: bool
    labels: list[str]
    value: Mapping[str, Any]
    parent: str


def from_label_studio(
    task: Mapping[str, Any], frame: Row, labels: Labels, left: exchange.Skipped
) -> list[Row]:
    """Undo `to_label_studio`; ValueError. `left` counts skipped regions."""
    w, h = frame["width_px"], frame["height_px"]
    found = _regions(task, left)
    people: dict[str, dict[str, checked.Point]] = {}
    loose: list[tuple[str, checked.Point]] = []
    parents = {region.parent for region in found if not region.box}
    boxes: dict[str, list[float]] = {}
    for region in found:
        value, number = region.value, region.number
        if region.box:
            if number not in parents and labels.people.isdisjoint(region.labels):
                left[f"rectangle of the label {', '.join(region.labels)[:80] or 'none'}"] += 1
                continue
            boxes[number] = _box(value, w, h, left)
            people.setdefault(number, {})
            continue
        joint = next((labels.joints[one] for one in region.labels if one in labels.joints), None)
        if joint is None:
            left[f"keypoint of the label {', '.join(region.labels)[:80] or 'none'}"] += 1
            continue
        x, y = checked.number(value["x"]) / 100 * w, checked.number(value["y"]) / 100 * h
        place = (x, y, STATE_HIDDEN if value.get("hidden") else STATE_VISIBLE)
        if not region.parent:
            loose.append((joint, place))
        elif joint in people.setdefault(region.parent, {}):
            left["joint that comes twice"] += 1
        else:
            people[region.parent][joint] = place
    _share_out(loose, people, boxes, left)
    joints = labels.skeleton.joints
    out = []
    for n, (owner, own) in enumerate(people.items(), 1):
        points = [own.get(j, checked.ABSENT) for j in joints]
        row = checked.person_of(points, frame, n, box_px=boxes.get(owner))
        kept = _OWN_ID.fullmatch(owner)
        out.append(row | ({exchange.KEPT_NUMBER: int(kept[1])} if kept else {}))
    return out


def _share_out(
    loose: list[tuple[str, checked.Point]],
    people: dict[str, dict[str, checked.Point]],
    boxes: Mapping[str, list[float]],
    left: exchange.Skipped,
) -> None:
    """Assign joints without a parent to boxes without joints, or to one person without a box."""
    free = {number: boxes[number] for number, own in people.items() if number in boxes and not own}
    once = len({joint for joint, _ in loose}) == len(loose)
    for joint, place in loose:
        x, y, _ = place
        around = [
            number
            for number, (bx, by, bw, bh) in free.items()
            if bx <= x <= bx + bw and by <= y <= by + bh
        ]
        if not free and once:
            people.setdefault("", {})[joint] = place
        elif len(free) == 1 and once:
            people[next(iter(free))][joint] = place
        elif len(around) == 1 and joint not in people[around[0]]:
            people[around[0]][joint] = place
        else:
            left["joint of which it is not clear whose it is"] += 1


def _box(value: Mapping[str, Any], w: int, h: int, left: exchange.Skipped) -> list[float]:
    """The box of a rectangle, or the upright bounding box of a rotated one."""
    x, y, bw, bh = (checked.number(value[n]) / 100 for n in ("x", "y", "width", "height"))
    x, y, bw, bh = checked.box([x * w, y * h, bw * w, bh * h])
    turn = radians(checked.number(value.get("rotation") or 0))
    if turn == 0:
        return [x, y, bw, bh]
    left["turn of a rectangle: the upright box about it was taken"] += 1
    across, along = (bw * cos(turn), -bh * sin(turn)), (bw * sin(turn), bh * cos(turn))
    x, y = x + sum(v for v in across if v < 0), y + sum(v for v in along if v < 0)
    return checked.box([x, y, sum(map(abs, across)), sum(map(abs, along))])


def _regions(task: Mapping[str, Any], left: exchange.Skipped) -> list[_Region]:
    """Sort a task's result into boxes and points; others are counted."""
    out, named, arrows = list[_Region](), dict[str, list[str]](), dict[str, str]()
    boxes: set[str] = set()
    result = _result(task, left)
    for entry in result:
        value, kind = entry.get("value"), entry.get("type")
        if kind == "labels" and isinstance(value, dict):
            named.setdefault(str(entry.get("id")), []).extend(_texts(value.get("labels")))
        elif kind == "relation":
            one, other = str(entry.get("from_id")), str(entry.get("to_id"))
            arrows |= {one: other, other: one} if other not in arrows else {one: other}
    for count, entry in enumerate(result):
        value, kind = entry.get("value"), str(entry.get("type"))
        number = checked.text(str(entry.get("id") or f"entry {count}"), 200)
        box = kind.startswith("rectangle")
        fault = _fault(entry, kind, box)
        if fault is not None or (box and number in boxes):
            if kind != "labels" or number not in named:
                why = " with a duplicate id" if fault is None else fault
                left[f"region of type {kind[:40]}{why}"] += 1
            continue
        assert value is not None
        own = _texts(value.get(kind)) or named.get(number, [])
        parent = checked.text(str(entry.get("parentID") or ""), 200)
        out.append(_Region(number=number, box=box, labels=own, value=value, parent=parent))
        boxes.update([number] if box else [])
    for region in out:
        arrow = "" if region.box else arrows.get(region.number, "")
        region.parent = region.parent or (arrow if arrow in boxes else "")
    return out


def _fault(entry: Mapping[str, Any], kind: str, box: bool) -> str | None:
    """Reason that an entry is neither box nor point: "" for another type; None if it is one."""
    value = entry.get("value")
    if not (box or kind.startswith("keypoint")) or not isinstance(value, dict):
        return ""
    if any(value.get(n) is None for n in ("x", "y", *(("width", "height") if box else ()))):
        return " without a position"
    return " of a rotated picture" if entry.get("image_rotation") else None


def _texts(value: Any) -> list[str]:
    return [checked.text(one, 200) for one in value] if isinstance(value, list) else []


def _result(task: Mapping[str, Any], left: exchange.Skipped) -> list[Mapping[str, Any]]:
    """The entries of a task's first annotation that was not cancelled."""
    if "data" not in task:  # JSON-MIN: regions by the name of their control
        return [
            {"type": kind, "value": one, **{k: one[k] for k in ("id", "parentID") if k in one}}
            for regions in task.values()
            if isinstance(regions, list)
            for one in regions
            if isinstance(one, dict)
            for kind in [next((k for k in one if k.endswith("labels")), "unknown")]
        ]
    annotations = task.get("annotations", task.get("completions")) or []
    kept = [a for a in annotations if not (a.get("was_cancelled") or a.get("skipped"))]
    left["cancelled annotation"] += len(annotations) - len(kept)
    left["second annotation of a task"] += max(0, len(kept) - 1)
    left["prediction"] += len(task.get("predictions") or [])
    found = list(kept[0].get("result") or []) if kept else []
    if not all(isinstance(entry, dict) for entry in found):
        raise ValueError("an entry of result is not an object")
    return found


def image_of(task: Mapping[str, Any]) -> str:
    """Return the URL of a task's image; ValueError if `data` has none or several."""
    data = task.get("data", task)
    if not isinstance(data, dict):
        raise ValueError("data is not an object")
    if isinstance(data.get("image"), str):
        return checked.text(data["image"], 4096)
    named = {
        key: value
        for key, value in data.items()
        if isinstance(value, str) and _path(value).lower().endswith(SUFFIXES)
    }
    if len(set(named.values())) != 1:
        keys = ", ".join(map(str, data))[:200]
        raise ValueError(f"data names {len(named) or 'no'} pictures, not one; its keys: {keys}")
    return checked.text(next(iter(named.values())), 4096)


def _path(url: str) -> str:
    """The path in a Label Studio URL: of local files, an upload, a store, a drive."""
    url = url.replace("\\", "/")
    parts = urlparse(url)
    query = parse_qs(parts.query).get("d")
    if query:
        return query[0].replace("\\", "/")
    return parts.path.lstrip("/") if parts.scheme or parts.path.startswith("/") else url


def picture_of(url: str, root: Path, where: str) -> str:
    """The path below `root` of a URL's file; unchanged if none exists.

    Tried: the path unchanged and percent-decoded, then without its first folders, last
    without the upload prefix.
    """
    path = _path(url)
    plain = plain_name(path, where=where)
    tried = [plain]
    for one in (plain, plain_name(unquote(path).replace("\\", "/"), where=where)):
        parts = one.split("/")
        tried += ["/".join(parts[k:]) for k in range(len(parts))]
    tried.append(_UPLOADED.sub("", tried[-1], count=1))
    return next((one for one in tried if one and is_file_below(root, one)), plain)


def write(pictures: Iterable[exchange.Picture], out: Path, target: exchange.Target) -> Path:
    """Write tasks.json and label_config.xml; return the former. OSError."""
    (out / CONFIG_NAME).write_text(label_config(target.skeleton), "utf-8")
    return exchange.write_entries(
        out / FILE_NAME,
        pictures,
        lambda frame, people: [to_label_studio(frame, people, target.skeleton)],
        ensure_ascii=False,
    )


def round_trip(frame: Row, people: Sequence[Row], extras: bool) -> list[Row]:
    skeleton = get_skeleton(frame["skeleton"])
    task = to_label_studio(frame, people, skeleton)
    labels = Labels(skeleton=skeleton, joints={joint: joint for joint in skeleton.joints})
    return from_label_studio(task, frame, labels, exchange.Skipped())


def read(
    path: Path, images: Path | None, also: Sequence[str], *, skeleton: Skeleton | None = None
) -> exchange.Opened:
    """Open tasks.json (or its folder); pictures lie beside, or below `images`. FormatError."""
    file, root = exchange.locate(path, FILE_NAME, images)
    left, used = exchange.Skipped(), _Used()
    tasks = _tasks(file, root, left, used)
    labels = used.labels(str(file), skeleton)

    def samples() -> Iterator[exchange.ReadSample | SynthStudioError]:
        with file.open("rb") as opened:
            for name, (start, stop) in tasks.items():
                task = exchange.parse_range(opened, start, stop)
                try:
                    frame, image = exchange.frame_with_image(root, name, labels.skeleton)
                    split = str(task.get("data", task).get("split")).lower()
                    frame["split"] = exchange.SPLITS.get(split, "")
                    with checked.reading(f"{file}, byte {start}"):
                        people = from_label_studio(task, frame, labels, left)
                except (AssetError, FormatError) as error:
                    yield error
                    continue
                yield frame, people, image

    return exchange.Opened(
        skeleton=labels.skeleton, names=list(tasks), samples=samples(), left_out=left
    )


def _tasks(
    file: Path, root: Path, left: exchange.Skipped, used: _Used
) -> dict[str, tuple[int, int]]:
    """Existing picture -> byte span of its task in the file; FormatError."""
    found: dict[str, tuple[int, int]] = {}
    addresses: dict[str, str] = {}
    missing: list[str] = []
    for span in read_list(file):
        where = f"{file}, byte {span.start}"
        try:
            with checked.reading(where):
                url = image_of(span.value)
                name = picture_of(url, root, where)
                used.add(span.value)
        except FormatError as error:
            left.add("task", error)
            continue
        if not is_file_below(root, name):
            missing.append(name)
        elif addresses.setdefault(name, url) != url:
            raise FormatError(
                "two tasks share an image",
                where=where,
                expected="pictures with distinct relative paths",
                got=f"{addresses[name]} and {url}"[:300],
                then="Pass their folder: --images FOLDER.",
            )
        elif name in found:
            left["further task of a picture"] += 1
        else:
            found[name] = (span.start, span.stop)
    if not found and left.errors:
        raise left.errors["task"]
    if not found and missing:
        file_inside(root, missing[0], where=f"image {missing[0]}")
    left["picture that is not there"] += len(missing)
    return found


@dataclass
class _Used:
    """Labels of a file: of keypoints, of rectangles, and of rectangles with keypoints."""

    points: set[str] = field(default_factory=set)
    boxes: set[str] = field(default_factory=set)
    parents: set[str] = field(default_factory=set)

    def add(self, task: Mapping[str, Any]) -> None:
        found = _regions(task, exchange.Skipped())
        owners = {region.parent for region in found if not region.box}
        for region in found:
            (self.boxes if region.box else self.points).update(region.labels)
            self.parents.update(region.labels if region.box and region.number in owners else ())

    def labels(self, where: str, wanted: Skeleton | None) -> Labels:
        """The smallest skeleton with every joint of the file, else with most; `wanted`: that."""
        known = [wanted] if wanted else [*SKELETONS.values(), *FOREIGN.values()]

        def misfit(skeleton: Skeleton) -> tuple[bool, int, bool, int]:
            lacks, same = self.points - set(skeleton.joints), spelled(self.points, skeleton)
            return bool(lacks), -len(same), skeleton.name in FOREIGN, len(skeleton.joints)

        skeleton = min(known, key=misfit)
        exact = self.points <= set(skeleton.joints)
        joints = {one: one for one in self.points} if exact else spelled(self.points, skeleton)
        if not exact and (2 * len(joints) < len(self.points) or len(joints) < _FEWEST):
            raise FormatError(
                "no known skeleton has these keypoints",
                where=where,
                expected=f"those of one of {', '.join(s.title for s in known)}",
                got=", ".join(sorted(self.points))[:300],
                then="Define a skeleton of them (docs/skeletons.md) for --skeleton.",
            )
        people = self.parents | {label for label in self.boxes if label.lower() == _PERSON}
        return Labels(
            skeleton=skeleton,
            joints=joints,
            people=frozenset(people or (self.boxes if len(self.boxes) == 1 else {_PERSON})),
        )
