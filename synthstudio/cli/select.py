"""Commands that make new datasets of old ones and write them for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from synthstudio.api.progress import waiting
from synthstudio.cli.options import (
    SKELETON_NAMES,
    DatasetArgument,
    FormatOption,
    JsonOption,
    WhereOption,
    finish,
    part,
)
from synthstudio.core.amounts import frames_text, people_text


def filter(
    dataset: DatasetArgument,
    query: Annotated[
        str, typer.Argument(help='E.g. "left_wrist hidden by object and occluded > 0.3".')
    ] = "",
    out: Annotated[Path | None, typer.Option(help="Folder or URL of the new dataset.")] = None,
    count: Annotated[bool, typer.Option("--count", help="Only count what matches.")] = False,
    keep_people: Annotated[
        bool,
        typer.Option(
            "--keep-people/--frames", help="Keep matching people only, or all people of a frame."
        ),
    ] = False,
    fields: Annotated[bool, typer.Option("--fields", help="List the fields of queries.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the frames with people who match a query as a dataset (docs/query.md)."""
    from synthstudio.api import selection

    if fields:
        typer.echo(selection.query_fields())
        return
    if not query:
        raise typer.BadParameter("a query is needed", param_hint="QUERY")
    if not count and out is None:
        raise typer.BadParameter("name a folder, or say --count", param_hint="--out")
    if count or out is None:
        found = selection.count(dataset, query)
        finish(found.as_json(), as_json, found.text())
        return
    made = selection.filter(dataset, query, out, keep_people=keep_people, resume=resume)
    result = {"folder": str(made.path), "frames": made.frames, "people": made.num_people}
    finish(
        result,
        as_json,
        f"{frames_text(made.frames)} with {people_text(made.num_people)} in {made.path}",
    )


def split(
    dataset: DatasetArgument,
    by: Annotated[
        str,
        typer.Option(
            "--by",
            help="What no two splits may share: some of group, clip, motion, identity, pose, "
            "asset, joined by commas.",
        ),
    ] = "group,clip,identity",
    shares: Annotated[str, typer.Option(help="Shares of train, val, test.")] = "0.8,0.1,0.1",
    seed: Annotated[int, typer.Option(help="Seed; breaks ties.")] = 0,
    table: Annotated[Path | None, typer.Option(help="Write the splits as a CSV table.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write a dataset with these splits.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only look for leaks, in --table or as stored.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Split a dataset without leaks, with similar occlusion in every split."""
    from synthstudio.api import selection

    keys = [key.strip() for key in by.split(",")]
    if check:
        found = selection.leaks(dataset, by=keys, table=table)
        rows = [{"key": k.key, "value": k.value, "frames": k.frames} for k in found]
        lines = [f"{k.key} {k.value}: {k.frames}" for k in found[:20]]
        finish({"leaks": rows}, as_json, "\n".join([f"{len(found)} leaks by {by}", *lines]))
        if found:
            raise typer.Exit(1)
        return
    made = selection.split(
        dataset, by=keys, shares=_numbers(shares), seed=seed, table=table, out=out
    )
    finish(made.as_json(), as_json, made.text())


def merge(
    parts: Annotated[
        list[Path], typer.Argument(help="All parts of one run; with --sets, whole datasets.")
    ],
    out: Annotated[Path, typer.Option(help="Folder or URL of the merged dataset.")],
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    allow_mixed: Annotated[
        bool, typer.Option("--allow-mixed", help="Merge parts of other versions or machines.")
    ] = False,
    sets: Annotated[
        bool, typer.Option("--sets", help="Merge whole datasets of any runs into a new one.")
    ] = False,
    drop_doubled: Annotated[
        bool, typer.Option("--drop-doubled", help="With --sets: leave out duplicate images.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Merge parts made with --part into the bytes of one run, or whole datasets into a new one."""
    from synthstudio.api import selection

    with waiting("merging"):
        made = selection.merge(
            parts,
            out,
            sets=sets,
            resume=resume,
            allow_mixed=allow_mixed,
            drop_doubled=drop_doubled,
        )
    result = {"folder": str(made.path), "frames": made.frames, "people": made.num_people}
    what = "datasets" if sets else "parts"
    finish(result, as_json, f"{made.frames} frames of {len(parts)} {what} in {made.path}")


def export(
    dataset: DatasetArgument,
    out: Annotated[Path, typer.Option(help="Folder for annotations and images.")],
    form: FormatOption = "coco",
    polygons: Annotated[
        bool, typer.Option("--polygons", help="Write masks as polygons instead of RLE.")
    ] = False,
    skeleton: Annotated[
        str | None, typer.Option(help=f"Convert the joints to this one: {SKELETON_NAMES}.")
    ] = None,
    where: WhereOption = "",
    hidden_faces: Annotated[
        bool,
        typer.Option(
            help="Label eyes, ears and noses that the own body hides. COCO mostly does not."
        ),
    ] = True,
    boxes: Annotated[
        Literal["visible", "amodal"] | None,
        typer.Option(
            help="Boxes of all of a person or of what is seen; default: amodal for COCO and YOLO."
        ),
    ] = None,
    joints: Annotated[
        Literal["all", "visible"], typer.Option(help="Which joints are labelled.")
    ] = "all",
    as_json: JsonOption = False,
) -> None:
    """Export a dataset in a format that other tools read."""
    from synthstudio.api import exchange

    with waiting(f"exporting {form}"):
        made = exchange.export(
            part(dataset, where),
            form,
            out,
            polygons=polygons,
            skeleton=skeleton,
            hidden_faces=hidden_faces,
            boxes=boxes,
            joints=joints,
        )
    finish(made.as_json(), as_json, made.text())


def import_(
    path: Annotated[Path, typer.Argument(help="File or folder of another tool.")],
    out: Annotated[Path, typer.Option(help="Folder of the new dataset.")],
    form: FormatOption = "coco",
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images; default: beside the file.")
    ] = None,
    skeleton: Annotated[
        Path | None,
        typer.Option(help="File of your own skeleton, where the joints are no known ones."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Import what another tool has written as a dataset."""
    from synthstudio.api import exchange

    with waiting(f"importing {form}"):
        made = exchange.import_(path, out, format=form, images=images, skeleton=skeleton).summary
    finish(made.as_json(), as_json, made.text())


def import_photos(
    path: Annotated[Path, typer.Argument(help="Photo, folder of photos, or video; may be a URL.")],
    out: Annotated[Path, typer.Option(help="Folder of the new dataset.")],
    skeleton: Annotated[
        str, typer.Option(help=f"Joints that people will have: {SKELETON_NAMES}.")
    ] = "coco17",
    rate: Annotated[
        float, typer.Option(min=0.001, max=1000.0, help="Frames per second to take of a video.")
    ] = 1.0,
    every: Annotated[
        int | None, typer.Option(min=1, help="Take every N-th frame of a video instead.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Import photos or a video without labels as a dataset to be reviewed."""
    from synthstudio.api import exchange

    with waiting("importing photos"):
        made = exchange.import_photos(
            path, out, skeleton=skeleton, rate_hz=rate, every=every
        ).summary
    finish(made.as_json(), as_json, made.text())


def skeleton(
    path: Annotated[Path, typer.Argument(help="Definition in YAML or JSON, or a COCO file.")],
    out: Annotated[
        Path | None, typer.Option(help="File, such as horse.yaml, to write the definition to.")
    ] = None,
    category: Annotated[
        str | None, typer.Option(help="Category of a COCO file that has several with keypoints.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a skeleton of your own, or make one of a COCO file's category."""
    from synthstudio.api import skeletons

    made = skeletons.skeleton(path, category=category)
    if out is not None:
        skeletons.save_skeleton(made, out)
    facts = skeletons.skeleton_facts(made)
    none = "none, so training does not mirror pictures"
    lines = [
        f"{facts['name']}: {len(facts['joints'])} joints, {len(facts['limbs'])} limbs",
        f"joints: {', '.join(facts['joints'])}",
        f"pairs: {'; '.join(' and '.join(pair) for pair in facts['pairs']) or none}",
        f"sigmas: {facts['sigma_source']}",
    ]
    finish(facts, as_json, "\n".join(lines))


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter("write it as 0.8,0.1,0.1", param_hint="--shares") from error
