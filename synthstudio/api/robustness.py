"""`synthstudio robustness`: networks on challenge scenes, each compared with the plain scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from synthstudio.api import arguments as args
from synthstudio.api.generation import generate
from synthstudio.api.model import SUFFIXES, Model, network_file, to_network
from synthstudio.api.progress import progress_steps
from synthstudio.api.recipes import SCENES, scene_file
from synthstudio.core.errors import ArgumentError, ModelError
from synthstudio.core.outputs import free_folder
from synthstudio.core.progress import OnProgress
from synthstudio.dataset.durable import canonical_json, write_file
from synthstudio.dataset.reader import Dataset
from synthstudio.evaluation import robustness as measured
from synthstudio.evaluation.storage import json_ready, select
from synthstudio.models.packaged import DEFAULT
from synthstudio.recipe.schema.load import dump, load
from synthstudio.recipe.schema.recipe import Recipe
from synthstudio.report.comparison import robustness_page
from synthstudio.report.html import Picture, embed
from synthstudio.training import outside
from synthstudio.training.evaluation import SamplePredictor, exposures, predict_challenge

PLAIN, CLIPS = "plain", "fast"
CHALLENGES = (
    "dark",
    "glare",
    "busy",
    "blending",
    "crowd",
    CLIPS,
    "small",
    "unusual",
    "bare",
    "loose",
)
SETS, PAGE, FIGURES = "sets", "robustness.html", "robustness.json"
_SHOWN = 4


@args.checked
def robustness(
    runs: Sequence[Any],
    out: args.PathLike = "exports/robustness",
    *,
    frames: Annotated[int, args.Option(minimum=2)] = 100,
    challenges: Annotated[Sequence[str], args.Option(name="--challenge")] = CHALLENGES,
    kind: args.Kind = None,
    keypoints: args.Keypoints = None,
    workers: args.Workers = 1,
    device: args.Device = "auto",
    progress: bool = True,
) -> dict[str, Any]:
    """Test networks on dark, glare, crowds and other challenges against the plain scene.

    Args:
        runs: Runs, .safetensors and exported .onnx files, "default", functions or other programs'
            files; the first is the baseline.
        out: Folder of the page; it keeps the challenges for later runs.
        frames: People of each challenge.
        challenges: Only this challenge; may be repeated.

    Returns:
        `rows` of figures with their intervals, and where the page is.

    Raises:
        ModelError: for networks that are unreadable, or whose predictions are not comparable.
        ArgumentError: for unknown challenges, or runs that share a name.
    """
    folder = free_folder(args.to_path(out, "out"), own={SETS, PAGE, FIGURES}.__contains__)
    chosen = [args.to_choice(name, "challenges", CHALLENGES) for name in challenges]
    judged = opened(runs, kind, keypoints, device)
    found: dict[str, dict[str, measured.ChallengePair]] = {name: {} for name in judged}
    with progress_steps(progress) as step:
        sets = {}
        for name in (PLAIN, *chosen):
            place, making = folder / SETS / name, step(f"making {name}")
            sets[name] = Dataset(made_set(place, _recipe(name), frames, workers, making))
        for run, network in judged.items():

            def predicted(name: str, *, blurred: bool, run: str = run, net: Any = network) -> Any:
                show = step(f"{run}: {name}")
                return predict_challenge(
                    net.predict,
                    sets[name],
                    moments=frames,
                    blurred=blurred,
                    progress=lambda done, total: show(done, total, 0.0),
                )[0]

            plain = predicted(PLAIN, blurred=False)
            for name in chosen:
                # Clips of walking people are compared with their own middle frames.
                beside = predicted(name, blurred=False) if name == CLIPS else plain
                shown = predicted(name, blurred=True)
                first, second = measured.pairs(shown, beside)
                if not len(first):
                    raise ModelError("no person in both data sets", where=f"plain and {name}")
                found[run][name] = measured.ChallengePair(
                    challenge=select(shown, first), plain=select(beside, second)
                )
        rows = measured.robustness_rows(found)
        step("drawing the page")(0, 1, 0.0)
        page = robustness_page(
            rows,
            pictures={name: _pictures(sets[name], name) for name in (PLAIN, *chosen)},
            about={name: _recipe(name).description for name in (PLAIN, *chosen)},
            runs=[(name, network.weights) for name, network in judged.items()],
        )
    figures = json_ready({"frames": frames, "rows": measured.as_json(rows)})
    write_file(folder / FIGURES, canonical_json(figures))
    write_file(folder / PAGE, page)
    return {**figures, "page": str(folder / PAGE), "text": measured.text(rows)}


@dataclass(frozen=True, kw_only=True)
class Tested:
    """A network under test; `weights`: the identity of its file."""

    weights: str
    predict: SamplePredictor


def opened(
    runs: Sequence[Any], kind: str | None, keypoints: str | Sequence[str] | None, device: str
) -> dict[str, Tested]:
    """Networks by the names of their runs' folders, files or functions."""
    found: dict[str, Tested] = {}
    for run in runs:
        function = callable(run) and not isinstance(run, Model)
        path = None if function else network_file(run)
        if path is None:
            name = getattr(run, "__name__", "predict")
        elif run == DEFAULT:
            name = DEFAULT
        else:
            name = path.stem if path.is_file() else path.resolve().name
        if name in found:
            raise ArgumentError(
                "two runs have the same name",
                where="runs",
                expected="folders of different names",
                got=name,
            )
        adapter = kind if path is not None and path.suffix in SUFFIXES and run != DEFAULT else None
        names = keypoints if function or adapter else None
        network = to_network(run, adapter, names, device)
        if network is not None:
            judge = Tested(weights=network.kind, predict=outside.predict_samples(network))
        else:
            from synthstudio.training import predictions
            from synthstudio.training.checkpoint import weights_file

            file = weights_file(network_file(run))
            shown = f"{file.resolve().parent.name}/{file.name}"
            judge = Tested(weights=shown, predict=predictions.predict_samples(file, device))
        found[name] = judge
    if not found:
        raise ArgumentError("no runs", where="runs", expected="at least one run's folder")
    return found


def made_set(path: Path, recipe: Recipe, count: int, workers: int, report: OnProgress) -> Path:
    """The data set of a challenge, generated or completed if needed."""
    length = recipe.clip.frames if recipe.clip else 1
    if (path / "index.json").is_file() and len(Dataset(path)) >= count * length:
        return path
    fields = {**dump(recipe), "frames": count * length}
    generate(fields, path, assets=SCENES, workers=workers, resume=True, progress=report)
    return path


def _recipe(name: str) -> Recipe:
    return load(scene_file(f"challenges/{name}.yaml"))


def _pictures(dataset: Dataset, name: str) -> list[Picture]:
    length = dataset.frame(0)["clip_frames"] or 1
    shown = exposures(dataset, moments=min(_SHOWN, len(dataset) // length), blurred=True)
    return [
        embed(one.rgb(), f"frame {one.frame['index']}", alt=f"{name}, frame {k}", width=320)
        for k, one in enumerate(shown)
    ]
