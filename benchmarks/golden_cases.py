"""Hostile files, always the same: recipes, annotations, others' formats, data sets.

A case is a small folder and the commands that are asked about it. Damage of every other kind, and
of assets and networks, is what `make fuzz` tries.
"""

from __future__ import annotations

import copy
import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.small_inputs import noise

Words = tuple[str, ...]
COCO_FILE = "annotations/person_keypoints_train.json"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A hostile input. `{here}` in commands is its folder, `{out}` a free place to write to."""

    name: str
    files: dict[str, bytes] = field(default_factory=dict)
    make: Callable[[Path], None] | None = None
    commands: tuple[Words, ...]


def cases(inputs: Path) -> list[Case]:
    """All cases; some are made of the data set `pairs` and of its export `coco` in `inputs`."""
    found = [*recipes(), *exchanged(), *annotations(inputs), *sets(inputs)]
    names = [case.name for case in found]
    assert len(set(names)) == len(names), "names of cases"
    return found


def write(folder: Path, found: list[Case]) -> None:
    """Write all cases below a folder, once."""
    text, whole = Path(__file__).read_text(encoding="utf-8"), folder / ".whole"
    if whole.is_file() and whole.read_text(encoding="utf-8") == text:
        return
    shutil.rmtree(folder, ignore_errors=True)
    for case in found:
        place = folder / case.name
        place.mkdir(parents=True)
        for name, data in case.files.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(data)
        if case.make is not None:
            case.make(place)
    whole.write_text(text, encoding="utf-8")


def json_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


# Recipes ----------------------------------------------------------------------------------

RECIPES: dict[str, bytes] = {
    "good": b"name: a\nframes: 1\nimage: {width_px: 64, height_px: 64}\npeople: {count: 1}\n",
    "none": b"",
    "list": b"- name: a\n",
    "unclosed": b"name: [unclosed\n",
    "python-object": b"name: !!python/object/apply:os.system ['true']\n",
    "anchor": b"name: a\nbase: &x {frames: 3}\n",
    "not-utf8": b"name: \xff\xfe\n",
    "too-deep": b"name: " + b"[" * 5000,
    "too-large": b"name: a\ndescription: " + b"x" * 3_000_000,
    "twice": b"name: a\nname: b\n",
    "no-name": b"frames: 3\n",
    "unknown-field": b"name: a\nsead: 3\n",
    "real-frames": b"name: a\nframes: 1.5\n",
    "low-above-high": b"name: a\npeople: {count: [3, 1]}\n",
    "nan": b"name: a\ncamera: {height_m: .nan}\n",
    "wide": b"name: a\nimage: {width_px: 99999}\n",
    "splits": b"name: a\nsplits: {train: 0.5}\n",
    "skeleton": b"name: a\nskeleton: coco18\n",
    "kind": b"name: a\nbackdrop: {kind: foto, folder: x}\n",
    "joint": b"name: a\ntargets: {joints: {left_wrst: 0.5}}\n",
    "climbs": b"name: a\ncutouts: {folder: '../x'}\n",
    "object": b"name: a\nobjects: [{kind: procedural, kinds: {no_such_object: 1}}]\n",
    "quota": b"name: a\nquotas: {family: {stand: 1}}\npeople: {hold: {share: 0.5}}\n",
}


def recipes() -> Iterator[Case]:
    made = ("generate", "{here}/a.yaml", "--frames", "1", "--out", "{out}")
    for name, data in RECIPES.items():
        command = ("generate", "{here}/a.yaml", "--plan", "--json") if name == "good" else made
        yield Case(name=f"recipe-{name}", files={"a.yaml": data}, commands=(command,))
    for name, words in {
        "absent": ("generate", "{here}/no.yaml", "--out", "{out}"),
        "part": ("generate", "{here}/a.yaml", "--part", "5/3", "--out", "{out}"),
        "workers": ("generate", "{here}/a.yaml", "--workers", "0", "--out", "{out}"),
        "option": ("generate", "{here}/a.yaml", "--colour", "red", "--out", "{out}"),
        "picture-name": ("preview", "{here}/a.yaml", "--out", "{out}.tiff"),
        "command": ("nonsense", "{here}"),
        "taken": ("generate", "{here}/a.yaml", "--out", "{here}"),
    }.items():
        yield Case(name=f"call-{name}", files={"a.yaml": RECIPES["good"]}, commands=(words,))


# Annotations ------------------------------------------------------------------------------


def annotations(inputs: Path) -> Iterator[Case]:
    whole = json.loads((inputs / "coco" / COCO_FILE).read_text(encoding="utf-8"))
    whole["images"] = whole["images"][:3]
    kept = {image["id"] for image in whole["images"]}
    whole["annotations"] = [a for a in whole["annotations"] if a["image_id"] in kept]
    images = str(inputs / "coco" / "images" / "train")
    commands: tuple[Words, ...] = (
        ("validate", "{here}/a.json", "--images", images),
        ("import", "{here}/a.json", "--images", images, "--out", "{out}"),
    )
    data = {"good": json_bytes(whole), "list": b"[1, 2]", "cut": json_bytes(whole)[:900]}
    data |= {"deep": b'{"images": ' + b"[" * 100_000, "empty-images": b'{"images": []}'}
    for name, (where, key, value) in COCO.items():
        doc = copy.deepcopy(whole)
        doc[where][0][key] = value
        data[name] = json_bytes(doc)
    for name, content in data.items():
        yield Case(name=f"coco-{name}", files={"a.json": content}, commands=commands)


COCO: dict[str, tuple[str, str, Any]] = {
    "nan": ("annotations", "keypoints", [float("nan")] * 51),
    "infinite-box": ("annotations", "bbox", [0, 0, float("inf"), 1]),
    "short-points": ("annotations", "keypoints", [1, 2, 3]),
    "wild-flag": ("annotations", "keypoints", [1, 2, 7] * 17),
    "lost-image": ("annotations", "image_id", 99_999),
    "text-id": ("annotations", "id", "x"),
    "id-twice": ("annotations", "id", 2),
    "huge-id": ("annotations", "id", 2**70),
    "climbs": ("images", "file_name", "../../../etc/passwd"),
    "nul-name": ("images", "file_name", "a\0.jpg"),
    "wrong-size": ("images", "width", 7),
    "huge-size": ("images", "width", 10**9),
    "mask-size": ("annotations", "segmentation", {"size": [10**9, 10**9], "counts": "0"}),
    "mask-text": ("annotations", "segmentation", {"size": [120, 160], "counts": "????"}),
    "mask-odd": ("annotations", "segmentation", [[0, 0, 1]]),
    "category": ("annotations", "category_id", 9),
    "joints-twice": ("categories", "keypoints", ["nose"] * 17),
}


# Other tools' files -----------------------------------------------------------------------

XML: dict[str, bytes] = {
    "entities": b'<!DOCTYPE z [<!ENTITY a "ha">]><annotations>&a;</annotations>',
    "system": b'<!DOCTYPE z SYSTEM "file:///etc/passwd"><annotations/>',
    "deep": b"<annotations>" + b"<a>" * 100,
    "open": b"<annotations><meta/>",
    "bytes": b"<annotations>\xff</annotations>",
}
HEAD, BOX = "kpt_shape: [17, 3]\ntrain: images\nnames: [person]\n", "0 0.5 0.5 0.1 0.1"
YOLO: dict[str, tuple[str, str]] = {
    "nan": (HEAD, BOX + " nan 0.5 2" * 17),
    "outside": (HEAD, BOX + " 1.5 0.5 2" * 17),
    "flag": (HEAD, BOX + " 0.5 0.5 7" * 17),
    "short": (HEAD, "0 0.5 0.5"),
    "joints": (HEAD.replace("17", "5"), ""),
    "climbs": (HEAD.replace("images", "/etc"), ""),
    "alias": ("a: &a [1]\nb: *a\n" + HEAD, ""),
}


def exchanged() -> Iterator[Case]:
    for name, data in XML.items():
        words = ("import", "{here}/a.xml", "--format", "cvat", "--out", "{out}")
        yield Case(name=f"cvat-{name}", files={"a.xml": data}, commands=(words,))
    picture = io.BytesIO()
    noise(("yolo",), (96, 64)).save(picture, "JPEG")
    for name, (head, label) in YOLO.items():
        files = {"data.yaml": head.encode(), "labels/a.txt": label.encode()}
        files["images/a.jpg"] = picture.getvalue()
        words = ("import", "{here}", "--format", "yolo", "--out", "{out}")
        yield Case(name=f"yolo-{name}", files=files, commands=(words,))
    for name, data in _tars().items():
        words = ("import", "{here}/a.tar", "--format", "webdataset", "--out", "{out}")
        yield Case(name=f"tar-{name}", files={"a.tar": data}, commands=(words,))
    for form in ("coco", "yolo", "cvat", "webdataset", "huggingface", "label-studio"):
        commands = tuple(
            ("import", f"{{here}}{place}", "--format", form, "--out", "{out}")
            for place in ("", "/none", "/pipe")
        )
        make = lambda here: os.mkfifo(here / "pipe")  # noqa: E731
        yield Case(name=f"nothing-{form}", make=make, commands=commands)


def _tars() -> dict[str, bytes]:
    def tar(*members: tuple[str, bytes], link: bytes = b"") -> bytes:
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as archive:
            for name, body in members:
                info = tarfile.TarInfo(name)
                info.size = len(body)
                if link:
                    info.type, info.linkname = link, "/etc/passwd"
                archive.addfile(info, io.BytesIO(body))
        return data.getvalue()

    return {
        "climbs": tar(("../000000.jpg", b"x")),
        "symlink": tar(("000000.jpg", b""), link=tarfile.SYMTYPE),
        "no-image": tar(("000000.json", b"{}")),
        "empty-row": tar(("000000.jpg", b"x"), ("000000.json", b"{}")),
        "junk": b"no tar at all",
    }


# Data sets --------------------------------------------------------------------------------


def sets(inputs: Path) -> Iterator[Case]:
    commands: tuple[Words, ...] = (
        ("stats", "{here}/set"),
        ("validate", "{here}/set"),
        ("export", "{here}/set", "--out", "{out}"),
    )
    for name, change in DAMAGES.items():

        def make(here: Path, change: Callable[[Path], object] = change) -> None:
            shutil.copytree(inputs / "pairs", here / "set")
            change(here / "set")

        yield Case(name=f"set-{name}", make=make, commands=commands)
    for name, query in {"end": "occluded >", "field": "no_such = 1", "deep": "(" * 300}.items():
        words = ("filter", str(inputs / "pairs"), query, "--count")
        yield Case(name=f"query-{name}", commands=(words,))


def _put(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


def _replace(name: str, old: bytes, new: bytes) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        data = (folder / name).read_bytes()
        assert old in data, f"{old!r} in {name}"
        (folder / name).write_bytes(data.replace(old, new, 1))

    return change


def _linked(folder: Path) -> None:
    image = folder / "shards/00000/images/000001.jpg"
    image.rename(folder.parent / "outside.jpg")
    image.symlink_to(folder.parent / "outside.jpg")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "good": lambda folder: None,
    "no-identity": lambda folder: (folder / "dataset.json").unlink(),
    "identity-junk": _put("dataset.json", b"{"),
    "identity-format": _replace("dataset.json", b'"format_version": ', b'"format_version": 9'),
    "identity-seed": _replace("dataset.json", b'"seed": 5', b'"seed": "five"'),
    "index-climbs": _replace("index.json", b"shards/00000", b"../elsewhere"),
    "no-shard": lambda folder: shutil.rmtree(folder / "shards/00000"),
    "frames-empty": _put("shards/00000/frames.parquet", b""),
    "instances-junk": _put("shards/00000/instances.parquet", b"PAR1" * 100),
    "no-image": lambda folder: (folder / "shards/00000/images/000001.jpg").unlink(),
    "image-junk": _put("shards/00000/images/000001.jpg", b"no picture"),
    "image-link": _linked,
}
