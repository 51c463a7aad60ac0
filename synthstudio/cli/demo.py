"""The demo: a small dataset from nothing, audited, exported and shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from synthstudio.api.arguments import to_path
from synthstudio.api.drawing import contact_sheet
from synthstudio.api.exchange import export
from synthstudio.api.generation import audit, generate
from synthstudio.api.quality import report
from synthstudio.api.recipes import Recipe, scene_file


def demo(out: Path, *, frames: int, workers: int) -> dict[str, Any]:
    """Generate, audit, export COCO, draw a contact sheet and write a report below `out`.

    A second call with the same folder and settings takes over what is there.
    """
    out = to_path(out, "--out")  # pages and pictures lie beside the data set
    recipe = Recipe.load(scene_file("quickstart.yaml")).with_(frames=frames)
    dataset = generate(recipe, out / "dataset", workers=workers, resume=True, frames_per_shard=8)
    audited = audit(dataset, workers=workers)
    figures = {k: v for k, v in audited.figures.items() if k != "findings"}
    exported = export(dataset, "coco", _unused(out / "coco"))
    contact_sheet(dataset, out / "contact_sheet.png")
    report(dataset, out / "report.html", audit=figures)
    return {
        "frames": dataset.summary.frames,
        "people": dataset.summary.people,
        "dataset": str(dataset.path),
        "audit": figures,
        "coco": str(exported.annotations),
        "contact_sheet": str(out / "contact_sheet.png"),
        "report": str(out / "report.html"),
    }


def _unused(folder: Path) -> Path:
    """The folder, or the first of folder-2, folder-3, ... that does not exist."""
    number, name = 1, folder
    while name.exists():
        number += 1
        name = folder.with_name(f"{folder.name}-{number}")
    return name


def summary(result: dict[str, Any]) -> str:
    """What a demo made as lines for people."""
    found = result["audit"]
    return "\n".join(
        (
            f"{result['frames']} frames with {result['people']} people",
            f"  contact sheet  {result['contact_sheet']}",
            f"  report         {result['report']}",
            f"  dataset        {result['dataset']}",
            f"  COCO file      {result['coco']}",
            f"  audit          {found['state_differs']} of {found['joints']} joint states differ, "
            f"{found['cause_differs']} causes",
            f"Next: synthstudio stats {result['dataset']}",
        )
    )
