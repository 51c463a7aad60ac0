"""Review of labels: events in a database; labels on disk are never changed."""

from importlib.util import find_spec

from synthstudio.core.errors import ReviewError

if find_spec("sqlalchemy") is None:
    raise ReviewError(
        "the review store needs the package sqlalchemy",
        where="review",
        then='Install it with: pip install "synthstudio[studio]"',
    )
