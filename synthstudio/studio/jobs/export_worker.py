"""The process of an export: reviewed labels in another tool's format, as one ZIP file."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any, cast

from synthstudio.core.errors import ReviewError, SynthStudioError
from synthstudio.dataset.durable import TEMPORARY, disk_errors, sync
from synthstudio.dataset.reader import Dataset
from synthstudio.review.reviewed import Only, export_reviewed
from synthstudio.review.store import open_store
from synthstudio.studio.jobs.orders import DATABASE

_PACKED = {".jpg", ".jpeg", ".png", ".webp", ".parquet", ".tar", ".npz"}
_EPOCH = (1980, 1, 1, 0, 0, 0)


def main() -> None:
    try:
        found = write(os.environ[DATABASE], **json.loads(sys.argv[1]))
        sys.stdout.write(json.dumps(found, sort_keys=True) + "\n")
    except SynthStudioError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)


def write(
    url: str, dataset: Path | str, out: Path | str, *, form: str, only: str
) -> dict[str, Any]:
    """Export atomically into a ZIP file; return its contents."""
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


if __name__ == "__main__":
    main()
