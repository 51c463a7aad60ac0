"""Faults of the machine put into every command that writes: `make faults`."""
