"""A data set on disk: identity, shards, index, lock, statistics."""
