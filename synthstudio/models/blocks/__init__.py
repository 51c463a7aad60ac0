"""Blocks for any backbone: KPE, ORN and its pose bank."""
