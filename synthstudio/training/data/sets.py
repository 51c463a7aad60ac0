"""The data sets that a training names: folders or URLs."""

from __future__ import annotations

from synthstudio.core.errors import DatasetError
from synthstudio.core.places import Place
from synthstudio.dataset.reader import Dataset


def open_set(place: Place | str, *, allow_unfinished: bool) -> Dataset:
    """Open a data set; DatasetError for none, and for one that is not finished unless that is
    allowed."""
    dataset = Dataset(place, allow_unfinished=True)
    if not dataset.finished and not allow_unfinished:
        raise DatasetError(
            "this data set is unfinished",
            where=str(place),
            expected="all of its frames",
            got=f"{dataset.frames} frames",
            then="Finish it by generate with --resume, or allow it in the config by "
            "`unfinished: true`.",
        )
    return dataset
