"""Run a picklable function over ranges; knows nothing of frames."""
