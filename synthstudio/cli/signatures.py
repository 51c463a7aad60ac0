"""Commands made from functions of the Python API: names, types, bounds, defaults and help of their
options are those of the parameters and of the docstring's `Args`. Options that commands share."""

import inspect
import json
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import typer
from typer.core import TyperCommand
from typer.main import get_command

T = TypeVar("T")
Call = Any
"""The API's function, with the options that came from its signature."""
Output = Any
"""What --json prints, the text without it, and maybe whether the status is 1; or an object with
`as_json` and `text`; None: it is printed already."""
GIVEN = {"progress", "log", "on_result", "on_note", "on_step"}
"""Parameters for progress and messages, which commands set themselves."""
SceneArgument = Annotated[Path, typer.Argument(help="Recipe file, or a name: quickstart.")]
DatasetArgument = Annotated[Path, typer.Argument(help="Folder or URL of a dataset.")]
SeedOption = Annotated[int | None, typer.Option(help="Override the recipe's seed.")]
WorkersOption = Annotated[
    int, typer.Option(min=1, max=256, help="Number of processes; the output does not depend on it.")
]
WhereOption = Annotated[
    str,
    typer.Option(
        metavar="QUERY",
        help='Only frames with people who match, e.g. "occluded > 0.3" (docs/query.md).',
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout.")]


class Command:
    """A command whose function gets the API's as its first argument.

    Its own parameters come first; one annotated `Any` is declared as in the API, whose function
    gets it too. What it returns is printed, by --json as JSON. The API is imported lazily, when
    options are needed: that takes a second.
    """

    def __init__(
        self,
        function: Callable[..., Output],
        names: Sequence[str],
        arguments: str | None,
        skip: str,
    ) -> None:
        self._function, self._names, self._arguments = function, names, arguments
        self._skip = GIVEN | {"self", *skip.split()}
        self.__name__, self.__doc__ = function.__name__, function.__doc__
        self.__module__, self.__annotations__ = function.__module__, {}

    def __call__(self, **given: Any) -> None:
        bound = {name: given[name] for name in self._declared if name in given}
        own = {name: value for name, value in given.items() if name in self._own_parameters}
        call = [partial(self._targets[0], **bound)] if self._names else []
        if (output := self._function(*call, **own)) is None:
            return
        whole = output if isinstance(output, tuple) else (output.as_json(), output.text())
        result, text, *failed = whole
        typer.echo(json.dumps(result, sort_keys=True) if given["as_json"] else text)
        if any(failed):
            raise typer.Exit(1)

    @cached_property
    def __signature__(self) -> inspect.Signature:
        found = {k: v for k, v in self._own_parameters.items() if k not in self._declared}
        last = found.pop("as_json", _JSON)
        return inspect.Signature(
            [
                one.replace(kind=inspect.Parameter.KEYWORD_ONLY)
                for one in (*found.values(), *self._declared.values(), last)
            ]
        )

    @cached_property
    def _own_parameters(self) -> dict[str, inspect.Parameter]:
        named = inspect.signature(self._function, eval_str=True).parameters
        return dict(list(named.items())[bool(self._names) :])

    @cached_property
    def _targets(self) -> list[Callable[..., Any]]:
        found = []
        for path in self._names:
            module, _, rest = path.partition(".")
            target: Any = import_module(f"synthstudio.api.{module}")
            for name in rest.split("."):
                target = getattr(target, name)
            found.append(target)
        return found

    @cached_property
    def _declared(self) -> dict[str, inspect.Parameter]:
        """The API's parameters as options and arguments of the command line."""
        declared: dict[str, inspect.Parameter] = {}
        for target in self._targets:
            helps, wanted = _arguments_of(target), inspect.signature(target).parameters
            places = next(iter(wanted)) if self._arguments is None else self._arguments
            for name, one in wanted.items():
                own = self._own_parameters.get(name)
                if name in self._skip or one.kind is one.VAR_KEYWORD or name in declared:
                    continue
                if own is not None and own.annotation is not Any:
                    continue
                if own is not None and own.default is not own.empty:
                    one = one.replace(default=own.default)
                place = name in places.split()
                declared[name] = _declared(one, target, helps.get(name, ""), place)
        return declared


_JSON = inspect.Parameter(
    "as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=JsonOption
)


def command(
    app: typer.Typer, *names: str, arguments: str | None = None, skip: str = ""
) -> Callable[[Callable[..., Output]], Command]:
    """Add a command to an app; its options are the parameters of these `module.function`s.

    The command calls the first function, if there is any. `arguments`: positional parameters on the
    command line, by default the first; `skip`: parameters without an option.
    """

    def made(function: Callable[..., Output]) -> Command:
        def later() -> None:
            raise AssertionError("_LazyCommand calls the command")

        found = Command(function, names, arguments, skip)
        later.__doc__ = function.__doc__
        later.command = found  # type: ignore[attr-defined]
        app.command(found.__name__.strip("_").replace("_", "-"), cls=_LazyCommand)(later)
        return found

    return made


class _LazyCommand(TyperCommand):
    """A command that is built on first use of its options."""

    @cached_property
    def _built(self) -> Any:
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(self.name)(self.callback.command)  # type: ignore[union-attr]
        return get_command(app)

    @property
    def params(self) -> list[Any]:
        found: list[Any] = self._built.params
        return found

    @params.setter
    def params(self, value: list[Any]) -> None:
        assert not value

    def invoke(self, ctx: Any) -> Any:
        return self._built.invoke(ctx)


def _arguments_of(function: Callable[..., Any]) -> dict[str, str]:
    text = (inspect.getdoc(function) or "") + "\n"
    block = re.search(r"^Args:\n((?: .*\n|\n)*)", text, re.M)
    found = re.finditer(r"^    (\w+): (.*(?:\n {5,}.*)*)", block[1] if block else "", re.M)
    return {one[1]: " ".join(one[2].split()) for one in found}


def _declared(
    one: inspect.Parameter, function: Callable[..., Any], text: str, is_argument: bool
) -> inspect.Parameter:
    from synthstudio.api.arguments import Option, annotation_parts, parts_of

    parts = annotation_parts(one.annotation, function)
    about = next((part for part in parts if isinstance(part, Option)), Option())
    kinds = [part for part in parts if not isinstance(part, Option)]
    default = list(one.default) if isinstance(one.default, tuple) else one.default
    lists = [kind for kind in kinds if get_origin(kind) in (list, Sequence)]
    others = [kind for kind in kinds if kind not in (*lists, type(None))]
    many = bool(lists) and (not others or isinstance(default, list))
    kind = about.type or _kind(list(parts_of(get_args(lists[0])[0])) if many else others)
    if about.choices:
        kind = Literal[about.choices]
    kind = list[kind] if many else kind  # type: ignore[valid-type]
    more: dict[str, Any] = {
        "help": _as_options(text, function) or about.help,
        "metavar": about.metavar,
        "envvar": about.envvar,
        "min": about.minimum,
        "max": about.maximum,
    }
    if is_argument:
        info = typer.Argument(**more)
    else:
        name = about.name or f"--{one.name.replace('_', '-')}"
        info = typer.Option(f"{name}/--no-{name[2:]}" if default is True else name, **more)
    if default is None:
        kind = kind | None
    return one.replace(annotation=Annotated[kind, info], default=default)


def _as_options(text: str, function: Callable[..., Any]) -> str:
    named = inspect.signature(function).parameters

    def option(found: re.Match[str]) -> str:
        return f"--{found[1].replace('_', '-')}" if found[1] in named else found[0]

    return re.sub(r"`(\w+)`", option, text)


def _kind(kinds: Sequence[Any]) -> Any:
    if any(get_origin(kind) is os.PathLike for kind in kinds):
        return Path
    return next((kind for kind in (bool, int, float, str) if kind in kinds), str)


def part(dataset: Path | str, where: str) -> Any:
    """A dataset, or its frames that match `where`."""
    from synthstudio.api.datasets import Dataset

    return Dataset(dataset).query(where) if where else dataset


def log(text: str) -> None:
    """Print a message to stderr; stdout is for results."""
    with suppress(OSError):  # stderr is full or closed
        typer.echo(text, err=True)


def numbers(text: str, kind: Callable[[str], T], option: str) -> list[T]:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as error:
        wrong = f"numbers joined by commas, not {text!r}"
        raise typer.BadParameter(wrong, param_hint=option) from error
