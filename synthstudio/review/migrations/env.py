"""What Alembic runs to migrate; review/migrate.py gives it a connection in a transaction."""

from __future__ import annotations

from alembic import context

from synthstudio.review.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
