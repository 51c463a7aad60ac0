"""What an experiment was asked for, kept in its folder: another question is refused there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthstudio.core.errors import AssetError, FormatError, ModelError
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
class Asked:
    """What an experiment on photos is asked. `pretrain`: a generated data set; `cutouts`: a
    folder of pictures with transparency; `steps` None: those of the size."""

    annotations: Path
    images: Path
    out: Path
    pretrain: Path | None = None
    cutouts: Path | None = None
    seeds: int = 3
    steps: int | None = None
    size: str = "nano"
    seed: int = 0
    workers: int = 1

    @property
    def trained(self) -> int:
        """Return the steps of every training."""
        return self.steps or SIZES[self.size].steps


def settle(asked: Asked) -> None:
    """Write down what is asked, or check that it is what was asked before.

    ModelError when the folder holds something else, or an experiment with other settings or
    files; more seeds are the same experiment. What a killed run left unfinished is deleted.
    """
    told, kept = settings(asked), asked.out / SETTINGS
    if kept.is_file():
        before = read_json(kept)
        changed = sorted(k for k in told if told[k] != before.get(k))
        if changed:
            raise ModelError(
                "this experiment was begun with other settings",
                where=str(asked.out),
                expected=", ".join(f"{k} {str(before.get(k))[:16]}" for k in changed),
                got=", ".join(f"{k} {str(told[k])[:16]}" for k in changed),
                then="Choose another --out, or ask as before.",
            )
    else:
        own = (LOCK_NAME,)
        if any(p.name not in own and not p.name.startswith(TEMPORARY) for p in asked.out.iterdir()):
            raise ModelError(
                "the folder is not empty",
                where=str(asked.out),
                expected="a new folder, or that of an experiment",
                then="Choose another --out.",
            )
        write_file(kept, canonical_json(told))
    for unfinished in asked.out.rglob(f"{TEMPORARY}*"):
        remove(unfinished)


def settings(asked: Asked) -> dict[str, Any]:
    """Return all that decides the results, as plain values; files by their hashes."""
    if not asked.annotations.is_file():
        raise FormatError(
            "there is no such file",
            where=str(asked.annotations),
            expected="COCO keypoint annotations",
        )
    return {
        "format": FORMAT,
        "annotations": file_sha256(asked.annotations),
        "pretrain": None if asked.pretrain is None else _of_dataset(asked.pretrain),
        "cutouts": None if asked.cutouts is None else _of_folder(asked.cutouts),
        "steps": asked.trained,
        "size": asked.size,
        "seed": asked.seed,
    }


def _of_dataset(folder: Path) -> str:
    """Return a name of a data set's content; ModelError unless it was generated."""
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


def _of_folder(folder: Path) -> str:
    if not folder.is_dir():
        raise AssetError("there is no such folder", where=str(folder), expected="cut-outs")
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    told = [[p.name, file_sha256(p)] for p in files]
    return hashlib.sha256(canonical_json(told)).hexdigest()
