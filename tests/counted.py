"""Counts of frames and people that are in no data set."""

import numpy as np
import pyarrow as pa

from synthstudio.dataset.rows import FRAME_SCHEMA, INSTANCE_SCHEMA
from synthstudio.quality.stats import FRAME_COLUMNS, PERSON_COLUMNS, Tally


def table(rows, schema, names):
    nullable = [schema.field(name).with_nullable(True) for name in names]
    return pa.Table.from_pylist(list(rows), pa.schema(nullable))


def stats(samples, skeleton):
    samples, tally = list(samples), Tally(skeleton)
    frames = table((frame for frame, _ in samples), FRAME_SCHEMA, FRAME_COLUMNS)
    people = table((p for _, rows in samples for p in rows), INSTANCE_SCHEMA, PERSON_COLUMNS)
    own = np.repeat(np.arange(len(samples)), [len(rows) for _, rows in samples])
    if samples:
        tally.add(frames, people, own.astype(np.int64))
    return tally.result()
