"""Clothes, hair and hats: how they are cut once and sewn onto any posed person."""
