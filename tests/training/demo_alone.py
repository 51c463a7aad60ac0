"""The small demo as a script, for a test that kills it."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    own = Path(__file__).parent
    sys.path[:0] = [str(own), str(own.parent)]
    from test_demo import run

    run(Path(sys.argv[1]))
