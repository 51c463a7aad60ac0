"""Where people and things stand, how people look, the cameras around them, variants."""
