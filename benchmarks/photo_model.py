"""The networks that come with the package: `make model` trains and installs them with their card.

Generates the people of scenes/everyday.yaml and scenes/wild.yaml (what is there is kept), trains
scenes/training/photos.yaml on them, goes on from there by photos_large.yaml, trains the detector of
people.yaml, exports the last two, asks them about the test people of both sets and, with
`--photos`, of real photos (benchmarks/transfer.py says what they are), and writes the card.

`--run RUN` and `--people RUN` take runs that are trained already, `--small RUN` the one that the
first of them begins with; `--finder-as-it-is` keeps the installed detector.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

import synthstudio as ss
from benchmarks import finding
from benchmarks.generated_people import (
    CONFIG,
    FINDER_CONFIG,
    LARGE_CONFIG,
    SETS,
    generate,
    with_sets,
)
from benchmarks.proofs import ROOT
from benchmarks.ready import trained
from benchmarks.transfer import people_of
from synthstudio.dataset.durable import replace_file
from synthstudio.inference import scoring
from synthstudio.inference.finder import Finder
from synthstudio.inference.onnx_model import OnnxModel
from synthstudio.inference.second_look import AGREED, UNSURE
from synthstudio.models.packaged import (
    CARD,
    FINDER,
    FINDER_TENSORS,
    MOST_BYTES,
    ONNX,
    TENSORS,
    WEIGHTS,
)
from synthstudio.training import checkpoint
from synthstudio.training import config as configs
from synthstudio.training.config import Config

PHOTOS = {"dev": ("images", "photos, as they are"), "natural": ("natural", "photos, v=1 is hidden")}


def figures(
    model: OnnxModel, generated: Path, photos: Path | None, cache: Path
) -> dict[str, scoring.Hits]:
    """What the exported network finds, by where the people are from."""
    size, skeleton = model.size, model.skeleton
    tests = {
        f"test people of scenes/{name}.yaml": scoring.labelled_people(
            generated / name, splits=("test",), size=size, skeleton=skeleton, cache=cache,
            boxes="limbs",
        )
        for name in SETS
    }  # fmt: skip
    config = configs.load(LARGE_CONFIG)
    for name, (images, title) in PHOTOS.items() if photos else ():
        assert photos is not None
        if (photos / f"{name}.json").is_file() and (photos / images).is_dir():
            tests[title] = people_of(photos, name, images, config, cache, skeleton)
    return {title: scoring.hits(model, people, size, skeleton) for title, people in tests.items()}


def card(
    found: dict[str, scoring.Hits],
    model: OnnxModel,
    run: Config,
    sizes: dict[str, int],
    finder: Finder,
    finding_rows: list[str],
) -> str:
    """The model card; `run` is the config as it was trained."""
    own, small, config = map(configs.load, (FINDER_CONFIG, CONFIG, LARGE_CONFIG))
    frame = f"{finder.size[0]}x{finder.size[1]}"
    people = f"{own.steps:,} steps of {own.batch} frames, {own.precision}, seed {own.seed}"
    seen = "\n".join(finding_rows) or "It was not asked about photos when this card was made."
    rows = "\n".join(
        f"| {title} | {len(hits.found['all']):,} | "
        + " | ".join(_figure(hits.percent(name)) for name in ("all", "visible", "hidden"))
        + " |"
        for title, hits in found.items()
    )
    files = ", ".join(f"`{name}` {size / 1e6:.2f} MB" for name, size in sizes.items())
    photos = "" if any("photos" in title for title in found) else (
        "\nIt was not asked about real photos when this card was made.\n"
    )  # fmt: skip
    head = f"crops of one person, {model.size[0]}x{model.size[1]} pixels"
    head += f", to {len(model.skeleton.joints)} joints ({model.skeleton.name})"
    recipe = f"{config.steps:,} steps of {config.batch} people, {config.precision}"
    first = f"{small.steps:,} steps of {small.batch} people at {small.network.size[0]}x"
    first += f"{small.network.size[1]}"
    order = "" if run.deterministic else ", sums in no fixed order"
    return f"""# The networks that come with synthstudio
An ORN nano: {head}, each with what hides it.
Without boxes a detector finds people for it: an FCPose nano's, for whole pictures at {frame}.
{files}. Made by `make model`; `synthstudio predict photo.jpg` asks them.

**Data.** Generated people alone, no photo: the training splits of scenes/everyday.yaml and
scenes/wild.yaml. **Recipe.** scenes/training/photos.yaml, {first}, then
scenes/training/photos_large.yaml, {recipe}; seed {config.seed} (one seed), on {run.device}{order}.
Made-up shapes are pasted over {config.augment.paste:.0%} of the people.
The detector, without the maps of joints, on whole frames of the same sets:
scenes/training/people.yaml, {people}.
**Licence.** That of the package, Apache-2.0.

Joints found within 0.1 of the box's longer side (PCK@0.1), in percent, from true boxes:

| people | moments | all | visible | hidden |
|---|---|---|---|---|
{rows}
{photos}
Without boxes (`python -m benchmarks.finding`): a person is found by a box with an IoU of at least
a half, a joint by the one prediction that OKS matches with its person. Boxes beyond those of
labelled people count as false, also where somebody is there who was not labelled.

{seen}

**Limits.** It learnt from rendered people, whose look is not that of photos: expect far worse
answers there than at home, worst for sport, for children and for people who are small in the
picture. The detector misses most people, and most of its boxes are nobody's: give boxes where you
have them. Its threshold was chosen on some of the same photos. One seed was trained. It must not be
used to identify, to rate or to watch people, or where a wrong joint does harm.
"""


def _figure(value: float) -> str:
    return f"{value:.1f}" if np.isfinite(value) else "-"


def _finding(model: OnnxModel, finder: Finder, folder: Path) -> list[str]:
    """What is found in photos without boxes, as a table."""
    sets = {
        title: finding.photos(folder / f"{name}.json", folder / images, model.skeleton, 0)
        for name, (images, title) in PHOTOS.items()
        if (folder / f"{name}.json").is_file()
    }
    return finding.table(sets, model, finder, [AGREED])


def half(run: Path, file: Path) -> bytes:
    """A run's weights in float16, which every loader of them widens, with the config of the `file`
    that it was trained by, which names no folder of this machine."""
    net, made, skeleton = checkpoint.load_any(checkpoint.weights_file(run))
    config = configs.load(file)
    if (made.network, made.augment, made.steps) != (config.network, config.augment, config.steps):
        raise SystemExit(f"{run} was not trained by {file}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / TENSORS
        checkpoint.save_weights(path, net.half(), config, skeleton=skeleton, note="float16")
        return path.read_bytes()


def exported(run: Path) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        made = ss.Model.load(run, device="cpu").export(Path(folder) / ONNX)
        print(f"joints within {made['joints_px']:.2g} px of PyTorch's")
        return Path(made["out"]).read_bytes()


def _is_trained(run: Path) -> bool:
    return (run / "best.safetensors").is_file()


def _learn(file: Path, run: Path, generated: Path, cache: Path, start: Path | None = None) -> None:
    """Train by a config file, from the weights of the run `start`, unless that is done."""
    if not _is_trained(run):
        config = with_sets(configs.load(file), generated)
        begin = "" if start is None else str(start / "best.safetensors")
        config = config.model_copy(update={"init_from": begin})
        trained(config, run, crops=cache, stopped="stopped: start it again")


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generated", type=Path, default=ROOT / "exports")
    parser.add_argument("--small", type=Path, default=ROOT / ".cache" / "photo_model_small")
    parser.add_argument("--run", type=Path, default=ROOT / ".cache" / "photo_model")
    parser.add_argument("--people", type=Path, default=ROOT / ".cache" / "people_finder")
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "photo_crops")
    parser.add_argument("--photos", type=Path, help="as benchmarks/transfer.py has them")
    parser.add_argument("--finder-as-it-is", action="store_true", help="keep the detector")
    parser.add_argument("--to", type=Path, default=WEIGHTS, help="where it is installed")
    options = parser.parse_args(words)
    generated = options.generated.resolve()
    generate(generated)
    if not _is_trained(options.run):
        _learn(CONFIG, options.small, generated, options.cache)
        _learn(LARGE_CONFIG, options.run, generated, options.cache, start=options.small)
    made = {ONNX: exported(options.run), TENSORS: half(options.run, LARGE_CONFIG)}
    if options.finder_as_it_is:
        made |= {name: (WEIGHTS / name).read_bytes() for name in (FINDER, FINDER_TENSORS)}
    else:
        _learn(FINDER_CONFIG, options.people, generated, options.cache)
        made[FINDER] = exported(options.people)
        made[FINDER_TENSORS] = half(options.people, FINDER_CONFIG)
    for name, data in made.items():
        if len(data) >= MOST_BYTES:
            raise SystemExit(f"{name} has {len(data)} bytes, {MOST_BYTES} at most")
    model = OnnxModel.parse(made[ONNX], where=ONNX, device="cpu")
    finder = Finder.parse(made[FINDER], where=FINDER, device="cpu", min_score=UNSURE)
    found = figures(model, generated, options.photos, options.cache)
    sizes = {name: len(data) for name, data in made.items()}
    rows = _finding(model, finder, options.photos) if options.photos else []
    _, run, _ = checkpoint.load_any(checkpoint.weights_file(options.run))
    text = card(found, model, run, sizes, finder, rows)
    for name, data in {**made, CARD: text.encode()}.items():
        options.to.mkdir(parents=True, exist_ok=True)
        replace_file(options.to / name, data)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
