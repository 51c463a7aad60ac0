"""What the page Home tells of a data set: size, health, review."""
