"""Tables of a data set rewritten behind its back; hashes stay as they were."""

import pyarrow.parquet as pq


def tamper(folder, name, change):
    """Rewrite `frames.parquet` or `instances.parquet` of the first shard below a folder."""
    path = next(iter(sorted(folder.rglob(name))))
    pq.write_table(change(pq.read_table(path, partitioning=None)), path)
