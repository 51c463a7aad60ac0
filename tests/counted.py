"""Counts of frames and people that are in no data set."""

import numpy as np
import pyarrow as pa

from synthstudio.dataset.rows import FRAME_SCHEMA, INSTANCE_SCHEMA
from synthstudio.quality.stats import FRAME_COLUMNS, PERSON_COLUMNS, Tally

COLUMNS = ((FRAME_SCHEMA, FRAME_COLUMNS), (INSTANCE_SCHEMA, PERSON_COLUMNS))
SCHEMAS = [pa.schema([s.field(n).with_nullable(True) for n in names]) for s, names in COLUMNS]


def stats(samples, skeleton):
    samples, tally = list(samples), Tally(skeleton)
    rows = [frame for frame, _ in samples], [p for _, people in samples for p in people]
    own = np.repeat(np.arange(len(samples)), [len(people) for _, people in samples])
    if samples:
        tally.add(*map(pa.Table.from_pylist, rows, SCHEMAS), own)
    return tally.result()
