"""Check and count: validation, statistics, coverage, differences between data sets."""
