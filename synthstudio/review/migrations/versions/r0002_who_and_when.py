"""Who gave a member the role, and an index for what one author did in a time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns and the index."""
    with op.batch_alter_table("member") as member:
        member.add_column(sa.Column("by", sa.String(80), nullable=True))
        member.add_column(sa.Column("when", sa.DateTime(), nullable=True))
    op.create_index("ix_event_dataset_who_when", "event", ["dataset", "who", "when"])


def downgrade() -> None:
    """Take them back."""
    op.drop_index("ix_event_dataset_who_when", "event")
    with op.batch_alter_table("member") as member:
        member.drop_column("when")
        member.drop_column("by")
