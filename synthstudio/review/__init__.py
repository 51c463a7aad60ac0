"""What people say of labels: events in a database, never a change of a label on disk."""

from importlib.util import find_spec

from synthstudio.core.errors import ReviewError

for _package in ("sqlalchemy", "alembic"):
    if find_spec(_package) is None:
        raise ReviewError(
            f"the review store needs the package {_package}",
            where="review",
            then='Install it with: pip install "synthstudio[studio]"',
        )
