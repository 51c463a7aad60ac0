"""What the tests of the pages put into a running studio's store: looks at people, and roles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from review_ops import op

from synthstudio.dataset.reader import Dataset
from synthstudio.review.check import base_of
from synthstudio.review.edits import apply
from synthstudio.review.history import state
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.risk.table import people_table
from synthstudio.review.store import Store, open_store
from synthstudio.review.team import members
from synthstudio.review.values import MAIN, JointLabel, Person, Role, Status, User


@dataclass
class Reviewed:
    """A store and the data set that is reviewed in it."""

    store: Store
    dataset: Dataset
    table: PeopleTable

    def team(self, **roles: Role) -> dict[str, User]:
        """Give roles; the first must be an admin."""
        first = next(iter(roles))
        by = User(name=first, role="admin")
        for name, role in roles.items():
            members.set_role(self.store, name, role, by=by)
        return {name: User(name=name, role=role) for name, role in roles.items()}

    def person(self, row: int, *, layer: str = MAIN) -> Person:
        frame, instance = self.table.ids(np.array([row]))[0]
        return Person(dataset=self.table.key, frame=frame, instance=instance, layer=layer)

    def on_disk(self, person: Person) -> dict[str, JointLabel]:
        return dict(base_of(self.dataset, person.frame, person.instance).joints or {})

    def decide(self, who: User, person: Person, status: Status = "approved") -> None:
        self.say(who, person, "status", status=status)

    def move(self, who: User, person: Person, joint: str, by_px: float) -> JointLabel:
        label = self.on_disk(person)[joint]
        moved = replace(label, x_px=(label.x_px or 0.0) + by_px, origin="human")
        self.say(who, person, "edit", joints={joint: moved})
        return moved

    def delete(self, who: User, person: Person) -> None:
        self.say(who, person, "delete")

    def distrust(self, who: User, person: Person, model: str) -> None:
        self.say(who, person, "distrust", text=model)

    def say(self, who: User, person: Person, kind: str, **more: Any) -> None:
        """Apply an op at the current revision of its person."""
        more.setdefault("revision", state(self.store, person).revision)
        what = op(kind, more.pop("revision"), client=f"test-{who.name}", person=person, **more)
        base = base_of(self.dataset, person.frame, person.instance)
        apply(self.store, what, who=who, base=base)


def reviewed(db: Path, folder: Path) -> Reviewed:
    """Open the store of a running studio."""
    dataset = Dataset(folder)
    return Reviewed(
        store=open_store(f"sqlite:///{db}"), dataset=dataset, table=people_table(dataset)
    )
