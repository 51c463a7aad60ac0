"""Checkpoints, runs, training configs, evaluations, and boxes given to a network."""

from pathlib import Path

from benchmarks.fuzz.cases import Case, Target
from benchmarks.fuzz.mutate import Files, as_json
from benchmarks.fuzz.targets.files import command, tree

ROOT = Path(__file__).resolve().parents[3]


def checkpoint_inputs(sound: Path) -> list[Files]:
    run = tree(sound / "run")
    names = [name for name in run if name.endswith(".safetensors") and "state" not in name]
    return [{"a.safetensors": run[name]} for name in names]


def ask_checkpoint(case: Case) -> None:
    import synthstudio as ss
    from synthstudio.api.inference import predict_to_folder

    file = case.input / "a.safetensors"

    def load() -> None:
        case.done.append("Model.load, predict")
        model = ss.Model.load(file, device="cpu")
        model.predict(case.sound / "photo" / "a.jpg")

    def write() -> None:
        case.done.append("predict_to_folder")
        predict_to_folder(file, case.sound / "photo", case.out, device="cpu", draw=1, peaks=2)

    def begin() -> None:
        case.done.append("train from these weights")
        _train(case, {"init_from": str(file)})

    case.pick(load, load, load, write, begin)


def _train(case: Case, changes: dict[str, object]) -> None:
    """Two steps of a training on the tiny set."""
    import json

    from synthstudio.api import networks

    config = json.loads((case.sound / "train.yaml").read_text(encoding="utf-8"))
    for key in ("train", "val"):
        config[key] = [{"dataset": str(case.sound / "pairs")}]
    made = networks.to_config({**config, **changes})
    networks.fit(made, case.out, cache=case.sound / "crops", fast_dev_run=True, progress=False)


def config_inputs(sound: Path) -> list[Files]:
    nano = {"a.yaml": (ROOT / "scenes" / "training" / "nano.yaml").read_bytes()}
    base = {"a.yaml": (ROOT / "scenes" / "training" / "base.yaml").read_bytes()}
    return [nano, base, {"a.yaml": (sound / "train.yaml").read_bytes()}]


def ask_config(case: Case) -> None:
    from synthstudio.api import networks
    from synthstudio.training import config as configs

    file = case.input / "a.yaml"
    if case.rng.random() < 0.1:
        command(case, "train", file, "--out", case.out, "--fast-dev-run")
        return
    case.done.append("config: load")
    made = configs.load(file)
    small = made.network.width <= 64 and made.network.depth <= 2
    if case.rng.random() < 0.15 and small and made.network.variant in ("", "nano"):
        case.done.append("two steps")
        here = {"dataset": str(case.sound / "pairs")}
        changes = {"train": (made.train[0].model_copy(update=here),), "val": (), "batch": 4}
        if not made.train[0].coco and not made.train[0].recipe and not made.network.is_external:
            networks.fit(
                made.model_copy(update=changes),
                case.out,
                cache=case.sound / "crops",
                fast_dev_run=True,
                progress=False,
            )


def evaluation_inputs(sound: Path) -> list[Files]:
    found = tree(sound / "evaluation")
    return [{name: data for name, data in found.items() if not name.endswith(".html")}]


def ask_evaluation(case: Case) -> None:
    from synthstudio.api import evaluations

    def compare() -> None:
        case.done.append("compare")
        pair = [str(case.input), str(case.sound / "evaluation")]
        case.rng.shuffle(pair)
        evaluations.compare(pair, out=case.out)

    def suggest() -> None:
        case.done.append("suggest")
        evaluations.suggest(case.input, case.out)

    case.pick(compare, suggest, suggest)


def boxes_inputs(sound: Path) -> list[Files]:
    results = (sound / "boxes.json").read_bytes()
    box = {"id": 1, "image_id": 5, "category_id": 1, "bbox": [20, 10, 60, 100], "area": 6000}
    person = [{"id": 1, "name": "person"}]
    image = [{"id": 5, "file_name": "a.jpg", "width": 160, "height": 120}]
    whole = {"images": image, "annotations": [box], "categories": person}
    answers = {
        name: data for name, data in tree(sound / "answers").items() if name.endswith(".json")
    }
    return [
        {"a.json": results},
        {"a.json": as_json(whole)},
        *({"a.json": d} for d in answers.values()),
    ]


def ask_boxes(case: Case) -> None:
    import synthstudio as ss

    model = _model(case.sound)
    case.done.append("predict with boxes of a file")
    source = case.sound / case.rng.choice(("photo", "photo", "pairs"))
    if case.rng.random() < 0.2:
        model.predict(source, boxes=case.input / "a.json")
        ss.predict(model, case.input / "a.json")  # as a source: a COCO file with pictures beside it
    else:
        model.predict(source, boxes=case.input / "a.json")


_MODELS: dict[Path, object] = {}


def _model(sound: Path):  # type: ignore[no-untyped-def]
    import synthstudio as ss

    if sound not in _MODELS:
        _MODELS[sound] = ss.Model.load(sound / "run", device="cpu")
    return _MODELS[sound]


TARGETS = (
    Target(name="checkpoints", weight=12, inputs=checkpoint_inputs, ask=ask_checkpoint),
    Target(name="configs", weight=12, inputs=config_inputs, ask=ask_config),
    Target(name="evaluations", weight=8, inputs=evaluation_inputs, ask=ask_evaluation),
    Target(name="boxes", weight=8, inputs=boxes_inputs, ask=ask_boxes),
)
