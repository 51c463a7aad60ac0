"""What the arms of `make transfer` learn from: fewer of the photos, their colours, or no labels.

Photos without labels, taught by a network that sees more: one of generated people alone that sees
pictures of twice the height and width says where joints of the photos are, and the small one learns
the surest of them beside generated people (pseudo-labels: Lee 2013; of another network: Hinton et
al., arXiv:1503.02531). The photos' own keypoints are not looked at, only their boxes. Where some
photos are labelled, the larger network learns those as well and says where joints of the others
are.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import synthstudio as ss
from benchmarks.transfer_arms import STYLES
from synthstudio.core.rng import stream
from synthstudio.dataset.durable import canonical_json, read_json, write_file
from synthstudio.inference.predict import Person
from synthstudio.inference.sources import open_source
from synthstudio.models.contract import VISIBLE
from synthstudio.training.config import Config

_LR = 1.5e-3
_STEPS = 0.32
"""Of the usual steps, those in which the small network learns from the photos."""
_TEACHER_STEPS, _LABELLED_STEPS = 0.64, 1.28
"""Of the usual steps those of the larger network: of generated people alone, of labels as well."""
_SHARPNESS = 1.0
_BATCH = 64


def examples(photos: Path, out: Path) -> Path:
    """Fill the folder `out`, unless it is there, with up to 500 of the photos to train on."""
    if not out.is_dir():
        names = sorted(e["file_name"] for e in read_json(photos / "train.json")["images"])
        part = out.with_name(f"{out.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for k in stream(0, "examples").permutation(len(names))[:500]:
            shutil.copy(photos / "images" / names[k], part / f"{k}{Path(names[k]).suffix}")
        part.rename(out)
    return out


def fewer(photos: Path, out: Path, people: int, *, rest: bool = False) -> Path:
    """Write a COCO file of so many people to train on: the same ones each time, more hold fewer.

    `rest`: of all others.
    """
    if not out.is_file():
        whole = read_json(photos / "train.json")
        order = stream(0, "fewer people").permutation(len(whole["annotations"]))
        part = order[people:] if rest else order[:people]
        chosen = [whole["annotations"][k] for k in sorted(part)]
        shown = {entry["image_id"] for entry in chosen}
        images = [entry for entry in whole["images"] if entry["id"] in shown]
        write_file(out, canonical_json(whole | {"annotations": chosen, "images": images}))
    return out


def larger(own: Config, photos: Path) -> dict[str, Any]:
    """What a config is changed by for the teacher, which takes colours from a folder of photos."""
    height, width = own.network.size
    network: dict[str, Any] = {"size": (2 * height, 2 * width), "bank_sharpness": _SHARPNESS}
    network["bank_sample"] = own.network.bank_sample // 2
    style = {"colours": STYLES["colours"], "photos": str(photos)}
    labelled = any(source.coco for source in own.train)
    share = _LABELLED_STEPS if labelled else _TEACHER_STEPS
    return {
        "network": own.network.model_dump() | network,
        "augment": own.augment.model_dump() | style,
        "batch": own.batch // 2,
        "steps": max(round(share * own.steps), 1),
    }


def taught(own: Config, labels: Path, images: Path) -> dict[str, Any]:
    """What it is changed by for the network that learns a teacher's `labels` as well."""
    photos = {"coco": str(labels), "images": str(images)}
    people = [source.model_dump() for source in own.train]
    return {"train": [photos, *people], "steps": max(round(_STEPS * own.steps), 1), "lr": _LR}


def fainter(people: list[dict[str, Any]], frames: int) -> list[dict[str, Any]]:
    """Sources of generated people, `frames` of each set, who weigh as much as those of 1,000.

    So photos are the same share of a batch, however many people were generated.
    """
    return [source | {"weight": min(1000 / frames, 1.0)} for source in people]


def write_labels(run: Path, people: Path, images: Path, out: Path, *, keep: float) -> None:
    """Write a COCO file as `people`, with the joints that the network of `run` is surest of.

    Of each joint it is the share `keep` of the people. The flip test is asked. Sure is the chance
    of a hit that the maps give, times the expected OKS and the share that can be seen, as
    `training.adaptation.confidence` ranks joints.
    """
    model, whole = ss.Model.load(run), read_json(people)
    names = next(c["keypoints"] for c in whole["categories"] if c.get("keypoints"))
    columns = [model.skeleton.joints.index(name) for name in names]
    source = open_source(people, images=images)
    found = {p.instance: p for p in model.persons(source.read(), None, batch=_BATCH, flip=True)}
    labelled = [entry for entry in whole["annotations"] if entry["id"] in found]
    xy = np.stack([found[entry["id"]].xy[columns] for entry in labelled])
    sure = np.stack([_confidence(found[entry["id"]])[columns] for entry in labelled])
    known = surest(sure, keep) & np.isfinite(xy).all(-1)
    points = np.concatenate([np.nan_to_num(xy).round(2), np.full((*known.shape, 1), 2.0)], -1)
    points[~known] = 0
    entries = [
        entry | {"keypoints": row.ravel().tolist(), "num_keypoints": int(count)}
        for entry, row, count in zip(labelled, points, known.sum(1), strict=True)
    ]
    write_file(out, canonical_json(whole | {"annotations": entries}))


def surest(sure: NDArray[np.float64], keep: float) -> NDArray[np.bool_]:
    """Of each column the share `keep` of the rows (P, J) that is surest."""
    return np.asarray(sure >= np.quantile(sure, 1 - keep, axis=0))


def _confidence(person: Person) -> NDArray[np.float64]:
    visible = person.shares[:, VISIBLE]
    return np.nan_to_num(person.score) * np.nan_to_num(person.quality, nan=1.0) * visible
