"""Kinds of objects built from their true size; a decorated builder each."""
