"""What a team chose for a data set: how many are looked at twice, how many at random."""

from __future__ import annotations

from typing import Literal

from synthstudio.core.errors import Refused
from synthstudio.review.models import SettingRow
from synthstudio.review.risk.queue import CONTROL
from synthstudio.review.roles import need
from synthstudio.review.store import Store
from synthstudio.review.team.second_pass import SHARE
from synthstudio.review.values import User

Share = Literal["second_share", "control_share"]
_DEFAULTS: dict[Share, float] = {"second_share": SHARE, "control_share": CONTROL}


def share_of(store: Store, dataset: str, name: Share) -> float:
    """Return the chosen share of a data set's people, or the usual one; 0 to 1."""
    with store.reading() as session:
        row = session.get(SettingRow, (dataset, name))
        value = _DEFAULTS[name] if row is None else row.value
    return float(value) if _is_share(value) else _DEFAULTS[name]


def set_share(store: Store, dataset: str, name: Share, share: float, *, by: User) -> None:
    """Choose a share. Refused: "role", "invalid"."""
    need(by, "assign")
    if not _is_share(share):
        raise Refused(
            "no such share",
            where=name,
            expected="0 to 1",
            got=repr(share)[:40],
            reason="invalid",
        )
    with store.session() as session:
        session.merge(SettingRow(dataset=dataset, key=name, value=float(share)))


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
