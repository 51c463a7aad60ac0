"""Hands on objects, backs on walls, hips on seats."""
