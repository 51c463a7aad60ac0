"""The page Review: the editor over a queue of people."""

from __future__ import annotations

from synthstudio.studio.editor import desk


def main() -> None:
    """Show the page."""
    desk.show()


main()
