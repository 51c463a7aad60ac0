"""Predictions of a trained network for photos, videos and data sets; recipes for its errors."""
