"""`ss.train`, `ss.pose_bank` and the training demo: pose networks trained."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from synthstudio.api import arguments as args
from synthstudio.api.evaluations import Evaluation, evaluate
from synthstudio.api.generation import generate
from synthstudio.api.model import Model, network_file
from synthstudio.api.recipes import Recipe, named_file, scene_file
from synthstudio.core.errors import ArgumentError
from synthstudio.core.places import disk_errors, free_folder
from synthstudio.core.progress import progress_steps
from synthstudio.dataset.durable import new_parents
from synthstudio.evaluation import storage
from synthstudio.models.packaged import DEFAULT, default_tensors
from synthstudio.training import config as configs
from synthstudio.training.config import Config, Source, overfitted
from synthstudio.training.evaluation import EvaluationOptions

if TYPE_CHECKING:
    from synthstudio.training.trainer import Trained


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
        fast_dev_run: Run two steps and one validation; only crops are kept.
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
    weights = default_tensors() if packaged else checkpoint.weights_file(network_file(model))
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


def to_config(value: Any) -> Config:
    """A training configuration from its file, its fields or a parsed one."""
    if isinstance(value, Config):
        return value
    if isinstance(value, dict):
        return configs.parse(value)
    return configs.load(named_file(args.to_path(value, "config"), "training"))


# The training demo: generated people, a small network trained on them, and its report ------------

DEMO_SCENE, DEMO_RUN = "people.yaml", "training/nano.yaml"
_PARTS = ("all", "visible", "hidden")


def train_demo(
    out: args.PathLike = "exports/train_demo",
    *,
    frames: Annotated[int, args.Option(minimum=40)] | None = None,
    epochs: args.Count | None = None,
    workers: args.Workers = 2,
    log: Callable[[str], None] = lambda line: None,
    config: Config | None = None,
) -> dict[str, Any]:
    """Generate people, train on them, evaluate on the test split; return figures and paths.

    A second call with the same settings resumes an interrupted one and reuses existing results.

    Args:
        out: Output folder.
        frames: Number of frames; default: the recipe's.
        epochs: Epochs; default: the config's.
        config: Instead of scenes/training/nano.yaml.
    """
    from synthstudio.training.checkpoint import weights_file

    out = args.to_path(out, "out")
    recipe = Recipe.load(scene_file(DEMO_SCENE))
    if frames is not None:
        recipe = recipe.with_(frames=frames)
    people, run, cache = out / "people", out / "run", out / "crops"
    made = generate(recipe, people, workers=workers, resume=True).summary
    settings = _on_people(people, config or to_config(scene_file(DEMO_RUN)), epochs)
    done = fit(settings, run, resume=True, cache=cache, log=log)
    summary: dict[str, Any] = {
        "frames": made.frames,
        "people": made.people,
        "dataset": str(people),
        "run": str(run),
        "steps": done.steps,
        "finished": done.finished,
        "waited": round(done.wait_share, 4),
    }
    if not done.finished:
        return summary
    weights = weights_file(run)
    folder = EvaluationOptions(splits=("test",)).default_folder(weights, people)
    if (folder / storage.METRICS_FILE).is_file():
        judged = Evaluation.load(folder)
    else:
        judged = evaluate(run, people, split="test", cache=cache)
    files = {"network": weights, "pictures": run / "pictures", "report": folder / storage.PAGE_FILE}
    return summary | _demo_figures(judged) | {name: str(path) for name, path in files.items()}


def _on_people(people: Path, config: Config, epochs: int | None) -> Config:
    """The config with the generated people instead of the folder that it names."""
    here = {"dataset": str(people)}
    changes: dict[str, Any] = {
        "train": tuple(s.model_copy(update=here) for s in config.train),
        "val": tuple(s.model_copy(update=here) for s in config.val),
    }
    if epochs is not None:
        changes["epochs"] = epochs
    return config.model_copy(update=changes)


def _demo_figures(made: Evaluation) -> dict[str, Any]:
    """PCK@0.1 beside that of the mean pose, and what an occluder costs."""
    metrics, answers = storage.json_ready(made.metrics), made.predictions
    lost = metrics["counterfactual"].get("newly_hidden")
    figures = {
        part: metrics["localization"][part]["PCK@0.1"]
        | {"mean_pose": metrics["prior"][part]["mean_pose_PCK@0.1"]}
        for part in _PARTS
    }
    return {
        "test_people": len(answers),
        "test_moments": len(set(answers.group.tolist())),
        "PCK@0.1": figures,
        "occluder_effect": None if lost is None or lost["value"] is None else lost,
    }


def demo_text(result: dict[str, Any]) -> str:
    """The demo's results as text."""
    if not result["finished"]:
        return (
            f"stopped after {result['steps']} steps; the same command continues. So far: "
            f"{result['run']}"
        )
    lines = [
        f"{result['frames']} frames with {result['people']} people; trained for "
        f"{result['steps']} steps",
        f"  data set  {result['dataset']}",
        f"  network   {result['network']}",
        f"  pictures  {result['pictures']}",
        f"  report    {result['report']}",
        f"Joints found within a tenth of the person's longer side (PCK@0.1), on "
        f"{result['test_people']} test people of {result['test_moments']} moments:",
        "             network              mean pose, without image",
    ]
    for part in _PARTS:
        found = result["PCK@0.1"][part]
        if found["value"] is None:  # no such joint among the test people
            continue
        value, low, high, prior = (
            100 * found[name] for name in ("value", "low", "high", "mean_pose")
        )
        lines.append(f"  {part:<8}{value:6.1f} % ({low:.1f} to {high:.1f}){prior:12.1f} %")
    lost = result["occluder_effect"]
    if lost:
        value, low, high = (100 * lost[name] for name in ("value", "low", "high"))
        lines.append(
            f"  The same joints without the object in front: {-value:.1f} points more "
            f"({-high:.1f} to {-low:.1f})."
        )
    again = f"synthstudio predict {result['network']} PHOTOS --out answers"
    return "\n".join([*lines, f"Next: open the report; on photos of your own: {again}"])
