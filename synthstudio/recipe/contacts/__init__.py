"""Hands on things, backs on walls, hips on seats."""
