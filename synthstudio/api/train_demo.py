"""The training demo: generated people, a small network trained on them, and its report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from synthstudio.api import arguments as args
from synthstudio.api.evaluations import Evaluation
from synthstudio.api.generation import generate
from synthstudio.api.networks import evaluate, fit, to_config
from synthstudio.api.recipes import Recipe, scene_file
from synthstudio.evaluation import storage
from synthstudio.training import checkpoint
from synthstudio.training.config import Config
from synthstudio.training.evaluation import EvaluationOptions

SCENE, RUN = "people.yaml", "training/nano.yaml"
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
    out = args.to_path(out, "out")
    recipe = Recipe.load(scene_file(SCENE))
    if frames is not None:
        recipe = recipe.with_(frames=frames)
    people, run, cache = out / "people", out / "run", out / "crops"
    made = generate(recipe, people, workers=workers, resume=True).summary
    settings = _on(people, config or to_config(scene_file(RUN)), epochs)
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
    weights = checkpoint.weights_file(run)
    folder = EvaluationOptions(splits=("test",)).default_folder(weights, people)
    if (folder / storage.METRICS_FILE).is_file():
        judged = Evaluation.load(folder)
    else:
        judged = evaluate(run, people, split="test", cache=cache)
    files = {"network": weights, "pictures": run / "pictures", "report": folder / storage.PAGE_FILE}
    return summary | _figures(judged) | {name: str(path) for name, path in files.items()}


def _on(people: Path, config: Config, epochs: int | None) -> Config:
    """The config with the generated people instead of the folder that it names."""
    here = {"dataset": str(people)}
    changes: dict[str, Any] = {
        "train": tuple(s.model_copy(update=here) for s in config.train),
        "val": tuple(s.model_copy(update=here) for s in config.val),
    }
    if epochs is not None:
        changes["epochs"] = epochs
    return config.model_copy(update=changes)


def _figures(made: Evaluation) -> dict[str, Any]:
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


def summary(result: dict[str, Any]) -> str:
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
