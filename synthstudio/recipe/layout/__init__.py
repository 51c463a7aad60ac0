"""Where people and objects stand, how people look, the cameras around them, variants."""
