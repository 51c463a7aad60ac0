"""How the studio looks and what its server may do: the options that Streamlit is started with.

`.streamlit/config.toml` of a checkout says the same (a test compares them), for those who start
it by `streamlit run streamlit_app.py`.
"""

from __future__ import annotations

import functools
from typing import Any

_SHARED: dict[str, Any] = {
    "theme.font": "sans-serif",
    "theme.baseFontSize": 14,
    "theme.baseRadius": "6px",
    "theme.buttonRadius": "6px",
    "theme.showWidgetBorder": True,
    "theme.showSidebarBorder": True,
    "theme.headingFontSizes": ["1.5rem", "1.25rem", "1.1rem", "1rem", "0.95rem", "0.9rem"],
}
_LIGHT = {
    "primaryColor": "#095f52",
    "backgroundColor": "#fbfbfa",
    "secondaryBackgroundColor": "#f0f1ef",
    "textColor": "#1d2125",
    "borderColor": "#d5d8d3",
    "linkColor": "#0b5f8a",
}
_DARK = {
    "primaryColor": "#3fb79f",
    "backgroundColor": "#14171a",
    "secondaryBackgroundColor": "#1d2226",
    "textColor": "#e4e7e9",
    "borderColor": "#343b41",
    "linkColor": "#79bfe6",
}
_SERVER: dict[str, Any] = {
    "server.headless": True,
    "server.fileWatcherType": "none",
    "server.runOnSave": False,
    "server.enableXsrfProtection": True,
    "server.enableCORS": True,
    "server.enableStaticServing": False,
    "server.maxUploadSize": 20,
    "server.maxMessageSize": 64,
    "server.maxWidgetStateSize": 8,
    "server.showEmailPrompt": False,
    "browser.gatherUsageStats": False,
    "client.toolbarMode": "viewer",
    "client.showErrorDetails": "type",
    "client.showErrorLinks": False,
    "runner.magicEnabled": False,
    "logger.hideWelcomeMessage": True,
}
NEVER = {
    "server.enableXsrfProtection": True,
    "server.enableCORS": True,
    "server.enableStaticServing": False,
    "server.enableAgentApi": False,
    "browser.gatherUsageStats": False,
    "global.developmentMode": False,
}
"""What no flag, file or variable may say otherwise while the studio runs."""


STYLE = """<style>
.stMainBlockContainer { padding: 2.4rem 2.2rem 3rem; }
[data-testid="stSidebarHeader"] { height: 2.6rem; margin-bottom: 0; padding-block: 0.4rem; }
[data-testid="stSidebarNav"] { padding-top: 0; }
.stAppHeader { background: transparent; height: 2.6rem; min-height: 2.6rem; pointer-events: none; }
.stAppHeader > * { pointer-events: auto; }
h1 { padding: 0 0 0.7rem !important; }
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] p {
  color: light-dark(#585d62, #a8afb5) !important; opacity: 1 !important;
}
[data-testid="stBaseButton-primary"]:enabled p,
[data-testid="stBaseButton-primaryFormSubmit"]:enabled p {
  color: light-dark(#ffffff, #06231d);
}
</style>"""
"""Less room at the edges than Streamlit leaves, and more contrast; no data goes in here."""


def options() -> dict[str, Any]:
    """Return every option but address and port, by its dotted name."""
    light = {f"theme.light.{name}": value for name, value in _LIGHT.items()}
    dark = {f"theme.dark.{name}": value for name, value in _DARK.items()}
    return {**_SERVER, **_SHARED, **light, **dark}


@functools.cache
def icon() -> str:
    """Return the tab's icon, two joints and a bone, as a data: address; no route is needed."""
    import base64

    import cv2
    import numpy as np

    from synthstudio.core.images import encode_png

    drawn = np.zeros((64, 64, 4), np.uint8)
    teal = (63, 183, 159, 255)
    cv2.line(drawn, (18, 46), (46, 18), teal, 7, cv2.LINE_AA)
    cv2.circle(drawn, (46, 18), 13, teal, -1, cv2.LINE_AA)
    cv2.circle(drawn, (18, 46), 13, teal, -1, cv2.LINE_AA)
    cv2.circle(drawn, (18, 46), 7, (0, 0, 0, 0), -1)
    return f"data:image/png;base64,{base64.b64encode(encode_png(drawn)).decode()}"
