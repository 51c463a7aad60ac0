"""What the studio serves and the options that Streamlit is started with."""

from __future__ import annotations

import argparse
import functools
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from synthstudio.core.errors import StudioError
from synthstudio.core.places import Place, looks_like_url, parse_place, shown_url, studio_origin
from synthstudio.review.store import default_url

LOCAL = "127.0.0.1"
PORT = 8501
LAUNCHER = "streamlit_app.py"
EXPORTED = "model.onnx"
"""The exported network in a run's folder."""
PAGES = {
    "home": "Home",
    "review": "Review",
    "gallery": "Gallery",
    "queue": "Risk queue",
    "team": "Team",
    "generate": "Generate",
    "skeletons": "Skeletons",
    "tryit": "Try it",
}
"""Title of each page; its script is page_scripts/NAME.py."""
PREFIX = "SYNTHSTUDIO_"
"""Each option may also be said in the environment: SYNTHSTUDIO_DB, SYNTHSTUDIO_EXPORTS, ..."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one person or one request may cost. Bytes, pixels and counts."""

    cache_bytes: int = 96 * 2**20
    """Of all pictures that the server keeps to answer again."""
    upload_bytes: int = 20 * 2**20
    upload_pixels: int = 25_000_000
    message_bytes: int = 8 * 2**20
    """Of one message from a browser: edits, widget states."""
    frames: int = 20_000
    """Of a data set that is generated from the page."""
    pixels: int = 4_200_000
    """Of each of its frames."""
    jobs: int = 2
    """That run at a time."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything the studio is told. Paths are absolute; data sets may lie at URLs.

    `database`: an SQLAlchemy URL. `exports`: where jobs and exports write. `state`: the studio's
    own files (signing key, log). `runs`: a folder of runs, of which the page Try it offers those
    that are exported; `models`: further exported files. `url`: the address that people use,
    None on this machine only. `webhook_hosts`: may be told of decisions though they are at home.
    `segmenter`: an ONNX file in place of GrabCut (segmentation.py).
    `accounts`: people sign in by passwords; `behind_proxy`: a proxy says from where they come.
    """

    datasets: tuple[Place, ...] = ()
    database: str
    exports: Path
    scenes: Path
    assets: tuple[Path, ...] = ()
    runs: Path = Path("runs")
    models: tuple[Path, ...] = ()
    segmenter: Path | None = None
    state: Path
    address: str = LOCAL
    port: int = PORT
    url: str | None = None
    secrets: Path | None = None
    admins: tuple[str, ...] = ()
    webhook_hosts: tuple[str, ...] = ()
    accounts: bool = False
    behind_proxy: bool = False
    limits: Limits = field(default_factory=Limits)

    @property
    def uploads(self) -> Path:
        """Return where uploaded background photos lie: an asset root, below the exports."""
        return self.exports / "uploads"

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return the host names that a request may ask for, without ports."""
        named = urlsplit(self.url).hostname if self.url else None
        return tuple(dict.fromkeys((*((named,) if named else ()), LOCAL, "localhost", "::1")))


def parse(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of a command line; StudioError for what cannot be."""
    env = os.environ if environment is None else environment
    found = _parser(env).parse_args(list(arguments))
    exports = _folder(found.exports)
    database, state = _database(found.db, found.state, exports)
    named = re.split(f"{re.escape(os.pathsep)}(?!//)", env.get(PREFIX + "DATASETS", ""))
    datasets = found.datasets or named
    assets = found.assets or env.get(PREFIX + "ASSETS", "").split(os.pathsep)
    models = found.model or env.get(PREFIX + "MODELS", "").split(os.pathsep)
    admins = found.admin or env.get(PREFIX + "ADMINS", "").split(",")
    hosts = found.webhook_host or env.get(PREFIX + "WEBHOOK_HOSTS", "").split(",")
    return Settings(
        datasets=tuple(_dataset(text) for text in datasets if text),
        database=database,
        exports=exports,
        scenes=_folder(found.scenes) if found.scenes else _scenes(),
        assets=tuple(_existing(path, "asset root") for path in assets if path),
        runs=_folder(found.runs),
        models=tuple(_exported(path) for path in models if path),
        segmenter=_exported(found.segmenter) if found.segmenter else None,
        state=state,
        address=found.address,
        port=found.port,
        url=None if not found.url else _url(found.url),
        secrets=None if not found.secrets else _folder(found.secrets),
        admins=tuple(name.strip() for name in admins if name.strip()),
        webhook_hosts=tuple(name.strip() for name in hosts if name.strip()),
        accounts=found.accounts,
        behind_proxy=found.behind_proxy,
    )


_chosen: list[Settings] = []


def use(settings: Settings) -> None:
    """Let this process serve these settings from now on."""
    _chosen[:] = [settings]


def current() -> Settings:
    """Return the settings of this process: what `use` said, else its command line."""
    if not _chosen:
        # Another server's command line (uvicorn's) is not ours: then the environment tells.
        ours = Path(sys.argv[0]).name == LAUNCHER
        use(parse(sys.argv[1:] if ours else ()))
    return _chosen[0]


def _parser(env: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="streamlit run streamlit_app.py --", description="Review and make data sets."
    )

    def option(name: str, default: Any, text: str, **more: Any) -> None:
        value = env.get(PREFIX + name.upper(), default)
        parser.add_argument(f"--{name}", default=value, help=text, **more)

    parser.add_argument("datasets", nargs="*", help="Folders or URLs of data sets.")
    option("db", None, "Database URL or SQLite file; default: review.db in the state folder.")
    option("exports", "exports", "Where jobs and exports write; its data sets are shown too.")
    option("scenes", None, "Folder of recipes; default: ./scenes, or those that came with us.")
    option("state", None, "Folder of the database, signing key and log; default: EXPORTS/studio.")
    option("address", LOCAL, "Where to listen. Another than this machine needs sign-in.")
    option("port", PORT, "Port to listen on.", type=int)
    option("url", None, "The address that people use, such as https://studio.example.")
    option("secrets", None, "TOML file with [auth] for sign-in; nobody else may read it.")
    option("runs", "runs", "Folder of runs; the page Try it offers exported ones.")
    option("segmenter", None, "An ONNX file like EfficientSAM's, for masks by a click.")
    parser.add_argument("--assets", action="append", help="A folder that scenes may take from.")
    parser.add_argument("--model", action="append", help="Another exported network to try.")
    parser.add_argument("--admin", action="append", help="Who is admin at the first start.")
    parser.add_argument("--webhook-host", action="append", help="A host at home to tell.")
    for name, text in (
        ("accounts", "People sign in by passwords."),
        ("behind-proxy", "With accounts: a proxy says from where and by what people come."),
    ):
        value = env.get(PREFIX + name.upper().replace("-", "_"), "").strip().lower()
        on = value in ("1", "true", "yes")
        parser.add_argument(f"--{name}", action="store_true", default=on, help=text)
    return parser


def _database(url: str | None, state: str | None, exports: Path) -> tuple[str, Path]:
    if url and "://" not in url:
        url = f"sqlite:///{_folder(url)}"
    file = Path(url.removeprefix("sqlite:///")) if url and url.startswith("sqlite:///") else None
    folder = _folder(state) if state else (exports / "studio" if file is None else file.parent)
    return url or default_url(folder), folder


def _folder(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _dataset(text: str) -> Place:
    place = parse_place(text) if looks_like_url(text) else None
    if place is None or isinstance(place, Path):
        return _existing(text if place is None else str(place), "data set")
    return place


def _existing(text: str, what: str) -> Path:
    path = _folder(text)
    if not path.is_dir():
        raise StudioError(
            f"there is no such {what}",
            where=shown_url(text) if looks_like_url(text) else str(path),
            expected="a folder of this machine",
            then="Check the command line, or generate one first.",
        )
    return path


def _exported(text: str) -> Path:
    path = _folder(text)
    file = path / EXPORTED if path.is_dir() else path
    if file.suffix != Path(EXPORTED).suffix or not file.is_file():
        raise StudioError(
            "not an exported network",
            where=str(path),
            expected=f"an .onnx file, or a run's folder with {EXPORTED}",
            then="Export it: synthstudio export-model RUN.",
        )
    return file


def _scenes() -> Path:
    """Return the folder of recipes: ./scenes, or the package's."""
    from synthstudio.api.recipes import SCENES

    here = Path("scenes")
    return here.absolute() if here.is_dir() else SCENES


def _url(text: str) -> str:
    origin = studio_origin(text)
    if origin is None:
        raise StudioError(
            "invalid address of the studio",
            where="--url",
            expected="https://HOST, or http://127.0.0.1:PORT on this machine",
            got=text,
        )
    return origin


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
ENFORCED = {
    "server.enableXsrfProtection": True,
    "server.enableCORS": True,
    "server.enableStaticServing": False,
    "server.enableAgentApi": False,
    "browser.gatherUsageStats": False,
    "global.developmentMode": False,
}
"""What no flag, file or variable may say otherwise while the studio runs."""


STYLE = f"<style>{Path(__file__).with_name('style.css').read_text('utf-8')}</style>"


def streamlit_options() -> dict[str, Any]:
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
