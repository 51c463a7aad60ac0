"""The editor in a browser, driven by keys; stores that tests put looks and roles into."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import numpy as np
from review_ops import op
from waiting import wait_for

from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.review import history
from synthstudio.review.check import base_of, labels_of
from synthstudio.review.datasets import content_key, register
from synthstudio.review.edits import apply
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.risk.table import people_table
from synthstudio.review.settings import share_of
from synthstudio.review.store import Store, open_store
from synthstudio.review.team import members
from synthstudio.review.team.second_review import blinded_among
from synthstudio.review.values import MAIN, Event, JointLabel, Person, Role, Status, User
from synthstudio.studio.drawing.pictures import read_source
from synthstudio.studio.editor import window
from synthstudio.studio.editor.ops import Answer, ParsedOps, apply_ops, parse_ops
from synthstudio.studio.frame_rows import Frames


@dataclass
class Desk:
    """An open review page. `root`: the editor in it."""

    page: Any
    studio: Any

    @property
    def root(self) -> Any:
        return self.page.locator(".ed")

    def reads(self, name: str) -> str:
        return str(self.root.get_attribute(f"data-{name}") or "")

    def status(self) -> str:
        return str(self.page.locator(".ed .status").text_content())

    def focused(self) -> bool:
        """Say whether keys go to the editor."""
        return bool(self.page.evaluate("document.activeElement?.shadowRoot !== null"))

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def write(self, opener: str, text: str) -> None:
        """Open a form by its key, write and save."""
        self.press(opener)
        self.root.locator("form").get_by_role("textbox").and_(
            self.page.locator(":focus")
        ).wait_for()
        self.page.keyboard.type(text)
        self.press("Enter")

    def choose(self, joint: str, joints: Sequence[str]) -> None:
        """Choose a joint by Tab, from none."""
        if self.reads("joint"):
            self.press("Escape")
        self.press(*["Tab"] * (joints.index(joint) + 1))
        self.wait(lambda: self.reads("joint") == joint)

    def saved(self) -> None:
        """Wait until everything is in the store, as the page says."""
        self.wait(lambda: self.reads("pending") == "0")

    def shown(self, item: str | None = None) -> str:
        """Wait until an item (any) is painted; return it."""

        def is_painted() -> bool:
            now = self.reads("item")
            return now != "" and self.reads("shown") == (item or now)

        self.wait(is_painted)
        return self.reads("shown")

    def wait(self, true: Callable[[], bool]) -> None:
        """Wait until something is true of the page."""
        try:
            wait_for(true, "the editor comes to it")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.state()}") from None

    def state(self) -> str:
        names = ("item", "shown", "joint", "pending", "refused", "saved", "seq")
        reported = {name: self.reads(name) for name in names}
        foot = self.page.locator(".ed .status").text_content()
        refused = " ".join(self.root.locator(".refused").all_inner_texts())
        return f"{reported} {foot} {refused}\n{self.studio.output[-1500:]}"


def sit_down(open_as: Any, page: Any, studio: Any, path: str = "", *, name: str = "Ada") -> Desk:
    """Open the review page (queue: all) and wait for its first picture."""
    open_as(page, studio, path or "review?queue=all", name=name)
    page.locator(".ed[data-ready]").wait_for()
    desk = Desk(page, studio)
    desk.shown()
    return desk


@dataclass
class Labels:
    """What is on disk."""

    folder: Path
    joints: tuple[str, ...] = ()
    people: list[tuple[int, int]] = field(default_factory=list)
    labels: dict[tuple[int, int], dict[str, JointLabel]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        dataset = Dataset(self.folder)
        self.joints = get_skeleton(dataset.identity.skeleton).joints
        for row in dataset.iter_instances():
            person = (row["frame_index"], row["instance"])
            self.people.append(person)
            self.labels[person] = labels_of(row, self.joints)


def stored(studio: Any, folder: Path, *, person: str | None = None) -> list[Event]:
    """Return all events of the studio's store, or those of one item ("frame:instance")."""
    with closing(open_store(f"sqlite:///{studio.db}")) as store:
        found = list(history.iter_events(store, content_key(Dataset(folder))))
        assert history.check_replay(store, content_key(Dataset(folder))) == []
    if person is None:
        return found
    return [e for e in found if f"{e.person.frame}:{e.person.instance}" == person]


@dataclass
class Reviewer:
    """Goes through people by keyboard and notes what the store has to hold.

    `decisions`: (frame, instance) -> for each event its kind and what it changes.
    """

    desk: Desk
    labels: Labels
    decisions: dict[tuple[int, int], list[tuple[str, dict[str, Any]]]] = field(default_factory=dict)

    def person(self, number: int) -> tuple[int, int]:
        """Review the person who is shown, in one of three ways, and go on; return who it was."""
        done = {f"{frame}:{instance}" for frame, instance in self.decisions}
        self.desk.wait(lambda: self.desk.reads("item") not in done)
        frame, instance = map(int, self.desk.shown().split(":"))
        person = (frame, instance)
        events = self.decisions.setdefault(person, [])
        joint = self._joint(person)
        before = self.labels.labels[person][joint]
        assert before.x_px is not None and before.y_px is not None
        x, y = round(before.x_px, 4), round(before.y_px, 4)
        self.desk.choose(joint, self.labels.joints)
        self.desk.press("Shift+ArrowRight")
        moved = (x + 10, y, before.state, before.cause)
        self.desk.press("0", "o", "p", "z")
        object_ = (x + 10, y, 1, "object")
        events += [
            ("edit", {joint: moved}),
            ("edit", {joint: (None, None, 0, "truncated")}),  # inside the picture: no place
            ("edit", {joint: object_}),
            ("edit", {joint: (x + 10, y, 1, "person")}),
            ("revert", {joint: object_}),
        ]
        if number % 3 == 1:
            self.desk.write("x", f"wrong {number}")
            events.append(("status", {"status": "rejected", "reason": f"wrong {number}"}))
            return person
        if number % 3 == 2:
            self.desk.write("e", f"look at {number}")
            events.append(("comment", {"comment": f"look at {number}", "joint": joint}))
        self.desk.press("a")
        events.append(("status", {"status": "approved", "reason": ""}))
        return person

    def _joint(self, person: tuple[int, int]) -> str:
        """Return a visible joint of a person, or a hidden one of somebody hidden altogether."""
        labels = self.labels.labels[person]
        return next(n for state in (2, 1) for n in self.labels.joints if labels[n].state == state)

    def check(self, events: Sequence[Event]) -> None:
        """Hold the store's events against what was done: each, in order, nothing else."""
        found: dict[tuple[int, int], list[Event]] = {}
        for event in events:
            found.setdefault((event.person.frame, event.person.instance), []).append(event)
        assert set(found) == set(self.decisions)
        for person, reported in self.decisions.items():
            mine = found[person]
            assert [e.kind for e in mine] == [kind for kind, _ in reported], person
            assert [e.revision for e in mine] == list(range(1, len(reported) + 1))
            for event, (kind, change) in zip(mine, reported, strict=True):
                check_change(event, kind, change)


def address(page: Any) -> dict[str, str]:
    """Return what the address asks for."""
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def eventually(read: Callable[[], Any], wanted: Any) -> None:
    """Assert that something becomes so: a page is painted piece by piece, a server acts later."""
    found: list[Any] = []

    def is_so() -> bool:
        found[:] = [read()]
        return bool(found[0] == wanted)

    try:
        wait_for(is_so, f"it becomes {wanted!r}")
    except AssertionError as error:
        raise AssertionError(f"{error}; it is {found[0]!r}") from None


def check_change(event: Event, kind: str, change: dict[str, Any]) -> None:
    """Hold what an event changed against what was done."""
    assert event.kind == kind
    if kind in ("status", "comment"):
        assert dict(event.after) == change
        return
    after: Any = event.after["joints"]
    assert set(after) == set(change)
    for name, (x, y, state, cause) in change.items():
        got = after[name]
        assert (got["state"], got["cause"]) == (state, cause)
        if x is None:
            assert got["x_px"] is None and got["y_px"] is None
        else:
            assert abs(got["x_px"] - x) < 0.001 and abs(got["y_px"] - y) < 0.001


@dataclass
class Reviewed:
    """A store and the data set that is reviewed in it."""

    store: Store
    dataset: Dataset
    table: PeopleTable

    @cached_property
    def frames(self) -> Frames:
        return Frames(self.dataset, get_skeleton(self.dataset.identity.skeleton))

    def team(self, **roles: Role) -> dict[str, User]:
        """Give roles; the first must be an admin."""
        first = next(iter(roles))
        by = User(name=first, role="admin")
        for name, role in roles.items():
            members.set_role(self.store, name, role, by=by)
        return {name: User(name=name, role=role) for name, role in roles.items()}

    def person(self, row: int, *, layer: str = MAIN) -> Person:
        frame, instance = self.table.ids(np.array([row]))[0]
        return self.at(frame, instance, layer=layer)

    def at(self, frame: int, instance: int, *, layer: str = MAIN) -> Person:
        return Person(dataset=self.table.key, frame=frame, instance=instance, layer=layer)

    def on_disk(self, person: Person) -> dict[str, JointLabel]:
        return dict(base_of(self.dataset, person.frame, person.instance).joints or {})

    def decide(self, who: User, person: Person, status: Status = "approved") -> None:
        self.log(who, person, "status", status=status)

    def move(self, who: User, person: Person, joint: str, by_px: float) -> JointLabel:
        label = self.on_disk(person)[joint]
        moved = replace(label, x_px=(label.x_px or 0.0) + by_px, origin="human")
        self.log(who, person, "edit", joints={joint: moved})
        return moved

    def log(self, who: User, person: Person, kind: str, **more: Any) -> Event:
        """Apply an op at the current revision of its person."""
        more.setdefault("revision", history.state(self.store, person).revision)
        what = op(kind, more.pop("revision"), client=f"test-{who.name}", person=person, **more)
        base = base_of(self.dataset, person.frame, person.instance)
        return apply(self.store, what, who=who, base=base)

    def tell(self, who: User, person: Person, seq: int, **more: Any) -> Answer:
        """Say an op as the editor does; return the answer."""
        parsed = self.parsed(who, person, seq, **more)
        share = share_of(self.store, self.table.key, "second_share")

        def blinded(people: Any) -> set[tuple[int, int]]:
            return blinded_among(self.store, self.table, people, who=who, share=share)

        base_of = self.frames.base_of
        return apply_ops(self.store, parsed, who=who, base_of=base_of, blinded=blinded)

    def parsed(self, who: User, person: Person, seq: int, **more: Any) -> ParsedOps:
        """Return an op as the editor sends it."""
        one = {"client": (who.name * 8)[:16], "seq": seq, "frame": person.frame}
        one |= {"instance": person.instance, "revision": 0, **more}
        return parse_ops([one], dataset=person.dataset, layer=person.layer)

    def window(self, people: Sequence[tuple[int, int]], *, who: User, **more: Any) -> list[Any]:
        """Return what a browser is given of some people, through JSON."""
        layer, key = more.pop("layer", MAIN), self.table.key
        stretch = window.QueueWindow(people=people, **{"start": 0, **more})
        found = window.items(
            self.store,
            key,
            self.frames,
            stretch,
            who=who,
            layer=layer,
            url=lambda kind, frame: f"/img/{kind}-{frame}",
            clean_of=read_source(self.dataset, self.frames.skeleton).clean_of,
        )
        return json.loads(json.dumps(found, allow_nan=False))


def reviewed(db: Path, folder: Path, *, name: str = "a set") -> Reviewed:
    """Open the store of a running studio, or a new one."""
    dataset = Dataset(folder)
    store = open_store(f"sqlite:///{db}")
    register(store, dataset, name)
    return Reviewed(store=store, dataset=dataset, table=people_table(dataset))


class EditorApi:
    """The API as a page's editor asks it, of a context without pages: signed by a cookie."""

    def __init__(self, ctx: Any, *, user: str = "Ada", key: bool = True) -> None:
        """Ask as a browser that has given this name, and shown the server's key."""
        from starlette.applications import Starlette
        from starlette.testclient import TestClient

        from synthstudio.studio.web_api.app import api_routes

        cookie = ctx.browsers.new_cookie()
        self.ctx, self.user, self.browser = ctx, user, ctx.browsers.name_of(cookie)
        ctx.names.put(self.browser, user)
        if key:
            ctx.keys.put(self.browser, "shown")
        self.http = TestClient(
            Starlette(routes=api_routes(lambda cookies: None)),
            base_url="http://127.0.0.1:8501/api/v1",
            headers={"Synthstudio-User": quote(user)},
            cookies={ctx.browsers.cookie: cookie},
        )
        self.set = next(iter(ctx.sets))
        self.queue: dict[str, Any] = {}

    def open(self, **queue: Any) -> dict[str, Any]:
        """Open a queue (all); return it with its first window."""
        answer = self.http.post(f"/sets/{self.set}/queues", json={"queue": "all", **queue})
        assert answer.status_code == 200, answer.text
        self.queue = answer.json()["queue"]
        return answer.json()

    def window(self, at: int) -> Any:
        return self.http.get(f"/sets/{self.set}/queues/{self.queue['key']}", params={"at": at})

    def send(self, *ops: dict[str, Any], **more: Any) -> Any:
        body = {"set": self.set, "items": True, "ops": list(ops), **more}
        return self.http.post("/ops", json=body)

    def edit(self, item: str, *, seq: int, **op: Any) -> dict[str, Any]:
        """Send an op of a person ("frame:instance"); return the answer."""
        frame, instance = map(int, item.split(":"))
        one = {"client": "c" * 16, "seq": seq, "frame": frame, "instance": instance}
        answer = self.send({**one, "revision": 0, **op})
        assert answer.status_code == 200, answer.text
        return answer.json()
