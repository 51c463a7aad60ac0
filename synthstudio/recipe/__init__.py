"""The recipe (schema) and the sampling of frames from it."""
