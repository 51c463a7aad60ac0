"""Who is who over time, and which frames are key frames."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add both to people: nobody has corrected either yet."""
    op.add_column("item", sa.Column("track", sa.Integer(), nullable=True))
    op.add_column("item", sa.Column("keyed", sa.Boolean(), nullable=True))


def downgrade() -> None:
    """Take them away; events keep what was said."""
    op.drop_column("item", "keyed")
    op.drop_column("item", "track")
