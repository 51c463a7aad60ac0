"""Choose people by their labels and by what reviewers made of them, in one query.

The query language of `filter` asks for what a data set holds; here it also knows REVIEW_FIELDS,
whose values are columns over the rows of a people table. As everywhere in the language, what
nobody knows (None, NaN) matches neither a test nor its negation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.dataset.query import Query, parse
from synthstudio.dataset.query_fields import FIELDS, Field
from synthstudio.review.risk.evaluate import Beside, known
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.values import STATUSES

I64 = NDArray[np.int64]
Columns = Beside


def _field(column: str, means: str, **more: Any) -> Field:
    return Field(column=column, table="review", means=means, **more)


REVIEW_FIELDS: dict[str, Field] = {
    "status": _field("status", "what reviewers decided", kind="text", values=STATUSES),
    "reviewer": _field("reviewer", "who touched it last", kind="text"),
    "assigned": _field("assigned", "who shall look at it", kind="text"),
    "changed": _field("changed", "a reviewer changed labels: yes or no", kind="flag"),
    "comments": _field("comments", "how many there are"),
    "risk": _field("risk", "how likely something is wrong; larger is likelier"),
    "disagreement": _field("disagreement", "1 - OKS between labels and predictions, 0 to 1"),
}
ALL_FIELDS: dict[str, Field] = {**FIELDS, **REVIEW_FIELDS}


def read(text: str, joints: tuple[str, ...]) -> Query:
    """Return a query that may ask REVIEW_FIELDS too; DatasetError points at what is wrong."""
    return parse(text, joints, fields=ALL_FIELDS)


def people_found(table: PeopleTable, query: Query, columns: Columns) -> I64:
    """Return the rows of the people that match, rising; `columns` for the REVIEW_FIELDS asked."""
    return np.flatnonzero(known(table, query.tree, columns)[0]).astype(np.int64)
