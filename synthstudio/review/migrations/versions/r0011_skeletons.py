"""Data sets with skeletons of their own, whose definitions stand where a name stood."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Let the column be as long as a definition is."""
    with op.batch_alter_table("dataset") as dataset:
        dataset.alter_column(
            "skeleton", existing_type=sa.String(80), type_=sa.Text(), existing_nullable=False
        )


def downgrade() -> None:
    """Take it back; PostgreSQL refuses while a definition is in it."""
    with op.batch_alter_table("dataset") as dataset:
        dataset.alter_column(
            "skeleton", existing_type=sa.Text(), type_=sa.String(80), existing_nullable=False
        )
