"""The parts of the page Team: members, work given out, the second look, decisions."""
