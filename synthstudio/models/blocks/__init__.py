"""The blocks after any backbone: KPE, ORN and its pose bank."""
