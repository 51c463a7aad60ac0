"""What is likely wrong, in which order to look, and how much of a set is wrong."""
