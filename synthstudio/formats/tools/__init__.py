"""The formats of other tools, one module each: `write`, `read`, `round_trip`."""
