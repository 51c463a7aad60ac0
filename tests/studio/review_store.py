"""What the tests of the pages put into a running studio's store: looks at people, and roles."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from synthstudio.dataset.reader import Dataset
from synthstudio.review.check import base_of
from synthstudio.review.edits import apply
from synthstudio.review.history import state
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.risk.table import people_table
from synthstudio.review.store import Store, open_store
from synthstudio.review.team import members
from synthstudio.review.values import MAIN, JointLabel, Kind, Op, Person, Role, Status, User


@dataclass
class Reviewed:
    """A store and the data set that is reviewed in it."""

    store: Store
    dataset: Dataset
    table: PeopleTable
    _seq: itertools.count = field(default_factory=lambda: itertools.count(1))  # type: ignore[type-arg]

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
        self._say(who, person, status=status)

    def move(self, who: User, person: Person, joint: str, by_px: float) -> JointLabel:
        label = self.on_disk(person)[joint]
        moved = replace(label, x_px=(label.x_px or 0.0) + by_px, origin="human")
        self._say(who, person, joints={joint: moved})
        return moved

    def delete(self, who: User, person: Person) -> None:
        self._say(who, person, kind="delete")

    def distrust(self, who: User, person: Person, model: str) -> None:
        self._say(who, person, kind="distrust", text=model)

    def _say(
        self,
        who: User,
        person: Person,
        *,
        status: Status | None = None,
        joints: dict[str, JointLabel] | None = None,
        kind: Kind | None = None,
        text: str = "",
    ) -> None:
        op = Op(
            client=f"test-{who.name}",
            seq=next(self._seq),
            person=person,
            revision=state(self.store, person).revision,
            kind=kind or ("edit" if joints else "status"),
            text=text,
            joints=joints or {},
            status=status,
        )
        apply(self.store, op, who=who, base=base_of(self.dataset, person.frame, person.instance))


def reviewed(db: Path, folder: Path) -> Reviewed:
    """Open the store of a running studio."""
    dataset = Dataset(folder)
    return Reviewed(
        store=open_store(f"sqlite:///{db}"), dataset=dataset, table=people_table(dataset)
    )
