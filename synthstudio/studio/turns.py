"""Which of two things told to a component is the newer.

Streamlit loads a component's module anew for each change of its data, and calls of two runs may
arrive in either order; so data carry a rising number, and the browser ignores older ones.
"""

from __future__ import annotations

import time


def turn_of(last: tuple[int, str] | None, text: str) -> tuple[int, str]:
    """Return (number, text): a higher number than the last one's if what is shown changed.

    By the clock, so that it also rises when a restarted server has forgotten the last one.
    """
    if last is not None and last[1] == text:
        return last
    return max(time.time_ns() // 1_000, last[0] + 1 if last else 0), text
