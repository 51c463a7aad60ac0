"""Run a picklable function over ranges, independent of frames."""
