"""The studio's settings, and the options of Streamlit."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from synthstudio.core.errors import StudioError
from synthstudio.core.places import Place, looks_like_url, parse_place, shown_url, studio_origin
from synthstudio.review.store import default_url

LOCAL = "127.0.0.1"
PORT = 8501
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
"""Prefix of the options' variables: SYNTHSTUDIO_DB, SYNTHSTUDIO_ADMINS (by commas), ..."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Resource limits of one person or request. Bytes, pixels and counts."""

    cache_bytes: int = 96 * 2**20
    """The cache of pictures."""
    upload_bytes: int = 20 * 2**20
    upload_pixels: int = 25_000_000
    message_bytes: int = 8 * 2**20
    """One message from a browser: edits, widget states."""
    frames: int = 20_000
    """A data set generated from the page."""
    pixels: int = 4_200_000
    """Each of its frames."""
    jobs: int = 2
    """Jobs running at a time."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All options of the studio. Paths are absolute; data sets may be at URLs.

    `database`: an SQLAlchemy URL. `exports`: output of jobs and exports. `state`: the studio's own
    files (signing key, log). `runs`: a folder of runs, whose exported networks the page Try it
    offers; `models`: further exported files. `url`: the public address,
    None on this machine only. `webhook_hosts`: private hosts allowed for webhooks.
    `segmenter`: an ONNX file instead of GrabCut (editor/suggestions.py).
    `accounts`: sign-in by passwords; `behind_proxy`: a proxy reports client addresses.
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
        """Return the folder of uploaded background photos: an asset root, below the exports."""
        return self.exports / "uploads"

    @property
    def hosts(self) -> tuple[str, ...]:
        named = urlsplit(self.url).hostname if self.url else None
        return tuple(dict.fromkeys((*((named,) if named else ()), LOCAL, "localhost", "::1")))


def settings_of(given: Mapping[str, Any]) -> Settings:
    """Return the settings of `synthstudio studio`'s options, by name; StudioError."""
    exports = _folder(given["exports"])
    database, state = _database(given["db"], given["state"], exports)
    datasets = _listed(given["datasets"], "DATASETS", f"{os.pathsep}(?!//)")
    admins = _listed(given["admin"], "ADMINS")
    hosts = _listed(given["webhook_host"], "WEBHOOK_HOSTS")
    return Settings(
        datasets=tuple(map(_dataset, datasets)),
        database=database,
        exports=exports,
        scenes=_folder(given["scenes"]) if given["scenes"] else _scenes(),
        assets=tuple(_existing(path, "asset root") for path in given["assets"] or ()),
        runs=_folder(given["runs"]),
        models=tuple(_exported(path) for path in given["model"] or ()),
        segmenter=_exported(given["segmenter"]) if given["segmenter"] else None,
        state=state,
        address=given["address"],
        port=given["port"],
        url=_url(given["url"]) if given["url"] else None,
        secrets=_folder(given["secrets"]) if given["secrets"] else None,
        admins=tuple(name.strip() for name in admins),
        webhook_hosts=tuple(name.strip() for name in hosts),
        accounts=given["accounts"],
        behind_proxy=given["behind_proxy"],
    )


def _listed(given: Sequence[str] | None, name: str, between: str = ",") -> list[str]:
    """An option, else its environment variable; items of it may contain spaces."""
    return list(given or filter(str.strip, re.split(between, os.environ.get(PREFIX + name, ""))))


_chosen: list[Settings] = []


def use(settings: Settings) -> None:
    _chosen[:] = [settings]


def current() -> Settings:
    """Return the settings of this process; StudioError before `use` was called."""
    if not _chosen:
        raise StudioError("no settings: the server was started by another command", where="studio")
    return _chosen[0]


def _database(url: str | None, state: Path | str | None, exports: Path) -> tuple[str, Path]:
    if url and "://" not in url:
        url = f"sqlite:///{_folder(url)}"
    file = Path(url.removeprefix("sqlite:///")) if url and url.startswith("sqlite:///") else None
    folder = _folder(state) if state else (exports / "studio" if file is None else file.parent)
    return url or default_url(folder), folder


def _folder(text: Path | str) -> Path:
    return Path(text).expanduser().absolute()


def _dataset(text: str) -> Place:
    place = parse_place(text) if looks_like_url(text) else None
    if place is None or isinstance(place, Path):
        return _existing(text if place is None else str(place), "data set")
    return place


def _existing(text: Path | str, what: str) -> Path:
    path = _folder(text)
    if not path.is_dir():
        raise StudioError(
            f"no such {what}",
            where=shown_url(str(text)) if looks_like_url(str(text)) else str(path),
            expected="a folder of this machine",
            then="Check the command line, or generate one first.",
        )
    return path


def _exported(text: Path | str) -> Path:
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


ENFORCED = {
    "server.enableXsrfProtection": True,
    "server.enableCORS": True,
    "server.enableStaticServing": False,
    "server.enableAgentApi": False,
    "browser.gatherUsageStats": False,
    "global.developmentMode": False,
}
STYLE = f"<style>{Path(__file__).with_name('style.css').read_text('utf-8')}</style>"
ICON = Path(__file__).with_name("icon.svg")


def streamlit_options() -> dict[str, Any]:
    text = Path(__file__).with_name("streamlit.toml").read_text("utf-8")
    return dict(_dotted(tomllib.loads(text)))


def _dotted(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{above}{name}.")
        else:
            yield above + name, value
