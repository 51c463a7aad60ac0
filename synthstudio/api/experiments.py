"""Controlled experiments: several ways to train, compared on the same people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from synthstudio.api.arguments import PathLike, to_path
from synthstudio.api.outside import to_networks
from synthstudio.api.progress import note, progress_steps


def real_photos(
    annotations: PathLike,
    images: PathLike,
    out: PathLike,
    *,
    pretrain: PathLike | None = None,
    cutouts: PathLike | None = None,
    seeds: int = 3,
    steps: int | None = None,
    size: str = "nano",
    seed: int = 0,
    flip: bool = False,
    workers: int = 1,
    beside: Sequence[Any] = (),
    kind: str | None = None,
    keypoints: str | Sequence[str] | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """Train on annotated photos with and without occlusion and pretraining; evaluate on others.

    The same call with the same folder goes on where it was stopped. Returns figures, as plain
    values, and what they say, a sentence each; no sentence where it was stopped. `beside`:
    "default", exported files, functions, or files with `kind`, tested on the same photos.

    Raises:
        FormatError, AssetError: for annotations, photos and cut-outs. ModelError: for a folder
            that was begun with other settings.
    """
    from synthstudio.evaluation import storage
    from synthstudio.experiment import results
    from synthstudio.experiment.config import ExperimentConfig
    from synthstudio.experiment.run import run

    folder = to_path(out, "out")
    config = ExperimentConfig(
        annotations=to_path(annotations, "annotations"),
        images=to_path(images, "images"),
        out=folder,
        cutouts=None if cutouts is None else to_path(cutouts, "cutouts"),
        seeds=seeds,
        pretrain=None if pretrain is None else to_path(pretrain, "pretrain"),
        steps=steps,
        size=size,
        seed=seed,
        flip=flip,
        workers=workers,
        beside=to_networks(beside, kind, keypoints),
    )
    with progress_steps() as step:
        made = run(config, log=note, step=step)
    result: dict[str, Any] = {
        "folder": str(folder),
        "finished": made.findings is not None,
        "photos": made.facts,
    }
    if made.findings is None:
        return storage.json_ready(result), []
    result |= results.as_json(made.findings)
    return storage.json_ready(result), list(results.sentences(made.findings))
