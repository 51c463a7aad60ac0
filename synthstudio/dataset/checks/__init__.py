"""What can be wrong with labels, and the functions that find it."""
