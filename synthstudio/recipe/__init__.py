"""What a person writes, and the draw that makes every random choice."""
