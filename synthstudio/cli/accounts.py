"""Commands of accounts, below `review`: invite somebody, reset a password, list and revoke."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from synthstudio.cli.options import JsonOption, finish
from synthstudio.cli.review import Role, StoreOption, plain

UrlOption = Annotated[
    str | None,
    typer.Option(
        envvar="SYNTHSTUDIO_URL", help="Address of the studio, for the link: https://HOST."
    ),
]
NameArgument = Annotated[str, typer.Argument(help="Name to sign in by.")]


def invite(
    name: NameArgument,
    db: StoreOption,
    role: Annotated[
        Role, typer.Option(help="Role of the new member; who is one keeps the role.")
    ] = "reviewer",
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Invite somebody to the studio: print a link, once, by which to choose a password."""
    from synthstudio.api import accounts as api

    code, link = api.invite(db, name, role=role, url=url)
    _finish(code, link, as_json, f"{plain(code.name)} is invited as {code.role}.")


def reset_password(
    name: NameArgument, db: StoreOption, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """End a password and all sessions of an account: print a link, once, to choose another."""
    from synthstudio.api import accounts as api

    code, link = api.reset_password(db, name, url=url)
    text = f"{plain(code.name)} is signed out everywhere and needs a new password."
    _finish(code, link, as_json, text)


def accounts(
    db: StoreOption,
    revoke: Annotated[
        str | None,
        typer.Option(help="Account to revoke, with its sessions, tokens and invitations."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the accounts of a studio, and who is invited; revoke one."""
    from synthstudio.api import accounts as api

    found = api.accounts(db, revoke=revoke)
    rows = [_row(one) for one in found]
    lines = [
        "  ".join([plain(one.name), one.role or "no role", one.state, *_notes(one)])
        for one in found
    ]
    finish({"accounts": rows}, as_json, "\n".join(lines) or "no accounts")


COMMANDS = (invite, reset_password, accounts)


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
