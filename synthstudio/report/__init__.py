"""Drawings on pictures, plots and every HTML page of the package."""
