"""Clothes, hair and hats: cut once, then fitted to any posed person."""
