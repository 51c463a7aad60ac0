"""Dressed, posed people."""
