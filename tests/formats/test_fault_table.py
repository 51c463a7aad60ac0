"""Tool x fault: a file is read rightly, or what is left out is told, or it is refused by name."""

import re

import pytest
from faulty_files import JOINTS, TOOLS, project, save_picture, verdict

from synthstudio.api.datasets import import_photos
from synthstudio.core.images import decode_rgb

READ = {"all": "read"}
TOLD = {"all": "told"}
REFUSED = {"all": "refused"}
NAMED = TOLD | {"cvat": "refused", "yolo": ""}
"""Of a name that no file can have; YOLO's files name none."""
WINDOWS = READ | {"cvat": "refused", "yolo": ""}
NUMBERED = READ | {"yolo": ""}


def first(**values):
    return lambda made: made.pictures[0].__dict__.update(values)


def last(**values):
    return lambda made: made.pictures[1].people[0].__dict__.update(values)


def whole(**values):
    return lambda made: made.__dict__.update(values)


def named(name, said=None):
    return first(name=name, named=said)


def subsets(*names):
    def apply(made):
        for picture, name in zip(made.pictures, names, strict=True):
            picture.subset = name

    return apply


def entry(**values):
    """Change fields of the last person's entry of COCO; those that are ... go."""

    def change(value):
        return {k: v for k, v in (value | values).items() if v is not ...}

    return last(change=change)


def joint(value, at=30):
    return last(change=lambda e: e | {"keypoints": [*e["keypoints"][:at], value,
                                                    *e["keypoints"][at + 1 :]]})  # fmt: skip


def words(at, value):
    def change(line):
        found = line.split()
        return " ".join([*found[:at], value, *found[at + 1 :]])

    return last(change=change)


def text(old, new, count=1):
    return last(change=lambda element: re.sub(old, new, element, count=count))


def region(place, **values):
    """Change a region's value of the last person's of Label Studio; those that are ... go."""

    def change(regions):
        value = {k: v for k, v in (regions[place]["value"] | values).items() if v is not ...}
        return [*regions[:place], {**regions[place], "value": value}, *regions[place + 1 :]]

    return last(change=change)


def more(*regions):
    return last(change=lambda found: [*found, *regions])


def document(change):
    return whole(change=change)


def encoded(change):
    return whole(encode=change)


def picture(**values):
    """Change fields of the first image of COCO, attributes of CVAT, fields of a task."""

    def change(found):
        if isinstance(found, str):
            for name, value in values.items():
                found = re.sub(rf' {name}="[^"]*"', f' {name}="{value}"', found, count=1)
            return found
        return {k: v for k, v in (found | values).items() if v is not ...}

    return first(change=change)


def both(*changes):
    return lambda made: [change(made) for change in changes]


def spelled(change):
    return whole(spell=change)


def ids(*values):
    return lambda made: [
        p.__dict__.update(id=v) for p, v in zip(made.pictures, values, strict=True)
    ]


def nobody(made):
    for one in made.pictures:
        one.people = []


def extra(name, data=b"x"):
    return lambda made: made.files.update({name: data})


def apart(made):
    """The pictures have one name in two folders."""
    for number, one in enumerate(made.pictures):
        one.name = f"{number}/a.png"


def gone(*places):
    return lambda made: [made.pictures[k].__dict__.update(there=False) for k in places]


def saved(**values):
    return first(save=values)


def damaged(data):
    """The first picture has other bytes (None: half of its own)."""

    def apply(made):
        made.pictures[0].there = False
        for folder in ("", "images/", "images/train/"):
            made.files[folder + "a.png"] = data or b"\x89PNG\r\n\x1a\n half"

    return apply


def same(change):
    """One change of the first picture's entry in COCO and Label Studio."""
    return {"coco": first(change=change), "ls": first(change=change)}


def without(*names):
    return document(lambda d: {k: v for k, v in d.items() if k not in names})


def plus(table, **values):
    """Repeat the first entry of a list of COCO with other values."""
    return document(lambda d: d | {table: [*d[table], d[table][0] | values]})


def doubled(made):
    made.pictures.append(made.pictures[0])
    made.expected = made.pictures[:2]


HIDDEN = [2, 1, 0] * 5 + [1, 2]
DOG = ["nose", "tail", "paw"]
_DOG_TEXT = (
    '<skeleton label="dog"><points label="tail" outside="0" points="1,2"></points></skeleton>'
)
GHOST = {"id": "g", "type": "keypointlabels",
         "value": {"x": None, "y": 1, "keypointlabels": ["nose"]}}  # fmt: skip
CAR = {"id": "c", "type": "rectanglelabels",
       "value": {"x": 1, "y": 1, "width": 9, "height": 9, "rectanglelabels": ["car"]}}  # fmt: skip
BALL = {"id": "l", "type": "keypointlabels", "value": {"x": 1, "y": 1, "keypointlabels": ["ball"]}}
MASK = {"id": "m", "type": "brushlabels", "value": {"rle": [1, 2], "brushlabels": ["person"]}}


def title(name):
    return name.replace("_", " ").title()


def fused(name):
    return title(name).replace(" ", "")


def one_letter(name):
    return re.sub("^(L|R)(eft|ight)(?=[A-Z])", r"\1", fused(name))


def reversed_coco(value):
    return dict(reversed([(k, v[::-1]) for k, v in value.items()]))


FAULTS = {
    "plain": (lambda made: None, READ),
    # names and nesting
    "six folders": (named("a/b/c/d/e/f/a.png"), READ),
    "one name in two folders": (apart, READ),
    "a name that is not ASCII": (named("größe_ß.png"), READ),
    "webp": (named("a.webp"), READ),
    "the ending of another kind": (both(named("a.png"), saved(kind="JPEG")), READ),
    "a dot before the name": (named("a.png", "./a.png"), READ | {"cvat-video": "read"}),
    "backslashes": (named("s/a.png", "s\\a.png"), WINDOWS),
    "a path of Windows": (named("a.png", "C:\\data\\a.png"), WINDOWS),
    "a name that climbs": (named("a.png", "../a.png"), NAMED),
    "an absolute name": (named("b/a.png", "/etc/a.png"), NAMED),
    "a name too long": (named("a.png", "x" * 2000 + ".png"), NAMED),
    "an empty name": (named("a.png", ""), NAMED),
    # ids
    "text ids": (ids("one", "zwei"), NUMBERED),
    "larger ids": (ids(2**70, 2**70 + 1), NUMBERED),
    "real ids": (ids(1.5, 2.5), NUMBERED),
    "lists as ids": (ids([1, "a"], [2]), READ | {"yolo": "", "cvat": ""}),
    "an id for two": (ids(1, 1), {"ls": "read", "cvat": "read"}),
    # missing
    "a picture is missing": (gone(0), TOLD),
    "no picture is there": (gone(0, 1), REFUSED),
    "people without boxes": (last(box=False), READ | {"yolo": "", "cvat": ""}),
    "joints that are not labelled": (last(v=HIDDEN), READ),
    "one joint": (last(v=[0] * 9 + [2] + [0] * 7), READ),
    "a box without joints": (last(v=[0] * 17), READ | {"cvat": "told"}),
    "invalid list of joints": (
        {"coco": both(last(v=[0] * 17), entry(keypoints=...)),
         "yolo": both(last(v=[0] * 17), last(change=lambda line: " ".join(line.split()[:5]))),
         "cvat": text("<points.*</points>", "")},
        READ | {"cvat": "told"},
    ),
    "fewer joints": (
        {"coco": entry(keypoints=[1, 2, 2]), "yolo": last(change=lambda line: line[:60])},
        TOLD,
    ),
    "no annotation id": ({"coco": entry(id=...), "ls": last(change=lambda found: [
        {k: v for k, v in one.items() if k != "id"} if one["type"] != "rectanglelabels" else one
        for one in found])}, READ),
    "no image id": ({"coco": picture(id=...), "ls": picture(id=...)}, READ | {"coco": "told"}),
    "no size": ({"coco": picture(width=..., height=...)}, READ),
    "no name": ({"coco": picture(file_name=...), "ls": picture(data={}, image=...)}, TOLD),
    "no image of an annotation": ({"coco": entry(image_id=99)}, TOLD),
    "no category of an annotation": ({"coco": entry(category_id=99)}, TOLD),
    "no label file": ({"yolo": both(first(people=[], change=lambda text: None))}, TOLD),
    "no list of images": ({"coco": without("images")}, REFUSED),
    "no list of annotations": ({"coco": without("annotations")}, REFUSED),
    "no categories": ({"coco": document(lambda d: d | {"categories": []}),
                       "cvat": document(lambda t: re.sub("<labels>.*</labels>", "", t))}, REFUSED),
    "no train and val": ({"yolo": without("train")}, REFUSED),
    "no kpt_shape": ({"yolo": without("kpt_shape")}, REFUSED),
    "no names": ({"yolo": without("names")}, READ),
    "no parent": ({"ls": last(change=lambda found: [
        {k: v for k, v in one.items() if k != "parentID"} for one in found])}, READ),
    "a parent that is not there": ({"ls": both(last(box=False), last(change=lambda found: [
        one | {"parentID": "gone"} for one in found]))}, READ),
    # null and other types
    "null joints": ({"coco": both(last(v=[0] * 17), entry(keypoints=None))}, READ),
    "a null joint": ({"coco": joint(None), "ls": more(GHOST)}, TOLD),
    "null box": ({"coco": entry(bbox=None)}, READ),
    "null licences": ({"coco": document(lambda d: d | {"licenses": None})}, READ),
    "odd licences": ({"coco": document(lambda d: d | {"licenses": [{"name": 3}, 4]})}, TOLD),
    "null name": (
        {"coco": picture(file_name=None), "ls": picture(data={"image": None}, image=None)}, TOLD),
    "null picture": (same(lambda e: None), TOLD),
    "a number for a picture": (same(lambda e: 7), TOLD),
    "null person": ({"coco": last(change=lambda e: None)}, TOLD),
    "text for a number": ({"coco": joint("left"), "yolo": words(8, "left"),
                           "cvat": text(r"16\.00", "left"), "ls": region(3, x="left")}, TOLD),
    "NaN": ({"coco": joint(float("nan")), "yolo": words(8, "nan"), "cvat": text(r"16\.00", "nan")},
            TOLD),
    "infinity": ({"coco": joint(float("inf")), "yolo": words(8, "inf"),
                  "cvat": text(r"16\.00", "inf")}, TOLD),
    "NaN in JSON": ({"ls": region(3, x=float("nan"))}, REFUSED),
    "1e308": ({"coco": joint(1e308), "yolo": words(8, "1e308"), "cvat": text(r"16\.00", "1e308"),
               "ls": region(3, x=1e308)}, TOLD),
    "v of 3": ({"coco": joint(3, 32), "yolo": words(7, "3")}, TOLD),
    "a comma for a point": ({"yolo": words(8, "0,5"), "cvat": text(r"16\.00", "16,00")}, TOLD),
    "a negative box": ({"coco": entry(bbox=[5, 5, -3, 9]), "yolo": words(3, "-0.3"),
                        "ls": region(0, width=-5)}, TOLD),
    "half a box": ({"coco": entry(bbox=[5, 5]), "ls": region(0, width=...)}, TOLD),
    "an area of text": ({"coco": entry(area="big")}, TOLD),
    "a size of text": ({"coco": picture(width="160"), "cvat": picture(width="x")}, TOLD),
    "a size of 0": ({"coco": picture(width=0), "cvat": picture(width="0")}, TOLD),
    "another size": ({"coco": picture(width=150), "cvat": picture(width="150")}, TOLD),
    "a huge size": ({"coco": picture(width=10**9), "cvat": picture(width="1000000000")}, TOLD),
    "a mask of another size": (
        {"coco": entry(segmentation={"size": [9, 9], "counts": "Q3"})}, TOLD),
    "a mask that is none": ({"coco": entry(segmentation=7)}, TOLD),
    "a polygon of two corners": ({"coco": entry(segmentation=[[1, 2, 3, 4]])}, TOLD),
    "a polygon": ({"coco": entry(segmentation=[[5, 5, 90, 5, 90, 90]])}, READ),
    "an object for a list": ({"coco": document(lambda d: d | {"images": {}}),
                              "ls": document(lambda d: {"tasks": d})}, REFUSED),
    # extra
    "unknown keys": (
        {"coco": entry(score="NaN", attributes={"a": [1]}),
         "yolo": document(lambda d: d | {"nc": 1}),
         "cvat": document(lambda t: t.replace("<task>", "<task><dumped>x</dumped>", 1)),
         "ls": document(lambda d: [one | {"meta": {"a": 1}, "file_upload": "x"} for one in d])},
        READ),
    "a note beside": (both(extra("notes.md"), extra("images/notes.md")), READ),
    "a tif beside": ({"yolo": extra("images/train/z.tif"), "coco": extra("z.tif"),
                      "cvat": extra("images/z.tif"), "ls": extra("z.tif")},
                     READ | {"yolo": "told"}),
    "a picture nobody names": (
        {"coco": extra("z.png"), "cvat": extra("images/z.png"), "ls": extra("z.png")}, READ),
    "a label nobody has": ({"yolo": extra("labels/train/z.txt", b"0 1 2")}, TOLD),
    "classes.txt": ({"yolo": extra("labels/train/classes.txt", b"person")}, READ),
    "a hidden file of a Mac": (
        {"yolo": extra("images/train/._a.png"), "coco": extra("._a.png"),
         "cvat": extra("images/._a.png"), "ls": extra("._a.png")}, READ),
    "somebody twice": ({"coco": plus("annotations")}, TOLD),
    "an image twice": ({"coco": plus("images")}, TOLD),
    "a file twice": ({"coco": plus("images", id=99)}, TOLD),
    "a category twice": ({"coco": plus("categories", name="other")}, TOLD),
    "a picture twice": (doubled, {"cvat": "refused", "ls": "told"}),
    "a crowd": ({"coco": plus("annotations", id=7, iscrowd=1)}, TOLD),
    "a prediction": ({"ls": document(lambda d: [one | {"predictions": [{"result": []}]}
                                                for one in d])}, {"ls": "told", "ls-min": ""}),
    "a second annotation": (
        {"ls": document(lambda d: [one | {"annotations": one.get("annotations", []) * 2}
                                   for one in d])}, {"ls": "told", "ls-min": ""}),
    "a joint twice": (
        {"cvat": text("(<points.*?</points>)", r"\1\1"), "ls": last(change=lambda f: [*f, f[3]])},
        TOLD),
    "coordinates where v is 0": (
        {"coco": both(last(v=[0, *[2] * 16]), joint(7, 0)),
         "yolo": both(last(v=[0, *[2] * 16]), words(5, "0.3"))}, {"coco": "told", "yolo": "read"}),
    "an arrow": ({"ls": more({"type": "relation", "from_id": "a", "to_id": "b"})},
                 {"ls": "told", "ls-min": ""}),
    "a mask drawn": ({"ls": more(MASK)}, TOLD),
    "a keypoint without a label": ({"ls": more(BALL | {"value": {"x": 1, "y": 1,
                                                                 "keypointlabels": []}})}, TOLD),
    "a box without a label": ({"ls": more(CAR | {"value": {
        "x": 1, "y": 1, "width": 9, "height": 9, "rectanglelabels": []}})}, TOLD),
    "an ellipse": ({"ls": more({"id": "e", "type": "ellipselabels", "value": {
        "x": 1, "y": 1, "rotation": 30, "ellipselabels": ["person"]}})}, TOLD),
    "a choice": ({"ls": more({"id": "c", "type": "choices", "value": {"choices": ["day"]}})}, TOLD),
    "a region of a turned picture": (
        {"ls": more(CAR | {"image_rotation": 90})}, {"ls": "told", "ls-min": ""}),
    "completions": ({"ls": document(lambda d: [{k.replace("annotations", "completions"): v
                                                for k, v in one.items()} for one in d])}, READ),
    "a skipped annotation": (
        {"ls": first(people=[], change=lambda t: t | {
            "annotations": [{"was_cancelled": True, "result": [CAR]}]})},
        {"ls": "told", "ls-min": ""}),
    "another key of the picture": (
        {"ls": first(change=lambda t: {**t, "data": {"photo": "a.png", "title": "a day"}})},
        {"ls": "read", "ls-min": ""}),
    "two keys of pictures": (
        {"ls": first(change=lambda t: {**t, "data": {"one": "a.png", "two": "b.png"}})},
        {"ls": "told", "ls-min": ""}),
    # addresses of Label Studio
    **{f"as {said}": ({"ls": named(name, said)}, READ) for said, name in {
        "/data/local-files/?d=s/a.png": "s/a.png",
        "/data/local-files/?d=s%2Fa%20b.png": "s/a b.png",
        "/data/upload/3/0a1b2c3d-a.png": "a.png",
        "/data/upload/3/0a1b2c3d-x.png": "0a1b2c3d-x.png",
        "/data/upload/gr%C3%B6%C3%9Fe.png": "größe.png",
        "s3://bucket/day/a.png": "day/a.png",
        "gs://bucket/day/a%20b.png": "a b.png",
        "http://localhost:8080/data/upload/1/a.png": "a.png",
        "https://host/a.png?token=1": "a.png",
        "a%20b.png": "a b.png",
    }.items()},
    # order
    "joints in another order": (whole(order=list(range(17))[::-1]),
                                {"cvat": "read", "ls": "read", "coco": "refused"}),
    "entries in another order": (
        {"coco": document(reversed_coco), "ls": document(lambda d: d[::-1])}, READ),
    # spelling
    "joints as Left Eye": (spelled(title), READ),
    "joints as LeftEye": (spelled(fused), READ | {"coco": "refused"}),
    "joints as LEye": (spelled(one_letter), READ | {"coco": "refused", "ls": "read"}),
    "joints nobody knows": (spelled(lambda name: f"x{name}q"), REFUSED | {"yolo": ""}),
    # encoding
    "a byte order mark": (encoded(lambda t: t.encode("utf-8-sig")), READ),
    "UTF-16": (encoded(lambda t: t.encode("utf-16")), REFUSED),
    "Latin-1": (
        both(named("größe.png"), encoded(lambda t: t.replace("\\u00f6", "ö").replace(
            "\\u00df", "ß").encode("latin-1"))), REFUSED | {"yolo": "read"}),
    "cut in half": (encoded(lambda t: t[: len(t) // 2].encode()), REFUSED),
    "an empty file": (encoded(lambda t: b""), REFUSED),
    "a zero byte": (encoded(lambda t: b"\0" + t.encode()), REFUSED),
    "words behind the end": (encoded(lambda t: t.encode() + b"<oops"), REFUSED),
    "HTML instead": (encoded(lambda t: b"<html><body>404</body></html>"), REFUSED),
    # several labels
    "another skeleton": (
        {"coco": both(whole(labels={"dog": DOG}), plus("annotations", id=7, category_id=2)),
         "cvat": both(whole(labels={"dog": DOG}), last(change=lambda t: t + _DOG_TEXT)),
         "ls": more(BALL)}, TOLD),
    "another skeleton that nobody uses": (whole(labels={"dog": DOG}), READ),
    "boxes of other objects": (
        {"coco": document(lambda d: d | {"annotations": [*d["annotations"], {
            "id": 7, "image_id": 1, "category_id": 2, "bbox": [1, 1, 2, 2]}], "categories": [
            *d["categories"], {"id": 2, "name": "car"}]}),
         "yolo": both(whole(labels={"car": []}), last(change=lambda t: f"{t}\n1 0.5 0.5 0.1 0.1")),
         "cvat": last(change=lambda t: t + '<box label="car" xtl="1"></box>'), "ls": more(CAR)},
        TOLD),
    "two labels of people": (
        {"coco": both(whole(labels={"referee": JOINTS}), entry(category_id=2)),
         "cvat": both(whole(labels={"referee": JOINTS}), last(label="referee")),
         "yolo": whole(labels={"man": []}), "ls": last(label="referee")},
        READ | {"yolo": "refused"}),
    "a class that is no person": ({"yolo": document(lambda d: d | {"names": ["dog"]})}, REFUSED),
    "a class without a name": ({"yolo": document(lambda d: d | {"names": ["0"]})}, READ),
    "mirror pairs that contradict": ({"yolo": document(lambda d: d | {
        "kpt_names": {0: JOINTS}, "flip_idx": [*range(17)]})}, REFUSED),
    # several subsets
    "train and val": (subsets("train", "val"), {"yolo": "read", "cvat-project": "read"}),
    "subsets with one name each": (
        both(subsets("train", "val"), lambda made: [p.__dict__.update(name="a.png")
                                                    for p in made.pictures]),
        {"yolo": "read", "cvat-project": "read"}),
    "subsets in other words": (subsets("Validation", "TEST"), {"cvat-project": "read"}),
    "own subsets": (subsets("Kamera 1", "Kamera 2"), {"cvat-project": "read"}),
    "a subset that climbs": (subsets("../x", "y"), {"cvat-project": "refused"}),
    "a split twice": ({"yolo": document(lambda d: d | {"val": "images/train"})}, READ),
    "train holds val": (both(subsets("train", "train/val"), document(
        lambda d: d | {"train": "images/train", "val": "images/train/val"})), {"yolo": "read"}),
    "tracks of a video": ({"cvat": document(lambda t: t.replace(
        "</annotations>", '<track id="0" label="person"></track></annotations>'))}, REFUSED),
    "a list of folders": ({"yolo": document(lambda d: d | {"train": ["images/train"]})}, READ),
    "a list of pictures": (
        {"yolo": both(extra("t.txt", b"images/train/a.png\n./images/train/b.png\n"),
                      document(lambda d: d | {"train": "t.txt"}))}, READ),
    "a path": ({"yolo": document(lambda d: d | {"path": "."})}, READ),
    "a path elsewhere": ({"yolo": document(lambda d: d | {"path": "/nowhere/x"})}, REFUSED),
    "a split outside": ({"yolo": document(lambda d: d | {"train": "../../images"})}, REFUSED),
    "a split that is not there": ({"yolo": document(lambda d: d | {"train": "images/z"})}, REFUSED),
    # empty
    "nobody": (nobody, READ),
    "no picture": (whole(pictures=[]), REFUSED),
    # pictures
    "a damaged picture": (damaged(None), TOLD),
    "a picture that is text": (damaged(b"hello"), TOLD),
    "an empty picture": (damaged(b"\n"), TOLD),
    "a gif by another name": (saved(kind="GIF"), TOLD),
    "a transparent picture": (saved(mode="RGBA"), READ),
    "a picture on its side": (saved(turn=6), {"coco": "told", "cvat": "told"}),
    "a picture upside down": (saved(turn=3), READ),
}  # fmt: skip
CELLS = [
    pytest.param(tool, name, wanted, id=f"{tool}-{name}")
    for name, (change, table) in FAULTS.items()
    for tool in TOOLS
    for family in [tool.split("-")[0]]
    for wanted in [table.get(tool, table.get(family, table.get("all", "")))]
    if wanted and (not isinstance(change, dict) or family in change)
]


@pytest.mark.parametrize(("tool", "name", "wanted"), CELLS)
def test_annotations_of_other_tools(tool, name, wanted, tmp_path):
    change = FAULTS[name][0]
    made = project()
    (change[tool.split("-")[0]] if isinstance(change, dict) else change)(made)
    found, told = verdict(tool, made, tmp_path)
    assert found == wanted, told


# Motions, meshes, videos and photos ----------------------------------------------------------


PHOTOS = {
    "plain": ("b.png", {}, "read"),
    "a folder": ("s/t/b.png", {}, "read"),
    "an ending in capitals": ("B.JPG", {}, "read"),
    "a name that is not ASCII": ("größe ß.png", {}, "read"),
    "jpeg": ("b.jpeg", {}, "read"),
    "jfif": ("b.jfif", {}, "read"),
    "webp": ("b.webp", {}, "read"),
    "bmp": ("b.bmp", {}, "read"),
    "no ending": ("b", {"kind": "PNG"}, "read"),
    "the ending of another kind": ("b.png", {"kind": "JPEG"}, "read"),
    "a picture that calls itself text": ("b.txt", {"kind": "PNG"}, "read"),
    "transparent": ("b.png", {"mode": "RGBA"}, "told"),
    "a palette": ("b.png", {"mode": "P"}, "told"),
    "CMYK": ("b.jpg", {"mode": "CMYK"}, "told"),
    "on its side": ("b.jpg", {"turn": 6}, "told"),
    "a gif": ("b.gif", {}, "told"),
    "a tif": ("b.tif", {}, "told"),
    "a gif by another name": ("b.png", {"kind": "GIF"}, "told"),
    "a video among photos": ("b.mp4", b"x", "told"),
    "a raw photo": ("b.nef", b"x", "told"),
    "a damaged one": ("b.png", b"\x89PNG\r\n\x1a\n half", "told"),
    "an empty one": ("b.jpg", b"", "told"),
    "text": ("b.jpg", b"hello", "told"),
    "a note": ("b.md", b"hello", "read"),
    "a hidden file": (".b.png", b"hello", "read"),
    "what a Mac adds": ("__MACOSX/._b.png", b"hello", "read"),
}


@pytest.mark.parametrize("name", PHOTOS)
def test_photos(name, tmp_path):
    said, given, wanted = PHOTOS[name]
    save_picture(tmp_path / "in/a.png", 1)
    path = tmp_path / "in" / said
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(given, bytes):
        path.write_bytes(given)
    else:
        save_picture(path, 2, **given)
    made = import_photos(tmp_path / "in", tmp_path / "out")
    notes = " ".join(made.summary.notes)
    assert ("told" if "Not imported" in notes else "read") == wanted
    used = ".gif" not in said + notes and "cannot be used" not in notes
    read = used and not isinstance(given, bytes)
    stored = (made._stored.image_bytes(k) for k in range(len(made)))
    shades = sorted(int(decode_rgb(data, "x")[0, 0, 0]) for data in stored)
    assert len(shades) == 1 + (read and ".tif" not in said)
    assert all(abs(shade - 40 * k) < 30 for k, shade in enumerate(shades, 1))
