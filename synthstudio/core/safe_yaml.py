"""YAML files from outside: small, without aliases and duplicate keys."""

import re
from pathlib import Path
from typing import Any

import yaml

from synthstudio.core.errors import RecipeError

MAX_BYTES = 1_000_000


def read_yaml(path: Path, what: str = "recipe") -> Any:
    """Read any YAML file with checks (size, aliases, duplicate keys); RecipeError.

    `what` is the kind of file, for messages.
    """
    return compose(path, what)[0]


def compose(path: Path, what: str = "recipe") -> tuple[Any, yaml.Node | None]:
    """As `read_yaml`, with the tree of nodes, which know their lines."""
    text = _read(path, what)
    try:
        node = yaml.compose(text, Loader=_Loader)
        return yaml.load(text, Loader=_Loader), node  # a SafeLoader
    except yaml.YAMLError as error:
        raise _yaml_fault(error, str(path), what) from error
    except (RecursionError, ValueError, OverflowError) as error:
        raise RecipeError(
            "the YAML cannot be read", where=str(path), got=str(error)[:200] or "too deep"
        ) from error


def _read(path: Path, what: str) -> str:
    """The file's text; RecipeError if there is no small UTF-8 file."""
    where = str(path)
    if not path.is_file():
        found = "a folder" if path.is_dir() else "something else" if path.exists() else "nothing"
        raise RecipeError(f"no {what} there", where=where, expected="a YAML file", got=found)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RecipeError(
            f"the {what} cannot be read", where=where, got=error.strerror or str(error)
        ) from error
    if len(raw) > MAX_BYTES:
        raise RecipeError(
            f"the {what} is too large",
            where=where,
            expected=f"at most {MAX_BYTES:,} bytes",
            got=f"{path.stat().st_size:,}",
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"the {what} is not UTF-8 text",
            where=where,
            got=f"byte {raw[error.start]:#04x} at {error.start}",
            then="Save it as UTF-8.",
        ) from error


class _Loader(yaml.SafeLoader):
    """YAML without aliases, anchors, merge keys and duplicate keys."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Refuse aliases and anchors: a few lines of them can expand to gigabytes."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise yaml.composer.ComposerError(
                None, None, "aliases (*) and anchors (&) are not allowed", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse duplicate keys: YAML would silently keep the last."""
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            key = (key_node.tag, str(key_node.value))
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    f"the field was given in line {seen[key]}",
                    node.start_mark,
                    f"the field {key_node.value!r} is given twice",
                    key_node.start_mark,
                )
            seen[key] = key_node.start_mark.line + 1
        return super().construct_mapping(node, deep=deep)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Leave merge keys (<<) alone; they then are unknown fields."""


# YAML 1.1 wants a dot in "1e-3" and a sign in "1.0e3"; it reads 010 as 8 and 1:30 as 90.
_NUMBERS = {"float": r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$", "str": r"[-+]?(0[\d_]+$|\d+:)"}
for tag, text in _NUMBERS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(text), [*"-+.0123456789"])
for first in "-+.0123456789":
    _Loader.yaml_implicit_resolvers[first].reverse()  # the first match wins


def _yaml_fault(error: yaml.YAMLError, where: str, what: str) -> RecipeError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = f"{where}:{mark.line + 1}" if mark is not None else where
    parts = (getattr(error, "problem", None), getattr(error, "context", None))
    text = "; ".join(part for part in parts if part) or str(error).splitlines()[0]
    return RecipeError(f"this is not a {what} in YAML: {text}", where=line)
