"""The first tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

Column = sa.Column[Any]
Kind = sa.types.TypeEngine[Any]
_NAME, _KEY, _WORD = sa.String(80), sa.String(64), sa.String(16)
_INT, _TIME, _TEXT, _JSON = sa.Integer(), sa.DateTime(), sa.Text(), sa.JSON()
_ITEM = ("dataset", "frame", "instance", "layer")


def _some(kind: Kind, *names: str, null: bool = False) -> list[Column]:
    return [sa.Column(name, kind, nullable=null) for name in names]


def _table(
    name: str, columns: list[Column], primary: tuple[str, ...], *more: sa.Constraint
) -> None:
    """Make a table; "dataset", where it is a key of that table, is checked to be one."""
    key = sa.PrimaryKeyConstraint(*primary, name=f"pk_{name}")
    constraints: list[sa.Constraint] = [key, *more]
    if name != "setting" and any(column.name == "dataset" for column in columns):
        constraints.append(
            sa.ForeignKeyConstraint(["dataset"], ["dataset.key"], name=f"fk_{name}_dataset")
        )
    op.create_table(name, *columns, *constraints, sqlite_autoincrement=primary == ("id",))


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def _of_item() -> list[Column]:
    return [*_some(_KEY, "dataset"), *_some(_INT, "frame", "instance"), *_some(_NAME, "layer")]


def upgrade() -> None:
    """Make the first tables."""
    _table(
        "dataset",
        [
            *_some(_KEY, "key"),
            *_some(_NAME, "name", "skeleton"),
            *_some(_INT, "people"),
            *_some(_TIME, "added_at"),
        ],
        ("key",),
    )
    _table("member", [*_some(_NAME, "name"), *_some(_WORD, "role")], ("name",))
    _table(
        "setting",
        [*_some(_KEY, "dataset"), *_some(_NAME, "key"), *_some(_JSON, "value")],
        ("dataset", "key"),
    )
    _jobs_and_views()
    _people()
    _table(
        "assignment",
        [*_of_item(), *_some(_NAME, "who", "by"), *_some(_TIME, "when")],
        _ITEM,
    )
    _index("assignment", "dataset", "who")
    _table("lease", [*_of_item(), *_some(_NAME, "who"), *_some(_TIME, "until")], _ITEM)
    _index("lease", "dataset", "who")
    _table(
        "prediction",
        [*_of_item(), *_some(_JSON, "joints"), *_some(sa.Float(), "score")],
        ("dataset", "layer", "frame", "instance"),
    )
    _table(
        "risk",
        [*_of_item()[:3], *_some(sa.Float(), "score"), *_some(_JSON, "reasons")],
        ("dataset", "frame", "instance"),
    )
    _index("risk", "dataset", "score")


def _jobs_and_views() -> None:
    _table(
        "job",
        [
            *_some(_INT, "id"),
            *_some(_WORD, "kind"),
            *_some(_NAME, "who"),
            *_some(_JSON, "spec"),
            *_some(_WORD, "state"),
            *_some(_INT, "pid", null=True),
            *_some(_TIME, "created"),
            *_some(_TIME, "started", "ended", null=True),
            *_some(_JSON, "progress"),
            *_some(_TEXT, "message"),
            *_some(_TEXT, "out", null=True),
        ],
        ("id",),
    )
    _index("job", "state")
    _table(
        "saved_view",
        [
            *_some(_INT, "id"),
            *_some(_KEY, "dataset"),
            *_some(_NAME, "name"),
            *_some(_NAME, "who", null=True),
            *_some(_TEXT, "query"),
            *_some(_JSON, "options"),
        ],
        ("id",),
        sa.UniqueConstraint("dataset", "who", "name", name="uq_saved_view_dataset_who_name"),
    )


def _people() -> None:
    _table(
        "event",
        [
            *_some(_INT, "id"),
            *_of_item(),
            *_some(_INT, "revision"),
            *_some(_WORD, "kind"),
            *_some(_NAME, "who"),
            *_some(_TIME, "when"),
            *_some(_JSON, "before", "after"),
            *_some(_NAME, "client"),
            *_some(_INT, "seq"),
            *_some(_INT, "reverts", null=True),
        ],
        ("id",),
        sa.UniqueConstraint("client", "seq", name="uq_event_client_seq"),
        sa.UniqueConstraint(
            *_ITEM, "revision", name="uq_event_dataset_frame_instance_layer_revision"
        ),
        sa.ForeignKeyConstraint(["reverts"], ["event.id"], name="fk_event_reverts"),
    )
    _index("event", "dataset", "id")
    _table(
        "item",
        [
            *_of_item(),
            *_some(_INT, "revision"),
            *_some(_WORD, "status"),
            *_some(_TEXT, "reason"),
            *_some(_JSON, "joints"),
            *_some(sa.Boolean(), "deleted", "added"),
            *_some(_NAME, "who", null=True),
            *_some(_TIME, "when", null=True),
            *_some(_INT, "comments"),
        ],
        _ITEM,
    )
    _index("item", "dataset", "layer", "status")


def downgrade() -> None:
    """Drop all tables."""
    for name in (
        "saved_view",
        "risk",
        "prediction",
        "lease",
        "assignment",
        "item",
        "event",
        "setting",
        "member",
        "job",
        "dataset",
    ):
        op.drop_table(name)
