"""Pose networks: backbones, and two blocks that fit after any of them, KPE and ORN."""
