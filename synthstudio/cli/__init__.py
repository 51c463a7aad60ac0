"""The command line: a thin function per command over the Python API."""

import functools
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Annotated

import typer
from typer.main import get_command

from synthstudio.cli import datasets, generate, networks, review
from synthstudio.cli.signatures import log
from synthstudio.core.errors import SynthStudioError
from synthstudio.core.places import disk_errors

INTERRUPTED = 130

app = typer.Typer(
    name="synthstudio",
    help="Generate labelled images of partly hidden people. Start with: synthstudio demo",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from synthstudio import __version__

        typer.echo(f"synthstudio {__version__}")
        raise typer.Exit


for group in (generate.app, datasets.app, review.studio_app, networks.app):  # as in --help
    app.add_typer(group)
app.add_typer(generate.assets_app)
app.add_typer(review.app)
app.add_typer(networks.experiment_app)


@functools.cache
def commands() -> Callable[..., object]:
    """Return the command line as Typer runs it: to read the annotations of all takes 50 ms."""
    return get_command(app)


def main() -> None:
    """Run the command line; a SynthStudioError is one message and exit status 1."""
    _open_streams()
    show_notices()
    _note_two_opencvs()
    try:
        with disk_errors(Path("the output")):
            try:
                commands()()
            finally:
                sys.stdout.flush()
    except SynthStudioError as error:
        log(f"error: {error.with_options}")
        sys.exit(1)
    except SystemExit as stop:
        if stop.code == INTERRUPTED:  # typer's status of Ctrl-C, without a message
            log("stopped. Continue with --resume, or by the same command if it has none.")
            # `python -m` would die of SIGINT after all if Ctrl-C came while some library ran
            # exec("text"): CPython's flag of an unhandled one is only reset by the next exec.
            exec("")
        raise
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        got = str(error).strip().splitlines()[:1]
        short = SynthStudioError(
            "there is not enough memory", got=got[0] if got else None, then=_MEMORY
        )
        log(f"error: {short.with_options}")
        sys.exit(1)


def _note_two_opencvs() -> None:
    with suppress(PackageNotFoundError):
        for name in ("opencv-python", "opencv-python-headless"):
            distribution(name)
        log("note: opencv-python and opencv-python-headless overwrite each other (docs/install.md)")


_MEMORY = (
    "Close other programs, use fewer --workers or smaller pictures, and run it again (generate: "
    "with --resume)."
)
_SHORT = ("allocate", "insufficient memory", "out of memory", "failed to map segment")


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is out-of-memory: Python's, Warp's, PyTorch's, OpenCV's or the loader's."""
    named = type(error).__module__.partition(".")[0] in ("builtins", "torch", "cv2")
    words = str(error).lower()
    if isinstance(error, MemoryError) or (named and any(word in words for word in _SHORT)):
        return True
    return error.__cause__ is not None and _is_out_of_memory(error.__cause__)


def _open_streams() -> None:
    """Open closed standard streams on /dev/null, so no other file gets their descriptors."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            place = os.open(os.devnull, os.O_RDWR)  # the lowest free number is this one
            if getattr(sys, name) is None:
                mode = "r" if name == "stdin" else "w"
                setattr(sys, name, os.fdopen(place, mode, encoding="utf-8"))
        else:
            stream = getattr(sys, name)
            if name != "stdin" and hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")


def show_notices() -> None:
    """Print what the package logs (a cache that takes a minute to build) to stderr."""
    log = logging.getLogger("synthstudio")
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)
