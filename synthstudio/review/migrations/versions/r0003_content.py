"""What a data set holds, beside the key that its people go by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column; whose reviews the rows of earlier releases are is found when sets open."""
    op.add_column("dataset", sa.Column("content", sa.String(64), nullable=True))
    op.create_index("ix_dataset_content", "dataset", ["content"], unique=True)


def downgrade() -> None:
    """Take it back."""
    op.drop_index("ix_dataset_content", "dataset")
    op.drop_column("dataset", "content")
