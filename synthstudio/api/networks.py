"""`ss.train` and `ss.evaluate`: pose networks."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from synthstudio.api import arguments as args
from synthstudio.api.datasets import Dataset, to_dataset
from synthstudio.api.evaluations import Evaluation
from synthstudio.api.model import Model, check_options, network_file, to_network
from synthstudio.api.progress import progress_steps
from synthstudio.api.recipes import named_file
from synthstudio.core.errors import ArgumentError
from synthstudio.core.outputs import disk_errors, free_folder
from synthstudio.dataset.durable import new_parents
from synthstudio.evaluation import storage
from synthstudio.models.packaged import DEFAULT, default_tensors
from synthstudio.training import config as configs
from synthstudio.training.config import Config, Source, overfitted
from synthstudio.training.evaluation import EvaluationOptions
from synthstudio.training.evaluation import headline as headline
from synthstudio.training.outside import evaluate_network, evaluate_results

if TYPE_CHECKING:
    from synthstudio.training.trainer import Trained

DECODERS = ("hits", "peak")


def train(
    config: args.PathLike | dict[str, Any] | Any, out: args.PathLike, **options: Any
) -> Model:
    """Train a network, as `fit` with the same options does, and load its best weights.

    Raises:
        ModelError: when config, data and network do not fit each other.
    """
    fit(config, out, **options)
    return Model.load(args.to_path(out, "out"))


@args.checked
def fit(
    config: args.PathLike | dict[str, Any] | Any,
    out: args.PathLike,
    *,
    resume: bool = False,
    fast_dev_run: bool = False,
    overfit: args.Count | None = None,
    model: Any = None,
    cache: args.Cache = None,
    engine: args.EngineName = "local",
    processes: args.Count = 1,
    progress: bool = True,
    log: Callable[[str], None] = lambda line: None,
) -> Trained:
    """Train a network on data sets, COCO files, recipes, or all of them.

    Writes weights, state and figures to `out`; an interrupted run continues with
    `resume` and ends with the same weights.

    Args:
        config: YAML config, a name of the package's own (nano), or its fields.
        out: Folder of the run.
        resume: Continue an interrupted run.
        fast_dev_run: Run two steps and one validation; write nothing.
        overfit: Overfit the first N people, no augmentation.
        model: A module in place of the config's backbone: one that maps images (B, 3, H, W) to
            features, or with `network.head: own` to maps of the joints (docs/own_networks.md). A
            copy of it is trained.
        engine: This process (or those of torchrun), or processes of a Ray cluster
            (RAY_ADDRESS, else one of this machine).
        processes: With `engine` ray: training processes, one a GPU.
        progress: Show bars.

    Raises:
        ModelError: when config, data and network do not fit each other.
    """
    from synthstudio.training import loop
    from synthstudio.training.data import sources

    folder, settings = args.to_path(out, "out"), to_config(config)
    if overfit is not None:
        settings = overfitted(settings, overfit)
    if model is not None:
        settings = _given_backbone(settings, model, engine)
    kept = folder / "cache" if cache is None else args.to_path(cache, "cache")
    if processes != 1 and engine == "local":
        raise ArgumentError(
            "several local processes need torchrun",
            where="processes",
            expected='1, or engine="ray"',
            got=str(processes),
        )
    if engine == "ray" and (overfit is not None or fast_dev_run):
        raise ArgumentError("overfit and fast_dev_run take one process", where="engine")

    def select(data: Any) -> Any:
        if overfit is not None:
            return sources.overfit_subset(data, overfit)
        return sources.fast_dev_run_subset(data, batch=settings.batch) if fast_dev_run else data

    with progress_steps(progress) as step:
        common: Any = {"cache": kept, "log": log, "progress": loop.progress_bars(step)}
        if engine == "ray":
            return loop.train_by_ray(settings, folder, processes=processes, resume=resume, **common)
        if not fast_dev_run:
            return loop.train(settings, folder, resume=resume, select=select, **common)
        settings = settings.model_copy(update={"steps": 2, "epochs": 1, "save_every": 1})
        with new_parents(folder):
            with disk_errors(folder.parent):
                dry = tempfile.TemporaryDirectory(prefix=".dry-run-", dir=folder.parent)
            with dry as scratch:
                return loop.train(settings, Path(scratch) / "run", select=select, **common)


def _given_backbone(config: Config, module: Any, engine: str) -> Config:
    """The config with a module of this process as its backbone."""
    from torch import nn

    from synthstudio.models.external_backbones import give

    if not isinstance(module, nn.Module) or engine != "local":
        raise ArgumentError(
            "a model must be a module in this process",
            where="model",
            expected='torch.nn.Module, engine="local"',
            got=f"{type(module).__name__}, {engine}",
            then="For other processes set network.backbone: MODULE:FUNCTION.",
        )
    return config.with_network(backbone=give(module))


def pretrain(
    config: args.PathLike | dict[str, Any] | Any,
    out: args.PathLike,
    *,
    cache: args.Cache = None,
    log: Callable[[str], None] = lambda line: None,
    progress: bool = True,
) -> dict[str, Any]:
    """Learn codes of poses without joints; a training's `init_from` takes the file it writes.

    Args:
        config: YAML config of the later training, or its fields.
        out: New folder of the weights.

    Returns:
        `weights`, the file; `people`, `poses` and `looks` learnt from; `steps`; and on
        validation people `retrieval`: how often the nearest code has the same pose,
        and the same by chance.
    """
    from synthstudio.training import pretraining

    settings = to_config(config)
    folder = free_folder(args.to_path(out, "out"), own={"cache"}.__contains__)
    kept = folder / "cache" if cache is None else args.to_path(cache, "cache")
    with progress_steps(progress) as step:
        return pretraining.pretrain(settings, folder, cache=kept, log=log, step=step)


@args.checked
def evaluate(
    model: Model | args.PathLike | None = None,
    dataset: Dataset | args.PlaceLike | None = None,
    *,
    predictions: args.PathLike | None = None,
    predict: Callable[..., Any] | None = None,
    kind: args.Kind = None,
    keypoints: args.Keypoints = None,
    split: str | Sequence[str] = (),
    out: args.PathLike | None = None,
    decode: Annotated[str, args.Option(choices=DECODERS)] = "hits",
    flip: bool = False,
    bank: bool = False,
    cache: args.Cache = None,
    device: args.Device = "auto",
    workers: args.PoolWorkers = None,
    engine: args.EngineName = "local",
    progress: bool = True,
) -> Evaluation:
    """Evaluate a network on a data set: metrics with intervals, and a report.

    The network is one of ours or another program's file (`model`), any results file
    (`predictions`) or a function that calls it (`predict`).

    Args:
        model: A Model, a run's folder, a .safetensors file, an exported .onnx file, "default" for
            the network that comes with the package, or another program's file with `kind`.
        dataset: The data set; of a query or slice only its frames.
        predictions: COCO keypoint results (.json) of any program. Images are matched by the id of
            the imported file, the frame's number or the file name; people by OKS.
        predict: A function of an RGB image (H, W, 3) uint8 and boxes (P, 4) x y w h that returns
            joints (P, J, 2) or, with scores, (P, J, 3) in pixels; NaN where there is none.
        keypoints: Order of the joints of results, a function or another program's file: coco17,
            mediapipe33, halpe26, mpii16, ... or their names. Default: from the file, or by
            their number.
        split: Only frames of this split; may be repeated.
        out: A new folder; default: RUN/evaluations/NAME, or evaluations/NAME beside the file.
        decode: Decode by best expected hit or by highest peak. This and the next three, `workers`
            and `engine` apply to runs only.
        flip: Use flip testing; twice the time.
        bank: Decode a plain block's heatmaps with a bank of poses.

    Returns:
        `metrics` (nested dict), `predictions` (one row a person) and `about`; the same is in its
        `folder`.

    Raises:
        ArgumentError: for options that do not apply to such a network.
        ModelError: for predictions of wrong shape, or a function that raises.
        FormatError: for a results file that is unreadable or of other images.
    """
    if dataset is None or sum(g is not None for g in (model, predictions, predict)) != 1:
        raise ArgumentError(
            "pass a data set and one network",
            where="evaluate",
            expected="dataset and one of model, predictions, predict",
        )
    written = args.optional(args.to_folder, out, "out")
    opened = to_dataset(dataset)
    folder, chosen = opened.path, opened._stored.only
    splits = (split,) if isinstance(split, str) else tuple(split)
    options = EvaluationOptions(
        splits=splits,
        decode=decode,  # type: ignore[arg-type]
        flip=flip,
        bank=bank,
        frames=None if chosen is None else tuple(map(int, chosen)),
    )
    on_run = {
        "decode": decode != "hits", "flip": flip, "bank": bank, "cache": cache is not None,
        "workers": workers is not None, "engine": engine != "local",
    }  # fmt: skip
    given = model if predict is None else predict
    run: Callable[..., storage.Evaluation]
    if predictions is not None:
        check_options(on_run | {"device": device != "auto", "kind": kind is not None}, "a run")
        path = args.to_path(predictions, "predictions")
        target = written or options.default_folder(path, folder, name=path.stem)
        run = partial(evaluate_results, path, folder, target, options, keypoints=keypoints)
    elif (network := to_network(given, kind, keypoints, device)) is not None:
        check_options(on_run | {"device": predict is not None and device != "auto"}, "a run")
        here = predict is not None or str(given) == DEFAULT  # a package's folder is not written to
        beside = Path(network.name) if here else network_file(given)
        target = written or options.default_folder(beside, folder, name=network.name)
        run = partial(evaluate_network, network, folder, target, options)
    else:
        from synthstudio.training.run_evaluation import evaluate_run

        named = {"keypoints": keypoints is not None}
        check_options(named, "results, a function or a file with kind")
        weights = to_weights(given)
        target = written or options.default_folder(weights, folder)
        kept = weights.parent / "cache" if cache is None else args.to_path(cache, "cache")
        pool = args.to_worker_pool(workers, engine)
        run = partial(evaluate_run, weights, folder, target, options=options)
        run = partial(run, cache=kept, device=device, pool=pool)
    with progress_steps(progress) as step:
        made = run(step=step)
    return Evaluation(**{**vars(made), "folder": target})


@args.checked
def pose_bank(
    model: Model | args.PathLike,
    sources: Sequence[args.PlaceLike],
    out: args.PathLike,
    *,
    images: args.PathLike | None = None,
    split: str | Sequence[str] = ("train",),
    poses: Annotated[int, args.Option(minimum=2, maximum=50_000)] | None = None,  # MAX_BANK
    pitch_deg: Annotated[float, args.Option(minimum=0, maximum=90)] | None = None,
    rotated: args.Share | None = None,
    cache: args.Cache = None,
    progress: bool = True,
) -> tuple[Model, dict[str, Any]]:
    """Replace a network's pose bank, without training, by poses of other people.

    The network attends to its bank, so the bank can be replaced: by poses of your sport,
    or by more poses, from more camera heights, than in training.

    Args:
        model: Folder of a run, or a .safetensors file of a network with a pose bank; "default": the
            package's network.
        sources: Datasets, or COCO keypoints files (.json), of the new poses.
        out: New .safetensors file.
        images: Folder of the COCO files' images; default: beside them.
        split: Frames of this split of datasets; may be repeated; none: all.
        poses: Maximum number of poses, half of them mirrored; default: 20,000.
        pitch_deg: Standard deviation of the change of camera pitch; default:
            50. Applies to people with 3D joints.
        rotated: Fraction of poses rotated in the image plane; default: 0.15.
        cache: Folder of cached crops; default: beside the run's weights, or beside `out`.
        progress: Show bars.

    Raises:
        ModelError: for a network without a bank, or without any known pose.
    """
    from synthstudio.models.pose_bank import bank_of
    from synthstudio.training import checkpoint
    from synthstudio.training import poses as banks
    from synthstudio.training.data.sources import load_subset

    packaged = str(model) == DEFAULT
    weights = default_tensors() if packaged else to_weights(model)
    target = args.to_file(out, "out", new=True)
    if target.suffix != ".safetensors":
        raise ArgumentError("weights go into a .safetensors file", where="out", got=target.name)
    count = banks.ANSWER_POSES if poses is None else poses
    pitch = banks.PITCH_DEG if pitch_deg is None else pitch_deg
    rotation = banks.ROTATED if rotated is None else rotated
    net, config, skeleton = checkpoint.load_network(weights)
    kept = (target if packaged else weights).parent / "cache"
    boxes = config.train[0].boxes if config.train else "outline"
    splits = (split,) if isinstance(split, str) else tuple(split)
    beside = "" if images is None else str(args.to_path(images, "images"))
    named = [
        Source(coco=str(place), images=beside)
        if str(place).endswith(".json")
        else Source(dataset=str(place), boxes=boxes, splits=splits)
        for place in (args.to_place(source, "sources") for source in sources)
    ]
    if not named:
        raise ArgumentError("no source of poses", where="sources", expected="a data set")
    with progress_steps(progress) as step:
        show = step("cropping people")
        people, _ = load_subset(
            named,
            config,
            kept if cache is None else args.to_path(cache, "cache"),
            lambda done, total: show(done, total, 0.0),
            skeleton=skeleton,
        )
    own = bank_of(net)
    before = 0 if own is None else len(own.poses)
    bank, config = banks.bank_of_others(
        net, config, people, skeleton, count=count, pitch_deg=pitch, rotated=rotation
    )
    note = banks.bank_note(bank, people)
    with new_parents(target):
        checkpoint.save_weights(target, net, config, skeleton=skeleton, note=note)
    figures = {"weights": str(target), "poses": len(bank.poses), "before": before, "note": note}
    return Model.load(target), figures


def evaluation_json(evaluation: Evaluation) -> dict[str, Any]:
    found = {"folder": str(evaluation.folder), "about": evaluation.about}
    plain: dict[str, Any] = storage.json_ready(found | {"metrics": evaluation.metrics})
    return plain


def to_weights(model: Any) -> Path:
    """The weights of a network, a run or a file."""
    from synthstudio.training.checkpoint import weights_file

    return model.path if isinstance(model, Model) else weights_file(args.to_path(model, "model"))


def to_config(value: Any) -> Config:
    """A training configuration from its file, its fields or a parsed one."""
    if isinstance(value, Config):
        return value
    if isinstance(value, dict):
        return configs.parse(value)
    return configs.load(named_file(args.to_path(value, "config"), "training"))
