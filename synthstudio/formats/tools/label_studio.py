"""Label Studio keypoints, there and back: tasks.json, label_config.xml and images/.

A rectangle a person, its keypoints below it (`parentID`), places in percent of the continuous
picture. `hidden` marks a hidden joint, as Label Studio's own COCO converter does; outside and
unlabelled joints have no region. To the sidecar: masks, shares, causes, 3D.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse
from xml.sax.saxutils import quoteattr

from synthstudio.core.errors import FormatError
from synthstudio.core.labels import STATE_HIDDEN, STATE_VISIBLE
from synthstudio.core.safe_files import plain_name
from synthstudio.core.safe_json import read_list
from synthstudio.core.skeleton import FOREIGN, SKELETONS, Skeleton, get_skeleton
from synthstudio.dataset.rows import Row
from synthstudio.formats import checked
from synthstudio.formats.exchange import (
    Opened,
    Picture,
    ReadSample,
    Target,
    format_number,
    frame_with_image,
    locate,
    parse_range,
    save_image,
)

FILE_NAME, CONFIG_NAME = "tasks.json", "label_config.xml"
_LOCAL = "/data/local-files/?d="
_POINT_PERCENT = 0.5


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
        px = row["joints_px"]
        for j, (state, x, y) in enumerate(zip(row["state"], px[::2], px[1::2], strict=True)):
            if state not in (STATE_HIDDEN, STATE_VISIBLE):
                continue
            value = {
                "x": _percent(x, w),
                "y": _percent(y, h),
                "width": _POINT_PERCENT,
                "keypointlabels": [skeleton.joints[j]],
            }
            if state == STATE_HIDDEN:
                value["hidden"] = True
            region = _region(f"{person}-{j}", "joint", "keypointlabels", value, frame)
            found.append({**region, "parentID": person})
    return {
        "id": frame["index"],
        "data": {"image": _LOCAL + frame["file_name"]},
        "annotations": [{"id": frame["index"], "result": found}],
    }


def _percent(value: float, side: int) -> float:
    return float(format_number(100 * value / side))


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


def from_label_studio(
    task: Mapping[str, Any], frame: Row, skeleton: Skeleton, left: Counter[str]
) -> list[Row]:
    """Undo `to_label_studio`; ValueError. `left` counts what was not taken over."""
    w, h = frame["width_px"], frame["height_px"]
    boxes: dict[str, list[float]] = {}
    points: dict[str, dict[str, tuple[float, float, int]]] = {}
    for region in _result(task, left):
        value, kind = region["value"], region["type"]
        if region.get("image_rotation", 0) != 0 or value.get("rotation", 0) != 0:
            raise ValueError("turned pictures and regions are not read")
        if kind == "rectanglelabels":
            x, y, bw, bh = (checked.number(value[n]) / 100 for n in ("x", "y", "width", "height"))
            number = checked.text(region["id"], 200)
            boxes[number] = checked.box([x * w, y * h, bw * w, bh * h])
            points.setdefault(number, {})
        elif kind == "keypointlabels":
            (joint,) = value["keypointlabels"]
            owner = checked.text(region.get("parentID") or "", 200)
            own = points.setdefault(owner, {})
            if joint not in skeleton.joints or joint in own:
                raise ValueError(f"the joint {str(joint)[:80]} is unknown or comes twice")
            x, y = checked.number(value["x"]) / 100 * w, checked.number(value["y"]) / 100 * h
            own[joint] = (x, y, STATE_HIDDEN if value.get("hidden") else STATE_VISIBLE)
        else:
            left[f"region of type {str(kind)[:40]}"] += 1
    if len(points) > checked.MAX_PEOPLE:
        raise ValueError("too many people in a picture")
    absent = (0.0, 0.0, 0)
    return [
        checked.person_of(
            [found.get(j, absent) for j in skeleton.joints], frame, number, box_px=boxes.get(owner)
        )
        for number, (owner, found) in enumerate(points.items(), 1)
    ]


def _result(task: Mapping[str, Any], left: Counter[str]) -> list[Mapping[str, Any]]:
    """Return the regions of a task's first annotation that was not cancelled."""
    kept = [a for a in task.get("annotations", []) if not a.get("was_cancelled")]
    left["second annotation of a task"] += max(0, len(kept) - 1)
    left["prediction"] += len(task.get("predictions") or [])
    return list(kept[0]["result"]) if kept else []


def image_of(task: Mapping[str, Any]) -> str:
    """Return the name of a task's image below the folder of images; ValueError."""
    url = checked.text(task["data"]["image"], 4096)
    parts = urlparse(url)
    query = parse_qs(parts.query).get("d")
    if query:
        return query[0]
    return parts.path.lstrip("/") if parts.scheme or parts.path.startswith("/") else url


def write(pictures: Iterable[Picture], out: Path, target: Target) -> Path:
    """Write tasks.json, label_config.xml and images/; return the first. OSError."""
    (out / "images").mkdir()
    (out / CONFIG_NAME).write_text(label_config(target.skeleton), "utf-8")
    path = out / FILE_NAME
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        for number, picture in enumerate(pictures):
            save_image(out, picture)
            task = to_label_studio(picture[0], picture[1], target.skeleton)
            file.write(",\n" if number else "\n")
            file.write(json.dumps(task, separators=(",", ":"), ensure_ascii=False))
        file.write("\n]\n")
    return path


def round_trip(frame: Row, people: Sequence[Row], extras: bool) -> list[Row]:
    skeleton = get_skeleton(frame["skeleton"])
    task = to_label_studio(frame, people, skeleton)
    return from_label_studio(task, frame, skeleton, Counter())


def read(
    path: Path, images: Path | None, also: Sequence[str], *, skeleton: Skeleton | None = None
) -> Opened:
    """Open tasks.json (or its folder); pictures lie beside, or below `images`. FormatError."""
    file, root = locate(path, FILE_NAME, images)
    names: list[str] = []
    starts, stops, used = array("q"), array("q"), set[str]()
    for span in read_list(file):
        where = f"{file}, byte {span.start}"
        with checked.reading(where):
            names.append(plain_name(image_of(span.value), where=where))
            used |= _labels(span.value)
        starts.append(span.start)
        stops.append(span.stop)
    if len(set(names)) != len(names):
        raise FormatError("two tasks have one image", where=str(file))
    found = _skeleton(used, str(file), skeleton)
    left = Counter[str]()

    def samples() -> Iterator[ReadSample]:
        with file.open("rb") as opened:
            for name, start, stop in zip(names, starts, stops, strict=True):
                task = parse_range(opened, start, stop)
                frame, image = frame_with_image(root, name, found)
                with checked.reading(f"{file}, byte {start}"):
                    people = from_label_studio(task, frame, found, left)
                yield frame, people, image

    return Opened(
        skeleton=found,
        names=names,
        samples=samples(),
        notes=lambda: [f"{n} x {what}" for what, n in sorted(left.items()) if n],
    )


def _labels(task: Mapping[str, Any]) -> set[str]:
    return {
        checked.text(label, 200)
        for region in _result(task, Counter())
        for label in region["value"].get("keypointlabels", [])
    }


def _skeleton(used: set[str], where: str, wanted: Skeleton | None) -> Skeleton:
    """Return the smallest skeleton that has every joint of the file; `wanted`: that one."""
    known = [wanted] if wanted else [*SKELETONS.values(), *FOREIGN.values()]
    fitting = [s for s in known if used <= set(s.joints)]
    if not fitting:
        raise FormatError(
            "no skeleton has these keypoints",
            where=where,
            expected=f"those of one of {', '.join(s.title for s in known)}",
            got=", ".join(sorted(used))[:300],
        )
    return min(fitting, key=lambda s: (s.name in FOREIGN, len(s.joints)))
