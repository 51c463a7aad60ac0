"""Commands that use a trained network: predict, and suggest the next recipe."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synthstudio.api.progress import progress
from synthstudio.cli.options import DeviceName, DeviceOption, JsonOption, finish

if TYPE_CHECKING:
    from synthstudio.inference.predict import Person
    from synthstudio.inference.sources import Source


def predict(
    weights: Annotated[Path, typer.Argument(help="A run's folder, or a .safetensors file of one.")],
    source: Annotated[
        Path, typer.Argument(help="A photo, a folder of photos, a video, a data set, a COCO file.")
    ],
    out: Annotated[Path, typer.Option(help="A new folder for the results.")],
    boxes: Annotated[
        Path | None, typer.Option(help="Where people are: COCO annotations or results.")
    ] = None,
    detector: Annotated[
        str, typer.Option(help="Or a person detector of transformers: a name or a folder.")
    ] = "",
    sure: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out boxes with a lower score.")
    ] = 0.5,
    images: Annotated[
        Path | None, typer.Option(help="A COCO file's pictures; default: beside it.")
    ] = None,
    draw: Annotated[int, typer.Option(min=0, help="Draw the first so many pictures.")] = 100,
    smooth: Annotated[
        int, typer.Option(min=0, max=99, help="Frames that a clip's joints are smoothed over.")
    ] = 7,
    flip: Annotated[bool, typer.Option("--flip", help="Ask about mirrored crops too.")] = False,
    peaks: Annotated[
        int, typer.Option(min=0, max=20, help="Tell so many separate peaks of each joint's map.")
    ] = 0,
    batch: Annotated[int, typer.Option(min=1, max=4096, help="Crops at once.")] = 64,
    into: Annotated[
        str | None,
        typer.Option(help="Store them in this review store too: sqlite:///FILE or postgresql://…"),
    ] = None,
    layer: Annotated[
        str, typer.Option(help="With --into: the layer's name; default: that of the run.")
    ] = "",
    device: DeviceOption = DeviceName.auto,
    as_json: JsonOption = False,
) -> None:
    """Find the joints of people, what hides them, and how sure that is."""
    from synthstudio.inference import boxes as box_sources
    from synthstudio.inference import write
    from synthstudio.inference.predict import PredictOptions
    from synthstudio.inference.sources import open_source
    from synthstudio.training import devices
    from synthstudio.training.checkpoint import load_network, weights_file

    if boxes is not None and detector:
        raise typer.BadParameter("give --boxes or --detector, not both", param_hint="--boxes")
    net, config, skeleton = load_network(weights_file(weights))
    asked = open_source(source, images=images)
    if into is not None:
        _check_into(asked, skeleton, given=boxes is not None or bool(detector))
    write.prepare_out(out)
    place = devices.get_device(device.value)
    find = _finder(asked, boxes, detector, sure, place)
    facts: dict[int, dict[str, Any]] = {}
    with progress("looking") as report:
        people = _people(
            net.to(place),
            asked,
            find,
            facts,
            report,
            PredictOptions(
                size=config.network.size, skeleton=skeleton, batch=batch, flip=flip, peaks=peaks
            ),
        )
    if boxes is not None:
        box_sources.check_found(len(people), boxes)
    people = _over_time(people, smooth)
    write.write_results(out, people, facts, skeleton)
    _draw(asked, people, skeleton, out, draw)
    result: dict[str, Any] = {"out": str(out), "pictures": len(facts), "people": len(people)}
    text = f"{len(people)} people in {len(facts)} pictures, in {out}"
    if into is not None:
        name = layer or config.name
        result |= {"layer": name, "stored": _store(into, source, name, people, skeleton)}
        text += f"; layer {name} in the review store"
    finish(result, as_json, text)


def suggest(
    evaluation: Annotated[Path, typer.Argument(help="An evaluation's folder.")],
    out: Annotated[Path, typer.Option(help="The recipe's file.")],
    like: Annotated[
        Path | None, typer.Option(help="A recipe to start from, e.g. that of the training data.")
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="How many frames it shall make.")] = 200,
    as_json: JsonOption = False,
) -> None:
    """Write a recipe that makes more of what a network fails at."""
    from synthstudio.dataset.durable import write_file
    from synthstudio.inference import suggest as suggesting
    from synthstudio.recipe.schema.load import load

    if out.exists():
        raise typer.BadParameter(f"{out} is there already", param_hint="--out")
    found = suggesting.profile(*suggesting.read_evaluation(evaluation))
    recipe = suggesting.next_recipe(found, frames=frames, like=None if like is None else load(like))
    write_file(out, suggesting.as_yaml(recipe, found).encode())
    result = {"out": str(out), "recipe": recipe, "profile": found.as_json()}
    finish(result, as_json, f"{found.text()}\nrecipe in {out}. Next: synthstudio generate {out}")


def _finder(asked: Any, boxes: Path | None, detector: str, sure: float, place: Any) -> Any:
    from synthstudio.inference import boxes as box_sources

    if boxes is not None:
        return box_sources.boxes_from_file(boxes, asked, min_score=sure)
    if detector:
        return box_sources.Detector(detector, device=place, min_score=sure)
    return box_sources.source_boxes


def _people(
    net: Any, asked: Source, find: Any, facts: dict[int, dict[str, Any]], report: Any, options: Any
) -> list[Person]:
    import time

    from synthstudio.inference.predict import predict as run

    began = time.monotonic()

    def pictures() -> Any:
        for picture in asked.read():
            high, wide = picture.rgb.shape[:2]
            facts[picture.number] = {"file_name": picture.name, "width": wide, "height": high}
            yield picture

    def step(done: int) -> None:
        report(done, asked.total or done, done / max(time.monotonic() - began, 1e-6))

    return list(run(net, pictures(), find, options, progress=step))


def _over_time(people: list[Person], frames: int) -> list[Person]:
    from synthstudio.inference.predict import smoothed

    return smoothed(people, frames=frames)


def _draw(asked: Source, people: list[Person], skeleton: Any, out: Path, most: int) -> None:
    from itertools import islice

    from synthstudio.inference.write import draw_into

    by_picture: dict[int, list[Person]] = {}
    for person in people:
        by_picture.setdefault(person.image, []).append(person)
    for picture in islice(asked.read(), most):
        draw_into(out, picture, by_picture.get(picture.number, []), skeleton)


def _check_into(asked: Source, skeleton: Any, *, given: bool) -> None:
    from synthstudio.dataset.reader import Dataset
    from synthstudio.inference.write import check_skeleton

    if asked.kind != "dataset":
        raise typer.BadParameter("only for one of our data sets", param_hint="--into")
    if given:
        raise typer.BadParameter(
            "needs the data set's own boxes: they say who is who", param_hint="--into"
        )
    check_skeleton(Dataset(asked.path), skeleton)


def _store(url: str, source: Path, layer: str, people: list[Person], skeleton: Any) -> int:
    from synthstudio.dataset.reader import Dataset
    from synthstudio.inference.write import store_predictions
    from synthstudio.review.store import open_store

    with closing(open_store(url)) as store:
        return store_predictions(store, Dataset(source), layer, people, skeleton)
