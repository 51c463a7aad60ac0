"""Choosing from data sets: queries, filters, splits, derived sets."""
