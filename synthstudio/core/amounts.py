"""Counts in words: 1 person, 2,000 people."""

from __future__ import annotations


def people_text(number: int) -> str:
    """ "1 person" or "N people"."""
    return _amount(number, "person", "people")


def frames_text(number: int) -> str:
    return _amount(number, "frame", "frames")


def images_text(number: int) -> str:
    return _amount(number, "image", "images")


def _amount(number: int, one: str, many: str) -> str:
    return f"1 {one}" if number == 1 else f"{number:,} {many}"
