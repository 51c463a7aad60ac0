"""The demo: a small data set from nothing, checked, exported and shown."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from synthstudio.dataset.reader import Dataset
from synthstudio.formats.export import export
from synthstudio.generation.audit import audit
from synthstudio.generation.pipeline import OnProgress, generate
from synthstudio.generation.stage import prepare
from synthstudio.recipe.schema.load import dump, load, parse
from synthstudio.report.dataset import report
from synthstudio.report.pictures import sheet

SCENE = "quickstart.yaml"


def scene_file(name: str = SCENE) -> Path:
    """Return a file of scenes/: in the checkout, or where the wheel has put it."""
    beside = Path(__file__).resolve().parents[2] / "scenes" / name
    installed = Path(sys.prefix) / "share" / "synthstudio" / "scenes" / name
    return beside if beside.is_file() else installed


def demo(
    out: Path, *, frames: int, workers: int, step: Callable[[str], OnProgress]
) -> dict[str, Any]:
    """Generate, audit, export COCO, draw a contact sheet, write a report below `out`; tell where.

    `step(title)` gives the reporter of each long step. A second call with the same folder and
    settings takes over what is there.
    """
    path = scene_file()
    recipe = parse({**dump(load(path)), "frames": frames}, str(path))
    settings = prepare(recipe, assets=path.parent, device="auto")
    made = generate(
        settings,
        out / "dataset",
        workers=workers,
        resume=True,
        frames_per_shard=8,
        on_progress=step("generating"),
    )
    tally = audit(out / "dataset", settings, workers=workers, on_progress=step("auditing"))
    coco_folder = _unused(out / "coco")
    exported = export("coco", out / "dataset", coco_folder)
    sheet(out / "dataset", out / "contact_sheet.png")
    report(Dataset(out / "dataset"), out / "report.html", audit=tally.report())
    return {
        "frames": made.frames,
        "people": made.people,
        "dataset": str(out / "dataset"),
        "audit": tally.report(),
        "coco": str(exported.annotations),
        "contact_sheet": str(out / "contact_sheet.png"),
        "report": str(out / "report.html"),
    }


def _unused(folder: Path) -> Path:
    """Return the folder, or the first of folder-2, folder-3, … that is not there."""
    number, name = 1, folder
    while name.exists():
        number += 1
        name = folder.with_name(f"{folder.name}-{number}")
    return name


def summary(result: dict[str, Any]) -> str:
    """Return what a demo made as lines for people."""
    found = result["audit"]
    return "\n".join(
        (
            f"{result['frames']} frames with {result['people']} people",
            f"  contact sheet  {result['contact_sheet']}",
            f"  report         {result['report']}",
            f"  data set       {result['dataset']}",
            f"  COCO file      {result['coco']}",
            f"  audit          {found['state_differs']} of {found['joints']} joint states differ, "
            f"{found['cause_differs']} causes",
            f"Next: synthstudio stats {result['dataset']}",
        )
    )
