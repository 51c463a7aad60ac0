"""Metrics of networks, also under occlusion."""
