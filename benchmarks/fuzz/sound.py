"""Sound inputs, made once from what the tests' own fixtures make, and kept in the fuzz folder."""

import fcntl
import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_TESTS = ("tests", "tests/formats", "tests/review", "tests/training")


def sound_inputs(folder: Path) -> Path:
    """Make the sound inputs below `folder` unless they are there; return where."""
    folder.mkdir(parents=True, exist_ok=True)
    made, mark = folder / "sound", hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    with (folder / "sound.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        whole = made / ".whole"
        if not (whole.is_file() and whole.read_text(encoding="utf-8") == mark):
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
            for name in _TESTS:
                sys.path.append(str(ROOT / name))
            for make in (_exports, _rendered, _network, _reviewed):
                make(made)
            whole.write_text(mark, encoding="utf-8")
    return made


def _exports(folder: Path) -> None:
    """Stick people, and the same in every format."""
    from exchange_sets import make_set

    from synthstudio.formats import FORMATS
    from synthstudio.formats.export import export

    data = make_set(folder / "sticks", frames=3)
    (folder / "exports").mkdir()
    for name in FORMATS:
        export(name, data.folder, folder / "exports" / name)
    export("coco", data.folder, folder / "exports" / "polygons", polygons=True)


def _rendered(folder: Path) -> None:
    """Two drawn moments of two people, each with and without what hides them."""
    import synthstudio as ss
    from benchmarks.small_inputs import pairs_recipe

    recipe = {**pairs_recipe(4), "splits": {"train": 0.5, "val": 0.0, "test": 0.5}}
    ss.generate(recipe, folder / "pairs", device="cpu", progress=False)


def _network(folder: Path) -> None:
    """A very small network after four steps, its run, an evaluation, and boxes for it."""
    import synthstudio as ss
    from benchmarks.small_inputs import training_config
    from synthstudio.api.inference import predict_to_folder

    config = training_config("pairs", steps=4, batch=4, save_every=2)
    _write(folder / "train.yaml", config)
    whole = training_config(str(folder / "pairs"), steps=4, batch=4, save_every=2)
    ss.train(whole, folder / "run", cache=folder / "crops", progress=False)
    out = folder / "evaluation"
    ss.evaluate(folder / "run", folder / "pairs", out=out, cache=folder / "crops", progress=False)
    predict_to_folder(folder / "run", folder / "pairs", folder / "answers", device="cpu")
    (folder / "photo").mkdir()
    picture = next((folder / "pairs").glob("shards/*/images/*.jpg"))
    shutil.copyfile(picture, folder / "photo" / "a.jpg")
    _write(folder / "boxes.json", [
        {"image_id": 0, "category_id": 1, "bbox": [20.0, 10.0, 60.0, 100.0], "score": 0.9},
        {"image_id": 0, "category_id": 1, "bbox": [70.5, 12.0, 40.0, 90.0], "score": 0.6},
    ])  # fmt: skip


def _reviewed(folder: Path) -> None:
    """A store with every kind of edit, of a data set of stick people."""
    from review_ops import ANNA, LEAD, hidden, make_set, op, seen

    from synthstudio.review.check import base_of
    from synthstudio.review.edits import apply
    from synthstudio.review.history import register
    from synthstudio.review.store import default_url, open_store
    from synthstudio.review.values import Person

    data = make_set(folder / "reviewed")
    (folder / "store").mkdir()
    store = open_store(default_url(folder / "store"))
    key = register(store, data, "reviewed")

    def log(
        kind: str, revision: int, frame: int, instance: int, who: object = ANNA, **more: Any
    ) -> None:
        person = Person(dataset=key, frame=frame, instance=instance)
        base = base_of(data, frame, instance)
        apply(store, op(kind, revision, person=person, **more), who=who, base=base)  # type: ignore[arg-type]

    log("edit", 0, 0, 1, joints={"nose": seen(30.5, 40.0), "left_wrist": hidden(99.0, 80.0)})
    log("status", 1, 0, 1, status="approved")
    log("comment", 2, 0, 1, text="look at the wrist")
    log("edit", 0, 0, 2, joints={"right_knee": hidden(50.0, 60.0, "person")})
    log("delete", 0, 0, 3)
    log("add", 0, 2, 9)
    log("status", 0, 1, 1, who=LEAD, status="rejected")
    store.close()


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")
