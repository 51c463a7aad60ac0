"""The pages of sign-in as HTML: they need no script but the one that takes a code from a link."""

from __future__ import annotations

import html
import math
from datetime import timedelta

from synthstudio.review.names import NAME_CHARS
from synthstudio.review.team.accounts import CODE_PAGE, SIGN_IN_PAGE
from synthstudio.review.team.passwords import LEAST_CHARS, MOST_CHARS

SCRIPT_PATH = "/sign-in.js"


def sign_in_page(*, to: str = "/", name: str = "", problem: str = "") -> str:
    """Return the page that asks for name and password. `to`: the page to go to afterwards."""
    fields = _field("name", "Name", value=name, complete="username", longest=NAME_CHARS)
    fields += _field("password", "Password", kind="password", complete="current-password")
    fields += _hidden("to", to)
    note = "No account? Ask a lead for an invitation. Forgotten? An admin makes a new link."
    return _page("Sign in", SIGN_IN_PAGE, fields, "Sign in", note=note, problem=problem)


def code_page(*, code: str = "", problem: str = "") -> str:
    """Return the page that an invitation opens: it asks for the code, and its script knows it."""
    fields = _field("code", "Code of the invitation", value=code, longest=MOST_CHARS)
    note = "The code is what stands behind # in the link that you were given."
    return _page("Invitation", CODE_PAGE, fields, "Continue", note=note, problem=problem, code=True)


def password_page(*, code: str, name: str, problem: str = "") -> str:
    """Return the page on which the owner of a code chooses a password."""
    fields = _hidden("code", code)
    fields += _field("name", "Name", value=name, complete="username", fixed=True)
    fields += _field("password", "New password", kind="password", complete="new-password")
    fields += _field("again", "The same again", kind="password", complete="new-password")
    note = (
        f"At least {LEAST_CHARS} characters: some words in a row are easy to keep in mind. Not "
        "your name, and nothing that is tried first."
    )
    return _page(
        "Choose a password", CODE_PAGE, fields, "Save and sign in", note=note, problem=problem
    )


def wait_text(wait: timedelta) -> str:
    """Return what is said after too many wrong tries."""
    minutes = math.ceil(wait.total_seconds() / 60)
    some = "a minute" if minutes == 1 else f"{minutes} minutes"
    return f"Too many wrong tries. Wait {some}, then try again."


def _field(
    name: str,
    label: str,
    *,
    kind: str = "text",
    value: str = "",
    complete: str = "off",
    longest: int = MOST_CHARS,
    fixed: bool = False,
) -> str:
    readonly = " readonly" if fixed else ""
    return (
        f'<label for="{name}">{label}</label>'
        f'<input id="{name}" name="{name}" type="{kind}" value="{html.escape(value)}" '
        f'maxlength="{longest}" autocomplete="{complete}" autocapitalize="none" '
        f'spellcheck="false" required{readonly}>'
    )


def _hidden(name: str, value: str) -> str:
    return f'<input type="hidden" name="{name}" value="{html.escape(value)}">'


def _page(
    title: str,
    action: str,
    fields: str,
    button: str,
    *,
    note: str,
    problem: str = "",
    code: bool = False,
) -> str:
    shown = f'<p role="alert">{html.escape(problem)}</p>' if problem else ""
    script = f'<script src="{SCRIPT_PATH}" defer></script>' if code else ""
    return _HTML.format(
        title=title,
        action=action,
        fields=fields,
        button=button,
        note=note,
        problem=shown,
        script=script,
    )


_HTML = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title} · synthstudio</title>
<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">
<style>
:root {{ color-scheme: light dark; --text: light-dark(#1d2125, #e4e7e9);
  --line: light-dark(#767c74, #8b949b); --main: light-dark(#095f52, #3fb79f);
  --on: light-dark(#fff, #06231d); --bad: light-dark(#8c1d18, #ffb4ab); }}
body {{ font: 16px/1.5 sans-serif; margin: 0; background: light-dark(#fbfbfa, #14171a);
  color: var(--text); }}
main {{ max-width: 24rem; margin: 12vh auto 2rem; padding: 0 1.2rem; }}
h1 {{ font-size: 1.5rem; margin: 0 0 1rem; }}
label {{ display: block; margin: .9rem 0 .2rem; }}
input {{ box-sizing: border-box; width: 100%; min-height: 44px; padding: .4rem .6rem; font: inherit;
  color: inherit; background: light-dark(#fff, #1d2226); border: 1px solid var(--line);
  border-radius: 6px; }}
input[readonly] {{ background: none; }}
button {{ margin: 1.3rem 0 1rem; width: 100%; min-height: 44px; font: inherit; border: 0;
  border-radius: 6px; color: var(--on); background: var(--main); cursor: pointer; }}
:focus-visible {{ outline: 3px solid var(--main); outline-offset: 2px; }}
[role=alert] {{ color: var(--bad); border-left: 4px solid; padding-left: .7rem; }}
</style>{script}</head><body><main>
<h1>{title}</h1>
{problem}<form method="post" action="{action}">{fields}<button>{button}</button></form>
<p>{note}</p>
</main></body></html>
"""
