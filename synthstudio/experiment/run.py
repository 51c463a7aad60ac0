"""The experiment on photos, from annotations to findings, top to bottom.

    OUT/experiment.json     the configuration; others are refused here
    OUT/photos/             the annotations, split into train.json and test.json
    OUT/occluders/          cut-outs (occluders), split in the same way
    OUT/data/train, test    data sets: each photo clean, then occluded
    OUT/crops/              crops, shared by all arms
    OUT/runs/ARM-SEED/      a training; evaluations/test/ holds its predictions
    OUT/report.html, results.md, results.json

Every step is atomic or resumable: the same call after a kill
at any time continues.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from synthstudio.core.errors import ModelError
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset import durable
from synthstudio.dataset.manifest import INDEX_NAME
from synthstudio.dataset.reader import Dataset
from synthstudio.evaluation import storage
from synthstudio.evaluation.storage import Predictions
from synthstudio.experiment import config as configs
from synthstudio.experiment import results, splits
from synthstudio.experiment.config import PRETRAIN, Arm, ExperimentConfig, training_config
from synthstudio.experiment.results import Findings
from synthstudio.generation.photos.run import occlude
from synthstudio.generation.stage import prepare
from synthstudio.inference.compress import flops
from synthstudio.recipe.schema.load import parse
from synthstudio.training import checkpoint, devices, poses
from synthstudio.training.config import Config, Source
from synthstudio.training.data.batches import InputSpec
from synthstudio.training.data.samples import Sample, dataset_samples
from synthstudio.training.data.sources import load_subset
from synthstudio.training.diagnostics import step_seconds
from synthstudio.training.evaluation import Step
from synthstudio.training.loop import CROPPING, train, with_rate
from synthstudio.training.outside import Network, predict_samples
from synthstudio.training.predictions import predict_subset

Log = Callable[[str], None]
_PAGE = b"<!doctype html><title>predictions</title>One network; see the experiment's page.\n"


def run(
    config: ExperimentConfig, *, log: Log, step: Step
) -> tuple[Findings | None, dict[str, Any]]:
    """Train and test every arm with every seed on the photos; write the page and tables. Return the
    findings, None if interrupted (the same call continues), and facts on the photos. FormatError,
    AssetError: annotations, photos, cut-outs; ModelError: folder or pretraining set; DatasetError,
    DiskError."""
    configs.check_folder(config)
    with durable.new_parents(config.out / durable.LOCK_NAME), durable.hold_lock(config.out):
        configs.claim_folder(config)
        facts = _split(config)
        for note in facts["notes"]:
            log(note)
        ways = configs.arms(pretrained=config.pretrain is not None)
        log(_forecast(config, ways, get_skeleton(facts["skeleton"])))
        for name in splits.PARTS:
            _occlude(config, name, cutouts=bool(facts["cutouts"]), step=step)
        facts["poses"] = _count_poses(config, step)
        facts["bank"] = facts["poses"] >= configs.MIN_POSES
        log(results.bank_note(facts))
        for seed in range(config.seeds):
            for arm in ways:
                if not _train_and_test(config, arm, seed, facts["bank"], log, step):
                    return None, facts
        found = _findings(config, ways, get_skeleton(facts["skeleton"]), step)
        facts["operations"] = _operations(config)
        _write(config, found, facts)
    return found, facts


def _split(config: ExperimentConfig) -> dict[str, Any]:
    """Split photos and cut-outs unless done; return facts about both."""
    folder = config.out / "photos"
    if not (folder / splits.FACTS).is_file():
        splits.split_photos(config.annotations, config.images, folder, seed=config.seed)
    facts = durable.read_json(folder / splits.FACTS)
    facts["cutouts"] = None
    if config.cutouts is not None:
        root = config.out / "occluders"
        if not (root / "train").is_dir():
            splits.split_cutouts(config.cutouts, root, seed=config.seed)
        facts["cutouts"] = {
            part: sorted(
                p.name for p in (root / part / splits.FOLDER).iterdir() if p.name != "manifest.json"
            )
            for part in splits.PARTS
        }
    facts["kinds"] = {part: list(splits.KINDS[part]) for part in splits.PARTS}
    facts["each"] = dict(splits.EACH)
    return facts


def _occlude(config: ExperimentConfig, name: str, *, cutouts: bool, step: Step) -> None:
    """Make the data set of a part: each photo clean, then its occluded copies."""
    out = config.out / "data" / name
    if (out / INDEX_NAME).is_file():
        return
    recipe = splits.occlusion_recipe(name, seed=config.seed, cutouts=cutouts)
    assets = config.out / "occluders" / name
    settings = prepare(
        parse(recipe, f"experiment, {name}"), assets=assets if cutouts else config.out, device="cpu"
    )
    made = occlude(
        settings,
        config.out / "photos" / f"{name}.json",
        out,
        images=config.images,
        workers=config.workers,
        resume=True,
        on_progress=step(f"hiding people, {name} photos"),
    )
    step(f"{made.photos} photos, {made.summary.frames} frames")(1, 1, 0.0)


def _count_poses(config: ExperimentConfig, step: Step) -> int:
    """Poses in ORN's bank, mirrored ones too; ModelError if pretraining shares no joint."""
    plain = training_config(config, Arm(name="", title=""), config.out / "data" / "train")
    people, skeleton = load_subset(
        plain.train, plain, config.out / "crops", with_rate(step("cutting people out"))
    )
    bank = poses.bank_for(plain, people, skeleton)
    if config.pretrain is not None:
        other = get_skeleton(Dataset(config.pretrain).identity.skeleton)
        if not set(other.joints) & set(skeleton.joints):
            raise ModelError(
                "the generated people have none of the photos' joints",
                where=str(config.pretrain),
                expected=f"some of {', '.join(skeleton.joints)}",
                got=other.name,
            )
    return 0 if bank is None else len(bank.poses)


def _train_and_test(
    config: ExperimentConfig, arm: Arm, seed: int, bank: bool, log: Log, step: Step
) -> bool:
    """Train an arm with a seed, resuming, and store its predictions; False: interrupted."""
    folder = _run_folder(config, arm, seed)
    if (folder / "evaluations" / "test" / storage.METRICS_FILE).is_file():
        return True
    start = None
    if arm.pretrained:
        assert config.pretrain is not None
        start = _run_folder(config, PRETRAIN, seed) / "last.safetensors"
        pretraining = training_config(config, PRETRAIN, config.pretrain, seed=seed, bank=bank)
        if not _trained(config, PRETRAIN, seed, pretraining, log, step):
            return False
    people = config.out / "data" / "train"
    training = training_config(config, arm, people, seed=seed, bank=bank, start=start)
    if not _trained(config, arm, seed, training, log, step):
        return False
    _predict(config, arm, seed, training, step)
    return True


def _run_folder(config: ExperimentConfig, arm: Arm, seed: int) -> Path:
    return config.out / "runs" / f"{arm.name}-{seed}"


def _trained(
    config: ExperimentConfig, arm: Arm, seed: int, training: Config, log: Log, step: Step
) -> bool:
    """Train to the last step; notes on the people are equal for all runs, so shown once."""
    folder = _run_folder(config, arm, seed)
    if (folder / "done").is_file():
        return True
    report = with_rate(step(f"{arm.title}, seed {seed}"))
    done = train(
        training,
        folder,
        resume=True,
        cache=config.out / "crops",
        log=log if training.init_from else lambda text: None,
        progress=lambda at, total, text: None if text == CROPPING else report(at, total),
    )
    if done.finished:
        durable.write_file(folder / "done", b"")
    return done.finished


def _predict(config: ExperimentConfig, arm: Arm, seed: int, training: Config, step: Step) -> None:
    """Store a trained network's predictions of the held-out people, clean and occluded."""
    folder, device = _run_folder(config, arm, seed), devices.get_device("auto")
    net, _, skeleton = checkpoint.load_network(folder / "last.safetensors")
    source = Source(dataset=str(config.out / "data" / "test"))
    people, _ = load_subset(
        (source,), training, config.out / "crops", with_rate(step("cutting people out"))
    )
    answers = predict_subset(
        net.to(device),
        people,
        InputSpec(size=training.network.size, skeleton=skeleton),
        device=device,
        flip=config.flip,
        progress=with_rate(step(f"testing {arm.title}, seed {seed}")),
    )
    about = {
        "name": arm.title,
        "arm": arm.name,
        "seed": seed,
        "skeleton": skeleton.name,
        "dataset": "test",
        "weights": f"{folder.name}/last.safetensors",
    }
    made = storage.Evaluation(about=about, metrics={}, predictions=answers)
    storage.write(folder / "evaluations" / "test", made, _PAGE)


def _forecast(config: ExperimentConfig, ways: tuple[Arm, ...], skeleton: Skeleton) -> str:
    """Estimated time of the remaining trainings, from a few timed steps."""
    left: dict[str, int] = {}
    for seed in range(config.seeds):
        for arm in (*ways, PRETRAIN) if config.pretrain is not None else ways:
            if not (_run_folder(config, arm, seed) / "done").is_file():
                left[arm.block] = left.get(arm.block, 0) + 1
    seconds = 0.0
    for block, count in left.items():
        plain = training_config(config, Arm(name="", title="", block=block), config.out)
        seconds += count * config.training_steps * step_seconds(plain, skeleton)
    trainings = sum(left.values())
    if not trainings:
        return "all networks are trained"
    return (
        f"{trainings} trainings of {config.training_steps} steps: about "
        f"{max(1, math.ceil(seconds / 60))} min on this machine"
    )


def _operations(config: ExperimentConfig) -> dict[str, int]:
    """Floating-point operations per picture by block, of networks with existing weights."""
    out = {}
    for name in ("orn", "kpe"):  # the compared arms
        path = config.out / "runs" / f"{name}-0" / "last.safetensors"
        if path.is_file():
            net, training, _ = checkpoint.load_network(path)
            out[name] = flops(net, training.network.size)
    return out


def _findings(
    config: ExperimentConfig, ways: tuple[Arm, ...], skeleton: Skeleton, step: Step
) -> Findings:
    progress, total = with_rate(step("measuring")), len(ways) * config.seeds
    reductions: dict[str, list[results.Reduction]] = {arm.name: [] for arm in ways}
    for done, (arm, seed) in enumerate(itertools.product(ways, range(config.seeds)), 1):
        kept = storage.read(_run_folder(config, arm, seed) / "evaluations" / "test")
        reductions[arm.name].append(results.reduce(kept.predictions, skeleton))
        progress(done, total)
    questions = list(configs.QUESTIONS)
    for network in config.beside:
        answers = _beside(config, network, skeleton, step)
        reductions[network.name] = [results.reduce(answers, skeleton)] * config.seeds
        ways = (*ways, Arm(name=network.name, title=f"{network.name}, as it is"))
        text = f"{network.name}, as it is, instead of ORN on photos"
        questions.append(configs.Question(text=text, arm=network.name, baseline="orn"))
    step("drawing intervals")(0, 1, 0.0)
    return results.findings(ways, reductions, questions)


def _beside(
    config: ExperimentConfig, network: Network, skeleton: Skeleton, step: Step
) -> Predictions:
    test = Dataset(config.out / "data" / "test")
    report = with_rate(step(f"testing {network.name}"))

    def counted() -> Iterator[Sample]:
        for done, sample in enumerate(dataset_samples(test, "outline"), 1):
            yield sample
            report(done, len(test))

    answers, _ = predict_samples(network)(counted(), skeleton)
    return answers


def _write(config: ExperimentConfig, found: Findings, facts: dict[str, Any]) -> None:
    out = results.as_json(found) | {
        "steps": config.training_steps,
        "size": config.size,
        "seed": config.seed,
        "photos": facts,
        "pretrained": config.pretrain is not None,
    }
    durable.write_file(config.out / "results.json", durable.canonical_json(storage.json_ready(out)))
    durable.write_file(config.out / "results.md", results.markdown(found, facts, config).encode())
    durable.write_file(config.out / "report.html", results.html(found, facts, config))
