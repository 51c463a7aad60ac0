"""`synthstudio robustness`: runs on the challenges of the field, each beside the plain scene."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthstudio.api.arguments import DEVICES, PathLike, to_choice, to_count, to_path, to_workers
from synthstudio.api.progress import steps_if
from synthstudio.api.recipes import scene_file
from synthstudio.core.errors import ArgumentError, ModelError
from synthstudio.core.outputs import free_folder

if TYPE_CHECKING:
    from synthstudio.core.progress import OnProgress
    from synthstudio.dataset.reader import Dataset
    from synthstudio.report.html import Picture

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


def robustness(
    runs: Sequence[PathLike],
    out: PathLike = "exports/robustness",
    *,
    frames: int = 100,
    challenges: Sequence[str] = CHALLENGES,
    workers: int = 1,
    device: str = "auto",
    progress: bool = True,
) -> dict[str, Any]:
    """Hold runs against dark, glare, crowds and the like, each beside the plain scene.

    Args:
        runs: Folders of runs, or .safetensors files; the first is what others are compared with.
        out: Keeps the challenges' data sets, which later calls use again, and gets the page
            robustness.html and robustness.json.
        frames: People of each challenge.
        challenges: Which of them.
        workers: Processes that render.

    Returns:
        `rows` of figures with their intervals, and where the page is.

    Raises:
        ModelError: for networks that cannot be read, or whose answers cannot be compared.
        ArgumentError: for unknown challenges, or runs that share a name.
    """
    from synthstudio.dataset.durable import canonical_json, write_file
    from synthstudio.dataset.reader import Dataset
    from synthstudio.evaluation import robustness as measured
    from synthstudio.evaluation.storage import json_ready, select
    from synthstudio.report.comparison import robustness_page
    from synthstudio.report.html import write_page
    from synthstudio.training.robustness import predict_challenge

    folder = free_folder(to_path(out, "out"), own={SETS, PAGE, FIGURES}.__contains__)
    count, on = to_count(frames, "frames"), to_choice(device, "device", DEVICES)
    chosen = [to_choice(name, "challenges", CHALLENGES) for name in challenges]
    weights, processes = _weights(runs), to_workers(workers, "local")
    found: dict[str, dict[str, measured.ChallengePair]] = {name: {} for name in weights}
    with steps_if(progress) as step:
        sets = {}
        for name in (PLAIN, *chosen):
            path = _generated(folder / SETS / name, name, count, processes, step(f"making {name}"))
            sets[name] = Dataset(path)
        for run, file in weights.items():

            def predicted(name: str, *, blurred: bool, run: str = run, file: Path = file) -> Any:
                show = step(f"{run}: {name}")
                return predict_challenge(
                    file,
                    sets[name],
                    moments=count,
                    blurred=blurred,
                    device=on,
                    progress=lambda done, total: show(done, total, 0.0),
                )

            plain = predicted(PLAIN, blurred=False)
            for name in chosen:
                # Clips show who walks: their own middle frames are what they are held against.
                beside = predicted(name, blurred=False) if name == CLIPS else plain
                shown = predicted(name, blurred=True)
                ours, theirs = measured.pairs(shown, beside)
                if not len(ours):
                    raise ModelError("nobody is in both pictures", where=f"plain and {name}")
                found[run][name] = measured.ChallengePair(
                    challenge=select(shown, ours), plain=select(beside, theirs)
                )
        rows = measured.robustness_rows(found)
        step("drawing the page")(0, 1, 0.0)
        page = robustness_page(
            rows,
            pictures={name: _pictures(sets[name], name) for name in (PLAIN, *chosen)},
            about={name: _about(name) for name in (PLAIN, *chosen)},
            runs=[
                (name, f"{file.resolve().parent.name}/{file.name}")
                for name, file in weights.items()
            ],
        )
    figures = json_ready({"frames": count, "rows": measured.as_json(rows)})
    write_file(folder / FIGURES, canonical_json(figures))
    write_page(folder / PAGE, page)
    return {**figures, "page": str(folder / PAGE), "text": measured.text(rows)}


def _weights(runs: Sequence[PathLike]) -> dict[str, Path]:
    """Weights by the run's name: its folder's, or the file's."""
    from synthstudio.training.checkpoint import load_network, weights_file

    found: dict[str, Path] = {}
    for run in runs:
        path = to_path(run, "runs")
        name = path.stem if path.is_file() else path.resolve().name
        if name in found:
            raise ArgumentError(
                "two runs have one name",
                where="runs",
                expected="folders of different names",
                got=name,
            )
        found[name] = weights_file(path)
        load_network(found[name])
    if not found:
        raise ArgumentError("there is no run", where="runs", expected="a run's folder at least")
    return found


def _generated(path: Path, name: str, count: int, workers: int, report: OnProgress) -> Path:
    """The data set of a challenge, made as far as it is not there yet."""
    from synthstudio.dataset.reader import Dataset
    from synthstudio.generation.pipeline import generate
    from synthstudio.generation.stage import prepare
    from synthstudio.recipe.schema.load import dump, load, parse

    file = scene_file(f"challenges/{name}.yaml")
    recipe = load(file)
    length = recipe.clip.frames if recipe.clip else 1
    if (path / "index.json").is_file() and len(Dataset(path)) >= count * length:
        return path
    fields = {**dump(recipe), "frames": count * length}
    generate(
        prepare(parse(fields, str(file)), assets=file.parent.parent),
        path,
        workers=workers,
        resume=True,
        on_progress=report,
    )
    return path


def _about(name: str) -> str:
    from synthstudio.recipe.schema.load import load

    return load(scene_file(f"challenges/{name}.yaml")).description


def _pictures(dataset: Dataset, name: str) -> list[Picture]:
    from synthstudio.report.html import embed
    from synthstudio.training.robustness import exposures

    length = dataset.frame(0)["clip_frames"] or 1
    shown = exposures(dataset, moments=min(_SHOWN, len(dataset) // length), blurred=True)
    return [
        embed(one.rgb(), f"frame {one.frame['index']}", alt=f"{name}, frame {k}", width=320)
        for k, one in enumerate(shown)
    ]
