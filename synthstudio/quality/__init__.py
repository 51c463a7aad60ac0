"""Quality of data sets: validation, statistics, coverage, differences between data sets."""
