"""`ss.evaluate` and `ss.Evaluation`, runs compared (`ss.compare`, `ss.real_photos`), and the recipe
that the errors suggest (`ss.suggest`)."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from synthstudio.api import arguments as args
from synthstudio.api.datasets import Dataset, to_dataset
from synthstudio.api.model import Model, check_options, network_file, to_network, to_networks
from synthstudio.core.arrays import Array
from synthstudio.core.errors import ArgumentError, ModelError, import_extra
from synthstudio.core.labels import CAUSES
from synthstudio.core.progress import note, progress_steps
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.durable import canonical_json, whole_folder, write_file
from synthstudio.evaluation import compare as comparing
from synthstudio.evaluation import storage
from synthstudio.evaluation.compare import Arm
from synthstudio.inference import suggest as suggesting
from synthstudio.models.packaged import DEFAULT
from synthstudio.recipe.schema.load import load
from synthstudio.report.comparison import comparison_page
from synthstudio.report.evaluation import pck_curve
from synthstudio.training import evaluation
from synthstudio.training.evaluation import EvaluationOptions
from synthstudio.training.outside import evaluate_network, evaluate_results

if TYPE_CHECKING:
    from pandas import DataFrame

CURVES = ("by_fraction", "by_crowd")
DECODERS = ("hits", "peak")
headline = evaluation.headline


class Plot(str):
    """An SVG drawing: a notebook shows it, `str(plot)` is its text."""

    def _repr_svg_(self) -> str:
        return str(self)


@dataclass(frozen=True, kw_only=True, repr=False)
class Evaluation(storage.Evaluation):
    """Figures of a network on a data set. `about` describes both, `predictions` has one row a
    person, `folder` the page. `metrics` has one section per question; fractions are 0 to 1, an
    interval is a dict of `value`, `low` and `high` (95 %), a figure that cannot be measured NaN:

    - `counts`: people, joints with a label, hidden ones.
    - `localization`: for `all`, `visible` and `hidden` joints PCK@0.05, PCK@0.1, PCK@0.2 (of the
      amodal box's longer side), PCK-AUC, PCKh@0.5, torso PCK@0.2, EPE_px (pixels of the image).
    - `precision`: AP, AP50, AP75 and AR by OKS, for all, visible and hidden joints;
      `extended_precision`: also of joints outside the image (Ex-OKS).
    - `by_cause`, `by_joint`: PCK@0.1 by cause of occlusion and by joint.
    - `by_fraction`, `by_crowd`: bins (`from`, `to`, `people`) of PCK@0.1 over the occluded
      fraction of the person, and the crowd index of the frame.
    - `counterfactual`: the effect of an occluder on the same person.
    - `visibility`: F1 and AUROC of hidden joints, confusion of causes, calibration of scores.
    - `lifting`: MPJPE_mm, N-MPJPE_mm and PA-MPJPE_mm, root-relative.
    - `prior`: accuracy of guesses without the image.
    - `whole_body` (coco133), `latency`, `attention` and `sensitivity`, if measured.
    """

    @classmethod
    def load(cls, path: args.PathLike) -> Evaluation:
        """Read an evaluation's folder, or the only evaluation of a run.

        Raises:
            ModelError: when there is none, or it is damaged.
        """
        folder = storage.find(args.to_path(path, "path"))
        return cls(**{**vars(storage.read(folder)), "folder": folder})

    def as_json(self) -> dict[str, Any]:
        """`folder`, `about` and `metrics` as plain values; null for a figure without a value."""
        found = {"folder": str(self.folder), "about": self.about, "metrics": self.metrics}
        plain: dict[str, Any] = storage.json_ready(found)
        return plain

    def to_pandas(self) -> DataFrame:
        """One row a joint: frame, instance, joint, x_px, y_px, true_x_px, true_y_px (pixels of the
        image), error_px, score (0 to 1), state, cause, occluded_fraction, variant.

        Raises:
            ModelError: without pandas: pip install "synthstudio[pandas]".
        """
        pandas = import_extra("pandas", extra="pandas")
        p = self.predictions
        joints = get_skeleton(self.about["skeleton"]).joints
        each: dict[str, Array] = {
            "frame": p.frame,
            "instance": p.instance,
            "occluded_fraction": p.fraction,
            "variant": p.variant,
        }
        columns = {name: np.repeat(value, len(joints)) for name, value in each.items()}
        columns["joint"] = np.tile(np.asarray(joints), len(p))
        for name, xy in (("", p.xy), ("true_", p.true_xy)):
            columns[f"{name}x_px"], columns[f"{name}y_px"] = xy.reshape(-1, 2).T
        columns["error_px"] = np.linalg.norm(p.xy - p.true_xy, axis=-1).ravel()
        columns |= {"score": p.score.ravel(), "known": p.known.ravel(), "state": p.state.ravel()}
        columns["cause"] = np.array(CAUSES)[p.cause.ravel()]
        return pandas.DataFrame(columns)

    @args.checked
    def plot(self, section: Annotated[str, args.Option(choices=CURVES)] = "by_fraction") -> Plot:
        """Draw PCK@0.1 of all, visible and hidden joints over `by_fraction` or `by_crowd` (SVG).

        Raises:
            ArgumentError: for another section.
        """
        return Plot(pck_curve(self.metrics, section)[0])

    def show(self) -> None:
        """Open the page with all figures and examples in the browser.

        Raises:
            ArgumentError: when the evaluation has no folder.
        """
        page = None if self.folder is None else Path(self.folder) / storage.PAGE_FILE
        if page is None or not page.is_file():
            raise ArgumentError("no report page", where="folder", got=str(page))
        webbrowser.open(page.resolve().as_uri())

    def __repr__(self) -> str:
        return f"Evaluation({str(self.folder)!r}, {len(self.predictions)} people)"

    def _repr_html_(self) -> str:
        return str(self.plot())


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
            mediapipe33, halpe26, mpii16, ... or their names, "-" for a column to leave out.
            Default: from the file, or by their number.
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
    if callable(model) and not isinstance(model, Model) and predict is None:
        model, predict = None, model
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
        from synthstudio.training.checkpoint import weights_file
        from synthstudio.training.run_evaluation import evaluate_run

        named = {"keypoints": keypoints is not None}
        check_options(named, "results, a function or a file with kind")
        weights = weights_file(network_file(given))
        target = written or options.default_folder(weights, folder)
        kept = weights.parent / "cache" if cache is None else args.to_path(cache, "cache")
        pool = args.to_worker_pool(workers, engine)
        run = partial(evaluate_run, weights, folder, target, options=options)
        run = partial(run, cache=kept, device=device, pool=pool)
    with progress_steps(progress) as step:
        made = run(step=step)
    return Evaluation(**{**vars(made), "folder": target})


def compare(arms: list[str], *, out: args.PathLike | None = None) -> tuple[dict[str, Any], str]:
    """Compare runs or evaluations by paired tests on the same people.

    Args:
        arms: Runs or evaluations; the first is the baseline. Join seeds of one arm by commas:
            A1,A2.
        out: New folder for comparison.json and report.html.

    Returns:
        Figures as plain values, and as a text table.

    Raises:
        ModelError: for missing evaluations, or evaluations of different people.
    """
    folder = args.optional(args.to_folder, out, "out")
    read = comparing.on_common_joints(_arms(arms))
    rows = comparing.compare(read)
    figures = storage.json_ready(comparing.as_json(read, rows))
    if folder is not None:
        with whole_folder(folder) as unfinished:
            (unfinished / "comparison.json").write_bytes(canonical_json(figures))
            (unfinished / storage.PAGE_FILE).write_bytes(comparison_page(read, rows))
    return figures, comparing.text(read, rows)


def _arms(names: list[str]) -> list[Arm]:
    arms: list[Arm] = []
    for name in names:
        parts = name.split(",")
        if not all(part.strip() for part in parts):
            raise ModelError(
                "an arm has an empty run name",
                where="compare",
                expected="folders of runs or evaluations, seeds joined by commas",
                got=repr(name),
                then="Remove the empty name.",
            )
        runs = tuple(storage.read(storage.find(Path(part))) for part in parts)
        if len({run.about.get("weights_sha256") for run in runs}) < len(runs):
            raise ModelError(
                "an arm has the same weights twice",
                where="compare",
                expected="runs of different seeds",
                got=name,
            )
        title = str(runs[0].about.get("name", name))
        if title in (a.name for a in arms):
            title = f"{title} ({len(arms) + 1})"
        arms.append(Arm(name=title, runs=runs))
    return arms


@args.checked
def suggest(
    evaluation: args.PathLike,
    out: args.PathLike,
    *,
    like: args.PathLike | None = None,
    frames: args.Count = 200,
) -> tuple[dict[str, Any], str]:
    """Write a recipe that targets a network's failures.

    Args:
        evaluation: Folder of an evaluation.
        out: New recipe file.
        like: Recipe to start from, e.g. that of the training data.
        frames: Number of frames of the recipe.

    Returns:
        The recipe and the profile of failures as plain values, and the profile as text.

    Raises:
        ModelError: for a missing evaluation. RecipeError: for `like`. DiskError: when `out` exists.
    """
    file = args.to_file(out, "out", new=True)
    base = None if like is None else load(args.to_path(like, "like"))
    found = suggesting.profile(*suggesting.read_evaluation(args.to_path(evaluation, "evaluation")))
    recipe = suggesting.next_recipe(found, frames=frames, like=base)
    write_file(file, suggesting.as_yaml(recipe, found).encode())
    return {"recipe": recipe, "profile": found.as_json()}, found.text()


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
    lines: list[str] = []
    result: dict[str, Any] = {
        "folder": str(folder),
        "finished": found is not None,
        "photos": facts,
    }
    if found is not None:
        caveats = results.caveats(found, facts)
        result |= results.as_json(found) | {"caveats": caveats}
        lines = [*caveats, *results.sentences(found)]
    return storage.json_ready(result), lines
