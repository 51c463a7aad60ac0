"""Recipes: read, written back, and now and then a small frame drawn."""

from __future__ import annotations

from pathlib import Path

from benchmarks.fuzz.cases import Case, Target
from benchmarks.fuzz.mutate import Files
from benchmarks.fuzz.targets.calls import command

SMALL = {"width_px": 64, "height_px": 64, "supersample": 1}


def inputs(sound: Path) -> list[Files]:
    scenes = Path(__file__).resolve().parents[3] / "scenes"
    return [{"a.yaml": path.read_bytes()} for path in sorted(scenes.glob("*.yaml"))]


def ask(case: Case) -> None:
    import synthstudio as ss

    file = case.input / "a.yaml"
    if case.rng.random() < 0.1:
        command(case, "generate", file, "--plan" if case.rng.random() < 0.01 else "--frames", "0",
                "--out", case.out)  # fmt: skip
        return
    case.done.append("Recipe.load, save")
    recipe = ss.Recipe.load(file)
    case.done.append("Recipe.save")
    recipe.save(case.out)
    case.done.append("Recipe.load of what was saved")
    assert ss.Recipe.load(case.out).to_dict() == recipe.to_dict(), "not the same when read again"
    if case.rng.random() < 0.04:
        _draw(case, recipe)


def _draw(case: Case, recipe: object) -> None:
    """One frame, small and of few people: what costs much is no hang."""
    import synthstudio as ss

    case.done.append("preview")
    try:
        small = recipe.with_(image=SMALL, layers=[])  # type: ignore[attr-defined]
        people = small.to_dict()["people"]["count"]
        if isinstance(people, int) and people <= 2:
            ss.preview(small, case.rng.randrange(100), device="cpu", assets=case.sound / "assets")
    finally:
        case.out.unlink()


TARGETS = (Target(name="recipes", weight=14, inputs=inputs, ask=ask),)
