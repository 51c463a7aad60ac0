"""What people say of labels: events in a database, never a change of a label on disk."""

from importlib.util import find_spec

from synthstudio.core.errors import ReviewError

if find_spec("sqlalchemy") is None:
    raise ReviewError(
        "the review store needs the package sqlalchemy",
        where="review",
        then='Install it with: pip install "synthstudio[studio]"',
    )
