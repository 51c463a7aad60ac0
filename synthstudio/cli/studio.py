"""The command that starts the review studio."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


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
        typer.Option(help="ONNX file like EfficientSAM's, for masks by a click; default: GrabCut."),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="Folder for database, signing key and log; default: EXPORTS/studio."),
    ] = None,
    address: Annotated[
        str, typer.Option(help="Address to listen on; one that others can reach needs sign-in.")
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
        typer.Option(help="Name of an admin, whatever the store says; may be repeated."),
    ] = None,
    accounts: Annotated[
        bool,
        typer.Option(
            "--accounts",
            envvar="SYNTHSTUDIO_ACCOUNTS",
            help="People sign in by passwords; invite them with: synthstudio review invite.",
        ),
    ] = False,
    behind_proxy: Annotated[
        bool,
        typer.Option(
            "--behind-proxy",
            envvar="SYNTHSTUDIO_BEHIND_PROXY",
            help="With --accounts: take people's addresses and https from a proxy's headers, "
            "which are refused otherwise.",
        ),
    ] = False,
    webhook_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Allow webhooks to this loopback or private-network host; may be repeated."
        ),
    ] = None,
) -> None:
    """Review and generate datasets in the browser."""
    from synthstudio.studio.server import serve
    from synthstudio.studio.settings import parse

    arguments: list[str] = list(datasets or ())
    given = {
        "db": db,
        "exports": exports,
        "scenes": scenes,
        "runs": runs,
        "segmenter": segmenter,
        "state": state,
        "address": address,
        "port": port,
        "url": url,
        "secrets": secrets,
    }
    arguments += [f"--{name}={value}" for name, value in given.items() if value is not None]
    arguments += [f"--assets={path}" for path in assets or ()]
    arguments += [f"--model={path}" for path in model or ()]
    arguments += [f"--admin={name}" for name in admin or ()]
    arguments += [f"--webhook-host={name}" for name in webhook_host or ()]
    arguments += ["--accounts"] if accounts else []
    arguments += ["--behind-proxy"] if behind_proxy else []
    serve(parse(arguments))
