"""`ss.train` and `ss.evaluate`: pose networks."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthstudio.api.arguments import (
    DEVICES,
    ENGINES,
    PathLike,
    PlaceLike,
    to_choice,
    to_count,
    to_file,
    to_folder,
    to_number,
    to_path,
    to_place,
    to_worker_pool,
)
from synthstudio.api.datasets import Dataset, to_dataset
from synthstudio.api.evaluations import Evaluation
from synthstudio.api.model import Model
from synthstudio.api.outside import check_options, network_file, to_network
from synthstudio.api.progress import steps_if
from synthstudio.api.recipes import named_file
from synthstudio.core.errors import ArgumentError
from synthstudio.core.outputs import disk_errors
from synthstudio.models.packaged import DEFAULT

if TYPE_CHECKING:
    from synthstudio.training.config import Config
    from synthstudio.training.trainer import Trained

DECODERS = ("hits", "peak")


def train(
    config: PathLike | dict[str, Any] | Any,
    out: PathLike,
    *,
    resume: bool = False,
    overfit: int | None = None,
    model: Any = None,
    cache: PathLike | None = None,
    engine: str = "local",
    processes: int = 1,
    progress: bool = True,
) -> Model:
    """Train a network on data sets, COCO files, recipes, or all of them.

    The folder `out` gets weights, state and figures; a run that was killed goes on with
    `resume` and ends with the weights of an unbroken one.

    Args:
        config: The path of a run's YAML (scenes/training/nano.yaml), the name of one of the
            package's own ("nano"), or its fields.
        out: The run's folder, empty or missing.
        resume: Go on with a run.
        overfit: Learn the first so many people by heart, without augmentation.
        model: A module in place of the config's backbone: one that maps images (B, 3, H, W) to
            features, or with `network.block: own` to maps of the joints (docs/own_networks.md). A
            copy of it is trained.
        cache: Where people's crops are kept; default: in the run's folder.
        engine: `local`, this process or those of torchrun; or `ray`, processes of the Ray cluster
            at RAY_ADDRESS, else of one that is started here.
        processes: How many processes of a Ray cluster train.
        progress: Show bars.

    Raises:
        ModelError: when config, data and network do not fit each other.
    """
    folder = to_path(out, "out")
    settings = to_config(config)
    if overfit is not None:
        settings = overfit_config(settings, overfit)
    if model is not None:
        settings = given_backbone(settings, model, engine)
    kept = folder / "cache" if cache is None else to_path(cache, "cache")
    run_train(
        settings,
        folder,
        cache=kept,
        resume=resume,
        overfit=overfit,
        engine=to_choice(engine, "engine", ENGINES),
        processes=to_count(processes, "processes"),
        progress=progress,
    )
    return Model.load(folder)


def given_backbone(config: Config, module: Any, engine: str) -> Config:
    """The config with a module of this process as its backbone."""
    from torch import nn

    from synthstudio.models.backbones.external import give

    if not isinstance(module, nn.Module) or engine != "local":
        raise ArgumentError(
            "a network to train is a module of this process",
            where="model",
            expected='torch.nn.Module, engine="local"',
            got=f"{type(module).__name__}, {engine}",
            then="Elsewhere name it by network.backbone: MODULE:FUNCTION.",
        )
    network = config.network.model_copy(update={"backbone": give(module)})
    return config.model_copy(update={"network": network})


def run_train(
    config: Config,
    out: Path,
    *,
    cache: Path,
    resume: bool = False,
    overfit: int | None = None,
    dry_run: bool = False,
    engine: str = "local",
    processes: int = 1,
    progress: bool = True,
    log: Callable[[str], None] = lambda line: None,
) -> Trained:
    """As `train`, for a read config; `dry_run`: two steps and one validation, kept nowhere."""
    from synthstudio.dataset.durable import new_parents
    from synthstudio.training import ray_train
    from synthstudio.training.data import sources
    from synthstudio.training.log import progress_bars
    from synthstudio.training.loop import train as run

    if engine == "local" and processes != 1:
        raise ArgumentError(
            "several processes of this machine are started by torchrun",
            where="processes",
            expected='1, or engine="ray"',
            got=str(processes),
        )
    if engine == "ray" and (overfit is not None or dry_run):
        raise ArgumentError("a few people are learnt by heart by one process", where="engine")

    def select(data: Any) -> Any:
        if overfit is not None:
            return sources.overfit_subset(data, overfit)
        return sources.fast_dev_run_subset(data, batch=config.batch) if dry_run else data

    if dry_run:
        config = config.model_copy(update={"steps": 2, "epochs": 1, "save_every": 1})
    with steps_if(progress) as step:
        bars = progress_bars(step)
        if engine == "ray":
            return ray_train.train(
                config,
                out,
                processes=processes,
                resume=resume,
                cache=cache,
                log=log,
                progress=bars,
            )
        if not dry_run:
            return run(
                config, out, resume=resume, cache=cache, log=log, progress=bars, select=select
            )
        with new_parents(out), _scratch(out.parent) as folder:
            return run(config, folder / "run", cache=cache, log=log, progress=bars, select=select)


@contextmanager
def _scratch(beside: Path) -> Iterator[Path]:
    """A folder that goes away; DiskError."""
    with disk_errors(beside):
        kept = tempfile.TemporaryDirectory(prefix=".dry-run-", dir=beside)
    with kept as folder:
        yield Path(folder)


def run_pretrain(
    config: Config,
    out: PathLike,
    *,
    cache: Path,
    log: Callable[[str], None] = lambda line: None,
    progress: bool = True,
) -> dict[str, Any]:
    """Learn codes of poses without joints; a training's `init_from` takes the file it writes.

    Returns:
        `weights`, the file; `people`, `poses` and `looks` that were learnt from; `steps`; and of
        validation people `retrieval`: how often the nearest of their own looks' poses is theirs,
        and how often it would be by chance.
    """
    from synthstudio.core.outputs import free_folder
    from synthstudio.training import pretraining

    folder = free_folder(to_path(out, "out"), own={"cache"}.__contains__)
    with steps_if(progress) as step:
        return pretraining.pretrain(config, folder, cache=cache, log=log, step=step)


def evaluate(
    model: Model | PathLike | None = None,
    dataset: Dataset | PlaceLike | None = None,
    *,
    predictions: PathLike | None = None,
    predict: Callable[..., Any] | None = None,
    kind: str | None = None,
    keypoints: str | Sequence[str] | None = None,
    split: str | Sequence[str] = (),
    out: PathLike | None = None,
    decode: str = "hits",
    flip: bool = False,
    bank: bool = False,
    cache: PathLike | None = None,
    device: str = "auto",
    workers: int | None = None,
    engine: str = "local",
    progress: bool = True,
) -> Evaluation:
    """Evaluate a network on a data set: metrics with intervals, and a page to read.

    The network is one of ours or another's file (`model`), a results file of anybody's
    (`predictions`) or a function that calls it (`predict`).

    Args:
        model: A Model, a run's folder, a .safetensors file, an exported .onnx file, "default" for
            the network that comes with the package, or another program's file with `kind`.
        dataset: The data set; of a query or slice only its frames.
        predictions: COCO keypoint results (.json) of any program. Images are matched by the id of
            the imported file, the frame's number or the file name; people by OKS.
        predict: A function of an RGB image (H, W, 3) uint8 and boxes (P, 4) x y w h that returns
            joints (P, J, 2) or, with scores, (P, J, 3) in pixels; NaN where there is none.
        kind: Whose file `model` is: ultralytics, rtmpose, movenet, mediapipe, vitpose or onnx
            (docs/evaluate.md).
        keypoints: The order of the joints of `predictions`, `predict` or a file with `kind`:
            coco17, mediapipe33, halpe26, mpii16, ... or their names. Default: as the file says, or
            by their number.
        split: Only frames of this split, or of these.
        out: A new folder; default: RUN/evaluations/NAME, or evaluations/NAME beside the file.
        decode: `hits` reads the place with the best chance of a hit, `peak` the highest peak. This
            and the next three, `workers` and `engine` are for runs alone.
        flip: Ask about mirrored pictures too; twice the time.
        bank: Join a plain block's maps with poses of its training data.
        cache: Where people's crops are kept; default: beside the weights.
        device: `auto`, `cpu` or `cuda`.
        workers: Processes of one thread each, or workers of a cluster, that ask the network; what
            they say is the same for any number. Default: this process with all its threads, whose
            last digits may differ.
        engine: `local`, or `ray` for a Ray cluster (one worker unless `workers` says otherwise).

    Returns:
        `metrics` (nested dict), `predictions` (one row a person) and `about`; the same is in its
        `folder`.

    Raises:
        ArgumentError: for options that do not apply to such a network.
        ModelError: for predictions that do not fit, or a function that raises.
        FormatError: for a results file that cannot be read or belongs to other images.
    """
    from synthstudio.training.evaluation_folder import EvaluationOptions
    from synthstudio.training.outside import evaluate_network, evaluate_results

    if dataset is None or sum(g is not None for g in (model, predictions, predict)) != 1:
        raise ArgumentError(
            "a data set and one network are needed",
            where="evaluate",
            expected="dataset and one of model, predictions, predict",
        )
    written = None if out is None else to_folder(out, "out")
    opened = to_dataset(dataset)
    folder, chosen = opened.path, opened._chosen
    splits = (split,) if isinstance(split, str) else tuple(split)
    options = EvaluationOptions(
        splits=splits,
        decode=to_choice(decode, "decode", DECODERS),  # type: ignore[arg-type]
        flip=flip,
        bank=bank,
        frames=None if chosen is None else tuple(map(int, chosen)),
    )
    on_run = {
        "decode": decode != "hits", "flip": flip, "bank": bank, "cache": cache is not None,
        "workers": workers is not None, "engine": engine != "local",
    }  # fmt: skip
    chosen_device = to_choice(device, "device", DEVICES)
    if predictions is not None:
        check_options(on_run | {"device": device != "auto", "kind": kind is not None}, "a run")
        path = to_path(predictions, "predictions")
        target = written or options.default_folder(path, folder, name=path.stem)
        with steps_if(progress) as step:
            made = evaluate_results(path, folder, target, options, step, keypoints=keypoints)
        return Evaluation(**{**vars(made), "folder": target})
    given = model if predict is None else predict
    network = to_network(given, kind, keypoints, chosen_device)
    if network is not None:
        check_options(on_run | {"device": predict is not None and device != "auto"}, "a run")
        here = predict is not None or str(given) == DEFAULT  # a package's folder is not written to
        beside = Path(network.name) if here else network_file(given)
        target = written or options.default_folder(beside, folder, name=network.name)
        with steps_if(progress) as step:
            made = evaluate_network(network, folder, target, options, step)
        return Evaluation(**{**vars(made), "folder": target})
    check_options({"keypoints": keypoints is not None}, "results, a function or a file with kind")
    from synthstudio.training.answer_jobs import WorkerPool
    from synthstudio.training.evaluate import evaluate as run_evaluation

    weights = to_weights(given)
    target = written or options.default_folder(weights, folder)
    pool = to_worker_pool(workers, engine)
    with steps_if(progress) as step:
        made = run_evaluation(
            weights,
            folder,
            target,
            options=options,
            cache=weights.parent / "cache" if cache is None else to_path(cache, "cache"),
            device=chosen_device,
            step=step,
            pool=None if pool is None else WorkerPool(engine=pool[0], workers=pool[1]),
        )
    return Evaluation(**{**vars(made), "folder": target})


def pose_bank(
    model: Model | PathLike,
    sources: Sequence[PlaceLike],
    out: PathLike,
    *,
    images: PathLike | None = None,
    split: str | Sequence[str] = ("train",),
    poses: int | None = None,
    tipped_deg: float | None = None,
    rotated: float | None = None,
    cache: PathLike | None = None,
    progress: bool = True,
) -> tuple[Model, dict[str, Any]]:
    """Give a network other poses to answer with, without training: those of other people.

    A pose bank is memory that a network attends to, so it can be replaced: by poses of your sport,
    or by more of them, seen from more heights, than it could learn with.

    Args:
        model: A run's folder or a .safetensors file of a network that has a pose bank, or
            "default": the network that comes with the package.
        sources: Data sets, and COCO keypoints files (.json), whose people give their poses.
        out: A new .safetensors file; `evaluate`, `predict` and `export` take it.
        images: The folder of the COCO files' images; default: beside each file.
        split: Only frames of these splits, of data sets; none: all.
        poses: How many at most, half of them mirrored; default 20,000.
        tipped_deg: Standard deviation of the angle by which a camera would have been higher or
            lower, of people with 3D joints; default 50.
        rotated: The share of poses as if the camera had been rolled by any angle; default 0.15.
        cache: Where people's crops are kept; default: beside the run's weights, or beside `out`.
        progress: Show bars.

    Raises:
        ModelError: for a network without a bank, and where nobody's pose is known.
    """
    from synthstudio.dataset.durable import new_parents
    from synthstudio.models.packaged import default_tensors
    from synthstudio.training import checkpoint
    from synthstudio.training import poses as banks
    from synthstudio.training.config import MAX_BANK, Source
    from synthstudio.training.data.sources import load_subset

    packaged = str(model) == DEFAULT
    weights = default_tensors() if packaged else to_weights(model)
    target = to_file(out, "out", new=True)
    if target.suffix != ".safetensors":
        raise ArgumentError("weights go into a .safetensors file", where="out", got=target.name)
    count = (
        banks.ANSWER_POSES
        if poses is None
        else to_count(poses, "poses", minimum=2, maximum=MAX_BANK)
    )
    tipped = (
        banks.TIPPED_DEG if tipped_deg is None else to_number(tipped_deg, "tipped_deg", maximum=90)
    )
    rolled = banks.TURNED if rotated is None else to_number(rotated, "rotated", maximum=1)
    net, config, skeleton = checkpoint.load_network(weights)
    kept = (target if packaged else weights).parent / "cache"
    boxes = config.train[0].boxes if config.train else "outline"
    splits = (split,) if isinstance(split, str) else tuple(split)
    beside = "" if images is None else str(to_path(images, "images"))
    named = [
        Source(coco=str(place), images=beside)
        if str(place).endswith(".json")
        else Source(dataset=str(place), boxes=boxes, splits=splits)
        for place in (to_place(source, "sources") for source in sources)
    ]
    if not named:
        raise ArgumentError("nobody to take poses from", where="sources", expected="a data set")
    with steps_if(progress) as step:
        show = step("cropping people")
        people, _ = load_subset(
            named,
            config,
            kept if cache is None else to_path(cache, "cache"),
            lambda done, total: show(done, total, 0.0),
            skeleton=skeleton,
        )
    own = banks.bank_of(net)
    before = 0 if own is None else len(own.poses)
    bank, config = banks.bank_of_others(
        net, config, people, skeleton, count=count, tipped_deg=tipped, rotated=rolled
    )
    note = banks.about_bank(bank, people)
    with new_parents(target):
        checkpoint.save_weights(target, net, config, skeleton=skeleton, note=note)
    figures = {"weights": str(target), "poses": len(bank.poses), "before": before, "note": note}
    return Model.load(target), figures


def evaluation_json(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation as plain JSON values."""
    from synthstudio.evaluation.storage import json_ready

    plain: dict[str, Any] = json_ready(
        {
            "folder": str(evaluation.folder),
            "about": evaluation.about,
            "measures": evaluation.metrics,
        }
    )
    return plain


def headline(evaluation: Evaluation) -> str:
    """The main figures in one line."""
    from synthstudio.training.evaluation_folder import headline as text

    return text(evaluation)


def to_weights(model: Any) -> Path:
    """The weights of a network, a run or a file."""
    from synthstudio.training.checkpoint import weights_file

    return model.path if isinstance(model, Model) else weights_file(to_path(model, "model"))


def overfit_config(config: Config, people: int) -> Config:
    """The config for learning so many people by heart, without augmentation."""
    from synthstudio.training.config import overfitted

    return overfitted(config, to_count(people, "overfit"))


def to_config(value: Any) -> Config:
    """A training configuration from its file, its fields or one that was read before."""
    from synthstudio.training import config as configs

    if isinstance(value, configs.Config):
        return value
    if isinstance(value, dict):
        return configs.parse(value)
    return configs.load(named_file(to_path(value, "config"), "training"))
