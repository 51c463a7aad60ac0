"""Frozen values and conventions that every stage shares; NumPy and the standard library."""
