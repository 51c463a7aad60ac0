"""Processes beside the server, `python -m synthstudio.studio.jobs.workers NAME`; NAME is one of

    check DATASET OPTIONS   validates a data set for the page Home: at low priority, ending with its
                            server, which holds the other end of its input
    export JSON             writes reviewed labels in another tool's format, as one ZIP file
    preview                 draws previews, one request per line, until its input ends; it keeps
                            body, kernels and caches warm: a second instead of ten

Each imports only what it needs.
"""

import json
import os
import runpy
import shutil
import sys
import tempfile
import threading
import zipfile
from pathlib import Path
from typing import Any, cast

from synthstudio.core.errors import ReviewError, SynthStudioError

NICE = 19
MAX_PIXELS = 640 * 480
QUALITY = 88
_PACKED = {".jpg", ".jpeg", ".png", ".webp", ".parquet", ".tar", ".npz"}
_EPOCH = (1980, 1, 1, 0, 0, 0)


def check() -> None:
    os.nice(NICE)
    threading.Thread(target=_end_with_server, daemon=True).start()
    sys.argv[1:1] = ["validate"]
    runpy.run_module("synthstudio", run_name="__main__", alter_sys=True)


def _end_with_server() -> None:
    while os.read(sys.stdin.fileno(), 1):  # unbuffered: Python's reader holds a lock at exit
        pass
    os._exit(1)


def export() -> None:
    from synthstudio.studio.jobs.orders import DATABASE

    try:
        found = write_archive(os.environ[DATABASE], **json.loads(sys.argv[1]))
        sys.stdout.write(json.dumps(found, sort_keys=True) + "\n")
    except SynthStudioError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)


def write_archive(
    url: str, dataset: Path | str, out: Path | str, *, form: str, only: str
) -> dict[str, Any]:
    """Export atomically into a ZIP file; return its contents."""
    from synthstudio.dataset.durable import TEMPORARY, disk_errors, sync
    from synthstudio.dataset.reader import Dataset
    from synthstudio.review.reviewed import Only, export_reviewed
    from synthstudio.review.store import open_store

    out = Path(out)
    if out.exists() or out.is_symlink():
        raise ReviewError("this path already exists", where=str(out))
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f"{TEMPORARY}{out.stem}-", dir=out.parent))
    store = open_store(url)
    try:
        made = export_reviewed(
            store, Dataset(dataset), work / out.stem, form=form, only=cast(Only, only)
        )
        with disk_errors(out):
            packed = work / out.name
            files = pack(work / out.stem, packed)
            sync(packed)
            packed.rename(out)
            sync(out.parent)
        sys.stderr.write(f"{made.text()}\n")
        summary = {
            key: value
            for key, value in made.as_json().items()
            if isinstance(value, int | float) or (isinstance(value, str) and "/" not in value)
        }
        return {**summary, "zip": out.name, "files": files, "bytes": out.stat().st_size}
    finally:
        store.close()
        shutil.rmtree(work, ignore_errors=True)


def pack(folder: Path, out: Path) -> int:
    """Write all files of a folder into a ZIP file, under its name; deterministic."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    with zipfile.ZipFile(out, "w", allowZip64=True) as archive:
        for path in files:
            entry = zipfile.ZipInfo(path.relative_to(folder.parent).as_posix(), _EPOCH)
            small = path.suffix.lower() in _PACKED
            entry.compress_type = zipfile.ZIP_STORED if small else zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            with path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target, 1 << 20)
    return len(files)


def preview() -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
    sys.stdout = sys.stderr  # keeps library output out of the answers
    os.nice(5)
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any] = {"key": request["key"]}
        try:
            draw(request)
        except SynthStudioError as error:
            answer["error"] = str(error)
        answers.write(json.dumps(answer) + "\n")


def draw(request: dict[str, Any]) -> None:
    from synthstudio.core.images import decode_rgb, encode_jpeg
    from synthstudio.core.skeleton import get_skeleton
    from synthstudio.dataset.durable import write_file
    from synthstudio.generation.pipeline import draw_spec, make_frame
    from synthstudio.generation.stage import FrameGenerator, prepare
    from synthstudio.recipe.schema.load import parse
    from synthstudio.report.draw import draw_labels

    recipe = parse(bounded(request["recipe"]))
    stage = FrameGenerator(prepare(recipe, assets=Path(request["assets"]), device="auto"))
    frame = make_frame(stage, draw_spec(stage, int(request["index"])))
    rgb, skeleton = decode_rgb(frame.jpeg, "preview"), get_skeleton(recipe.skeleton)
    drawn = draw_labels(rgb, frame.labels, skeleton, rows_px=720, legend=False)
    write_file(Path(request["out"]), encode_jpeg(drawn, QUALITY))


def bounded(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe with pictures of the same shape, at most of preview size."""
    image = recipe["image"]
    shrink = min(1.0, (MAX_PIXELS / (image["width_px"] * image["height_px"])) ** 0.5)
    sides = {name: max(64, round(image[name] * shrink)) for name in ("width_px", "height_px")}
    return {
        **recipe,
        "image": {**image, **sides, "supersample": min(2, image["supersample"])},
        "layers": [],
    }


if __name__ == "__main__":
    {"check": check, "export": export, "preview": preview}[sys.argv.pop(1)]()
