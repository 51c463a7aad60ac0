"""Accounts of people who sign in to the studio by a password, from the command line."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

from synthstudio.core.errors import ArgumentError

if TYPE_CHECKING:
    from synthstudio.review.store import Store
    from synthstudio.review.team.accounts import Account, Code
    from synthstudio.review.values import User


def invite(
    db: str, name: str, *, role: str = "reviewer", url: str | None = None
) -> tuple[Code, str]:
    """Invite somebody to the studio of a store; return the code and the link that is shown once.

    `url`: the studio's address; without it the link begins with a slash. A member keeps the role.
    """
    from synthstudio.review.team import accounts as team

    def run(store: Store, me: User) -> tuple[Code, str]:
        given: Any = role
        return team.invite(store, name, role=given, by=me)

    return _linked(db, run, url)


def reset_password(db: str, name: str, *, url: str | None = None) -> tuple[Code, str]:
    """End somebody's password and sessions; return a code for another and its link, once."""
    from synthstudio.review.team import accounts as team

    return _linked(db, lambda store, me: team.reset_password(store, name, by=me), url)


def accounts(db: str, *, revoke: str | None = None) -> list[Account]:
    """Everybody who has an account or is invited, by name; `revoke`: revoke this one's first."""
    from synthstudio.review.store import open_store
    from synthstudio.review.team import accounts as team

    with closing(open_store(db)) as store:
        if revoke is not None:
            team.revoke_account(store, revoke, by=_me())
        return team.accounts(store)


def _linked(
    db: str, run: Callable[[Store, User], tuple[Code, str]], url: str | None
) -> tuple[Code, str]:
    from synthstudio.review.store import open_store
    from synthstudio.review.team.accounts import code_link

    origin = "" if url is None else _origin(url)
    with closing(open_store(db)) as store:
        code, text = run(store, _me())
    return code, code_link(origin, text)


def _origin(url: str) -> str:
    from synthstudio.core.places import studio_origin

    origin = studio_origin(url)
    if origin is None:
        raise ArgumentError(
            "this is no address of a studio",
            where="url",
            expected="https://HOST, or http://127.0.0.1:PORT on this machine",
            got=repr(url),
        )
    return origin


def _me() -> User:
    from synthstudio.review.values import User

    # Whoever can write the database is its admin already.
    return User(name="command line", role="admin")
