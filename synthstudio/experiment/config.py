"""The configuration of an experiment, kept in its folder: another one is refused there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthstudio.core.errors import AssetError, FormatError, ModelError
from synthstudio.core.outputs import free_folder
from synthstudio.dataset.durable import (
    TEMPORARY,
    canonical_json,
    file_sha256,
    read_json,
    remove,
    write_file,
)
from synthstudio.dataset.lock import LOCK_NAME
from synthstudio.dataset.reader import Dataset
from synthstudio.experiment.arms import SIZES
from synthstudio.generation.stage import IMPORTED, PHOTOS

FORMAT = "synthstudio-experiment-1"
SETTINGS = "experiment.json"


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
    """An experiment on photos. `pretrain`: a generated data set; `cutouts`: a folder of pictures
    with transparency; `steps` None: those of the size; `flip`: test on mirrored crops too."""

    annotations: Path
    images: Path
    out: Path
    pretrain: Path | None = None
    cutouts: Path | None = None
    seeds: int = 3
    steps: int | None = None
    size: str = "nano"
    seed: int = 0
    flip: bool = False
    workers: int = 1

    @property
    def training_steps(self) -> int:
        return self.steps or SIZES[self.size].steps


def check_folder(config: ExperimentConfig) -> None:
    """Check that the folder is free, or of an experiment with these settings and files.

    More seeds are the same experiment. DiskError, ModelError; FormatError without annotations.
    """
    current, kept = settings(config), config.out / SETTINGS
    if kept.is_file():
        before = read_json(kept)
        changed = sorted(k for k in current if current[k] != before.get(k))
        if changed:
            raise ModelError(
                "this experiment was begun with other settings",
                where=str(config.out),
                expected=", ".join(f"{k} {str(before.get(k))[:16]}" for k in changed),
                got=", ".join(f"{k} {str(current[k])[:16]}" for k in changed),
                then="Choose another --out, or the settings it was begun with.",
            )
    else:
        free_folder(config.out, own={LOCK_NAME}.__contains__)


def claim_folder(config: ExperimentConfig) -> None:
    """Store the configuration in the folder, if it is not there; `check_folder`'s errors.

    What a killed run left unfinished is deleted.
    """
    check_folder(config)
    kept = config.out / SETTINGS
    if not kept.is_file():
        write_file(kept, canonical_json(settings(config)))
    for unfinished in config.out.rglob(f"{TEMPORARY}*"):
        remove(unfinished)


def settings(config: ExperimentConfig) -> dict[str, Any]:
    """All that decides the results, as plain values; files by their hashes."""
    if not config.annotations.is_file():
        raise FormatError(
            "there is no such file",
            where=str(config.annotations),
            expected="COCO keypoint annotations",
        )
    return {
        "format": FORMAT,
        "annotations": file_sha256(config.annotations),
        "pretrain": None if config.pretrain is None else _dataset_sha256(config.pretrain),
        "cutouts": None if config.cutouts is None else _folder_sha256(config.cutouts),
        "steps": config.training_steps,
        "size": config.size,
        "seed": config.seed,
        "flip": config.flip or None,
    }


def _dataset_sha256(folder: Path) -> str:
    """ModelError unless the data set was generated."""
    dataset = Dataset(folder)
    if PHOTOS in dataset.identity.recipe or IMPORTED in dataset.identity.recipe:
        raise ModelError(
            "pretraining takes generated people: these are of photos, maybe of the very "
            "ones that are held out",
            where=str(folder),
            expected="a data set of synthstudio generate",
        )
    digest = hashlib.sha256()
    for name in ("dataset.json", "index.json"):
        digest.update((dataset.folder / name).read_bytes())
    return digest.hexdigest()


def _folder_sha256(folder: Path) -> str:
    if not folder.is_dir():
        raise AssetError("there is no such folder", where=str(folder), expected="cut-outs")
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    hashes = [[p.name, file_sha256(p)] for p in files]
    return hashlib.sha256(canonical_json(hashes)).hexdigest()
