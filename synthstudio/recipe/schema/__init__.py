"""What a person writes: pydantic models and the YAML loader."""
