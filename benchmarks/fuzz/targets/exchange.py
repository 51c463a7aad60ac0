"""Files of other tools: imported, validated and mended."""

from __future__ import annotations

import json
import random
from pathlib import Path

from benchmarks.fuzz.cases import Case, Target
from benchmarks.fuzz.mutate import Files
from benchmarks.fuzz.targets.calls import command, read_whole

OTHERS = ("crowdpose", "ochuman", "yolo", "cvat", "webdataset", "huggingface")
OTHERS += ("label-studio", "mpii", "lsp", "h36m")
_PICTURES = ("images/",)
_COCO_FILE = "annotations/person_keypoints_train.json"


def tree(folder: Path) -> Files:
    """The files below a folder."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def without_sidecar(files: Files) -> Files:
    return {name: data for name, data in files.items() if not name.startswith("synthstudio/")}


def coco_inputs(sound: Path) -> list[Files]:
    whole = tree(sound / "exports" / "coco")
    polygons = tree(sound / "exports" / "polygons")
    plain = without_sidecar(whole)
    few = json.loads(plain[_COCO_FILE])
    few["annotations"] = few["annotations"][:2]
    short = {**plain, _COCO_FILE: json.dumps(few).encode()}
    return [short, short, plain, without_sidecar(polygons), whole]


def ask_coco(case: Case) -> None:
    import synthstudio as ss
    from synthstudio.api import quality

    file = case.input / _COCO_FILE

    def take() -> None:
        case.done.append("import_ coco")
        ss.import_(case.input if case.rng.random() < 0.5 else file, case.out)
        read_whole(case.out)

    def validate() -> None:
        case.done.append("validate, report, fix")
        made = quality.validate(
            file, pictures=case.rng.random() < 0.5, report=case.out, fix=case.out.with_name("out2")
        )
        made.text(), made.as_json()

    def by_command() -> None:
        words = case.rng.choice((("validate", file, "--json"), ("import", file, "--out", case.out)))
        command(case, *words)

    case.pick(take, take, validate, validate, by_command)


def other_inputs(form: str) -> object:
    def inputs(sound: Path) -> list[Files]:
        whole = tree(sound / "exports" / form)
        return [without_sidecar(whole), without_sidecar(whole), whole]

    return inputs


def ask_other(form: str) -> object:
    def ask(case: Case) -> None:
        import synthstudio as ss

        case.done.append(f"import_ {form}")
        if case.rng.random() < 0.08:
            command(case, "import", case.input, "--format", form, "--out", case.out)
        else:
            ss.import_(case.input, case.out, format=form)
        read_whole(case.out)

    return ask


def _spare_pictures(files: Files, rng: random.Random) -> Files:
    from benchmarks.fuzz.mutate import mutate

    return mutate(files, rng, keep=_PICTURES if rng.random() < 0.9 else ())


TARGETS = (
    Target(name="coco", weight=14, inputs=coco_inputs, ask=ask_coco, mutate=_spare_pictures),
    *(
        Target(
            name=form,
            weight=2,
            inputs=other_inputs(form),  # type: ignore[arg-type]
            ask=ask_other(form),  # type: ignore[arg-type]
            mutate=_spare_pictures,
        )
        for form in OTHERS
    ),
)
