"""`ss.robustness`: networks on challenge scenes, each compared with the plain scene; `ss.stress`: a
fixed set of moments, clean and hidden by four causes at four levels."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from synthstudio.api import arguments as args
from synthstudio.api.generation import generate
from synthstudio.api.model import SUFFIXES, Model, network_file, to_network
from synthstudio.api.recipes import SCENES, scene_file
from synthstudio.core.errors import ArgumentError, ModelError
from synthstudio.core.labels import HIDDEN_CAUSES
from synthstudio.core.places import free_folder
from synthstudio.core.progress import OnProgress, progress_steps
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.durable import canonical_json, new_parents, write_file
from synthstudio.dataset.reader import Dataset
from synthstudio.evaluation import robustness as measured
from synthstudio.evaluation.intervals import Interval, few_groups_note, table_text
from synthstudio.evaluation.robustness import Row
from synthstudio.evaluation.storage import Predictions, json_ready, percent, select
from synthstudio.models.packaged import DEFAULT
from synthstudio.recipe.schema.load import dump, load, parse
from synthstudio.recipe.schema.recipe import Recipe
from synthstudio.report import evaluation as pages
from synthstudio.report.comparison import robustness_page, stress_page
from synthstudio.report.pages import Picture, embed
from synthstudio.training import outside
from synthstudio.training.evaluation import (
    SamplePredictor,
    dataset_sha256,
    exposures,
    predict_challenge,
)

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
                found[run][name] = pair = measured.paired(shown, beside)
                if not len(pair.plain):
                    raise ModelError("no person in both data sets", where=f"plain and {name}")
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
    text = "\n".join(filter(None, (measured.text(rows), few_groups_note(frames))))
    return {**figures, "page": str(folder / PAGE), "text": text}


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


# The stress test ----------------------------------------------------------------------------------

VERSION = 1
"""Version of recipe, levels and measures; figures of different versions do not compare."""
MOMENTS, QUICK = 1000, 100
CLEAN = "clean"
_OTHERS = ((0.1, 0.2), (0.25, 0.35), (0.4, 0.5), (0.55, 0.65))
LEVELS = {
    "object": _OTHERS,
    "person": _OTHERS,
    "self": ((0.2, 0.3), (0.3, 0.4), (0.4, 0.5), (0.5, 0.6)),  # a clean person hides about 0.25
    "truncated": _OTHERS,
}
"""Fraction of a person's joints hidden by each cause: (low, high) of each level."""
SETTINGS = [(cause, level) for cause in LEVELS for level in range(len(_OTHERS))]
_CORES = 4
_BEHIND = 2
"""Instance of the front person, the occluder; the second is behind."""
STRESS_PAGE, STRESS_FIGURES = "stress.html", "stress.json"
_TITLES = {"self": "own body", "truncated": "frame"}
_WORST = 2


@args.checked
def stress(
    model: Any,
    out: args.PathLike = "exports/stress",
    *,
    kind: args.Kind = None,
    keypoints: args.Keypoints = None,
    quick: bool = False,
    workers: args.Workers | None = None,
    device: args.Device = "auto",
    progress: bool = True,
) -> dict[str, Any]:
    """The stress test: joints lost to an object, a person, the own body and the frame.

    1,000 moments of two people, each clean and hidden by every cause at four levels; figures are
    changes of the same joints of the same people.

    Args:
        model: A run, .safetensors or exported .onnx file, "default", a function or another
            program's file.
        out: Folder of the pages; it keeps the test's data sets.
        quick: The first 100 of the 1,000 moments.
        workers: Processes that make the data sets; default: all cores, up to 4.

    Returns:
        `version`, `moments`, `clean` and `rows` of figures with their intervals (`part`: visible,
        hidden, or hidden by the set's cause), `data_sha256` of each set, `page` and the card of ten
        lines, `text`.

    Raises:
        ModelError: for a network that cannot be read or run.
        DiskError: for a folder that is not writable.
    """
    kept = free_folder(args.to_path(out, "out"), own=lambda name: name.startswith("version-"))
    root = kept / f"version-{VERSION}"
    ((name, judged),) = opened([model], kind, keypoints, device).items()
    moments, many = QUICK if quick else MOMENTS, workers or min(os.cpu_count() or 1, _CORES)
    folder = root / f"{name}-{moments}"
    both: dict[str, measured.ChallengePair] = {}
    pictures: dict[str, list[Picture]] = {}
    hashes: dict[str, str] = {}
    with progress_steps(progress) as step:

        def shown(cause: str, level: int = 0) -> tuple[Dataset, Predictions, Skeleton]:
            title = set_name(cause, level)
            making = step(f"making {title}, set {len(hashes) + 1} of {len(SETTINGS) + 1}")
            path = made_set(root / SETS / title, stress_recipe(cause, level), moments, many, making)
            dataset, report = Dataset(path), step(f"{name}: {title}")
            hashes[title] = dataset_sha256(path)
            answers, skeleton = predict_challenge(
                judged.predict,
                dataset,
                moments=moments,
                all_people=True,
                progress=lambda done, total: report(done, total, 0.0),
            )
            return dataset, answers, skeleton

        dataset, clean, skeleton = shown(CLEAN)
        pictures[CLEAN] = _worst(dataset, clean, skeleton)
        for cause, level in SETTINGS:
            dataset, answers, _ = shown(cause, level)
            if cause == "person":
                answers = select(answers, answers.instance == _BEHIND)
            title = set_name(cause, level)
            both[title] = measured.paired(answers, clean)
            pictures[title] = _worst(dataset, answers, skeleton)
        causes = {set_name(cause, k): cause for cause, k in SETTINGS if cause in HIDDEN_CAUSES}
        rows = measured.robustness_rows({name: both}, same_joints=True, causes=causes)
        whole = {part: measured.part_interval(clean, part) for part in measured.PARTS}
        step("drawing the page")(0, 1, 0.0)
        card = _card(name, moments, whole, rows, str(folder / STRESS_PAGE))
        page = stress_page(card, rows, pictures=pictures, version=VERSION, weights=judged.weights)
    figures = json_ready(
        {
            "version": VERSION,
            "moments": moments,
            "clean": {part: vars(found) for part, found in whole.items()},
            "rows": measured.as_json(rows),
            "data_sha256": hashes,
        }
    )
    with new_parents(folder / STRESS_PAGE):
        write_file(folder / STRESS_FIGURES, canonical_json(figures))
        write_file(folder / STRESS_PAGE, page)
    return {**figures, "page": str(folder / STRESS_PAGE), "text": card}


def stress_recipe(cause: str = CLEAN, level: int = 0) -> Recipe:
    """The recipe of the clean moments, or of those occluded by a cause at a level 0 to 3."""
    file = scene_file("stress.yaml")
    fields = dump(load(file))
    if cause == CLEAN:
        return parse(fields, str(file))
    low, high = LEVELS[cause][level]
    if cause == "person":  # a mean of both people, of whom only one is hidden
        low, high = low / 2, high / 2
    causes = fields["targets"]["causes"] | {cause: [low, high]}
    more = {"objects": [{"kind": "procedural"}]} if cause == "object" else {}
    return parse(
        fields | {"targets": {"causes": causes}, "name": set_name(cause, level)} | more, str(file)
    )


def set_name(cause: str, level: int) -> str:
    return CLEAN if cause == CLEAN else f"{cause}-{level + 1}"


def _worst(dataset: Dataset, answers: Predictions, skeleton: Skeleton) -> list[Picture]:
    return [
        embed(case.rgb, f"frame {case.frame}", alt=f"truth and prediction, frame {case.frame}")
        for case in pages.cases(dataset, answers, pages.worst(answers, count=_WORST), skeleton)
    ]


def _card(
    name: str, moments: int, clean: Mapping[str, Interval], rows: Sequence[Row], page: str
) -> str:
    """The card of ten lines: settings, clean, causes, worst change, page."""
    of = {(row.challenge, row.part): row for row in rows}

    def cell(cause: str, level: int) -> str:
        title = set_name(cause, level)
        shown = [of[title, part] for part in ("visible", cause) if (title, part) in of]
        values = " / ".join(percent(row.value.value) for row in shown)
        changes = " / ".join(percent(row.change.value, signed=True) for row in shown)
        return f"{values} ({changes})"

    levels = [f"{100 * low:.0f}-{100 * high:.0f} %" for low, high in LEVELS["object"]]
    lines = [["hidden by", *levels]]
    lines += [
        [_TITLES.get(cause, cause), *(cell(cause, k) for k in range(len(levels)))]
        for cause in LEVELS
    ]
    tested = [row for row in rows if math.isfinite(row.change.high)]
    worst = min(tested, key=lambda row: row.change.high)
    kind = f"{worst.part} joints" if worst.part in measured.PARTS else "joints hidden by it"
    return "\n".join(
        [
            f"stress test, version {VERSION}: {name}, {moments} moments of two people",
            f"PCK@0.1 clean: visible {percent(clean['visible'].value)}, hidden (by the own body) "
            f"{percent(clean['hidden'].value)}",
            "below: visible joints / joints hidden by it (change of the same joints from clean), "
            "by the share of joints hidden; joints outside the frame are not measured",
            table_text(lines),
            f"worst: {worst.challenge}, {kind}, {worst.change.marked()} points",
            f"own body: {', '.join(f'{100 * a:.0f}-{100 * b:.0f} %' for a, b in LEVELS['self'])}; "
            f"page: {page}",
        ]
    )
