"""`ss.Review`: a client of a running studio's HTTP API (docs/studio.md)."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np

from synthstudio.api.arguments import to_studio
from synthstudio.core.arrays import Bool
from synthstudio.core.errors import ArgumentError, Refused, ReviewError, import_extra
from synthstudio.core.masks import encode

TOKEN_VARIABLE = "SYNTHSTUDIO_TOKEN"
TIMEOUT_S = 60.0
_PAUSES_S = (0.0, 0.5, 1.0, 2.0)
"""Delays before an edit is sent, and sent again while the store is busy."""
Json = dict[str, Any]
Joint = Sequence[Any]
"""x and y in continuous pixels, state, cause: [12.5, 30.0, 2, "visible"]."""
Mask = Mapping[str, Any] | Sequence[Sequence[float]] | Bool
"""COCO RLE {size, counts}, COCO polygons, or a boolean mask (H, W) of the picture."""


class Review:
    """One data set in a studio, with the rights of a token.

    A refused request raises `Refused` with its `reason`: "revision" (a conflicting edit), "role",
    "lease", "invalid", "gone", "token", "rate" or "busy"; a studio that does not answer, or not in
    JSON, raises `ReviewError`. An edit whose response is lost, or that finds the store busy, is
    retried under the same name, so it takes effect once. If that ends in `ReviewError` or "busy" it
    may have been applied: fetch the person before you repeat it.
    """

    def __init__(self, url: str, token: str | None = None, *, set: str | None = None) -> None:
        """Connect to the studio at `url`.

        Args:
            url: Where it is served, such as https://studio.example; http only on this machine.
            token: As printed by `synthstudio review token --make NAME`; default: the variable
                SYNTHSTUDIO_TOKEN.
            set: Name or key of the data set; default: the only one that is open.
        """
        self._base = to_studio(url) + "/api/v1"
        self._http = import_extra("httpx", extra="studio", error=ReviewError)
        self._web = self._http.Client(
            headers={
                "Authorization": f"Bearer {token or os.environ.get(TOKEN_VARIABLE, '')}",
                "User-Agent": "synthstudio",
            },
            timeout=TIMEOUT_S,
            trust_env=False,
            follow_redirects=False,  # a redirect target would get the token
            limits=self._http.Limits(max_keepalive_connections=0),
        )
        self._client, self._numbers = secrets.token_hex(16), count()
        self._wanted, self._key = set, ""

    def __repr__(self) -> str:
        return f"Review({self._base!r}, set={self._wanted!r})"

    @property
    def me(self) -> Json:
        """Name and role of the token's user."""
        return self._request("GET", "/me")

    @property
    def sets(self) -> list[Json]:
        """The data sets that are open: key, name, frames, people, joints, people by status."""
        return list(self._request("GET", "/sets")["sets"])

    def frames(self) -> Iterator[Json]:
        """Yield the frames: number, size in pixels, numbers of the people on disk.

        `empty`: whether it was marked as empty; `revision`: of that decision.
        """
        return self._pages("frames", "frames")

    def frame(self, frame: int) -> Json:
        """A frame with its people as reviewed."""
        return self._request("GET", self._of_set(f"frames/{int(frame)}"))

    def image(self, frame: int) -> bytes:
        """The picture of a frame as a file's bytes."""
        return self._send("GET", self._of_set(f"frames/{int(frame)}/image"))

    def people(self, status: str | None = None) -> Iterator[Json]:
        """Yield people: frame, instance, status, revision; `status`: only with that status.

        The status of a first review is withheld from possible second reviewers: such
        rows are `blinded`, and with a `status` they are left out.
        """
        return self._pages("people", "people", **({} if status is None else {"status": status}))

    def person(self, frame: int, instance: int) -> Json:
        """A person as reviewed.

        `joints`: name -> [x, y, state, cause, origin], places in continuous pixels; `box`: x, y,
        width, height; `masks`: `modal` and `amodal`, COCO codes or None; `status`, `reason`,
        `revision`, `comments`.
        """
        return self._request("GET", self._of_set(f"people/{int(frame)}/{int(instance)}"))

    def decisions(self, after: int = 0) -> Iterator[Json]:
        """Yield decisions with an `event` above `after`, oldest first."""
        return self._pages("decisions", "decisions", after=after)

    def comments(self, after: int = 0) -> Iterator[Json]:
        """Yield comments with an `event` above `after`, oldest first.

        `thread`: the event of the first comment of the thread; `joint`; `mentions`.
        """
        return self._pages("comments", "comments", after=after)

    def threads(self, *, open: bool | None = None, mentions: str | None = None) -> Iterator[Json]:
        """Yield threads of comments; `open`: only open ones; `mentions`: only with that name.

        "me" is the token's user. Each has `thread`, its number, `frame` and `instance`, `who`
        started it, `when` it last changed, the number of `comments`, `joint`, `mentions`.
        """
        more: dict[str, Any] = {} if open is None else {"open": "yes" if open else "no"}
        more |= {} if mentions is None else {"mentions": mentions}
        return self._pages("threads", "threads", **more)

    def edit(
        self,
        person: Mapping[str, Any],
        joints: Mapping[str, Joint] | None = None,
        *,
        box: Sequence[float] | None = None,
        masks: Mapping[str, Mask] | None = None,
    ) -> Json:
        """Set joints, box or masks of a person at a revision; returns `event` and `revision`.

        `masks`: `modal` (what can be seen), `amodal` (the whole person, which grows with modal).
        """
        more: Json = {} if box is None else {"box": list(box)}
        if masks is not None:
            more["masks"] = {which: _mask(mask) for which, mask in masks.items()}
        return self._do(person, "edit", joints=_lists(joints), **more)

    def add(
        self,
        frame: int,
        instance: int,
        joints: Mapping[str, Joint],
        *,
        box: Sequence[float] | None = None,
    ) -> Json:
        """Add a missing person under a number that is free in the frame."""
        person = {"frame": frame, "instance": instance, "revision": 0}
        more = {} if box is None else {"box": list(box)}
        return self._do(person, "add", joints=_lists(joints), **more)

    def decide(self, person: Mapping[str, Any], status: str, reason: str = "") -> Json:
        """Set a person's status: `approved`, `rejected`, `flagged`, `skipped` or `pending`."""
        return self._do(person, "status", status=status, text=reason)

    def mark_empty(self, frame: Mapping[str, Any], yes: bool = True) -> Json:
        """Mark a frame as empty, or undo that (`yes` False)."""
        whole = {"frame": frame["frame"], "instance": 0, "revision": frame["revision"]}
        return self._do(whole, "status", status="no_people" if yes else "pending")

    def comment(
        self,
        person: Mapping[str, Any],
        text: str,
        *,
        thread: int | None = None,
        joint: str | None = None,
    ) -> Json:
        """Comment on a person or in one of their threads; @NAME mentions a member.

        `joint`: the subject of a new thread.
        """
        return self._do(person, "comment", text=text, event=thread, joint=joint)

    def resolve(self, person: Mapping[str, Any], thread: int) -> Json:
        """Resolve a thread; undone by `reopen` or a revert."""
        return self._do(person, "resolve", event=thread)

    def reopen(self, person: Mapping[str, Any], thread: int) -> Json:
        """Reopen a resolved thread."""
        return self._do(person, "reopen", event=thread)

    def reject_prediction(self, person: Mapping[str, Any], layer: str) -> Json:
        """Mark a network's prediction of a person as wrong."""
        return self._do(person, "reject_prediction", text=layer)

    def delete(self, person: Mapping[str, Any]) -> Json:
        """Delete a person; undone by `restore`."""
        return self._do(person, "delete")

    def restore(self, person: Mapping[str, Any]) -> Json:
        """Restore a deleted person."""
        return self._do(person, "restore")

    def revert(self, person: Mapping[str, Any], event: int) -> Json:
        """Revert an event of a person; a revert can be reverted too."""
        return self._do(person, "revert", event=event)

    def ops(self, ops: Sequence[Mapping[str, Any]]) -> Json:
        """Send at most 200 raw ops; returns those `done` and those `refused` with reasons."""
        return self._request("POST", "/ops", {"set": self.key, "ops": [dict(op) for op in ops]})

    def layers(self) -> dict[str, int]:
        """Networks with stored predictions -> number of people."""
        return dict(self._request("GET", self._of_set("predictions"))["layers"])

    def predictions(self, layer: str) -> Iterator[Json]:
        """Yield predictions: frame, instance, score, joints [x, y, confidence], causes."""
        return self._pages(f"predictions/{quote(layer, safe='')}", "predictions")

    def set_predictions(
        self, layer: str, predictions: Sequence[Mapping[str, Any]], *, replace: bool = False
    ) -> int:
        """Store a network's predictions atomically (leads); returns the number of people."""
        body = {"predictions": [dict(row) for row in predictions], "replace": replace}
        path = self._of_set(f"predictions/{quote(layer, safe='')}")
        return int(self._request("PUT", path, body)["stored"])

    def webhooks(self) -> list[Json]:
        """Webhooks of the data set (admins)."""
        return list(self._request("GET", self._of_set("webhooks"))["webhooks"])

    def add_webhook(self, url: str, *, comments: bool = False) -> Json:
        """Register a webhook for decisions; `secret` is returned once (admins).

        `comments`: also comments, and resolved or reopened threads.
        """
        return self._request("POST", self._of_set("webhooks"), {"url": url, "comments": comments})

    def remove_webhook(self, webhook: int) -> None:
        """Delete a webhook (admins)."""
        self._request("DELETE", self._of_set(f"webhooks/{int(webhook)}"))

    @property
    def key(self) -> str:
        """The key of the data set."""
        if not self._key:
            found = [one for one in self.sets if self._wanted in (None, one["name"], one["key"])]
            if len(found) != 1:
                raise ArgumentError(
                    "no data set, or several, of that name are open",
                    where="set",
                    expected="a name or key of Review.sets",
                    got=f"{self._wanted!r}, {len(found)} of them",
                )
            self._key = str(found[0]["key"])
        return self._key

    def _do(self, person: Mapping[str, Any], kind: str, **more: Any) -> Json:
        op = {
            "client": self._client,
            "seq": next(self._numbers),
            "frame": person["frame"],
            "instance": person["instance"],
            "revision": person["revision"],
            "kind": kind,
            **more,
        }
        for pause_s in _PAUSES_S:
            time.sleep(pause_s)
            answer = self._answered(op)
            if answer["done"] or answer["refused"]:
                break
        for one in answer["refused"]:
            raise Refused(one["message"], reason=one["reason"], state=one.get("now"))
        if not answer["done"]:
            raise Refused(answer["wait"] or "the studio is busy", reason="busy")
        return dict(answer["done"][0])

    def _answered(self, op: Json) -> Json:
        try:
            return self.ops([op])
        except _NoAnswer:
            return self.ops([op])

    def _of_set(self, path: str) -> str:
        return f"/sets/{self.key}/{path}"

    def _pages(self, path: str, name: str, **query: Any) -> Iterator[Json]:
        query["limit"] = 500
        while True:
            page = self._request("GET", f"{self._of_set(path)}?{urlencode(query)}")
            yield from page[name]
            if page["next"] is None:
                return
            query["after"] = page["next"]

    def _request(self, method: str, path: str, body: object = None) -> Json:
        data = self._send(method, path, body)
        try:
            found = json.loads(data)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ReviewError(
                "not a studio's response",
                where=self._base,
                expected="a JSON object",
                got=repr(data[:80]),
            )
        return found

    def _send(self, method: str, path: str, body: object = None) -> bytes:
        more: dict[str, Any] = {}
        if body is not None:
            more["content"] = json.dumps(body, allow_nan=False).encode()
            more["headers"] = {"Content-Type": "application/json"}
        try:
            answer = self._web.request(method, self._base + path, **more)
        except self._http.HTTPError as error:
            raise _NoAnswer(
                "the studio does not answer", where=self._base, got=str(error)[:200]
            ) from error
        if not answer.is_success:
            raise _refusal(answer.status_code, answer.content)
        return bytes(answer.content)


class _NoAnswer(ReviewError):
    """The connection failed, possibly after the request took effect."""


def _refusal(status: int, body: bytes) -> Refused:
    try:
        error = json.loads(body)["error"]
        return Refused(str(error["message"]), reason=str(error["reason"]))
    except (ValueError, KeyError, TypeError):
        return Refused(f"the studio answered with {status}", reason="invalid")


def _mask(mask: Mask) -> Any:
    if isinstance(mask, np.ndarray):
        if mask.ndim != 2:
            raise ArgumentError(
                "not a mask of the picture",
                where="masks",
                expected="an array (height, width)",
                got=f"one of shape {mask.shape}",
            )
        return encode(mask.astype(np.bool_))
    if isinstance(mask, Mapping) and isinstance(mask.get("counts"), bytes):  # pycocotools' own
        return {**mask, "counts": mask["counts"].decode("ascii", "replace")}
    return mask


def _lists(joints: Mapping[str, Joint] | None) -> dict[str, list[Any]]:
    return {name: list(label) for name, label in (joints or {}).items()}
