"""How good a network is, and how much of that it keeps when people are hidden."""
