"""The small demo as a script, for a test that kills it."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    from test_demo import run

    run(Path(sys.argv[1]))
