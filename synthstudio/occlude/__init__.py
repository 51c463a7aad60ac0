"""Real photos whose people are hidden behind cut-outs, rendered things and rendered people."""
