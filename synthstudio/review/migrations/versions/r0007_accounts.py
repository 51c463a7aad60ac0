"""Accounts with passwords: who they are, codes to choose one, sessions, wrong tries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the four tables; nobody has an account yet."""
    op.create_table(
        "account",
        sa.Column("name", sa.String(80), primary_key=True),
        sa.Column("password", sa.Text(), nullable=True),
        sa.Column("by", sa.String(80), nullable=False),
        sa.Column("made", sa.DateTime(), nullable=False),
        sa.Column("changed", sa.DateTime(), nullable=True),
        sa.Column("revoked", sa.DateTime(), nullable=True),
    )
    op.create_table(
        "account_code",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("by", sa.String(80), nullable=False),
        sa.Column("made", sa.DateTime(), nullable=False),
        sa.Column("until", sa.DateTime(), nullable=False),
    )
    op.create_index("ix_account_code_name", "account_code", ["name"])
    op.create_table(
        "sign_in",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(80), sa.ForeignKey("account.name"), nullable=False),
        sa.Column("made", sa.DateTime(), nullable=False),
        sa.Column("seen", sa.DateTime(), nullable=False),
    )
    op.create_index("ix_sign_in_name", "sign_in", ["name"])
    op.create_table(
        "sign_in_tries",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("wrong", sa.Integer(), nullable=False),
        sa.Column("last", sa.DateTime(), nullable=False),
        sa.Column("until", sa.DateTime(), nullable=False),
    )


def downgrade() -> None:
    """Take them away, with all passwords and sessions."""
    for table in ("sign_in_tries", "sign_in", "account_code", "account"):
        op.drop_table(table)
