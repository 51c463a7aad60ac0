"""Experiments: training settings compared on the same people, and their findings."""
