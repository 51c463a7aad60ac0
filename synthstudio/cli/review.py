"""Commands of the review store, and the one that starts the studio."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from synthstudio.api.arguments import FORMATS
from synthstudio.cli.signatures import Call, Output, command
from synthstudio.core.progress import frames_text, people_text, waiting

if TYPE_CHECKING:
    from synthstudio.studio.settings import Settings

DATASET = "dataset"
app = typer.Typer(
    name="review",
    help="Work with the review store: export, import, check, statistics, history, backup.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
studio_app = typer.Typer()
_SETTINGS = {"auto_envvar_prefix": "SYNTHSTUDIO"}


@command(app, "review.export_reviewed", skip="format")
def export(
    call: Call,
    dataset: Any,
    out: Any,
    only: Any,
    skeleton: Any,
    db: Any,
    form: Annotated[
        Literal[DATASET, *FORMATS],  # type: ignore[valid-type]
        typer.Option("--format", help="Format; dataset: a synthstudio dataset."),
    ] = "coco",
) -> Output:
    """Export the labels as reviewed; the dataset itself is unchanged."""
    from synthstudio.api import review

    if form == DATASET and skeleton is not None:
        raise typer.BadParameter("--skeleton converts joints for other tools, not for a dataset")
    with waiting(f"exporting {form}"):
        if form != DATASET:
            return call(format=form)
        made = review.reviewed_dataset(dataset, out, only=only, db=db)
    result = {"folder": str(made.path), "frames": made.frames, "people": made.num_people}
    return result, f"{frames_text(made.frames)} and {people_text(made.num_people)} in {made.path}"


@command(app, "review.import_corrections", arguments="dataset path")
def import_(call: Call, format: Any) -> Output:
    """Import corrections made in another tool: each person that differs becomes one event."""
    with waiting(f"importing {format}"):
        made = call()
    return made.as_json(), made.text(), bool(made.refused)


@command(app, "review.import_predictions", arguments="dataset path")
def predictions(call: Call) -> Output:
    """Import a network's predictions: drawn in the editor, compared by the risk queue."""
    with waiting("importing predictions"):
        return call()


@command(app, "review.check")
def check(call: Call, frames: Any, audit: Any, audited: Any) -> Output:
    """Validate and audit a dataset, and add suspicious people to the risk queue."""
    if audited is not None and (frames is not None or not audit):
        raise typer.BadParameter(
            "it replaces the audit: leave out --frames and --no-audit", param_hint="--audited"
        )
    result = call()
    lines = [
        f"{kind} of {one['frames']} frames: {one['people']} suspicious people"
        for kind, one in result.items()
    ]
    return result, "\n".join(lines)


@command(app, "review.counts")
def stats(call: Call) -> Output:
    """Show the progress of a review, in total and by reviewer."""
    found = call()
    lines = [f"{found.people} people: " + _listed(found.status)]
    lines.append(
        f"{found.joints} joints changed, {found.added} people added, "
        f"{found.deleted} deleted, {found.events} events"
    )
    if found.empty_frames:
        lines.append(f"{found.empty_frames} frames marked as empty")
    lines += [f"{plain(who)}: {_listed(kinds)}" for who, kinds in found.reviewers.items()]
    return dataclasses.asdict(found), "\n".join(lines)


@command(app, "review.events")
def history(
    call: Call,
    dataset: Any,
    db: Any,
    check: Annotated[
        bool, typer.Option("--check", help="Replay all events and compare; 1 if they differ.")
    ] = False,
) -> Output:
    """List events, oldest first; or verify that the items equal the replayed events."""
    from synthstudio.api import review

    if check:
        wrong = review.check_replay(dataset, db=db)
        text = "\n".join(wrong) or "all items agree with events"
        return {"problems": wrong}, text, bool(wrong)
    found = call()
    return {"events": list(map(_row, found))}, "\n".join(map(_line, found)) or "no events"


@command(app, "review.backup", arguments="")
def backup(call: Call, out: Any) -> Output:
    """Copy the whole store as a snapshot, while others may continue to work."""
    with waiting("copying"):
        size = call()
    return {"file": str(out), "bytes": size}, f"{size:,} bytes in {out}"


@command(app, "review.members", arguments="", skip="role_of")
def members(
    call: Call,
    name: Annotated[str | None, typer.Option("--set", help="Member whose role to set.")] = None,
    role: Annotated[
        Literal["viewer", "reviewer", "lead", "admin"] | None,
        typer.Option(help="With --set: the role."),
    ] = None,
    remove: Annotated[str | None, typer.Option(help="Member to remove.")] = None,
) -> Output:
    """List the members of a store and their roles; add, change or remove one."""
    if (name is None) != (role is None):
        raise typer.BadParameter("--set NAME and --role ROLE go together")
    changes: dict[str, str | None] = {}
    if name is not None and role is not None:
        changes[name] = role
    if remove is not None:
        changes[remove] = None
    found = call(role_of=changes)
    lines = [f"{plain(who)}: {what}" for who, what in found.items()]
    return {"members": found}, "\n".join(lines) or "no members: every user is admin"


@command(app, "review.tokens", arguments="")
def token(call: Call, make: Any, role: Any) -> Output:
    """List the tokens by which programs use the studio; make or revoke one."""
    if role is not None and make is None:
        raise typer.BadParameter("--role goes with --make NAME")
    found, text = call()
    rows = list(map(_row, found))
    lines = [
        f"{one.id}  {plain(one.who)}  {one.role}  {plain(one.label)}  "
        + (f"revoked {one.revoked:%Y-%m-%d}" if one.revoked else f"until {one.until:%Y-%m-%d}")
        for one in found
    ]
    lines += [f"This is the token; it is not shown again:\n{text}"] if text else []
    new = {"token": text} if text else {}
    return {"tokens": rows, **new}, "\n".join(lines) or "no tokens"


def _line(event: Any) -> str:
    person, after = event.person, event.after
    joints: Any = after.get("joints", {})
    notes = [f"revert of {event.reverts}"] if event.reverts is not None else []
    notes += [*joints, *(str(after[k]) for k in ("status", "reason", "comment") if after.get(k))]
    notes += [f"track {after['track']}"] if after.get("track") is not None else []
    if after.get("keyframe") is not None:
        notes.append("key frame" if after["keyframe"] else "no key frame")
    layer = "" if person.layer == "main" else f" ({person.layer})"
    text = plain(", ".join(notes))
    head = f"{event.id}  {event.when:%Y-%m-%d %H:%M:%S}  {plain(event.who)}"
    where = person.where.replace(",", "")
    return f"{head}  {where}{layer}  {event.kind} {text}"


def _listed(counts: Any) -> str:
    return ", ".join(f"{n} {name}" for name, n in counts.items()) or "none"


def plain(text: str) -> str:
    """Return text safe for a terminal: no escapes, one line."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


@command(app, "review.invite", arguments="name")
def invite(call: Call) -> Output:
    """Invite a person to the studio: print a link, once, to choose a password."""
    code, link = call()
    return _linked(code, link, f"{plain(code.name)} is invited as {code.role}.")


@command(app, "review.reset_password", arguments="name")
def reset_password(call: Call) -> Output:
    """Reset the password and end all sessions of an account: print a link, once, for a new one."""
    code, link = call()
    text = f"{plain(code.name)} is signed out everywhere and needs a new password."
    return _linked(code, link, text)


@command(app, "review.accounts", arguments="")
def accounts(call: Call) -> Output:
    """List the accounts of a studio, and who is invited; revoke one."""
    found = call()
    rows = list(map(_row, found))
    lines = [
        "  ".join([plain(one.name), one.role or "no role", one.state, *_notes(one)])
        for one in found
    ]
    return {"accounts": rows}, "\n".join(lines) or "no accounts"


def _linked(code: Any, link: str, text: str) -> Output:
    where = "" if "://" in link else ", behind the address of the studio"
    lines = f"{text}\nThis link is not shown again. It is valid until {code.until:%Y-%m-%d}{where}:"
    return {**_row(code), "link": link}, f"{lines}\n{link}"


def _row(record: Any) -> dict[str, Any]:
    fields = dataclasses.asdict(record)
    return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in fields.items()}


def _notes(one: Any) -> list[str]:
    notes = [f"{one.sessions} signed in"] if one.sessions else []
    notes += [f"link until {one.until:%Y-%m-%d}"] if one.until else []
    return notes + ([f"locked until {one.blocked_until:%H:%M:%S} UTC"] if one.blocked_until else [])


@studio_app.command(context_settings=_SETTINGS)
def studio(
    datasets: Annotated[
        list[str] | None, typer.Argument(help="Folders or URLs of datasets.")
    ] = None,
    db: Annotated[
        str | None, typer.Option(help="SQLite file or database URL; default: in the state folder.")
    ] = None,
    exports: Annotated[
        Path, typer.Option(help="Output folder of jobs and exports; its datasets are shown too.")
    ] = Path("exports"),
    scenes: Annotated[
        Path | None, typer.Option(help="Folder of recipes; default: the package's own.")
    ] = None,
    assets: Annotated[
        list[Path] | None, typer.Option(help="Asset folder for recipes; may be repeated.")
    ] = None,
    runs: Annotated[
        Path, typer.Option(help="Folder of runs; the page Try it offers exported ones.")
    ] = Path("runs"),
    model: Annotated[
        list[Path] | None,
        typer.Option(help="Another exported network to try: a file or a run; may be repeated."),
    ] = None,
    segmenter: Annotated[
        Path | None,
        typer.Option(help="ONNX file like EfficientSAM's, for one-click masks; default: GrabCut."),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="Folder for database, signing key and log; default: EXPORTS/studio."),
    ] = None,
    address: Annotated[
        str, typer.Option(help="Address to listen on; one reachable by others needs sign-in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8501,
    url: Annotated[
        str | None, typer.Option(help="Public URL, e.g. https://studio.example.")
    ] = None,
    secrets: Annotated[
        Path | None, typer.Option(help="TOML file with [auth] for sign-in, mode 600.")
    ] = None,
    admin: Annotated[
        list[str] | None,
        typer.Option(
            allow_from_autoenv=False,
            help="Name of an admin, regardless of the store; may be repeated. "
            "[env var: SYNTHSTUDIO_ADMINS, by commas]",
        ),
    ] = None,
    accounts: Annotated[
        bool,
        typer.Option(
            "--accounts",
            help="People sign in by passwords; invite them with: synthstudio review invite.",
        ),
    ] = False,
    behind_proxy: Annotated[
        bool,
        typer.Option(
            "--behind-proxy",
            help="With --accounts: take people's addresses and https from a proxy's headers, "
            "which are refused otherwise.",
        ),
    ] = False,
    webhook_host: Annotated[
        list[str] | None,
        typer.Option(
            allow_from_autoenv=False,
            help="Allow webhooks to this loopback or private-network host; may be repeated. "
            "[env var: SYNTHSTUDIO_WEBHOOK_HOSTS, by commas]",
        ),
    ] = None,
) -> None:
    """Review and generate datasets in the browser."""
    given = dict(locals())
    from synthstudio.studio.server import serve
    from synthstudio.studio.settings import settings_of

    serve(settings_of(given))


def parse_studio(words: Sequence[str]) -> Settings:
    """Settings of the studio from command-line arguments; a usage error, or --help, exits."""
    from synthstudio.studio.settings import settings_of

    found: list[Settings] = []

    @functools.wraps(studio)
    def read(**given: Any) -> None:
        found.append(settings_of(given))

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(context_settings=_SETTINGS)(read)
    try:
        app(list(words), prog_name="streamlit_app.py")
    except SystemExit:
        if not found:
            raise
    return found[0]
