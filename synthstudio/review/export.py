"""Reviewed labels as a data set of its own, or in the format of another tool."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from synthstudio.dataset.derive import write_derived
from synthstudio.dataset.reader import Dataset
from synthstudio.formats.export import EXPORTERS, Exported
from synthstudio.review.reviewed import Only, reviewed
from synthstudio.review.store import Store
from synthstudio.review.values import MAIN


def reviewed_dataset(
    store: Store,
    dataset: Dataset,
    out: Path,
    *,
    only: Only = "approved",
    layer: str = MAIN,
    resume: bool = False,
) -> Dataset:
    """Write a data set with what reviewers said laid over its labels (see reviewed.py).

    The frames of a data set are counted from 0 without gaps, so they are numbered anew; which
    frame each was is in `dataset.select.derive.origins`. The same states give the same bytes.
    ReviewError when no frame is left; DatasetError, DiskError.
    """
    found = reviewed(store, dataset, only=only, layer=layer)
    identity = dataclasses.replace(found.identity, frames=len(found.frames))
    return write_derived(out, identity, [dataset], found.chunks(), resume=resume)


def export_reviewed(
    store: Store,
    dataset: Dataset,
    out: Path,
    *,
    form: str,
    only: Only = "approved",
    layer: str = MAIN,
    skeleton: str | None = None,
) -> Exported:
    """Write reviewed labels in a format of formats/export.py, whole or not at all.

    Frame numbers, ids and names of pictures are those that an export of the data set itself
    has. `bones`: convert to this skeleton. Errors as in `reviewed_dataset`, and FormatError.
    """
    return EXPORTERS[form](reviewed(store, dataset, only=only, layer=layer), out, skeleton=skeleton)
