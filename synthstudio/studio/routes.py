"""Routes beside Streamlit's own: pictures and files for those who hold a token for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from synthstudio.core.errors import StudioError, SynthStudioError
from synthstudio.core.safe_files import file_inside
from synthstudio.review import history
from synthstudio.review.settings import share_of
from synthstudio.review.team.second_pass import blinded_among
from synthstudio.review.values import Person, User
from synthstudio.studio import pictures
from synthstudio.studio.context import Context, OpenSet, context
from synthstudio.studio.guard import UserOf, cookies, header_map, refused
from synthstudio.studio.tokens import Grant, Kind

_PICTURES: tuple[Kind, ...] = ("image", "clean", "crop", "mask", "amodal", "depth")
_HEADERS = {
    "Cache-Control": "private, max-age=1800, immutable",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_NEVER_KEPT = {**_HEADERS, "Cache-Control": "no-store"}


def routes(user_of: UserOf) -> list[Route]:
    """Return our routes. `user_of` tells the signed-in user of a request's cookies."""

    def answering(
        kinds: tuple[Kind, ...], use: Callable[[Context, Grant], Response]
    ) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            ctx = context()
            try:
                grant = _granted(ctx, request, kinds, user_of)
            except StudioError as error:
                return _refusal(request, error, 403)
            try:
                return use(ctx, grant)
            except (SynthStudioError, OSError) as error:
                return _refusal(request, error, 404)

        return answer

    return [
        Route("/img/{token:path}", answering(_PICTURES, _picture), methods=["GET"]),
        Route("/download/{token:path}", answering(("download",), _file), methods=["GET"]),
        Route("/healthz", _health, methods=["GET"]),
    ]


def _granted(ctx: Context, request: Request, kinds: tuple[Kind, ...], user_of: UserOf) -> Grant:
    """Return what the request's token allows to who sent it; StudioError for nothing."""
    grant = ctx.tokens.read(str(request.path_params["token"]), kinds=kinds)
    sent = cookies(header_map(request.scope))
    if grant.browser != ctx.tokens.browser(sent.get(ctx.tokens.cookie)) or not grant.browser:
        raise StudioError("token: it was given to another browser.")
    if ctx.signed_in and user_of(sent) != grant.user:
        raise StudioError("token: it was given to another user.")
    if ctx.role_of(grant.user) is None:
        raise StudioError("token: its user is no member any more.")
    return grant


def _picture(ctx: Context, grant: Grant) -> Response:
    open_set = ctx.sets.get(grant.dataset)
    if open_set is None:
        raise StudioError("token: its data set is not served here.")
    source, frame = open_set.source, grant.frame
    if grant.kind in ("image", "clean"):
        index = frame if grant.kind == "image" else source.clean_of(frame)
        if index is None:
            raise StudioError(f"frame {frame}: it has no frame without occluders.")
        return _sent(pictures.image(source, index), pictures.media_type(source, index))
    if grant.labels and grant.revision and _is_veiled(ctx, open_set, grant):
        grant = replace(grant, revision=0)  # as on disk: a second look at this person is open
    key = (
        grant.kind,
        open_set.key,
        frame,
        grant.instance,
        grant.size,
        grant.labels,
        grant.revision,
    )
    data = ctx.cache.get(key) or ctx.cache.put(key, _made(ctx, open_set, grant))
    return _sent(data, "image/jpeg" if grant.kind == "crop" else "image/png")


def _is_veiled(ctx: Context, open_set: OpenSet, grant: Grant) -> bool:
    who = User(name=grant.user, role=ctx.role_of(grant.user) or "viewer")
    share = share_of(ctx.store, open_set.key, "second_share")
    one = (grant.frame, grant.instance)
    return one in blinded_among(ctx.store, open_set.table, [one], who=who, share=share)


def _made(ctx: Context, open_set: OpenSet, grant: Grant) -> bytes:
    source, frame, instance = open_set.source, grant.frame, grant.instance
    if grant.kind == "depth":
        return pictures.depth(source, frame)
    if grant.kind in ("mask", "amodal"):
        return pictures.mask(source, frame, instance, amodal=grant.kind == "amodal")
    changed = None
    if grant.labels and grant.revision:
        person = Person(dataset=open_set.key, frame=frame, instance=instance)
        changed = history.state(ctx.store, person).joints
    return pictures.crop(
        source,
        frame,
        instance,
        size=grant.size,
        labels=grant.labels,
        changed=changed,
        table=open_set.table_if_read,
    )


def _file(ctx: Context, grant: Grant) -> Response:
    path = file_inside(ctx.settings.exports, grant.name, where="download")
    return FileResponse(
        path, filename=path.name, media_type="application/octet-stream", headers=_NEVER_KEPT
    )


def _health(request: Request) -> Response:
    """Say that server and store answer; nothing else."""
    try:
        with context().store.reading():
            return JSONResponse({"status": "ok"}, headers=_NEVER_KEPT)
    except SynthStudioError:
        return JSONResponse({"status": "no store"}, status_code=503, headers=_NEVER_KEPT)


def _sent(data: bytes, media_type: str) -> Response:
    return Response(data, media_type=media_type, headers=_HEADERS)


def _refusal(request: Request, error: Exception, status: int) -> Response:
    """Log why, and tell the browser nothing of it."""
    client = request.client.host if request.client else "?"
    refused(f"with {status}", path=request.scope["path"], why=error, client=client)
    text = "refused\n" if status == 403 else "not found\n"
    return PlainTextResponse(text, status_code=status, headers=_NEVER_KEPT)
