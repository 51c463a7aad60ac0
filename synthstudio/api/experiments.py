"""Controlled experiments: training settings compared on the same people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from synthstudio.api import arguments as args
from synthstudio.api.model import to_networks
from synthstudio.core.progress import note, progress_steps
from synthstudio.evaluation import storage


@args.checked
def real_photos(
    annotations: args.PathLike,
    images: args.PathLike,
    out: args.PathLike,
    *,
    pretrain: args.PathLike | None = None,
    cutouts: args.PathLike | None = None,
    seeds: Annotated[int, args.Option(minimum=1, maximum=100)] = 3,
    steps: args.Count | None = None,
    size: Annotated[str, args.Option(choices=("nano", "small", "base"))] = "nano",
    seed: args.Whole = 0,
    flip: bool = False,
    workers: args.Workers = 1,
    beside: Sequence[Any] = (),
    kind: args.Kind = None,
    keypoints: args.Keypoints = None,
) -> tuple[dict[str, Any], list[str]]:
    """Train on annotated photos with and without occlusion and pretraining; evaluate on others.

    The same call with the same folder resumes an interrupted experiment. Returns figures as plain
    values and one sentence per finding; no sentences if it was interrupted.

    Args:
        annotations: COCO keypoint file.
        images: Folder of its photos.
        out: Folder of the experiment; the same command resumes it.
        pretrain: Generated dataset to pretrain on, or none.
        cutouts: Folder of cut-out objects with alpha; some are held out.
        seeds: Training runs per arm.
        steps: Steps of each training; default: the size's.
        size: Size of the networks.
        seed: Seed of the photo split and of the occluders.
        flip: Use flip testing; twice the time.
        beside: Also test this: "default", or an exported or another program's file; may be
            repeated.

    Raises:
        FormatError, AssetError: for annotations, photos and cut-outs. ModelError: for a folder
            of an experiment with other settings.
    """
    from synthstudio.experiment import results
    from synthstudio.experiment.config import ExperimentConfig
    from synthstudio.experiment.run import run

    folder = args.to_path(out, "out")
    config = ExperimentConfig(
        annotations=args.to_path(annotations, "annotations"),
        images=args.to_path(images, "images"),
        out=folder,
        cutouts=args.optional(args.to_path, cutouts, "cutouts"),
        seeds=seeds,
        pretrain=args.optional(args.to_path, pretrain, "pretrain"),
        steps=steps,
        size=size,
        seed=seed,
        flip=flip,
        workers=workers,
        beside=to_networks(beside, kind, keypoints),
    )
    with progress_steps() as step:
        found, facts = run(config, log=note, step=step)
    result: dict[str, Any] = {
        "folder": str(folder),
        "finished": found is not None,
        "photos": facts,
    }
    if found is not None:
        result |= results.as_json(found)
    return storage.json_ready(result), [] if found is None else list(results.sentences(found))
