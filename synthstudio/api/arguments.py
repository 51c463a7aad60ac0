"""Arguments of API calls, checked once and with one kind of message."""

from __future__ import annotations

import builtins
import functools
import inspect
import math
import os
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar, Union, get_args, get_origin

from synthstudio.core import places
from synthstudio.core.errors import ArgumentError
from synthstudio.core.places import free_folder, plain_file
from synthstudio.formats import FORMATS as FORMAT_TABLE

if TYPE_CHECKING:
    from synthstudio.core.skeleton import Skeleton
    from synthstudio.generation.engines import Engine

ENGINES = ("local", "ray")
FORMATS = tuple(FORMAT_TABLE)
RUNTIMES = ("auto", "torch", "onnx")
KINDS = ("ultralytics", "rtmpose", "movenet", "mediapipe", "vitpose", "onnx")
_SKELETON_FILES = (".yaml", ".yml", ".json")
MAX_WORKERS = 256
"""Processes of this machine; a cluster's workers have no bound."""
PathLike = str | os.PathLike[str]
PlaceLike = PathLike | places.Url
"""A folder of this machine, or the URL of a data set in an object store, such as s3://bucket/a."""


P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class Option:
    """Bounds and choices of a parameter (`checked`), and its form as an option beside its name,
    type and default.

    `help`: if the docstring has none; `name`: if it differs from the parameter's;
    `type`: if the parameter takes several; `envvar`: an environment variable that sets it.
    """

    help: str = ""
    name: str = ""
    type: Any = None
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    metavar: str | None = None
    envvar: str | None = None


Count = Annotated[int, Option(minimum=1)]
Whole = Annotated[int, Option(minimum=0)]
Share = Annotated[float, Option(minimum=0, maximum=1)]
Device = Annotated[str, Option(choices=("auto", "cpu", "cuda"), help="Device to run on.")]
EngineName = Annotated[
    str,
    Option(
        choices=ENGINES,
        help="Execution engine: local processes, or a Ray cluster (RAY_ADDRESS, else one of this "
        "machine).",
    ),
]
Renderer = Annotated[
    str,
    Option(
        choices=("raster", "pyrender"),
        help="Renderer of the colours; labels always come from the exact rasteriser.",
    ),
]
Runtime = Annotated[
    str, Option(choices=RUNTIMES, help="onnx: the run's exported network; auto: by the file.")
]
SkeletonLike = Annotated["Skeleton | PathLike", Option(type=str)]
"""A skeleton, the name of one of the package, or the file of one of your own."""
Format = Annotated[str, Option(choices=FORMATS, help="Format.")]
Workers = Annotated[
    int,
    Option(
        minimum=1,
        maximum=MAX_WORKERS,
        help="Number of processes; the output does not depend on it.",
    ),
]
EngineWorkers = Annotated[
    int,
    Option(
        minimum=1,
        help="Number of processes, at most 256, or of a cluster's workers; the output does not "
        "depend on it.",
    ),
]
PoolWorkers = Annotated[
    int | None,
    Option(
        minimum=1,
        help="Processes of one thread each, at most 256, or workers of a cluster; not for a video. "
        "The output does not depend on it. Default: this process with all its threads, whose last "
        "digits may differ, or one worker of a cluster.",
    ),
]
Assets = Annotated[
    PathLike | None,
    Option(
        help="Root of the recipe's asset folders; default: the recipe's own folder, else ./assets."
    ),
]
StoredAssets = Annotated[
    PathLike | None, Option(help="Where its asset folders are now, if they have moved.")
]
Cache = Annotated[
    PathLike | None, Option(help="Folder of cached crops; default: in the run's folder.")
]
Kind = Annotated[
    str | None,
    Option(
        name="--as",
        choices=KINDS,
        help="Program that made the .onnx or .tflite file (docs/evaluate.md).",
    ),
]
Keypoints = Annotated[
    str | Sequence[str] | None,
    Option(
        metavar="ORDER",
        help="Order of another program's keypoints, if its file lacks it: coco17, mediapipe33, "
        "halpe26, mpii16, lsp14, ...",
    ),
]
Database = Annotated[
    str | None,
    Option(
        envvar="SYNTHSTUDIO_DB",
        help="sqlite:///FILE or postgresql://USER@HOST/NAME; default: the studio's, "
        "studio/review.db beside the set.",
    ),
]
StoreUrl = Annotated[
    str,
    Option(
        name="--db", envvar="SYNTHSTUDIO_DB", help="sqlite:///FILE or postgresql://USER@HOST/NAME."
    ),
]


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Check each call against the `Option`s of its parameters: ArgumentError for a value out of
    bounds or not among the choices. The command line uses the same bounds."""

    @functools.wraps(function)
    def call(*given: P.args, **named: P.kwargs) -> R:
        options = _options(function)
        for name, value in inspect.signature(function).bind(*given, **named).arguments.items():
            if name in options:
                _check(value, name, *options[name])
        return function(*given, **named)

    return call


def annotation_parts(annotation: str, function: Callable[..., Any]) -> list[Any]:
    """The types and the `Option` of a parameter's annotation; `Any` for what only a type checker
    imports."""
    known = {**vars(builtins), **globals(), **inspect.unwrap(function).__globals__}
    return list(parts_of(eval(annotation, {}, defaultdict(lambda: Any, known))))


def parts_of(annotation: Any) -> Iterator[Any]:
    """The members of a union, and what annotates them."""
    if get_origin(annotation) in (Union, UnionType):
        for one in get_args(annotation):
            yield from parts_of(one)
    elif hasattr(annotation, "__metadata__"):
        yield from annotation.__metadata__
        yield from parts_of(annotation.__origin__)
    else:
        yield annotation


@functools.cache
def _options(function: Callable[..., Any]) -> dict[str, tuple[Option, list[Any]]]:
    """The parameters with bounds or choices, and the types that each takes."""
    found = {}
    for name, one in inspect.signature(function).parameters.items():
        parts = [] if one.annotation is one.empty else annotation_parts(one.annotation, function)
        about = next((part for part in parts if isinstance(part, Option)), Option())
        if about.choices or about.minimum is not None:
            found[name] = about, [part for part in parts if part is not about]
    return found


def _check(value: Any, name: str, about: Option, kinds: Sequence[Any]) -> None:
    if value is None and type(None) in kinds:
        return
    low, high = about.minimum, about.maximum
    if about.choices:
        to_choice(value, name, about.choices)
    elif int in kinds:
        to_count(value, name, minimum=int(low or 0), maximum=None if high is None else int(high))
    else:
        to_number(value, name, minimum=low or 0.0, maximum=math.inf if high is None else high)


def to_place(value: Any, name: str) -> places.Place:
    """A folder or a URL; ArgumentError for no text, DatasetError for a URL of no store."""
    if isinstance(value, places.Url):
        return value
    place = places.parse_place(_text(value, name))
    return place.expanduser() if isinstance(place, Path) else place


def to_path(value: Any, name: str) -> Path:
    """A path argument; ArgumentError for other types and for URLs."""
    text = str(value) if isinstance(value, places.Url) else _text(value, name)
    if places.looks_like_url(text):
        raise ArgumentError(
            "a URL is not supported here",
            where=name,
            got=places.shown_url(text)[:200],
            then="Only data sets are read from and written to stores (docs/stores.md).",
        )
    return Path(text).expanduser()


def _text(value: Any, name: str) -> str:
    if isinstance(value, str | os.PathLike) and not isinstance(value, bytes):
        text = os.fspath(value)
        if isinstance(text, str) and re.fullmatch("[^\0\ud800-\udfff]+", text):
            return text
    raise ArgumentError(
        "not a path", where=name, expected="a str or pathlib.Path, in UTF-8", got=shown(value)
    )


def optional(convert: Callable[[Any, str], R], value: Any, name: str) -> R | None:
    """A converted argument; None stays None."""
    return None if value is None else convert(value, name)


def is_path(value: Any) -> bool:
    """Whether a value is a path or text that may be one."""
    return isinstance(value, str) or hasattr(value, "__fspath__")


def to_folder(value: Any, name: str) -> Path:
    """The path of a new folder; DiskError if it is not free."""
    path = to_path(value, name)
    free_folder(path)
    return path


def to_file(value: Any, name: str, *, new: bool = False) -> Path:
    """The path of an output file; DiskError if it is not a plain file, or with `new` exists."""
    path = to_path(value, name)
    plain_file(path, new=new)
    return path


def to_count(value: Any, name: str, *, minimum: int = 1, maximum: int | None = None) -> int:
    """A whole number within bounds; ArgumentError otherwise."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if whole and value >= minimum and (maximum is None or value <= maximum):
        return int(value)
    above = "" if maximum is None else f" to {maximum:,}"
    raise ArgumentError(
        "not a whole number",
        where=name,
        expected=f"{minimum}{above or ' or more'}",
        got=shown(value),
    )


def to_number(value: Any, name: str, *, minimum: float = 0.0, maximum: float) -> float:
    """A number within bounds; ArgumentError otherwise."""
    real = isinstance(value, Real) and not isinstance(value, bool)
    if real and minimum <= value <= maximum:
        return float(value)
    expected = f"{minimum:g} to {maximum:g}"
    raise ArgumentError("not a number", where=name, expected=expected, got=shown(value))


def to_choice(value: Any, name: str, known: Collection[str]) -> str:
    """A value of `known`; ArgumentError otherwise."""
    if isinstance(value, str) and value in known:
        return value
    raise ArgumentError("unknown value", where=name, expected=" or ".join(known), got=shown(value))


def to_engine(name: Any) -> Engine:
    """The execution engine of a run; ArgumentError for an unknown name."""
    from synthstudio.generation import engines

    return engines.ENGINES[to_choice(name, "engine", ENGINES)]


def to_workers(value: Any, engine: str) -> int:
    """The number of workers of an engine; ArgumentError if out of bounds."""
    return to_count(value, "workers", maximum=MAX_WORKERS if engine == "local" else None)


def to_worker_pool(workers: Any, engine: Any) -> tuple[Engine, int] | None:
    """The engine and number of workers for predictions; None if neither is given: this
    process. ArgumentError for invalid ones."""
    chosen = to_engine(engine)
    if workers is None:
        return None if engine == "local" else (chosen, 1)
    return chosen, to_workers(workers, engine)


def to_skeleton(value: Skeleton | PathLike) -> Skeleton:
    """A skeleton from a skeleton, a built-in name, or a definition file."""
    from synthstudio.core.skeleton import FOREIGN, SKELETONS, Skeleton, get_skeleton
    from synthstudio.formats.skeleton_file import read_skeleton

    if isinstance(value, Skeleton):
        return value
    name = str(value)
    looks_like_a_file = isinstance(value, Path) or Path(name).suffix.lower() in _SKELETON_FILES
    if looks_like_a_file and name not in SKELETONS and name not in FOREIGN:
        return read_skeleton(to_path(value, "path"))
    return get_skeleton(name)


def to_studio(url: Any) -> str:
    """The origin of a studio's URL; ArgumentError otherwise."""
    origin = places.studio_origin(url) if isinstance(url, str) else None
    if origin is None:
        raise ArgumentError(
            "not a studio URL",
            where="url",
            expected="https://HOST, or http://127.0.0.1:PORT on this machine",
            got=repr(url)[:80],
        )
    return origin


def shown(value: Any) -> str:
    """A value in at most 60 characters for a message, else its type."""
    text = repr(value)
    kind = type(value).__name__
    return f"{text} ({kind})" if len(text) <= 60 else f"a {kind}"
