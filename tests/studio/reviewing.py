"""The editor of a served studio, driven by keys; stores that tests put looks and roles into."""

import json
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from types import SimpleNamespace
from urllib.parse import quote

import numpy as np
from editor_host import Editor
from review_ops import op
from waiting import wait_for

from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.review import history
from synthstudio.review.check import base_of
from synthstudio.review.edits import apply
from synthstudio.review.history import content_key, register
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.risk.table import people_table
from synthstudio.review.store import Store, open_store
from synthstudio.review.team import members
from synthstudio.review.team.second_review import blinded_among, share_of
from synthstudio.review.values import MAIN, Person, User
from synthstudio.studio.editor import window
from synthstudio.studio.editor.ops import apply_ops, parse_ops
from synthstudio.studio.frame_data import Frames, read_source


class Desk(Editor):
    """An open review page of a studio."""

    def __init__(self, page, studio):
        super().__init__(page)
        self.studio = studio

    def status(self):
        return self.page.locator(".ed .status").text_content()

    def focused(self):
        return self.page.evaluate("document.activeElement?.shadowRoot !== null")

    def saved(self):
        self.wait(lambda: self.reads("pending") == "0")

    def shown(self, item=None):
        self.wait(
            lambda: self.reads("item") and self.reads("shown") == (item or self.reads("item"))
        )
        return self.reads("shown")

    def wait(self, true):
        try:
            wait_for(true, "the editor comes to it")
        except AssertionError as error:
            names = ("item", "shown", "joint", "pending", "refused", "saved", "seq")
            reported = {name: self.reads(name) for name in names}
            raise AssertionError(
                f"{error}: {reported} {self.status()}\n{self.studio.output[-1500:]}"
            ) from None


def sit_down(open_as, page, studio, path="review?queue=all", *, name="Ada"):
    open_as(page, studio, path, name=name)
    page.locator(".ed[data-ready]").wait_for()
    desk = Desk(page, studio)
    desk.shown()
    return desk


def people_of(folder):
    return [(row["frame_index"], row["instance"]) for row in Dataset(folder).iter_instances()]


def stored(studio, folder, *, person=None):
    with closing(open_store(f"sqlite:///{studio.db}")) as store:
        found = list(history.iter_events(store, content_key(Dataset(folder))))
        assert history.check_replay(store, content_key(Dataset(folder))) == []
    return [e for e in found if person in (None, f"{e.person.frame}:{e.person.instance}")]


def eventually(read, wanted):
    """Assert that something becomes so: a page is painted piece by piece, a server acts later."""
    found = []

    def is_so():
        found[:] = [read()]
        return found[0] == wanted

    try:
        wait_for(is_so, f"it becomes {wanted!r}")
    except AssertionError as error:
        raise AssertionError(f"{error}; it is {found[0]!r}") from None


@dataclass
class Reviewed:
    """A store and the data set that is reviewed in it."""

    store: Store
    dataset: Dataset
    table: PeopleTable

    @cached_property
    def frames(self):
        return Frames(self.dataset, get_skeleton(self.dataset.identity.skeleton))

    def team(self, **roles):
        by = User(name=next(iter(roles)), role="admin")
        for name, role in roles.items():
            members.set_role(self.store, name, role, by=by)
        return {name: User(name=name, role=role) for name, role in roles.items()}

    def person(self, row, *, layer=MAIN):
        frame, instance = self.table.ids(np.array([row]))[0]
        return self.at(frame, instance, layer=layer)

    def at(self, frame, instance, *, layer=MAIN):
        return Person(dataset=self.table.key, frame=frame, instance=instance, layer=layer)

    def on_disk(self, person):
        return dict(base_of(self.dataset, person.frame, person.instance).joints)

    def decide(self, who, person, status="approved"):
        self.log(who, person, "status", status=status)

    def move(self, who, person, joint, by_px):
        label = self.on_disk(person)[joint]
        moved = replace(label, x_px=label.x_px + by_px, origin="human")
        self.log(who, person, "edit", joints={joint: moved})

    def log(self, who, person, kind, **more):
        revision = history.state(self.store, person).revision
        what = op(kind, revision, client=f"test-{who.name}", person=person, **more)
        base = base_of(self.dataset, person.frame, person.instance)
        return apply(self.store, what, who=who, base=base)

    def tell(self, who, person, seq, **more):
        """Say an op as the editor does; return the answer."""
        share = share_of(self.store, self.table.key, "second_share")
        return apply_ops(
            self.store,
            self.parsed(who, person, seq, **more),
            who=who,
            base_of=self.frames.base_of,
            blinded=lambda people: blinded_among(
                self.store, self.table, people, who=who, share=share
            ),
        )

    def parsed(self, who, person, seq, **more):
        one = {"client": (who.name * 8)[:16], "seq": seq, "frame": person.frame}
        one |= {"instance": person.instance, "revision": 0, **more}
        return parse_ops([one], dataset=person.dataset, layer=person.layer)

    def window(self, people, *, who, layer=MAIN, **more):
        source = read_source(self.dataset)
        chosen = SimpleNamespace(key=self.table.key, frames=self.frames, source=source)
        shown = window.QueueWindow(people=people, layer=layer, **more)
        found = window.items(self.store, chosen, shown, who=who)
        return json.loads(json.dumps(found, allow_nan=False))


def reviewed(db, folder):
    dataset = Dataset(folder)
    store = open_store(f"sqlite:///{db}")
    register(store, dataset, "a set")
    return Reviewed(store=store, dataset=dataset, table=people_table(dataset))


class EditorApi:
    """The API as a page's editor asks it, of a context without pages: signed by a cookie."""

    def __init__(self, ctx, *, user="Ada"):
        """Ask as a browser that has given this name, and shown the server's key."""
        from starlette.applications import Starlette
        from starlette.testclient import TestClient

        from synthstudio.studio.server import api_routes

        cookie = ctx.browsers.new_cookie()
        self.ctx, self.user, self.browser = ctx, user, ctx.browsers.name_of(cookie)
        ctx.names.put(self.browser, user)
        ctx.keys.put(self.browser, "shown")
        self.http = TestClient(
            Starlette(routes=api_routes(lambda cookies: None)),
            base_url="http://127.0.0.1:8501/api/v1",
            headers={"Synthstudio-User": quote(user)},
            cookies={ctx.browsers.cookie: cookie},
        )
        self.set = next(iter(ctx.sets))

    def open(self, **queue):
        answer = self.http.post(f"/sets/{self.set}/queues", json={"queue": "all", **queue})
        assert answer.status_code == 200, answer.text
        self.queue = answer.json()["queue"]
        return answer.json()

    def window(self, at):
        return self.http.get(f"/sets/{self.set}/queues/{self.queue['key']}", params={"at": at})

    def send(self, *ops, **more):
        body = {"set": self.set, "items": True, "ops": list(ops), **more}
        return self.http.post("/ops", json=body)

    def edit(self, item, *, seq, **op):
        """Send an op of a person ("frame:instance"); return the answer."""
        frame, instance = map(int, item.split(":"))
        one = {"client": "c" * 16, "seq": seq, "frame": frame, "instance": instance}
        answer = self.send({**one, "revision": 0, **op})
        assert answer.status_code == 200, answer.text
        return answer.json()
