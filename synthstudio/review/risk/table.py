"""All people of a data set as arrays: built once, asked in milliseconds.

people_table(dataset, cache=…) ─► PeopleTable ─► find(table, query): rows that match
                                             └─► facet, joint_facet: counts for plots
"""

from __future__ import annotations

import functools
from pathlib import Path

from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.durable import file_sha256
from synthstudio.dataset.manifest import MANIFEST_NAME
from synthstudio.dataset.reader import Dataset
from synthstudio.review.risk.cache import cached, content_key, in_memory
from synthstudio.review.risk.columns import fill
from synthstudio.review.risk.evaluate import find, known
from synthstudio.review.risk.facets import Facet, facet, joint_facet
from synthstudio.review.risk.people import PeopleTable, layout

__all__ = ["Facet", "PeopleTable", "facet", "find", "joint_facet", "known", "people_table"]


def people_table(dataset: Dataset, *, cache: Path | None = None) -> PeopleTable:
    """Return the table of all people of a data set.

    `cache`: a folder in which tables are kept as files that are mapped, not read: with it a
    table takes next to no memory (about 1.2 kB a person otherwise), and opening it again costs
    its hashes. DatasetError when the rows do not fit; DiskError when the cache cannot be written.
    """
    skeleton = get_skeleton(dataset.identity.skeleton)
    shapes = layout(skeleton, dataset.people, dataset.frames)
    filled = functools.partial(fill, dataset, skeleton)
    content = content_key(dataset)
    if cache is None:
        arrays, names = in_memory(shapes, filled)
    else:
        arrays, names = cached(cache, content, shapes, filled)
    return PeopleTable(
        key=file_sha256(dataset.folder / MANIFEST_NAME),
        content=content,
        skeleton_name=skeleton.name,
        arrays=arrays,
        names=names,
    )
