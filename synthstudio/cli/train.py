"""Commands that train networks, evaluate them and compare them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from synthstudio.cli.options import (
    AskWorkersOption,
    DeviceOption,
    Engine,
    EngineOption,
    JsonOption,
    WhereOption,
    WorkersOption,
    finish,
    log,
    part,
)

CacheOption = Annotated[
    Path | None, typer.Option(help="Folder of cached crops; default: in the run's folder.")
]

KindOption = Annotated[
    Literal["ultralytics", "rtmpose", "movenet", "mediapipe", "vitpose", "onnx"] | None,
    typer.Option("--as", help="Program that made the .onnx or .tflite file (docs/evaluate.md)."),
]
KeypointsOption = Annotated[
    str | None,
    typer.Option(
        metavar="ORDER",
        help="Order of another program's keypoints, if its file does not say: coco17, mediapipe33, "
        "halpe26, mpii16, lsp14, ...",
    ),
]


def train(
    config: Annotated[Path, typer.Argument(help="YAML config, or a name: nano.")],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    fast_dev_run: Annotated[
        bool,
        typer.Option("--fast-dev-run", help="Run two steps and one validation; keep nothing."),
    ] = False,
    overfit: Annotated[
        int | None,
        typer.Option(min=1, help="Overfit the first N people, without augmentation."),
    ] = None,
    cache: CacheOption = None,
    engine: Annotated[
        Engine,
        typer.Option(
            help="Who trains: this process (or those of torchrun), or processes of a Ray cluster "
            "(RAY_ADDRESS, else one of this machine)."
        ),
    ] = "local",
    processes: Annotated[
        int, typer.Option(min=1, help="With --engine ray: training processes, one a GPU.")
    ] = 1,
    as_json: JsonOption = False,
) -> None:
    """Train a network on datasets, COCO files, recipes, or a mix of them."""
    from synthstudio.api import networks

    if engine == "ray" and (fast_dev_run or overfit is not None):
        raise typer.BadParameter(
            "goes with neither --fast-dev-run nor --overfit", param_hint="--engine ray"
        )
    if fast_dev_run and (resume or overfit is not None):
        raise typer.BadParameter(
            "goes with neither --resume nor --overfit", param_hint="--fast-dev-run"
        )
    settings = networks.to_config(config)
    if overfit is not None:
        settings = networks.overfit_config(settings, overfit)
    done = networks.run_train(
        settings,
        out,
        cache=cache or out / "cache",
        resume=resume,
        overfit=overfit,
        dry_run=fast_dev_run,
        engine=engine,
        processes=processes,
        log=log,
    )
    end = "trained" if done.finished else "stopped; continue with --resume"
    text = f"{end}. Next: synthstudio evaluate {out} DATASET"
    if fast_dev_run:
        text = "the dry run went through; nothing was kept but the crops"
    _finish(done, out, as_json, text)


def pretrain(
    config: Annotated[Path, typer.Argument(help="YAML config of the training to come.")],
    out: Annotated[Path, typer.Option(help="New folder of the weights.")],
    cache: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """Learn what a pose is from pairs of the same pose, or photos, without joints (`init_from`)."""
    from synthstudio.api import networks

    result = networks.run_pretrain(
        networks.to_config(config), out, cache=cache or out / "cache", log=log
    )
    told = result["retrieval"]
    text = (
        ""
        if told is None
        else (
            f", retrieval@1 {told['hits']:.1%} of validation people, {told['chance']:.1%} by chance"
        )
    )
    finish(result, as_json, f"{result['steps']} steps{text}. Next: init_from: {result['weights']}")


def _finish(done: Any, out: Path, as_json: bool, text: str) -> None:
    if os.environ.get("RANK", "0") != "0":  # only the first of torchrun's processes reports
        return
    result = {
        "folder": str(out),
        "steps": done.steps,
        "epochs": done.epochs,
        "finished": done.finished,
        "best": done.best,
        "waited": round(done.wait_share, 4),
        f"{done.unit}_per_second": round(done.people_per_second, 1),
    }
    best = "" if done.best is None else f", best validation PCK@0.1 {100 * done.best:.1f}"
    finish(
        result,
        as_json,
        f"{done.steps} steps{best}, {done.people_per_second:.1f} {done.unit}/s, "
        f"waited {done.wait_share:.1%}: {text}",
    )


def train_demo(
    out: Annotated[Path, typer.Option(help="Output folder.")] = Path("exports/train_demo"),
    frames: Annotated[
        int | None, typer.Option(min=40, help="Number of frames; default: the recipe's.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs; default: the config's.")
    ] = None,
    workers: WorkersOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Generate people, train a nano network on them and evaluate it: minutes on two cores.

    The same command continues a run that was stopped or killed.
    """
    from synthstudio.api import train_demo
    from synthstudio.api.progress import progress_steps

    with progress_steps() as step:
        result = train_demo.train_demo(
            out, frames=frames, epochs=epochs, workers=workers, step=step, log=log
        )
    finish(result, as_json, train_demo.summary(result))
    if not result["finished"]:
        raise typer.Exit(1)


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            help="A run, .safetensors or exported .onnx file, `default`, or with --as another "
            "program's file; with --predictions the dataset."
        ),
    ],
    dataset: Annotated[str, typer.Argument(help="Folder or URL of a dataset.")] = "",
    kind: KindOption = None,
    predictions: Annotated[
        Path | None,
        typer.Option(help="Evaluate these instead: COCO keypoint results of any network."),
    ] = None,
    keypoints: KeypointsOption = None,
    split: Annotated[
        list[str] | None, typer.Option(help="Only frames of this split; may be repeated.")
    ] = None,
    where: WhereOption = "",
    out: Annotated[
        Path | None, typer.Option(help="New folder; default: RUN/evaluations/NAME.")
    ] = None,
    decode: Annotated[
        Literal["hits", "peak"],
        typer.Option(help="Decode by best expected hit or by highest peak."),
    ] = "hits",
    flip: Annotated[bool, typer.Option("--flip", help="Use flip testing; twice the time.")] = False,
    bank: Annotated[
        bool,
        typer.Option("--bank", help="Decode a plain block's heatmaps with a bank of poses."),
    ] = False,
    cache: CacheOption = None,
    device: DeviceOption = "auto",
    workers: AskWorkersOption = None,
    engine: EngineOption = "local",
    as_json: JsonOption = False,
) -> None:
    """Evaluate a network on a dataset: metrics with confidence intervals, and a report.

    Ours: evaluate RUN DATASET. Any other: evaluate FILE DATASET --as movenet, or
    evaluate --predictions results.json DATASET. --decode to --cache, --workers and --engine are
    for runs.
    """
    from synthstudio.api import networks

    if (predictions is None) != bool(dataset):
        raise typer.BadParameter("Pass MODEL and DATASET, or --predictions FILE and DATASET.")
    evaluation = networks.evaluate(
        None if predictions is not None else model,
        part(dataset or model, where),
        predictions=predictions,
        kind=kind,
        keypoints=keypoints,
        split=split or (),
        out=out,
        decode=decode,
        flip=flip,
        bank=bank,
        cache=cache,
        device=device,
        workers=workers,
        engine=engine,
    )
    finish(
        networks.evaluation_json(evaluation),
        as_json,
        f"{networks.headline(evaluation)}. Read {evaluation.folder}/report.html",
    )


def pose_bank(
    run: Annotated[
        Path,
        typer.Argument(
            help="Folder of a run, or a .safetensors file; `default`: the package's network."
        ),
    ],
    sources: Annotated[
        list[str],
        typer.Argument(help="Datasets, or COCO keypoints files (.json), whose poses it gets."),
    ],
    out: Annotated[Path, typer.Option(help="New .safetensors file.")],
    images: Annotated[
        Path | None, typer.Option(help="Folder of the COCO files' images; default: beside them.")
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(help="Frames of this split of datasets; may be repeated. Default: train."),
    ] = None,
    poses: Annotated[
        int | None,
        typer.Option(min=2, help="Poses at most, half of them mirrored; default: 20,000."),
    ] = None,
    tipped_deg: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=90,
            help="Standard deviation of the angle by which a camera is higher or lower; default: "
            "50. People without 3D joints are as they are.",
        ),
    ] = None,
    rotated: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of poses turned by any angle; default: 0.15."),
    ] = None,
    cache: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a trained network other poses to answer with, without training."""
    from synthstudio.api import networks

    _, figures = networks.pose_bank(
        run,
        sources,
        out,
        images=images,
        split=("train",) if split is None else split,
        poses=poses,
        tipped_deg=tipped_deg,
        rotated=rotated,
        cache=cache,
    )
    text = f"{figures['note']}; before, {figures['before']} poses"
    finish(figures, as_json, f"{text}. Next: synthstudio evaluate {out} DATASET")


def compare(
    arms: Annotated[
        list[str],
        typer.Argument(
            help="Runs or evaluations; the first is the baseline. Join seeds of one arm by "
            "commas: A1,A2."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="New folder for comparison.json and report.html.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare runs by paired tests on the same people."""
    from synthstudio.api import inference

    figures, text = inference.compare(arms, out=out)
    if out is not None:
        log(f"the page is {out / 'report.html'}")
    typer.echo(json.dumps(figures, sort_keys=True) if as_json else text)


def robustness(
    runs: Annotated[
        list[str],
        typer.Argument(
            help="Runs, .safetensors and exported .onnx files, `default`, or with --as others' "
            "files; the first is what others are held to."
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder of the page; it keeps the challenges for later runs.")
    ] = Path("exports/robustness"),
    frames: Annotated[int, typer.Option(min=2, help="People of each challenge.")] = 100,
    challenge: Annotated[
        list[str] | None, typer.Option(help="Only this challenge; may be repeated.")
    ] = None,
    kind: KindOption = None,
    keypoints: KeypointsOption = None,
    workers: WorkersOption = 1,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Hold runs against darkness, glare, crowds and the like, each beside the plain scene.

    Challenges are generated once; a call that was stopped goes on where it was.
    """
    from synthstudio.api import robustness as challenges

    found = challenges.robustness(
        runs,
        out,
        frames=frames,
        challenges=challenge or challenges.CHALLENGES,
        kind=kind,
        keypoints=keypoints,
        workers=workers,
        device=device,
    )
    text = found.pop("text")
    if not as_json:
        typer.echo(text)
    finish(found, as_json, f"the page is {found['page']}")


def stress(
    model: Annotated[
        str,
        typer.Argument(
            help="A run, .safetensors or exported .onnx file, `default`, or with --as another "
            "program's file."
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder of the pages; it keeps the test's data sets.")
    ] = Path("exports/stress"),
    kind: KindOption = None,
    keypoints: KeypointsOption = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="The first 100 of the 1,000 moments.")
    ] = False,
    workers: WorkersOption = 1,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Stress a network: the same people clean and hidden by four causes at four levels.

    Prints a card of ten lines. Data sets are generated once; a stopped call goes on where it was.
    """
    from synthstudio.api.stress import stress as run

    found = run(
        model,
        out,
        kind=kind,
        keypoints=keypoints,
        quick=quick,
        workers=workers,
        device=device,
    )
    finish(found, as_json, found.pop("text"))


experiment_app = typer.Typer(
    name="experiment", help="Train several ways and compare them.", no_args_is_help=True
)
NONE = "none"


@experiment_app.command("real")
def real(
    annotations: Annotated[Path, typer.Option(help="COCO keypoint file.")],
    images: Annotated[Path, typer.Option(help="Folder of its photos.")],
    out: Annotated[
        Path, typer.Option(help="Folder of the experiment; the same command there continues it.")
    ],
    pretrain: Annotated[
        str, typer.Option(help="Generated dataset to pretrain on, or none.")
    ] = NONE,
    cutouts: Annotated[
        Path | None,
        typer.Option(help="Folder of cut-out objects with alpha; some are held out."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Training runs per arm.")] = 3,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of each training; default: the size's.")
    ] = None,
    size: Annotated[
        Literal["nano", "small", "base"], typer.Option(help="Size of the networks.")
    ] = "nano",
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the photo split and of the occluders.")
    ] = 0,
    flip: Annotated[bool, typer.Option("--flip", help="Use flip testing; twice the time.")] = False,
    beside: Annotated[
        list[str] | None,
        typer.Option(help="Also test this: `default`, or a file with --as; may be repeated."),
    ] = None,
    kind: KindOption = None,
    keypoints: KeypointsOption = None,
    workers: WorkersOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Train on photos with and without occlusion and pretraining; evaluate on held-out ones."""
    from synthstudio.api.experiments import real_photos

    result, sentences = real_photos(
        annotations,
        images,
        out,
        pretrain=None if pretrain == NONE else pretrain,
        cutouts=cutouts,
        seeds=seeds,
        steps=steps,
        size=size,
        seed=seed,
        flip=flip,
        workers=workers,
        beside=beside or (),
        kind=kind,
        keypoints=keypoints,
    )
    if not sentences:
        finish(result, as_json, "stopped; the same command continues")
        return
    finish(result, as_json, "\n".join([*sentences, f"Read {out / 'report.html'}"]))
