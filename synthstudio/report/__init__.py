"""Drawings on pictures, plots and the HTML pages."""
