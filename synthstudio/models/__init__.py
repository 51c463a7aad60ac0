"""Pose networks: backbones, and two blocks that plug in after any of them, KPE and ORN."""
