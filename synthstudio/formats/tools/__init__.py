"""Formats of single tools and benchmarks, there and back."""
