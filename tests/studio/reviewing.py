"""The editor in a browser, driven by keys, and what the store says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from waiting import wait_for

from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.review import history
from synthstudio.review.check import labels_of
from synthstudio.review.datasets import content_key
from synthstudio.review.store import open_store
from synthstudio.review.values import Event, JointLabel


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
        self.root.locator("form").get_by_role("combobox").and_(
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
