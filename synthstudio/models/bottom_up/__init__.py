"""Bottom-up systems: all people of a frame at once, without boxes."""
