"""Placement of people, objects and cameras, appearance, and variants."""
