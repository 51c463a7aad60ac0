"""Models whose prediction of a person somebody called wrong."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column; nobody has called any prediction wrong yet."""
    op.add_column("item", sa.Column("distrusts", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Take it back."""
    op.drop_column("item", "distrusts")
