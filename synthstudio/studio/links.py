"""Addresses of pictures and files: signed for one person in one browser."""

from __future__ import annotations

from synthstudio.core.safe_files import file_inside
from synthstudio.review.values import User
from synthstudio.studio.access import Grant, Kind
from synthstudio.studio.context import Context, OpenSet, browser


def image_url(  # noqa: PLR0913 - one parameter for each part of a picture's name
    ctx: Context,
    user: User,
    open_set: OpenSet,
    *,
    kind: Kind,
    frame: int,
    instance: int = 0,
    size: int = 0,
    labels: bool = False,
    revision: int = 0,
) -> str:
    """Return the address of a picture; the same for a quarter of an hour at least.

    `instance` and `size` (longest side, px) are for crops, `instance` for masks too (0: all).
    `revision`: the item's, so that a crop with labels is fetched again when they change.
    """
    grant = Grant(
        kind=kind,
        dataset=open_set.key,
        user=user.name,
        browser=browser(),
        frame=int(frame),
        instance=int(instance),
        size=int(size),
        labels=bool(labels),
        revision=int(revision),
    )
    return f"/img/{ctx.tokens.token(grant)}"


def download_url(ctx: Context, user: User, name: str) -> str:
    """Return the address of a file below the exports folder; FormatError for any other name."""
    file_inside(ctx.settings.exports, name, where="download")
    grant = Grant(kind="download", user=user.name, browser=browser(), name=name)
    return f"/download/{ctx.tokens.token(grant)}"
