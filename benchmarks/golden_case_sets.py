"""Hostile annotations, other tools' files, data sets, trainings and networks."""

from __future__ import annotations

import copy
import io
import json
import os
import shutil
import struct
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.golden_case import Case, Words, json_bytes, spoilt
from benchmarks.golden_case_assets import picture

# Annotations ------------------------------------------------------------------------------


def annotations(inputs: Path) -> Iterator[Case]:
    reported = json.loads((inputs / "coco" / "annotations.json").read_text(encoding="utf-8"))
    reported["images"] = reported["images"][:3]
    kept = {image["id"] for image in reported["images"]}
    reported["annotations"] = [a for a in reported["annotations"] if a["image_id"] in kept]
    images = str(inputs / "coco")
    requested: tuple[Words, ...] = (
        ("validate", "{here}/a.json", "--images", images),
        ("import", "{here}/a.json", "--images", images, "--out", "{out}"),
    )
    for how, data in spoilt(json_bytes(reported), "coco").items():
        yield Case(name=f"coco-{how}", files={"a.json": data}, commands=requested)
    for name, change in _COCO.items():
        doc = copy.deepcopy(reported)
        doc = change(doc) or doc
        yield Case(name=f"coco-{name}", files={"a.json": json_bytes(doc)}, commands=requested)
    deep = b'{"images": ' + b"[" * 100_000
    yield Case(name="coco-deep", files={"a.json": deep}, commands=requested)


def _set(where: str, name: str, value: Any, k: int = 0) -> Callable[[dict[str, Any]], None]:
    def change(doc: dict[str, Any]) -> None:
        doc[where][k][name] = value

    return change


def _without(where: str, name: str) -> Callable[[dict[str, Any]], None]:
    def change(doc: dict[str, Any]) -> None:
        del doc[where][0][name]

    return change


_COCO: dict[str, Callable[[dict[str, Any]], Any]] = {
    "good": lambda doc: None,
    "list": lambda doc: [1, 2],
    "no-images": lambda doc: {k: v for k, v in doc.items() if k != "images"},
    "no-categories": lambda doc: {k: v for k, v in doc.items() if k != "categories"},
    "empty-images": lambda doc: {**doc, "images": []},
    "nan": _set("annotations", "keypoints", [float("nan")] * 51),
    "infinite-box": _set("annotations", "bbox", [0, 0, float("inf"), 1]),
    "text-box": _set("annotations", "bbox", "0"),
    "short-points": _set("annotations", "keypoints", [1, 2, 3]),
    "wild-flag": _set("annotations", "keypoints", [1, 2, 7] * 17),
    "null-points": _set("annotations", "keypoints", None),
    "huge-number": _set("annotations", "keypoints", [1e308] * 51),
    "lost-image": _set("annotations", "image_id", 99_999),
    "text-id": _set("annotations", "id", "x"),
    "id-twice": _set("annotations", "id", 2),
    "image-twice": _set("images", "id", 2),
    "huge-id": _set("annotations", "id", 2**70),
    "no-width": _without("images", "width"),
    "no-file": _without("images", "file_name"),
    "no-id": _without("annotations", "id"),
    "climbs": _set("images", "file_name", "../../../etc/passwd"),
    "absolute": _set("images", "file_name", "/etc/passwd"),
    "nul-name": _set("images", "file_name", "a\0.jpg"),
    "wrong-size": _set("images", "width", 7),
    "huge-size": _set("images", "width", 10**9),
    "negative-size": _set("images", "height", -4),
    "mask-size": _set("annotations", "segmentation", {"size": [10**9, 10**9], "counts": "0"}),
    "mask-text": _set("annotations", "segmentation", {"size": [120, 160], "counts": "????"}),
    "mask-odd": _set("annotations", "segmentation", [[0, 0, 1]]),
    "mask-null": _set("annotations", "segmentation", [None]),
    "mask-list": _set("annotations", "segmentation", {"size": [120, 160], "counts": [1, -5]}),
    "category": _set("annotations", "category_id", 9),
    "joints-twice": _set("categories", "keypoints", ["nose"] * 17),
    "joint-names": _set("categories", "keypoints", [None] * 17),
}


# Other tools' files -----------------------------------------------------------------------

_YOLO = "kpt_shape: [17, 3]\ntrain: images\nnames: [person]\n"
_BOX = "0 0.5 0.5 0.1 0.1"
_XML: dict[str, str | bytes] = {
    "entities": '<!DOCTYPE z [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><annotations>&b;</annotations>',
    "system": '<!DOCTYPE z SYSTEM "file:///etc/passwd"><annotations/>',
    "deep": "<annotations>" + "<a>" * 100,
    "utf16": '<?xml version="1.0" encoding="utf-16"?><annotations/>',
    "open": "<annotations><meta/>",
    "empty": "<annotations/>",
    "track": '<annotations><track id="0"/></annotations>',
    "bytes": b"<annotations>\xff</annotations>",
    "none": "",
}
_YOLOS: dict[str, tuple[str, str]] = {
    "nan": (_YOLO, _BOX + " nan 0.5 2" * 17),
    "outside": (_YOLO, _BOX + " 1.5 0.5 2" * 17),
    "flag": (_YOLO, _BOX + " 0.5 0.5 7" * 17),
    "short": (_YOLO, "0 0.5 0.5"),
    "word": (_YOLO, _BOX + " x 0.5 2" * 17),
    "joints": (_YOLO.replace("17", "5"), ""),
    "shape": (_YOLO.replace("[17, 3]", "17"), ""),
    "climbs": (_YOLO.replace("images", "/etc"), ""),
    "nowhere": (_YOLO.replace("images", "nowhere"), ""),
    "alias": ("a: &a [1]\nb: *a\n" + _YOLO, ""),
    "deep": ("[" * 3000, ""),
    "list": ("- 1", ""),
    "open": ("{", ""),
}


def exchanged() -> Iterator[Case]:
    for name, text in _XML.items():
        data = text if isinstance(text, bytes) else text.encode()
        words = ("import", "{here}/a.xml", "--format", "cvat", "--out", "{out}")
        yield Case(name=f"cvat-{name}", files={"a.xml": data}, commands=(words,))
    for name, (head, label) in _YOLOS.items():
        files = {"data.yaml": head.encode(), "labels/a.txt": label.encode()}
        files["images/a.jpg"] = picture("JPEG")
        words = ("import", "{here}", "--format", "yolo", "--out", "{out}")
        yield Case(name=f"yolo-{name}", files=files, commands=(words,))
    for name, data in _shards().items():
        words = ("import", "{here}/a.tar", "--format", "webdataset", "--out", "{out}")
        yield Case(name=f"tar-{name}", files={"a.tar": data}, commands=(words,))
    forms = ("coco", "crowdpose", "ochuman", "yolo", "cvat", "webdataset", "huggingface")
    for form in (*forms, "label-studio", "mpii", "lsp", "h36m"):
        words = ("import", "{here}", "--format", form, "--out", "{out}")
        absent = ("import", "{here}/none", "--format", form, "--out", "{out}")
        pipe = ("import", "{here}/pipe", "--format", form, "--out", "{out}")
        make = _pipe
        yield Case(name=f"nothing-{form}", make=make, commands=(words, absent, pipe))
    junk = {"data/train-00000.parquet": b"PAR1 no PAR1"}
    words = ("import", "{here}", "--format", "huggingface", "--out", "{out}")
    yield Case(name="hf-junk", files=junk, commands=(words,))
    other = {"data/train-00000.parquet": _table({"index": [1]})}
    yield Case(name="hf-columns", files=other, commands=(words,))


def _pipe(here: Path) -> None:
    os.mkfifo(here / "pipe")


def _table(columns: dict[str, list[Any]]) -> bytes:
    data = io.BytesIO()
    pq.write_table(pa.table(columns), data)
    return data.getvalue()


def _shards() -> dict[str, bytes]:
    def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as archive:
            for info, body in members:
                info.size = len(body)
                archive.addfile(info, io.BytesIO(body))
        return data.getvalue()

    def link(kind: bytes) -> tuple[tarfile.TarInfo, bytes]:
        info = tarfile.TarInfo("000000.jpg")
        info.type, info.linkname = kind, "/etc/passwd"
        return info, b""

    image, reported = tarfile.TarInfo("000000.jpg"), tarfile.TarInfo("000000.json")
    head = tarfile.TarInfo("x")
    head.type, head.size = tarfile.XHDTYPE, 2 * 1024**3
    return {
        "climbs": tar((tarfile.TarInfo("../000000.jpg"), b"x")),
        "absolute": tar((tarfile.TarInfo("/000000.jpg"), b"x")),
        "symlink": tar(link(tarfile.SYMTYPE)),
        "hardlink": tar(link(tarfile.LNKTYPE)),
        "device": tar(link(tarfile.CHRTYPE)),
        "alone": tar((image, b"x")),
        "no-image": tar((reported, b"{}")),
        "empty-row": tar((image, b"x"), (reported, b"{}")),
        "nothing": tar(),
        "gigabytes": head.tobuf(tarfile.USTAR_FORMAT) + bytes(4096),
        "junk": b"no tar at all",
    }


# Data sets --------------------------------------------------------------------------------


def sets(inputs: Path) -> Iterator[Case]:
    requested: tuple[Words, ...] = (
        ("stats", "{here}/set"),
        ("validate", "{here}/set"),
        ("frame", "{here}/set", "1"),
        ("export", "{here}/set", "--out", "{out}"),
        ("filter", "{here}/set", "occluded > 0.2", "--count"),
    )
    for name, change in _DAMAGES.items():

        def make(here: Path, change: Callable[[Path], None] = change) -> None:
            shutil.copytree(inputs / "pairs", here / "set")
            change(here / "set")

        yield Case(name=f"set-{name}", make=make, commands=requested)
    for query in ("", "occluded >", "no_such = 1", "left_wrist hidden by fog", "(" * 300):
        words = ("filter", str(inputs / "pairs"), query, "--count")
        name = query.replace("(", "")[:12].strip().replace(" ", "-") or f"q{len(query)}"
        yield Case(name=f"query-{name}", commands=(words,))


def _put(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(data) and None


def _replace(name: str, old: bytes, new: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        data = (folder / name).read_bytes()
        assert old in data, f"{old!r} in {name}"
        (folder / name).write_bytes(data.replace(old, new, 1))

    return change


def _column(column: str, value: Any) -> Callable[[Path], None]:
    """Write one column of the frames anew and leave the hashes as they are."""

    def change(folder: Path) -> None:
        path = folder / "shards/00000/frames.parquet"
        table = pq.read_table(path, partitioning=None)
        place = table.schema.get_field_index(column)
        values = pa.array([value] * table.num_rows, table.schema.field(place).type)
        pq.write_table(table.set_column(place, table.schema.field(place), values), path)

    return change


def _dropped(folder: Path) -> None:
    path = folder / "shards/00000/frames.parquet"
    pq.write_table(pq.read_table(path, partitioning=None).drop_columns(["seed"]), path)


def _linked(folder: Path) -> None:
    image = folder / "shards/00000/images/000001.jpg"
    outside = folder.parent / "outside.jpg"
    image.rename(outside)
    image.symlink_to(outside)


_SHARD = "shards/00000"
_DAMAGES: dict[str, Callable[[Path], None]] = {
    "good": lambda folder: None,
    "no-identity": lambda folder: (folder / "dataset.json").unlink(),
    "identity-junk": _put("dataset.json", b"{"),
    "identity-deep": _put("dataset.json", b"[" * 100_000),
    "identity-format": _replace("dataset.json", b'"format_version": ', b'"format_version": 9'),
    "identity-skeleton": _replace("dataset.json", b'"skeleton": "coco17",', b'"skeleton": "x",'),
    "identity-seed": _replace("dataset.json", b'"seed": 5', b'"seed": "five"'),
    "no-index": lambda folder: (folder / "index.json").unlink(),
    "index-climbs": _replace("index.json", b"shards/00000", b"../elsewhere"),
    "index-junk": _put("index.json", b'{"shards": [{}]}'),
    "no-shard": lambda folder: shutil.rmtree(folder / _SHARD),
    "shard-junk": _put(f"{_SHARD}/shard.json", b"[]"),
    "frames-empty": _put(f"{_SHARD}/frames.parquet", b""),
    "frames-junk": _put(f"{_SHARD}/frames.parquet", b"PAR1" * 100),
    "instances-junk": _put(f"{_SHARD}/instances.parquet", b"PAR1" * 100),
    "columns": _dropped,
    "name-climbs": _column("file_name", "../../../etc/passwd"),
    "name-empty": _column("file_name", ""),
    "spec-empty": _column("spec", ""),
    "spec-object": _column("spec", "{}"),
    "spec-seed": _column("spec", '{"seed": "x"}'),
    "no-image": lambda folder: (folder / _SHARD / "images/000001.jpg").unlink(),
    "image-junk": _put(f"{_SHARD}/images/000001.jpg", b"no picture"),
    "image-link": _linked,
}


# Trainings and networks -------------------------------------------------------------------


def configs() -> Iterator[Case]:
    least: dict[str, Any] = {"train": [{"dataset": "../inputs/pairs"}], "device": "cpu"}
    changes: dict[str, Any] = {
        "none": {},
        "list": [1],
        "unknown": least | {"epoch": 3},
        "block": least | {"network": {"block": "transformer"}},
        "block-name": least | {"network": {"blok": "orn"}},
        "size": least | {"network": {"size": [50, 36]}},
        "widths": least | {"network": {"widths": []}},
        "batch": least | {"batch": 0},
        "rate": least | {"rate": "fast"},
        "split": {"train": [{"dataset": "a", "split": "train"}]},
        "no-source": {"train": [{}]},
        "two-sources": {"train": [{"dataset": "a", "coco": "b"}]},
        "images": {"train": [{"dataset": "a", "images": "b"}]},
        "moments": {"train": [{"recipe": "a"}]},
        "no-set": {"train": [{"dataset": "nowhere"}]},
        "nobody": least | {"train": [{"dataset": "../inputs/pairs", "splits": ["no"]}]},
        "start": least | {"start": "nowhere.safetensors"},
    }
    words = ("train", "{here}/a.yaml", "--out", "{out}", "--fast-dev-run")
    for name, value in changes.items():
        yield Case(name=f"config-{name}", files={"a.yaml": json_bytes(value)}, commands=(words,))
    for name, data in {
        "yaml": b"{",
        "python": b"a: !!python/object/apply:os.system ['true']",
    }.items():
        yield Case(name=f"config-{name}", files={"a.yaml": data}, commands=(words,))


def networks(inputs: Path) -> Iterator[Case]:
    data = (inputs / "orn" / "last.safetensors").read_bytes()
    pairs = str(inputs / "pairs")
    requested: tuple[Words, ...] = (
        ("evaluate", "{here}/a.safetensors", pairs, "--out", "{out}", "--cache", "{out}-crops"),
        ("predict", "{here}/a.safetensors", pairs, "--out", "{out}-answers"),
    )
    bad = spoilt(data, "network")
    length = int.from_bytes(data[:8], "little")
    head = json.loads(data[8 : 8 + length])
    bad["long-head"] = struct.pack("<Q", 2**60) + data[8:]
    bad["no-config"] = _safetensors({k: v for k, v in head.items() if k != "__metadata__"}, data)
    name = next(k for k in head if k != "__metadata__")
    bad["lost-tensor"] = _safetensors({k: v for k, v in head.items() if k != name}, data)
    lied = {**head, name: {**head[name], "data_offsets": [0, 2**50]}}
    bad["offsets"] = _safetensors(lied, data)
    bad["pickle"] = b"\x80\x04cos\nsystem\n(S'true'\ntR."
    for how, content in bad.items():
        yield Case(name=f"network-{how}", files={"a.safetensors": content}, commands=requested)
    resume = ("train", str(inputs / "orn.yaml"), "--out", "{here}", "--resume")
    yield Case(name="resume-junk", files={"state.safetensors": b"junk"}, commands=(resume,))


def _safetensors(head: dict[str, Any], data: bytes) -> bytes:
    length = int.from_bytes(data[:8], "little")
    text = json_bytes(head)
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def occlusions(inputs: Path) -> Iterator[Case]:
    few = inputs / "few"
    recipe = {
        "name": "few",
        "seed": 5,
        "occlude": {"each": 1, "cutouts": {"folder": "occluders"}},
        "targets": {"occluded_fraction": [0.1, 0.5], "effort": 4},
    }
    reported = json.loads((few / "coco.json").read_text(encoding="utf-8"))
    lost = copy.deepcopy(reported)
    lost["images"][0]["file_name"] = "lost.jpg"
    climbs = copy.deepcopy(reported)
    climbs["images"][0]["file_name"] = "../../secret.jpg"
    wrong = copy.deepcopy(reported)
    wrong["images"][0]["width"] = 17
    nobody = {**reported, "annotations": []}
    words = ("occlude", "{here}/a.json", "--images", str(few / "images"), "--recipe")
    words += ("{here}/a.yaml", "--assets", str(inputs / "assets"), "--out", "{out}")
    for name, doc in {"lost": lost, "climbs": climbs, "size": wrong, "nobody": nobody}.items():
        files = {"a.json": json_bytes(doc), "a.yaml": json_bytes(recipe)}
        yield Case(name=f"occlude-{name}", files=files, commands=(words,))
    plain = {k: v for k, v in recipe.items() if k != "occlude"}
    files = {"a.json": json_bytes(reported), "a.yaml": json_bytes(plain)}
    yield Case(name="occlude-no-recipe", files=files, commands=(words,))
