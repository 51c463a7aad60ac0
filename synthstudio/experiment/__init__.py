"""Experiments: several ways to train, judged on the same people, with what came of it."""
