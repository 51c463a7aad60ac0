"""The masks that somebody drew of a person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the column; nobody has drawn a mask yet."""
    op.add_column("item", sa.Column("masks", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Take it back."""
    op.drop_column("item", "masks")
