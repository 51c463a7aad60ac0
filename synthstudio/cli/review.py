"""The review store: what people said of labels goes out, comes in, is counted and copied."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synthstudio.api.progress import progress_steps, waiting
from synthstudio.cli.options import (
    DEFAULT_FORMAT,
    DatasetArgument,
    DeviceName,
    DeviceOption,
    ExportFormat,
    JsonOption,
    SkeletonName,
    StoredAssetsOption,
    WorkersOption,
    finish,
    say,
)

if TYPE_CHECKING:
    from synthstudio.dataset.reader import Dataset
    from synthstudio.review.store import Store
    from synthstudio.review.values import Event

DATASET = "dataset"
FormName = StrEnum("FormName", [DATASET, *(form.value for form in ExportFormat)])  # type: ignore[misc]


class OnlyName(StrEnum):
    """Which people of a review go out."""

    approved = "approved"
    touched = "touched"
    all = "all"


class RoleName(StrEnum):
    """What members may do; each may do what those before it may."""

    viewer = "viewer"
    reviewer = "reviewer"
    lead = "lead"
    admin = "admin"


DbOption = Annotated[
    str | None,
    typer.Option(
        "--db",
        envvar="SYNTHSTUDIO_DB",
        help="sqlite:///FILE or postgresql://USER@HOST/NAME; default: review.db beside the "
        "set, or that of the studio which reviewed it.",
    ),
]
StoreOption = Annotated[
    str,
    typer.Option(
        "--db", envvar="SYNTHSTUDIO_DB", help="sqlite:///FILE or postgresql://USER@HOST/NAME."
    ),
]

app = typer.Typer(
    name="review",
    help="What reviewers said of labels: export, import, count, look up, back up.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def export(
    dataset: DatasetArgument,
    out: Annotated[Path, typer.Option(help="A folder for the reviewed labels.")],
    form: Annotated[
        FormName, typer.Option("--format", help="Which; dataset: a data set of our own.")
    ] = FormName.coco,  # type: ignore[attr-defined]
    only: Annotated[
        OnlyName, typer.Option(help="Frames with somebody approved, or touched, or all.")
    ] = OnlyName.approved,
    skeleton: Annotated[
        SkeletonName | None, typer.Option("--skeleton", help="Convert the joints to this one.")
    ] = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the labels as reviewers left them; the data set itself stays as it is."""
    from synthstudio.review.reviewed import export_reviewed, reviewed_dataset

    if form.value == DATASET and skeleton is not None:
        raise typer.BadParameter("--skeleton converts joints for other tools, not for a data set")
    with _opened(dataset, db) as (store, data), waiting(f"exporting {form.value}"):
        if form.value == DATASET:
            made = reviewed_dataset(store, data, out, only=only.value)
            result = {"folder": str(out), "frames": made.frames, "people": made.people}
            finish(result, as_json, f"{made.frames} frames and {made.people} people in {out}")
            return
        wanted = None if skeleton is None else skeleton.value
        told = export_reviewed(store, data, out, form=form.value, only=only.value, skeleton=wanted)
    finish(told.as_json(), as_json, told.text())


@app.command(name="import")
def import_(
    dataset: DatasetArgument,
    path: Annotated[Path, typer.Argument(help="The corrected file or folder of another tool.")],
    by: Annotated[str, typer.Option("--by", help="Whose corrections these are.")],
    form: Annotated[ExportFormat, typer.Option("--format", help="Which.")] = DEFAULT_FORMAT,
    images: Annotated[
        Path | None, typer.Option(help="Where the pictures lie; default: beside the file.")
    ] = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take in corrections made in another tool: what differs becomes one event a person."""
    from synthstudio.review.history import datasets
    from synthstudio.review.imports import import_corrections
    from synthstudio.review.store import dataset_key, register
    from synthstudio.review.values import User

    with _opened(dataset, db, make=True) as (store, data), waiting(f"importing {form.value}"):
        if dataset_key(data) not in datasets(store):
            register(store, data, dataset.resolve().name)
        who = User(name=by, role="lead")
        made = import_corrections(store, data, path, form=form.value, who=who, images=images)
    finish(made.as_json(), as_json, made.text())
    if made.refused:
        raise typer.Exit(1)


@app.command()
def check(
    dataset: DatasetArgument,
    frames: Annotated[int | None, typer.Option(min=1, help="Only the first so many.")] = None,
    audit: Annotated[
        bool, typer.Option("--audit/--no-audit", help="Audit too, which is slow.")
    ] = True,
    audited: Annotated[
        Path | None, typer.Option(help="What audit --json printed of this set, instead.")
    ] = None,
    assets: StoredAssetsOption = None,
    workers: WorkersOption = 1,
    device: DeviceOption = DeviceName.auto,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Validate and audit a data set, and let the risk queue know of whom there is doubt."""
    from synthstudio.review.history import datasets
    from synthstudio.review.risk import findings
    from synthstudio.review.store import dataset_key, register

    if audited is not None and (frames is not None or not audit):
        raise typer.BadParameter(
            "it stands for an audit: no --frames, no --no-audit with it", param_hint="--audited"
        )
    with _opened(dataset, db, make=True) as (store, data):
        if dataset_key(data) not in datasets(store):
            register(store, data, dataset.resolve().name)
        with progress_steps() as begin:
            found = {"validation": findings.validate_rows(store, data, frames=frames, begin=begin)}
            if audited is not None:
                found["audit"] = findings.import_audit(store, data, audited)
            elif audit:
                found["audit"] = findings.audit_by_rays(
                    store,
                    data,
                    frames=frames,
                    assets=assets,
                    workers=workers,
                    device=device.value,
                    begin=begin,
                )
        total = data.frames
    result = {
        kind: {"people": run.people, "frames": run.frames or total} for kind, run in found.items()
    }
    lines = [
        f"{kind} of {one['frames']} frames: {one['people']} people in doubt"
        for kind, one in result.items()
    ]
    finish(result, as_json, "\n".join(lines))


@app.command()
def stats(dataset: DatasetArgument, db: DbOption = None, as_json: JsonOption = False) -> None:
    """Say how far the review of a data set is, and who did what."""
    from synthstudio.review.history import counts
    from synthstudio.review.store import dataset_key

    with _opened(dataset, db) as (store, data):
        found = counts(store, dataset_key(data))
    lines = [f"{found.people} people: " + _listed(found.status)]
    lines.append(
        f"{found.joints} joints changed, {found.added} people added, "
        f"{found.deleted} deleted, {found.events} events"
    )
    lines += [f"{_plain(who)}: {_listed(kinds)}" for who, kinds in found.reviewers.items()]
    finish(dataclasses.asdict(found), as_json, "\n".join(lines))


@app.command()
def history(
    dataset: DatasetArgument,
    frame: Annotated[int | None, typer.Option(min=0, help="Only of this frame's people.")] = None,
    instance: Annotated[int | None, typer.Option(min=1, help="Only of this person.")] = None,
    who: Annotated[str | None, typer.Option(help="Only what this author did.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Only the last so many.")] = 100,
    check: Annotated[
        bool, typer.Option("--check", help="Replay all events and compare; 1 if they disagree.")
    ] = False,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what was done, oldest first; or prove that the store is what its events add up to."""
    from synthstudio.review.history import check_replay, iter_events
    from synthstudio.review.store import dataset_key

    with _opened(dataset, db) as (store, data):
        key = dataset_key(data)
        if check:
            wrong = check_replay(store, key)
            finish({"problems": wrong}, as_json, "\n".join(wrong) or "all items agree with events")
            if wrong:
                raise typer.Exit(1)
            return
        asked = (
            event
            for event in iter_events(store, key, who=who)
            if frame in (None, event.person.frame) and instance in (None, event.person.instance)
        )
        found = deque(asked, maxlen=limit)
    rows = [_row(event) for event in found]
    finish({"events": rows}, as_json, "\n".join(map(_line, found)) or "no events")


@app.command()
def backup(
    db: StoreOption,
    out: Annotated[Path, typer.Option(help="A new file for the copy.")],
    as_json: JsonOption = False,
) -> None:
    """Copy the whole store as it is at one moment, while others may go on working."""
    from synthstudio.review.store import backup as copy
    from synthstudio.review.store import open_store

    store = open_store(db, make=False)
    try:
        with waiting("copying"):
            copy(store, out)
    finally:
        store.close()
    size = out.stat().st_size
    finish({"file": str(out), "bytes": size}, as_json, f"{size:,} bytes in {out}")


@app.command()
def members(
    db: StoreOption,
    name: Annotated[str | None, typer.Option("--set", help="Whose role to set.")] = None,
    role: Annotated[RoleName | None, typer.Option(help="With --set: the role.")] = None,
    remove: Annotated[str | None, typer.Option(help="Who is no member any more.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the members of a store and their roles; add, change or remove one."""
    from synthstudio.review.store import open_store
    from synthstudio.review.team import members as team
    from synthstudio.review.values import User

    if (name is None) != (role is None):
        raise typer.BadParameter("--set NAME and --role ROLE go together")
    store = open_store(db)
    try:
        # Whoever can write the database is its admin already.
        me = User(name="command line", role="admin")
        if name is not None and role is not None:
            team.set_role(store, name, role.value, by=me)
        if remove is not None:
            team.set_role(store, remove, None, by=me)
        found = dict(team.members(store))
    finally:
        store.close()
    lines = [f"{_plain(who)}: {what}" for who, what in found.items()]
    finish({"members": found}, as_json, "\n".join(lines) or "no members: whoever comes is admin")


@contextmanager
def _opened(path: Path, db: str | None, *, make: bool = False) -> Iterator[tuple[Store, Dataset]]:
    """Open the store and the data set of a command."""
    from synthstudio.dataset.reader import Dataset
    from synthstudio.review.store import default_url, open_store

    data = Dataset(path)
    store = open_store(db, make=make) if db else _store_of(data)
    if store is None:
        store = open_store(default_url(path.resolve().parent), make=make)
    try:
        yield store, data
    finally:
        store.close()


def _store_of(data: Dataset) -> Store | None:
    """Return the first store at hand that knows a data set, None when there is none.

    Looked at: review.db beside the set, and the studio's, which it keeps below its exports
    folder (`studio --exports`): the set's own, the one above it, or ./exports.
    """
    from synthstudio.review.history import datasets
    from synthstudio.review.store import FILE_NAME, dataset_key, default_url, open_store

    beside = data.folder.resolve().parent
    studios = [folder / "studio" for folder in (beside, beside.parent, Path("exports").absolute())]
    key = dataset_key(data)
    for folder in dict.fromkeys((beside, *studios)):
        if (folder / FILE_NAME).is_file():
            store = open_store(default_url(folder), make=False)
            if key in datasets(store):
                say(f"reviews: {folder / FILE_NAME}")
                return store
            store.close()
    return None


def _row(event: Event) -> dict[str, Any]:
    row = dataclasses.asdict(event)
    return {**row, "when": event.when.isoformat()}


def _line(event: Event) -> str:
    person, after = event.person, event.after
    joints: Any = after.get("joints", {})
    told = [f"revert of {event.reverts}"] if event.reverts is not None else []
    told += [*joints, *(str(after[k]) for k in ("status", "reason", "comment") if after.get(k))]
    layer = "" if person.layer == "main" else f" ({person.layer})"
    text = _plain(", ".join(told))
    head = f"{event.id}  {event.when:%Y-%m-%d %H:%M:%S}  {_plain(event.who)}"
    return f"{head}  frame {person.frame} person {person.instance}{layer}  {event.kind} {text}"


def _listed(counts: Any) -> str:
    return ", ".join(f"{n} {name}" for name, n in counts.items()) or "nobody"


def _plain(text: str) -> str:
    """Return text that a terminal shows as it is: no escapes, one line."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
