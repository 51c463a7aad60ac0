"""Kinds of things built from their true size; a decorated builder each."""
