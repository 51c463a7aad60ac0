"""The recipe's pydantic models and the YAML loader."""
