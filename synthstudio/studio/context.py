"""Context of all pages: the store, the open data sets, and the user."""

from __future__ import annotations

import functools
import hmac
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import streamlit as st

from synthstudio.core.errors import Refused, SynthStudioError
from synthstudio.core.last_used import LastUsed
from synthstudio.core.places import Place, Url, is_local, resolved
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.review.history import INNER, content_key, register
from synthstudio.review.store import Store, open_store
from synthstudio.review.team import members
from synthstudio.review.team.accounts import SIGN_IN_PAGE, Code
from synthstudio.review.team.members import NAME_CHARS, check_free, checked_name
from synthstudio.review.team.sessions import end_session, read_session
from synthstudio.review.values import ROLES, Role, User, may
from synthstudio.review.webhooks import WebhookTransport
from synthstudio.studio import access, guard, page_parts, settings
from synthstudio.studio.access import Browsers, load_secret
from synthstudio.studio.frame_data import Frames, Source, read_source
from synthstudio.studio.page_parts import plain
from synthstudio.studio.settings import Settings

if TYPE_CHECKING:
    from synthstudio.review.risk.people import PeopleTable

_ROLE_KEPT_S = 10.0
_MARKS = ("dataset.json", "index.json")
_REQUESTED, _LOST, _LAST = "set_requested", "set_lost", "set_last"
_LETTERS = 40


@dataclass(eq=False, kw_only=True)
class OpenSet:
    """A served data set. `key` is its name in the store and in addresses."""

    key: str
    name: str
    dataset: Dataset
    skeleton: Skeleton
    cache: Path

    @cached_property
    def source(self) -> Source:
        return read_source(self.dataset)

    @cached_property
    def table(self) -> PeopleTable:
        """Return its people as columns; computed once, then read from the cache folder."""
        from synthstudio.review.risk.table import people_table

        return people_table(self.dataset, cache=self.cache)

    @cached_property
    def frames(self) -> Frames:
        return Frames(self.dataset, self.skeleton)


class Context:
    """State shared by all sessions; thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.browsers = Browsers(load_secret(settings.state))
        self.names = access.BrowserNames(settings.state)
        self.cache: LastUsed[object, bytes] = LastUsed(settings.limits.cache_bytes, len)
        self.store: Store = open_store(settings.database)
        self.signed_in = False
        self.with_accounts = False
        """Whether sign-in is by passwords; else by OpenID Connect."""
        self.local_key = access.local_key(load_secret(settings.state))
        self.names_key = access.derive_key(load_secret(settings.state), "names typed at sign-in")
        self.keys = access.BrowserNames(settings.state, "studio-keys.json")
        """Browsers that entered the key; without sign-in only they get a role."""
        self.sign_ins = access.SignIns(settings.state)
        self.copies: dict[Place, tuple[str, str]] = {}
        """Place of a copy -> its name and its original's name."""
        self._sets: dict[str, OpenSet] = {}
        self._lock = threading.Lock()
        self._roles: dict[str, tuple[float, Role | None, bool]] = {}
        for place in settings.datasets:
            self.open(place)
        self.refresh()

    @property
    def sets(self) -> Mapping[str, OpenSet]:
        return dict(self._sets)

    def open(self, place: Place) -> OpenSet:
        """Open and register a data set; DatasetError. `copies` gets a copy of an open one."""
        dataset = Dataset(place)
        key = content_key(dataset)
        with self._lock:
            twin = self._sets.get(key)
            if twin is not None:
                if resolved(place) != resolved(twin.dataset.place):
                    self.copies[resolved(place)] = (name_of(place), twin.name)
                return twin
            register(self.store, dataset, name_of(place))
            self._sets[key] = OpenSet(
                key=key,
                name=name_of(place),
                dataset=dataset,
                skeleton=get_skeleton(dataset.identity.skeleton),
                cache=self.settings.state / "tables",
            )
            return self._sets[key]

    def refresh(self) -> list[str]:
        """Open finished sets of the exports, or a folder deeper; return unreadable names."""
        failed = []
        known = {resolved(s.dataset.place) for s in self._sets.values()} | set(self.copies)
        for folder in self._exported():
            if folder.resolve() in known:
                continue
            try:
                self.open(folder)
            except SynthStudioError as error:
                page_parts.log_unreadable(name_of(folder), error)
                failed.append(name_of(folder))
        return failed

    def _exported(self) -> list[Path]:
        exports = self.settings.exports
        direct = [p for p in exports.iterdir() if p.is_dir()] if exports.is_dir() else []
        return [
            folder
            for folder in sorted([*direct, *(p / INNER for p in direct)])
            if all((folder / mark).is_file() for mark in _MARKS)
            and folder.resolve().is_relative_to(exports.resolve())
        ]

    def chosen(self, title: str = "") -> OpenSet:
        """The session's data set; stops the page if none is open, or none of the address."""
        stop_if_unknown()
        found = self._sets.get(st.session_state.get("set", "")) or next(
            iter(self._sets.values()), None
        )
        if found is None:
            if title:
                st.title(title)
            lead = may(current_user().role, "generate")
            page_parts.empty_state(
                "No data set is open, so there is nothing to show here yet. "
                + ("Make one, or start" if lead else "Ask a lead to make one, or start")
                + " the studio with the folder of one that you have.",
                ("Generate a data set", page_parts.GENERATE) if lead else ("Home", page_parts.HOME),
            )
            st.stop()
        return found

    def role_of(self, name: str, browser: str) -> Role | None:
        """Return a user's role, None for strangers; cached for 10 s.

        Without sign-in a name proves nothing: a browser without the server's key
        gets at most the role reviewer, and viewer if there are no members.
        """
        role, named = self._role_of(name)
        if role is None or self.signed_in or self.keys.get(browser) is not None:
            return role
        return min(role, "reviewer" if named else "viewer", key=ROLES.index)

    def role_in(self, name: str, browser: str, session: str) -> Role | None:
        """As `role_of`; also None if `session` belongs to another person or nobody."""
        here = not self.with_accounts or read_session(self.store, session) == name
        return self.role_of(name, browser) if here else None

    def role_by_token(self, name: str) -> Role | None:
        """Return the current role of a token's owner; None for all others, always."""
        return "admin" if name in self.settings.admins else members.role_of(self.store, name)

    @cached_property
    def webhook_transport(self) -> WebhookTransport:
        """Return the sender of webhooks: their secrets are derived from the server's key."""
        secret = load_secret(self.settings.state)
        return WebhookTransport(
            secret_of=lambda salt: access.derive_key(secret, f"webhook {salt}").hex(),
            allowed=self.settings.webhook_hosts,
        )

    def _role_of(self, name: str) -> tuple[Role | None, bool]:
        if name in self.settings.admins:
            return "admin", True
        at, role, named = self._roles.get(name, (0.0, None, False))
        if time.monotonic() - at > _ROLE_KEPT_S or at == 0.0:
            if len(self._roles) > 10_000:
                self._roles.clear()
            named = (role := members.role_of(self.store, name)) is not None
            if not named and not self.signed_in and not members.members(self.store):
                role = "admin"
            self._roles[name] = (time.monotonic(), role, named)
        return role, named

    def check_free(self, name: str) -> None:
        check_free(name, (*self.settings.admins, *members.members(self.store)))

    def is_outranked(self, code: Code) -> bool:
        """Whether an invitation gives less than the role configured at the studio's start."""
        outranked = code.name in self.settings.admins and code.role != "admin"
        return outranked and code.kind == "invitation"

    def forget_roles(self) -> None:
        self._roles.clear()


@functools.lru_cache(4)
def context_of(settings: Settings) -> Context:
    return Context(settings)


def context() -> Context:
    return context_of(settings.current())


def refuse_unguarded() -> None:
    """Stop a page of a server that was started without our guard, or of a foreign client."""
    host = urlsplit(f"//{st.context.headers.get('Host', '')}").hostname
    here = is_local(host) and is_local(st.get_option("server.address"))
    if guard.Guard.installed and (context().signed_in or here):
        return
    guard.log_refusal("a page of a server without guard or sign-in", host=host or "")
    st.error(
        "The studio is served to this machine only, unless sign-in is set up. "
        "Start it by: synthstudio studio"
    )
    st.stop()


def browser() -> str:
    """Return the name of the session's browser, "" without our cookie."""
    browsers = context().browsers
    return browsers.name_of(st.context.cookies.get(browsers.cookie))


def current_user() -> User:
    """Return the session's user; shows the sign-in and stops the page until known."""
    refuse_unguarded()
    ctx = context()
    if ctx.with_accounts:
        name = _account_name(ctx)
    else:
        name = _signed_in_name() if ctx.signed_in else _given_name(ctx)
    role = ctx.role_of(name, browser())
    if role is None:
        guard.log_refusal("a non-member", user=name)
        st.error("You are not a member. Ask an admin to add your name on the Team page:")
        st.code(name, language=None)  # to be copied as it is
        _leave(ctx)
        st.stop()
    return User(name=name, role=role)


def user_now(ctx: Context, name: str) -> User:
    """The user's role now, for callbacks of older pages; viewer for all but a signed-in member."""
    return User(name=name, role=ctx.role_in(name, browser(), session_cookie(ctx)) or "viewer")


def require(role: Role) -> User:
    """Return the session's user if permitted; else show why and stop the page."""
    me = current_user()
    if ROLES.index(me.role) < ROLES.index(role):
        guard.log_refusal("a page for another role", user=me.name, role=me.role, needed=role)
        st.warning(f"This page needs the role {role}; your role is {me.role}.")
        st.stop()
    return me


def session_cookie(ctx: Context) -> str:
    """Return the browser's session cookie of sign-in by password; "" outside a page's thread."""
    return st.context.cookies.get(ctx.browsers.session_cookie, "")


def _account_name(ctx: Context) -> str:
    name = read_session(ctx.store, session_cookie(ctx))
    if name is None:
        st.title("synthstudio")
        st.write("Sign in to review and generate data sets. A session ends by itself.")
        st.html(f'<a href="{SIGN_IN_PAGE}">Sign in</a>')
        st.stop()
    return name


def _signed_in_name() -> str:
    sign_ins, cookies = context().sign_ins, st.context.cookies
    if not st.user.get("is_logged_in") or sign_ins.has_ended(cookies):
        st.title("synthstudio")
        st.write("Sign in to review and generate data sets.")
        st.button("Sign in", type="primary", on_click=st.login)
        st.stop()
    try:
        name = access.identity(st.user.to_dict())
        sign_ins.note(cookies, name)
        return name
    except SynthStudioError as error:
        sign_ins.forget(cookies)
        guard.log_refusal("an unverified identity", why=error)
        st.error(plain(error))
        st.button("Sign out", on_click=st.logout)
        st.stop()


def _given_name(ctx: Context) -> str:
    mine = browser()
    key = st.query_params.get("key")
    if key is not None:
        del st.query_params["key"]
        _take_key(ctx, key)
    known = st.session_state.get("me") or ctx.names.get(mine)
    if known:
        st.session_state["me"] = known
        return str(known)
    with st.container(width=420):
        st.title("synthstudio")
        st.write("What is your name? It is stored with every change that you make.")
        with st.form("name", border=False):
            text = st.text_input("Your name", max_chars=NAME_CHARS)
            given = "" if ctx.keys.get(mine) else _key_field()
            sent = st.form_submit_button("Continue", type="primary")
    if sent:
        try:
            name = checked_name(text)
            ctx.check_free(name)
        except Refused as error:
            guard.log_refusal("a name", name=text)
            st.error(plain(error))
        else:
            if not given or _take_key(ctx, given):
                st.session_state["me"] = name
                ctx.names.put(mine, name)
                st.rerun()
    st.stop()


def _key_field() -> str:
    return st.text_input(
        "Server key (optional)",
        type="password",
        max_chars=64,
        help="Printed by the server at start. Without it you can view everything, and review if "
        "you are a member.",
    )


def _take_key(ctx: Context, text: str) -> bool:
    if hmac.compare_digest(text.strip().encode(), ctx.local_key.encode()):
        ctx.keys.put(browser(), "shown")
        return True
    guard.log_refusal("a server key", browser=browser())
    st.error("This is not the key that the server printed when it started.")
    return False


def _leave(ctx: Context) -> None:
    if st.button("Sign out" if ctx.signed_in else "Change name"):
        if ctx.with_accounts:
            end_session(ctx.store, session_cookie(ctx))
            st.rerun()
        elif ctx.signed_in:
            ctx.sign_ins.forget(st.context.cookies)
            st.logout()
        else:
            st.session_state.pop("me", None)
            ctx.names.drop(browser())
            st.rerun()


def show_user(me: User) -> None:
    ctx = context()
    st.text(f"{me.name} · {me.role}")
    if not ctx.signed_in and not ctx.keys.get(browser()):
        with st.popover("Enter the server's key"):
            given = _key_field()
            if given and _take_key(ctx, given):
                st.rerun()
    _leave(ctx)


def name_of(place: Place) -> str:
    if isinstance(place, Url):
        return place.path.removesuffix(f"/{INNER}").rpartition("/")[2]
    return place.resolve().parent.name if place.name == INNER else place.name


def titles(sets: Iterable[OpenSet]) -> dict[str, str]:
    """Key -> a distinguishing title of each data set: its name, extended if not unique.

    The extension is the folder above or, if still not unique, the start of the key.
    """
    found = list(sets)
    named = _apart({s.key: s.name for s in found}, {s.key: _above(s.dataset.place) for s in found})
    return _apart(named, {s.key: s.key[:8] for s in found})


def _apart(names: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """The names; ambiguous ones with their `more`."""
    many = Counter(names.values())
    return {k: f"{n} ({more[k]})" if many[n] > 1 and more[k] else n for k, n in names.items()}


def matching_keys(sets: Mapping[str, OpenSet], text: str) -> list[str]:
    """Keys of the data sets that match an address by key, title or name."""
    if text in sets:
        return [text]
    shown = titles(sets.values())
    return [key for key in sets if shown[key] == text] or [k for k in sets if sets[k].name == text]


def choose_set(ctx: Context) -> None:
    """Select the set of the address, opened if new; none if not exactly one matches it."""
    requested = st.query_params.get("set")
    if requested != st.session_state.get(_REQUESTED):
        st.session_state[_REQUESTED] = requested
        found = matching_keys(ctx.sets, requested) if requested else []
        if requested and not found:
            ctx.refresh()
            found = matching_keys(ctx.sets, requested)
        if len(found) == 1:
            st.session_state["set"] = found[0]
        st.session_state[_LOST] = (requested, len(found)) if requested and len(found) != 1 else None
    sets = ctx.sets
    if not sets:
        st.session_state[_LOST] = None
        return
    lost = st.session_state.get(_LOST) is not None
    if lost or st.session_state.get("set") not in sets:
        st.session_state.pop("set", None)
        # A run that ended early, such as on a database failure, has lost the choice.
        if not lost and (last := st.session_state.get(_LAST)) in sets:
            st.session_state["set"] = last
    shown = titles(sets.values())
    st.session_state[_LAST] = st.selectbox(
        "Data set",
        list(sets),
        key="set",
        index=None if lost else 0,
        format_func=shown.__getitem__,
        placeholder="Choose a data set",
        on_change=_select,
    )


def _select() -> None:
    """A manual choice overrides the address, which may still name another one."""
    st.session_state.update({_LOST: None, _REQUESTED: st.query_params.get("set")})


def last_chosen() -> str | None:
    """The key of the selected data set, also after a run that ended early; or None."""
    return st.session_state.get("set") or st.session_state.get(_LAST)


def stop_if_unknown() -> None:
    """Stop a page that shows a data set if the address matches no open one."""
    lost = st.session_state.get(_LOST)
    if lost is None:
        return
    lookup, count = lost
    text = plain(lookup if len(lookup) <= _LETTERS else f"{lookup[:_LETTERS]}...")
    what = (
        f"{count} data sets here are called {text}, so this address may mean any of them."
        if count
        else f"The data set of this address, {text}, is not open here."
    )
    st.warning(f"{what} Choose one under *Data set* in the sidebar.")
    st.stop()


def _above(place: Place) -> str:
    """The name of the folder that a data set's own lies in; "" for none."""
    if isinstance(place, Url):
        names = place.path.removesuffix(f"/{INNER}").split("/")
        return names[-2] if len(names) > 1 else ""
    folder = place.resolve()
    return (folder.parent if folder.name == INNER else folder).parent.name
