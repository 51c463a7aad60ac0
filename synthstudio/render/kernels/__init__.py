"""Kernels and functions that Warp compiles from their source; their types are not Python's."""
