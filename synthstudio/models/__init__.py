"""Pose networks: backbones, and two blocks for any of them, KPE and ORN."""
