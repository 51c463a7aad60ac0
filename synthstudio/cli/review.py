"""Commands of the review store."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from synthstudio.api.exchange import FORMATS
from synthstudio.api.progress import waiting
from synthstudio.cli.options import (
    SKELETON_NAMES,
    DeviceOption,
    FormatOption,
    JsonOption,
    ReviewedArgument,
    StoredAssetsOption,
    WorkersOption,
    finish,
)
from synthstudio.core.amounts import frames_text, people_text

DATASET = "dataset"
Role = Literal["viewer", "reviewer", "lead", "admin"]
"""Each may do what those before it may."""


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
    help="Work with the review store: export, import, check, statistics, history, backup.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def export(
    dataset: ReviewedArgument,
    out: Annotated[Path, typer.Option(help="Folder for the labels; of a dataset also a URL.")],
    form: Annotated[
        Literal[DATASET, *FORMATS],  # type: ignore[valid-type]
        typer.Option("--format", help="Format; dataset: a dataset of our own."),
    ] = "coco",
    only: Annotated[
        Literal["approved", "touched", "all"],
        typer.Option(
            help="Frames with somebody approved or decided to be empty, or touched, or all."
        ),
    ] = "approved",
    skeleton: Annotated[
        str | None, typer.Option(help=f"Convert the joints to this one: {SKELETON_NAMES}.")
    ] = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Export the labels as reviewers left them; the dataset itself stays as it is."""
    from synthstudio.api import review

    if form == DATASET and skeleton is not None:
        raise typer.BadParameter("--skeleton converts joints for other tools, not for a dataset")
    with waiting(f"exporting {form}"):
        if form == DATASET:
            made = review.reviewed_dataset(dataset, out, only=only, db=db)
            where = str(made.path)
            result = {"folder": where, "frames": made.frames, "people": made.num_people}
            text = f"{frames_text(made.frames)} and {people_text(made.num_people)} in {where}"
        else:
            exported = review.export_reviewed(
                dataset, out, format=form, only=only, skeleton=skeleton, db=db
            )
            result, text = exported.as_json(), exported.text()
    finish(result, as_json, text)


@app.command(name="import")
def import_(
    dataset: ReviewedArgument,
    path: Annotated[Path, typer.Argument(help="Corrected file or folder of another tool.")],
    by: Annotated[str, typer.Option("--by", help="Author of the corrections.")],
    form: FormatOption = "coco",
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images; default: beside the file.")
    ] = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import corrections made in another tool: each person that differs becomes one event."""
    from synthstudio.api import review

    with waiting(f"importing {form}"):
        made = review.import_corrections(dataset, path, by=by, format=form, images=images, db=db)
    finish(made.as_json(), as_json, made.text())
    if made.refused:
        raise typer.Exit(1)


@app.command()
def predictions(
    dataset: ReviewedArgument,
    path: Annotated[Path, typer.Argument(help="COCO results or keypoints file of a network.")],
    layer: Annotated[str, typer.Option("--layer", help="Name of the network.")],
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of its images; default: image ids are numbers of frames."),
    ] = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import a network's predictions: drawn in the editor, compared by the risk queue."""
    from synthstudio.api import review

    with waiting("importing predictions"):
        made = review.import_predictions(dataset, path, layer=layer, images=images, db=db)
    finish(made.as_json(), as_json, made.text())


@app.command()
def check(
    dataset: ReviewedArgument,
    frames: Annotated[int | None, typer.Option(min=1, help="Only the first N frames.")] = None,
    audit: Annotated[
        bool, typer.Option("--audit/--no-audit", help="Also audit by ray casting, which is slow.")
    ] = True,
    audited: Annotated[
        Path | None, typer.Option(help="Use this output of audit --json instead of an audit.")
    ] = None,
    assets: StoredAssetsOption = None,
    workers: WorkersOption = 1,
    device: DeviceOption = "auto",
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Validate and audit a dataset, and add suspicious people to the risk queue."""
    from synthstudio.api import review

    if audited is not None and (frames is not None or not audit):
        raise typer.BadParameter(
            "it replaces an audit: no --frames, no --no-audit with it", param_hint="--audited"
        )
    result = review.check(
        dataset,
        frames=frames,
        audit=audit,
        audited=audited,
        assets=assets,
        workers=workers,
        device=device,
        db=db,
    )
    lines = [
        f"{kind} of {one['frames']} frames: {one['people']} suspicious people"
        for kind, one in result.items()
    ]
    finish(result, as_json, "\n".join(lines))


@app.command()
def stats(dataset: ReviewedArgument, db: DbOption = None, as_json: JsonOption = False) -> None:
    """Show the progress of a review, and who did what."""
    from synthstudio.api import review

    found = review.counts(dataset, db=db)
    lines = [f"{found.people} people: " + _listed(found.status)]
    lines.append(
        f"{found.joints} joints changed, {found.added} people added, "
        f"{found.deleted} deleted, {found.events} events"
    )
    if found.nobody:
        lines.append(f"{found.nobody} frames in which nobody is, as was decided")
    lines += [f"{plain(who)}: {_listed(kinds)}" for who, kinds in found.reviewers.items()]
    finish(dataclasses.asdict(found), as_json, "\n".join(lines))


@app.command()
def history(
    dataset: ReviewedArgument,
    frame: Annotated[int | None, typer.Option(min=0, help="Only people of this frame.")] = None,
    instance: Annotated[int | None, typer.Option(min=1, help="Only this person.")] = None,
    who: Annotated[str | None, typer.Option(help="Only events of this author.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Only the last N events.")] = 100,
    check: Annotated[
        bool,
        typer.Option("--check", help="Replay all events and compare; 1 if they differ."),
    ] = False,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """List events, oldest first; or prove that the store is what its events add up to."""
    from synthstudio.api import review

    if check:
        wrong = review.check_replay(dataset, db=db)
        finish({"problems": wrong}, as_json, "\n".join(wrong) or "all items agree with events")
        if wrong:
            raise typer.Exit(1)
        return
    found = review.events(dataset, frame=frame, instance=instance, who=who, limit=limit, db=db)
    rows = [review.event_row(event) for event in found]
    finish({"events": rows}, as_json, "\n".join(map(_line, found)) or "no events")


@app.command()
def backup(
    db: StoreOption,
    out: Annotated[Path, typer.Option(help="New file for the copy.")],
    as_json: JsonOption = False,
) -> None:
    """Copy the whole store as of one moment, while others may continue to work."""
    from synthstudio.api import review

    with waiting("copying"):
        size = review.backup(db, out)
    finish({"file": str(out), "bytes": size}, as_json, f"{size:,} bytes in {out}")


@app.command()
def members(
    db: StoreOption,
    name: Annotated[str | None, typer.Option("--set", help="Member whose role to set.")] = None,
    role: Annotated[Role | None, typer.Option(help="With --set: the role.")] = None,
    remove: Annotated[str | None, typer.Option(help="Member to remove.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the members of a store and their roles; add, change or remove one."""
    from synthstudio.api import review

    if (name is None) != (role is None):
        raise typer.BadParameter("--set NAME and --role ROLE go together")
    changes: dict[str, str | None] = {}
    if name is not None and role is not None:
        changes[name] = role
    if remove is not None:
        changes[remove] = None
    found = review.members(db, role_of=changes)
    lines = [f"{plain(who)}: {what}" for who, what in found.items()]
    finish({"members": found}, as_json, "\n".join(lines) or "no members: whoever comes is admin")


@app.command()
def token(
    db: StoreOption,
    make: Annotated[
        str | None, typer.Option(help="Member for whom to make a token, printed once.")
    ] = None,
    role: Annotated[
        Role | None, typer.Option(help="With --make: the role, at most the member's own.")
    ] = None,
    label: Annotated[str, typer.Option(help="With --make: what it is for.")] = "token",
    days: Annotated[
        int, typer.Option(min=1, max=366, help="With --make: days until it ends.")
    ] = 90,
    revoke: Annotated[int | None, typer.Option(min=1, help="Number of a token to end.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the tokens by which programs use the studio; make or revoke one."""
    from synthstudio.api import review

    if role is not None and make is None:
        raise typer.BadParameter("--role goes with --make NAME")
    name = None if role is None else role
    found, text = review.tokens(db, make=make, role=name, label=label, days=days, revoke=revoke)
    rows = [dataclasses.asdict(one) for one in found]
    for row in rows:
        row |= {k: row[k] and row[k].isoformat() for k in ("made", "until", "revoked")}
    lines = [
        f"{one.id}  {plain(one.who)}  {one.role}  {plain(one.label)}  "
        + (f"revoked {one.revoked:%Y-%m-%d}" if one.revoked else f"until {one.until:%Y-%m-%d}")
        for one in found
    ]
    lines += [f"This is the token; it is not shown again:\n{text}"] if text else []
    new = {"token": text} if text else {}
    finish({"tokens": rows, **new}, as_json, "\n".join(lines) or "no tokens")


def _line(event: Any) -> str:
    person, after = event.person, event.after
    joints: Any = after.get("joints", {})
    notes = [f"revert of {event.reverts}"] if event.reverts is not None else []
    notes += [*joints, *(str(after[k]) for k in ("status", "reason", "comment") if after.get(k))]
    notes += [f"track {after['track']}"] if after.get("track") is not None else []
    if after.get("keyed") is not None:
        notes.append("key frame" if after["keyed"] else "no key frame")
    layer = "" if person.layer == "main" else f" ({person.layer})"
    text = plain(", ".join(notes))
    head = f"{event.id}  {event.when:%Y-%m-%d %H:%M:%S}  {plain(event.who)}"
    where = person.where.replace(",", "")
    return f"{head}  {where}{layer}  {event.kind} {text}"


def _listed(counts: Any) -> str:
    return ", ".join(f"{n} {name}" for name, n in counts.items()) or "nobody"


def plain(text: str) -> str:
    """Return text that a terminal shows as it is: no escapes, one line."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


UrlOption = Annotated[
    str | None,
    typer.Option(
        envvar="SYNTHSTUDIO_URL", help="Address of the studio, for the link: https://HOST."
    ),
]
NameArgument = Annotated[str, typer.Argument(help="Name to sign in by.")]


@app.command()
def invite(
    name: NameArgument,
    db: StoreOption,
    role: Annotated[
        Role, typer.Option(help="Role of the new member; existing members keep theirs.")
    ] = "reviewer",
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Invite somebody to the studio: print a link, once, by which to choose a password."""
    from synthstudio.api import review as api

    code, link = api.invite(db, name, role=role, url=url)
    _finish(code, link, as_json, f"{plain(code.name)} is invited as {code.role}.")


@app.command()
def reset_password(
    name: NameArgument, db: StoreOption, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """End a password and all sessions of an account: print a link, once, to choose another."""
    from synthstudio.api import review as api

    code, link = api.reset_password(db, name, url=url)
    text = f"{plain(code.name)} is signed out everywhere and needs a new password."
    _finish(code, link, as_json, text)


@app.command()
def accounts(
    db: StoreOption,
    revoke: Annotated[
        str | None,
        typer.Option(help="Account to revoke, with its sessions, tokens and invitations."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the accounts of a studio, and who is invited; revoke one."""
    from synthstudio.api import review as api

    found = api.accounts(db, revoke=revoke)
    rows = [_row(one) for one in found]
    lines = [
        "  ".join([plain(one.name), one.role or "no role", one.state, *_notes(one)])
        for one in found
    ]
    finish({"accounts": rows}, as_json, "\n".join(lines) or "no accounts")


def _finish(code: Any, link: str, as_json: bool, text: str) -> None:
    where = "" if "://" in link else ", behind the address of the studio"
    lines = f"{text}\nThis link is not shown again. It holds until {code.until:%Y-%m-%d}{where}:"
    row = {**dataclasses.asdict(code), "link": link}
    row |= {k: row[k].isoformat() for k in ("made", "until")}
    finish(row, as_json, f"{lines}\n{link}")


def _row(one: Any) -> dict[str, Any]:
    row = dataclasses.asdict(one)
    return row | {k: row[k] and row[k].isoformat() for k in ("made", "until", "waits_until")}


def _notes(one: Any) -> list[str]:
    notes = [f"{one.sessions} signed in"] if one.sessions else []
    notes += [f"link until {one.until:%Y-%m-%d}"] if one.until else []
    return notes + ([f"waits until {one.waits_until:%H:%M:%S} UTC"] if one.waits_until else [])
