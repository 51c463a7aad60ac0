"""The command that starts the review studio."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from synthstudio.studio.settings import Settings

app = typer.Typer()
_SETTINGS = {"auto_envvar_prefix": "SYNTHSTUDIO"}


@app.command(context_settings=_SETTINGS)
def studio(
    datasets: Annotated[
        list[str] | None, typer.Argument(help="Folders or URLs of datasets.")
    ] = None,
    db: Annotated[
        str | None, typer.Option(help="SQLite file or database URL; default: in the state folder.")
    ] = None,
    exports: Annotated[
        Path, typer.Option(help="Output folder of jobs and exports; its datasets are shown too.")
    ] = Path("exports"),
    scenes: Annotated[
        Path | None, typer.Option(help="Folder of recipes; default: the package's own.")
    ] = None,
    assets: Annotated[
        list[Path] | None, typer.Option(help="Asset folder for recipes; may be repeated.")
    ] = None,
    runs: Annotated[
        Path, typer.Option(help="Folder of runs; the page Try it offers exported ones.")
    ] = Path("runs"),
    model: Annotated[
        list[Path] | None,
        typer.Option(help="Another exported network to try: a file or a run; may be repeated."),
    ] = None,
    segmenter: Annotated[
        Path | None,
        typer.Option(help="ONNX file like EfficientSAM's, for one-click masks; default: GrabCut."),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="Folder for database, signing key and log; default: EXPORTS/studio."),
    ] = None,
    address: Annotated[
        str, typer.Option(help="Address to listen on; one reachable by others needs sign-in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8501,
    url: Annotated[
        str | None, typer.Option(help="Public URL, e.g. https://studio.example.")
    ] = None,
    secrets: Annotated[
        Path | None, typer.Option(help="TOML file with [auth] for sign-in, mode 600.")
    ] = None,
    admin: Annotated[
        list[str] | None,
        typer.Option(
            allow_from_autoenv=False,
            help="Name of an admin, regardless of the store; may be repeated. "
            "[env var: SYNTHSTUDIO_ADMINS, by commas]",
        ),
    ] = None,
    accounts: Annotated[
        bool,
        typer.Option(
            "--accounts",
            help="People sign in by passwords; invite them with: synthstudio review invite.",
        ),
    ] = False,
    behind_proxy: Annotated[
        bool,
        typer.Option(
            "--behind-proxy",
            help="With --accounts: take people's addresses and https from a proxy's headers, "
            "which are refused otherwise.",
        ),
    ] = False,
    webhook_host: Annotated[
        list[str] | None,
        typer.Option(
            allow_from_autoenv=False,
            help="Allow webhooks to this loopback or private-network host; may be repeated. "
            "[env var: SYNTHSTUDIO_WEBHOOK_HOSTS, by commas]",
        ),
    ] = None,
) -> None:
    """Review and generate datasets in the browser."""
    given = dict(locals())
    from synthstudio.studio.server import serve
    from synthstudio.studio.settings import settings_of

    serve(settings_of(given))


def parse(words: Sequence[str]) -> Settings:
    """Return the settings of command-line arguments; a usage error, or --help, exits."""
    from synthstudio.studio.settings import settings_of

    found: list[Settings] = []

    @functools.wraps(studio)
    def read(**given: Any) -> None:
        found.append(settings_of(given))

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(context_settings=_SETTINGS)(read)
    try:
        app(list(words), prog_name="streamlit_app.py")
    except SystemExit:
        if not found:
            raise
    return found[0]
