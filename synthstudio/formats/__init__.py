"""Pure conversions of rows to and from other tools' files."""
