"""The experiment on photos, from annotations to findings: read it from top to bottom.

    OUT/experiment.json     what was asked; anything else is refused here
    OUT/photos/             the annotations, parted into train.json and test.json
    OUT/hiders/             cut-outs, parted likewise
    OUT/data/train, test    data sets: each photo clean, then with people hidden
    OUT/crops/              people cut out once, shared by all arms
    OUT/runs/ARM-SEED/      a training; evaluations/test/ holds its answers
    OUT/report.html, results.md, results.json

Every step leaves its folder whole or not at all, or goes on by itself: the same call after a kill
at any moment does what is left.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthstudio.core.errors import ModelError
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.durable import canonical_json, disk_errors, read_json, write_file
from synthstudio.dataset.lock import hold_lock
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.writer import INDEX_NAME
from synthstudio.evaluation import storage
from synthstudio.experiment import figures, occluders, page, photos
from synthstudio.experiment.arms import LEAST_POSES, PRETRAIN, QUESTIONS, Arm, arms, config
from synthstudio.experiment.config import Asked, settle
from synthstudio.experiment.figures import Findings
from synthstudio.generation.photos.run import occlude
from synthstudio.generation.stage import prepare
from synthstudio.recipe.schema.load import parse
from synthstudio.training import checkpoint, data, networks, parallel
from synthstudio.training.answer import answer
from synthstudio.training.batches import Frame
from synthstudio.training.config import Config, Source
from synthstudio.training.loop import CUTTING, train

Report = Callable[[int, int, float], None]
Step = Callable[[str], Report]
"""Begins a step of work for people to see; its answer is told (done, total, a second)."""
_PAGE = b"<!doctype html><title>answers</title>Answers of one network; see the experiment's page.\n"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an experiment came to. `findings` None: it was stopped; the same call goes on."""

    findings: Findings | None
    facts: dict[str, Any]


def real(asked: Asked, *, say: Callable[[str], None], step: Step) -> Outcome:
    """Train and judge every arm with every seed on the photos; write the page and the tables.

    FormatError, AssetError: something is wrong with annotations, photos or cut-outs; ModelError:
    the folder or the pretraining set does not fit; DatasetError, DiskError.
    """
    with disk_errors(asked.out):
        asked.out.mkdir(parents=True, exist_ok=True)
    with hold_lock(asked.out):
        settle(asked)
        facts = _parted(asked)
        for note in facts["notes"]:
            say(note)
        for name in photos.PARTS:
            _hide(asked, name, cutouts=bool(facts["cutouts"]), step=step)
        facts["bank"] = _poses(asked, step) >= LEAST_POSES
        ways = arms(pretrained=asked.pretrain is not None)
        for seed in range(asked.seeds):
            for arm in ways:
                if not _judged(asked, arm, seed, bank=facts["bank"], say=say, step=step):
                    return Outcome(findings=None, facts=facts)
        found = _findings(asked, ways, get_skeleton(facts["skeleton"]), step)
        facts["operations"] = _operations(asked)
        _write(asked, found, facts)
    return Outcome(findings=found, facts=facts)


def _parted(asked: Asked) -> dict[str, Any]:
    """Return facts about the photos and what hides their people; part both if nobody has."""
    folder = asked.out / "photos"
    if not (folder / photos.FACTS).is_file():
        photos.part(asked.annotations, asked.images, folder, seed=asked.seed)
    facts = read_json(folder / photos.FACTS)
    facts["cutouts"] = None
    if asked.cutouts is not None:
        root = asked.out / "hiders"
        if not (root / "train").is_dir():
            occluders.part_cutouts(asked.cutouts, root, seed=asked.seed)
        facts["cutouts"] = {
            part: sorted(
                p.name
                for p in (root / part / occluders.FOLDER).iterdir()
                if p.name != "manifest.json"
            )
            for part in photos.PARTS
        }
    facts["kinds"] = {part: list(occluders.KINDS[part]) for part in photos.PARTS}
    facts["each"] = dict(occluders.EACH)
    return facts


def _hide(asked: Asked, name: str, *, cutouts: bool, step: Step) -> None:
    """Make the data set of a part: each photo clean, then its hidden copies."""
    out = asked.out / "data" / name
    if (out / INDEX_NAME).is_file():
        return
    wanted = occluders.recipe(name, seed=asked.seed, cutouts=cutouts)
    assets = asked.out / "hiders" / name
    settings = prepare(
        parse(wanted, f"experiment, {name}"), assets=assets if cutouts else asked.out, device="cpu"
    )
    made = occlude(
        settings,
        asked.out / "photos" / f"{name}.json",
        out,
        images=asked.images,
        workers=asked.workers,
        resume=True,
        on_progress=step(f"hiding people, {name} photos"),
    )
    step(f"{made.photos} photos, {made.summary.frames} frames")(1, 1, 0.0)


def _poses(asked: Asked, step: Step) -> int:
    """Return of how many people to learn from the whole pose is known, their mirrors counted."""
    plain = config(
        Arm(name="", title=""),
        seed=0,
        size=asked.size,
        steps=1,
        bank=True,
        people=asked.out / "data" / "train",
        start=None,
    )
    learn, _, skeleton = data.join(
        plain.train, plain, asked.out / "crops", _told(step("cutting people out"))
    )
    bank = networks.pose_bank(
        learn.crops,
        skeleton,
        rows=learn.rows,
        size=plain.network.size,
        count=2 * LEAST_POSES,
        seed=asked.seed,
    )
    _check_shared(asked, skeleton)
    return 0 if bank is None else len(bank.poses)


def _check_shared(asked: Asked, skeleton: Skeleton) -> None:
    if asked.pretrain is None:
        return
    other = get_skeleton(Dataset(asked.pretrain).identity.skeleton)
    if not set(other.joints) & set(skeleton.joints):
        raise ModelError(
            "the generated people have none of the photos' joints",
            where=str(asked.pretrain),
            expected=f"some of {', '.join(skeleton.joints)}",
            got=other.name,
        )


def _judged(
    asked: Asked, arm: Arm, seed: int, *, bank: bool, say: Callable[[str], None], step: Step
) -> bool:
    """Train an arm with a seed and keep its answers, or what is left of that; False: stopped."""
    run = _run(asked, arm, seed)
    if (run / "evaluations" / "test" / storage.METRICS_FILE).is_file():
        return True
    start = None
    if arm.pretrained:
        assert asked.pretrain is not None
        start = _run(asked, PRETRAIN, seed) / "last.safetensors"
        told = config(
            PRETRAIN,
            seed=seed,
            size=asked.size,
            steps=asked.trained,
            bank=bank,
            people=asked.pretrain,
            start=None,
        )
        if not _trained(asked, told, start.parent, f"{PRETRAIN.title}, seed {seed}", say, step):
            return False
    told = config(
        arm,
        seed=seed,
        size=asked.size,
        steps=asked.trained,
        bank=bank,
        people=asked.out / "data" / "train",
        start=start,
    )
    if not _trained(asked, told, run, f"{arm.title}, seed {seed}", say, step):
        return False
    _answer(asked, arm, seed, told, step)
    return True


def _run(asked: Asked, arm: Arm, seed: int) -> Path:
    return asked.out / "runs" / f"{arm.name}-{seed}"


def _trained(
    asked: Asked, told: Config, run: Path, title: str, say: Callable[[str], None], step: Step
) -> bool:
    """Train to the last step; all say the same about the people, so only the first is heard."""
    if (run / "done").is_file():
        return True
    report = _told(step(title))
    done = train(
        told,
        run,
        resume=True,
        cache=asked.out / "crops",
        say=say if told.start else lambda text: None,
        progress=lambda at, total, text: None if text == CUTTING else report(at, total),
    )
    if done.finished:
        write_file(run / "done", b"")
    return done.finished


def _answer(asked: Asked, arm: Arm, seed: int, told: Config, step: Step) -> None:
    """Ask a trained network about the held-out people, clean and hidden; keep its answers."""
    run, device = _run(asked, arm, seed), parallel.device("auto")
    net, _, skeleton = checkpoint.load_network(run / "last.safetensors")
    source = Source(dataset=str(asked.out / "data" / "test"))
    people, _, _ = data.join(
        (source,), told, asked.out / "crops", _told(step("cutting people out"))
    )
    frame = Frame(size=told.network.size, cells=networks.cells(told.network), skeleton=skeleton)
    answers = answer(
        net.to(device),
        people,
        frame,
        device=device,
        progress=_told(step(f"asking {arm.title}, seed {seed}")),
    )
    about = {
        "name": arm.title,
        "arm": arm.name,
        "seed": seed,
        "skeleton": skeleton.name,
        "dataset": "test",
        "weights": f"{run.name}/last.safetensors",
    }
    made = storage.Evaluation(about=about, metrics={}, predictions=answers)
    storage.write(run / "evaluations" / "test", made, _PAGE)


def _operations(asked: Asked) -> dict[str, int]:
    """Return the floating-point operations of a picture's products and convolutions, by block.

    Without those whose weights somebody has taken away.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    out = {}
    for name in ("orn", "kpe"):  # the arms that are held against each other
        path = asked.out / "runs" / f"{name}-0" / "last.safetensors"
        if path.is_file():
            net, told, _ = checkpoint.load_network(path)
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                net(torch.zeros(1, 3, *told.network.size))
            out[name] = int(counter.get_total_flops())
    return out


def _told(report: Report) -> Callable[[int, int], None]:
    """Return what is told (done, total) and adds how many a second that were."""
    first: list[tuple[int, float]] = []

    def told(done: int, total: int) -> None:
        if not first:
            first.append((done, time.monotonic()))
        count, since = first[0]
        report(done, total, (done - count) / max(1e-6, time.monotonic() - since))

    return told


def _findings(asked: Asked, ways: tuple[Arm, ...], skeleton: Skeleton, step: Step) -> Findings:
    told, done = _told(step("measuring")), 0
    results = {}
    for arm in ways:
        reduced = []
        for seed in range(asked.seeds):
            kept = storage.read(_run(asked, arm, seed) / "evaluations" / "test")
            reduced.append(figures.reduce(kept.predictions, skeleton))
            done += 1
            told(done, len(ways) * asked.seeds)
        results[arm.name] = reduced
    step("drawing intervals")(0, 1, 0.0)
    return figures.findings(ways, results, QUESTIONS)


def _write(asked: Asked, found: Findings, facts: dict[str, Any]) -> None:
    told = figures.as_json(found) | {
        "steps": asked.trained,
        "size": asked.size,
        "seed": asked.seed,
        "photos": facts,
        "pretrained": asked.pretrain is not None,
    }
    write_file(asked.out / "results.json", canonical_json(storage.json_ready(told)))
    write_file(asked.out / "results.md", page.markdown(found, facts, asked).encode())
    write_file(asked.out / "report.html", page.html(found, facts, asked))
