"""Adapting to photos without labels: the teacher's joints arrive where they belong."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import load_file
from test_outside_people import annotation, coco, source

from synthstudio.core.errors import AssetError, FormatError, ModelError
from synthstudio.models.contract import PoseOutputs
from synthstudio.models.heatmaps import gaussian_map
from synthstudio.training import adaptation, checkpoint
from synthstudio.training import config as configs
from synthstudio.training.config import Config
from synthstudio.training.data import batches, sources

BATCH = 8


def settings(photos: Path, people: Path, **changes: Any) -> Config:
    adapt = {"coco": str(photos), "images": str(photos.parent / "pictures"), "start": 0.2}
    fields: dict[str, Any] = {"val": [], "adapt": adapt}
    return tiny.config(people, **(fields | changes))


def loaded(config: Config, tmp_path: Path) -> sources.TrainingData:
    return tiny.loaded(config, tmp_path / "cache")


def told(xy: torch.Tensor, spec: batches.InputSpec, sure: torch.Tensor | None = None) -> Any:
    """What a teacher says that knows joints (B, J, 2), in shares of the crop; how surely (B, J)."""
    h, w = spec.cells
    maps = gaussian_map(xy.nan_to_num(0.5) * torch.tensor([w, h]), h, w, sigma=0.8)
    if sure is not None:
        maps = sure[..., None, None] * maps + (1 - sure[..., None, None]) / (h * w)
    return PoseOutputs(logits=(maps.clamp_min(1e-9).log(),))


def test_a_teacher_that_knows_gives_the_true_labels(pairs: Path, tmp_path: Path) -> None:
    """Labels that went the teacher's way, against those that augmentation itself moved."""
    config = tiny.config(pairs, val=[])
    people = loaded(config, tmp_path)
    bare = sources._unlabelled(people.train.crops)
    without = dataclasses.replace(people.train, crops=bare)
    batch = adaptation.make_unlabelled(
        without, people.spec, config, number=3, pictures=people.pictures
    )
    assert not batch.augmented.labels.known.any()
    assert (np.linalg.det(batch.augmented.view[:, :, :2]) < 0).any()  # some are mirrored
    plain = batches.make_batch(
        people.train.crops, batch.plain.rows, people.spec, configs.NO_AUGMENTATION
    )
    assert torch.equal(plain.images, batch.plain.images)
    true = batches.make_batch(
        people.train.crops, batch.plain.rows, people.spec, config.augment,
        seed=config.seed + 1, step=3,
    ).labels  # fmt: skip
    found = adaptation.pseudo_labels(told(plain.labels.xy, people.spec), batch, people.spec, 1.0)
    both = found.known & true.known & plain.labels.known
    assert both.sum() > 40
    apart = (found.xy - true.xy)[both] * torch.tensor([36.0, 48.0])
    assert apart.norm(dim=-1).max() < 1.0  # a quarter of a cell
    assert not (found.known & true.xy.isnan().any(-1) & plain.labels.known).any()


def test_the_surest_teach(pairs: Path, tmp_path: Path) -> None:
    config = tiny.config(pairs, val=[], augment={"shift": 0, "scale": 0, "rotated": 0, "flip": 0})
    people = loaded(config, tmp_path)
    bare = dataclasses.replace(people.train, crops=sources._unlabelled(people.train.crops))
    batch = adaptation.make_unlabelled(
        bare, people.spec, config, number=0, pictures=people.pictures
    )
    torch.manual_seed(0)
    sure = torch.rand(BATCH, 23) * 0.9 + 0.1
    xy = torch.rand(BATCH, 23, 2) * 0.6 + 0.2
    outputs = told(xy, people.spec, sure)
    found = adaptation.pseudo_labels(outputs, batch, people.spec, 0.5).known
    assert (found.sum(0) == BATCH // 2).all()
    for j in range(23):
        assert sure[found[:, j], j].min() > sure[~found[:, j], j].max()
    hidden = torch.zeros(BATCH, 23, 4)
    hidden[..., 0] = torch.where(sure > sure.median(0).values, -6.0, 6.0)  # the sure ones: hidden
    shares = dataclasses.replace(outputs, shares=hidden)
    assert not (adaptation.pseudo_labels(shares, batch, people.spec, 0.5).known & found).any()
    quality = dataclasses.replace(outputs, quality=torch.where(found, -6.0, 6.0))
    assert not (adaptation.pseudo_labels(quality, batch, people.spec, 0.5).known & found).any()


def test_a_diverging_run_stops_and_keeps_what_was_saved(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the map loss on labelled people rose: no state is saved from then on."""
    config = settings(coco(tmp_path / "photos"), pairs, steps=20, save_every=2)
    out, check = tmp_path / "run", adaptation.labels_are_learnt
    uniform = math.log(12 * 9)
    unlearns, stops = 7, 12  # the teacher is listened to from step 5 on

    def seen(loss: float, spec: batches.InputSpec, where: str) -> bool:
        step = int(where.split()[-1])
        rising = 1.2 if step < stops else 1.6
        return check(loss if step < unlearns else rising * uniform, spec, where)

    monkeypatch.setattr(adaptation, "labels_are_learnt", seen)
    with pytest.raises(ModelError, match=r"unlearns its labels.*lower adapt\.weight"):
        tiny.run(config, out)
    place = json.loads(checkpoint.read(out / "state.safetensors")[1]["place"])
    assert place["step"] == unlearns - 1  # due again at 8, 10 and 12
    spec = loaded(config, tmp_path).spec
    with pytest.raises(ModelError, match="unlearns"):
        adaptation.labels_are_learnt(8.0, spec, "run, step 5")
    assert not adaptation.labels_are_learnt(6.0, spec, "run, step 5")
    assert adaptation.labels_are_learnt(4.0, spec, "run, step 5")


def test_labels_are_never_looked_at(pairs: Path, tmp_path: Path) -> None:
    """Photos with wrong labels, or with none, adapt a network to the same weights."""
    nobody = [annotation(k + 1, k + 7, keypoints=[0] * 51, num_keypoints=0) for k in range(3)]
    wrong = [annotation(k + 1, k + 7) for k in range(3)]
    for entry in wrong:
        entry["keypoints"][0::3] = [31 + k for k in range(17)]
        entry["num_keypoints"] = 17
    weights = []
    for name, people in (("none", nobody), ("wrong", wrong)):
        file = coco(tmp_path / name, annotations=people)
        out = tmp_path / f"run-{name}"
        tiny.run(settings(file, pairs), out)
        weights.append(load_file(out / "last.safetensors"))
        rows = list(csv.DictReader((out / "log.csv").read_text().splitlines()))
        adapt = {int(r["step"]): float(r["value"]) for r in rows if r["what"] == "loss/adapt"}
        assert adapt[0] == 0 < adapt[10]
    assert all(torch.equal(weights[0][k], weights[1][k]) for k in weights[0])
    plain = tmp_path / "run-plain"
    tiny.run(tiny.config(pairs, val=[]), plain)
    other = load_file(plain / "last.safetensors")
    assert any(not torch.equal(weights[0][k], other[k]) for k in other)


def test_statistics_alone(pairs: Path, tmp_path: Path) -> None:
    """Without a teacher the photos move the norms' statistics and nothing else."""
    file = coco(tmp_path / "photos")
    adapt = {"coco": str(file), "images": str(file.parent / "pictures"), "start": 1.0}
    tiny.run(settings(file, pairs, adapt=adapt), tmp_path / "adapted")
    tiny.run(tiny.config(pairs, val=[]), tmp_path / "plain")
    adapted, plain = (load_file(tmp_path / n / "last.safetensors") for n in ("adapted", "plain"))
    moved = {name for name in plain if not torch.equal(plain[name], adapted[name])}
    assert moved and all("running_" in n or "num_batches" in n for n in moved)


def test_norms_know_the_photos_alone() -> None:
    norm = torch.nn.BatchNorm2d(2)
    before = norm.running_mean.clone()  # type: ignore[union-attr]
    with adaptation.statistics_kept(norm, kept=True):
        norm(torch.rand(4, 2, 3, 3) + 5)
    assert torch.equal(norm.running_mean, before) and norm.momentum == 0.1  # type: ignore[arg-type]
    with adaptation.statistics_kept(norm, kept=False):
        norm(torch.rand(4, 2, 3, 3) + 5)
    assert (norm.running_mean > 0.5).all()  # type: ignore[operator]


def test_other_photos_are_another_run(pairs: Path, tmp_path: Path) -> None:
    keys = set()
    for count in (0, 3, 4):
        config = tiny.config(pairs, val=[])
        if count:
            config = settings(coco(tmp_path / f"{count}", pictures=count), pairs)
        keys.add(loaded(config, tmp_path).key)
    assert len(keys) == 3


def test_unusable_photos(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no such file"):
        loaded(settings(tmp_path / "missing.json", pairs), tmp_path)
    file = coco(tmp_path / "broken")
    (file.parent / "pictures" / "1.jpg").write_bytes(b"\xff\xd8\xff nothing")
    with pytest.raises(AssetError, match=r"1\.jpg"):
        loaded(settings(file, pairs), tmp_path)
    nobody = coco(tmp_path / "nobody", annotations=[])
    with pytest.raises(ModelError, match="nobody"):
        loaded(settings(nobody, pairs), tmp_path)
    flat = [annotation(k + 1, k + 7, bbox=[30, 10, 0, 0]) for k in range(3)]
    with pytest.raises(ModelError, match="nobody"):
        loaded(settings(coco(tmp_path / "flat", annotations=flat), pairs), tmp_path)
    with pytest.raises(ModelError, match="images belong to coco"):
        configs.parse({"train": [{"dataset": "x"}], "adapt": {"images": "x"}})
    with pytest.raises(ModelError, match=r"adapt\.kept: unknown field.*keep"):
        configs.parse({"train": [{"dataset": "x"}], "adapt": {"kept": 0.5}})


def test_one_person_is_enough(tmp_path: Path) -> None:
    """Fewer people without labels than a batch: they come several times."""
    file = coco(tmp_path / "one", pictures=1)
    labelled = coco(tmp_path / "labelled", pictures=9)
    config = settings(file, Path("x"), train=[source(labelled)], steps=2)
    people = loaded(config, tmp_path)
    assert people.unlabelled is not None
    batch = adaptation.make_unlabelled(
        people.unlabelled, people.spec, config, number=1, pictures=people.pictures
    )
    assert len(batch.plain.images) == BATCH
    assert json.loads(json.dumps(configs.dump(config)))["adapt"]["keep"] == 0.5
