"""The box that somebody drew round a person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column; nobody has drawn a box yet."""
    op.add_column("item", sa.Column("box", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Take it back."""
    op.drop_column("item", "box")
