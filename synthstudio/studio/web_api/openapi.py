"""The API described: an OpenAPI document of the table of operations, and the same as a page."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from synthstudio import __version__
from synthstudio.review.values import LEAST_ROLE
from synthstudio.studio.web_api.calls import Json, Operation

_PARAMETER = re.compile(r"\{(\w+)\}")
_NUMBERS = ("frame", "instance", "webhook")
STATUSES = {
    "400": "The request makes no sense; `error.reason` is invalid.",
    "401": "There is no token, or one that does not hold.",
    "403": "The role of the token may not do this.",
    "404": "There is no such data set, frame or person.",
    "409": "Somebody changed it meanwhile, or works on it.",
    "413": "The body is too large.",
    "429": "Too many requests; Retry-After says how many seconds to wait.",
    "503": "The database is busy or full; nothing changed, send it again.",
}


def document(operations: Sequence[Operation], base: str) -> Json:
    """Return the OpenAPI 3.1 document of the operations below `base`."""
    paths: dict[str, Json] = {}
    for one in operations:
        paths.setdefault(base + one.path, {})[one.method.lower()] = _described(one)
    return {
        "openapi": "3.1.0",
        "info": {"title": "synthstudio review", "version": __version__},
        "paths": paths,
        "security": [{"token": []}],
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": _ERROR},
        },
    }


_ERROR: Json = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["reason", "message"],
            "properties": {"reason": {"type": "string"}, "message": {"type": "string"}},
        }
    },
}


def _described(one: Operation) -> Json:
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "integer" if name in _NUMBERS else "string"},
        }
        for name in _PARAMETER.findall(one.path)
    ]
    parameters += [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in one.query.items()
    ]
    media = "image/*" if one.answer is None else "application/json"
    refusals = {
        code: {
            "description": text,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
        for code, text in STATUSES.items()
    }
    found: Json = {
        "operationId": one.name,
        "summary": one.summary,
        "description": f"Needs the role {LEAST_ROLE[one.action]}.",
        "parameters": parameters,
        "responses": {
            "200": {"description": "Done.", "content": {media: {"schema": one.answer or {}}}},
            **refusals,
        },
    }
    if one.body is not None:
        found["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": one.body}},
        }
    return found


def page(operations: Sequence[Operation], base: str) -> str:
    """Return the same for people: HTML without scripts."""
    rows = "".join(
        f"<tr><td><code>{one.method}</code></td><td><code>{html.escape(base + one.path)}</code>"
        f"{_queries(one)}</td><td>{html.escape(one.summary)}</td>"
        f"<td>{LEAST_ROLE[one.action]}</td></tr>"
        for one in operations
    )
    codes = "".join(f"<tr><td>{c}</td><td>{html.escape(t)}</td></tr>" for c, t in STATUSES.items())
    return _PAGE.format(base=html.escape(base), rows=rows, codes=codes)


def _queries(one: Operation) -> str:
    if not one.query:
        return ""
    lines = (f"<li><code>{n}</code> {html.escape(t)}</li>" for n, t in one.query.items())
    return f"<ul>{''.join(lines)}</ul>"


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>synthstudio: API</title>
<meta name="viewport" content="width=device-width">
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.5 sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }}
div {{ overflow-x: auto; }}
table {{ border-collapse: collapse; }}
th, td {{ text-align: left; vertical-align: top; padding: .3rem .7rem; border: 1px solid #8886; }}
ul {{ margin: .2rem 0 0; padding-left: 1.1rem; }}
</style></head><body><main>
<h1>The studio for programs</h1>
<p>Every request has the header <code>Authorization: Bearer TOKEN</code>. A token in an address is
refused. The document for programs: <a href="{base}/openapi.json">openapi.json</a>.</p>
<h2>Operations</h2>
<div tabindex="0"><table><thead><tr><th>Method</th><th>Path</th><th>What it does</th>
<th>Role</th></tr></thead><tbody>{rows}</tbody></table></div>
<h2>Refusals</h2>
<div tabindex="0"><table><thead><tr><th>Status</th><th>Why</th></tr></thead>
<tbody>{codes}</tbody></table></div>
</main></body></html>
"""
