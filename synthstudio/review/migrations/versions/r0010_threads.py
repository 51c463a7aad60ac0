"""Threads of comments; every comment of before that holds is a thread of its own."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
_INDEX = "ix_thread_dataset_frame_instance_layer"


def upgrade() -> None:
    """Add the table and fill it; add what webhooks hear of, and until when people are due."""
    thread = op.create_table(
        "thread",
        sa.Column("id", sa.Integer(), sa.ForeignKey("event.id"), primary_key=True),
        sa.Column("dataset", sa.String(64), sa.ForeignKey("dataset.key"), nullable=False),
        sa.Column("frame", sa.Integer(), nullable=False),
        sa.Column("instance", sa.Integer(), nullable=False),
        sa.Column("layer", sa.String(80), nullable=False),
        sa.Column("who", sa.String(80), nullable=False),
        sa.Column("when", sa.DateTime(), nullable=False),
        sa.Column("joint", sa.String(80), nullable=True),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("comments", sa.Integer(), nullable=False),
        sa.Column("mentions", sa.JSON(), nullable=False),
    )
    op.create_index(_INDEX, "thread", ["dataset", "frame", "instance", "layer"])
    op.add_column(
        "webhook",
        sa.Column("comments", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column("assignment", sa.Column("due", sa.Date(), nullable=True))
    rows = _first_comments(op.get_bind())
    if rows:
        op.bulk_insert(thread, rows)


def _first_comments(bind: sa.Connection) -> list[dict[str, Any]]:
    event = sa.table(
        "event",
        *(sa.column(name) for name in ("id", "dataset", "frame", "instance", "layer", "kind")),
        sa.column("who"),
        sa.column("when", sa.DateTime()),
        sa.column("reverts"),
    )
    query = sa.select(event).where(event.c.kind.in_(("comment", "revert")))
    found = bind.execute(query.order_by(event.c.id.desc())).all()
    gone: set[int] = set()
    for row in found:  # the newest first: a revert that was reverted takes nothing back
        if row.reverts is not None and row.id not in gone:
            gone.add(row.reverts)
    return [
        {
            **{name: getattr(row, name) for name in ("id", "dataset", "frame", "instance")},
            **{name: getattr(row, name) for name in ("layer", "who", "when")},
            "joint": None,
            "is_open": True,
            "comments": 1,
            "mentions": [],
        }
        for row in reversed(found)
        if row.kind == "comment" and row.id not in gone
    ]


def downgrade() -> None:
    """Take it away; comments and what was decided of threads stay events."""
    op.drop_column("assignment", "due")
    op.drop_column("webhook", "comments")
    op.drop_index(_INDEX, "thread")
    op.drop_table("thread")
