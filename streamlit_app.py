"""The studio, by Streamlit's own command:

    streamlit run streamlit_app.py -- DATASET... --db review.db

`synthstudio studio DATASET...` starts the same. Other machines are served only when sign-in is
set up (docs/studio_security.md); otherwise this refuses, however it was started.
"""

import sys
from pathlib import Path

from streamlit import App

from synthstudio.cli.review import parse_studio
from synthstudio.studio.server import SCRIPT, parts

# Another server's command line (uvicorn's) is not ours: then the environment tells.
OURS = Path(sys.argv[0]).name == Path(__file__).name
app = App(SCRIPT, **parts(lambda: parse_studio(sys.argv[1:] if OURS else [])))

if __name__ == "__main__":
    app.run()
