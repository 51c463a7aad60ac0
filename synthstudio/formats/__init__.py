"""Paired pure functions between our rows and other tools' files."""
