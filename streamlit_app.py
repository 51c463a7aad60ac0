"""The studio, by Streamlit's own command:

    streamlit run streamlit_app.py -- DATASET... --db review.db

`synthstudio studio DATASET...` starts the same. Other machines are served only when sign-in is
set up (docs/studio_security.md); otherwise this refuses, however it was started.
"""

from streamlit import App

from synthstudio.studio.server import SCRIPT, parts

app = App(SCRIPT, **parts())

if __name__ == "__main__":
    app.run()
